"""Where definitions stand in a text, and the ranges that a person would cite.

Definitions are found by the words around them, in any common language. What one spans is read off
its indentation: from its name to the last line that is indented deeper, closing brackets and words
included. Short definitions are cited whole, long ones block by block.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from explorer.scout.tokens import Bytes, Hashes, Indexes, Mask, Scan, words_of

_KEYWORDS: Final = (
    "def class func fn function interface trait struct enum union impl module namespace mod type "
    "protocol extension object record macro_rules define defmodule typedef sub proc"
)
_CONTROL: Final = (
    "if for while switch catch return else do try throw new await yield case assert elif when "
    "until unless not and or in with delete sizeof using lock synchronized foreach match loop "
    "finally except raise print echo"
)
_MAX_GAP_BYTES: Final = 3
_TOP_KEYWORDS: Final = "class struct interface trait impl module namespace mod enum object"


def _hashes(words: str) -> Hashes:
    return np.sort(np.array([whole for _, _, whole in words_of(words)], np.uint32))


_KEYWORD_TERMS = _hashes(_KEYWORDS)
_CONTROL_TERMS = _hashes(_CONTROL)


def is_among(terms: Hashes, chosen: Hashes) -> Mask:
    """True where a hash is one of the sorted ``chosen``."""
    if not len(chosen):
        return np.zeros(len(terms), np.bool_)
    low = np.zeros(1 << 16, np.bool_)
    low[chosen & np.uint32(0xFFFF)] = True
    result: Mask = low[terms & np.uint32(0xFFFF)]
    maybe = np.flatnonzero(result)
    if len(maybe):
        at = np.searchsorted(chosen, terms[maybe])
        at[at == len(chosen)] = 0
        result[maybe] = chosen[at] == terms[maybe]
    return result


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a text."""

    starts: Indexes
    """Offset of each line's first byte."""
    newlines: Indexes
    """Offset of each line's end."""


def lines_of(text: Bytes) -> Lines:
    """The lines of a text that ends in a line end."""
    newlines = np.flatnonzero(text == ord("\n")).astype(np.int32)
    starts = np.empty_like(newlines)
    if len(starts):
        starts[0] = 0
        starts[1:] = newlines[:-1] + 1
    return Lines(starts, newlines)


def defined_words(text: Bytes, scanned: Scan, lines: Lines) -> Mask:
    """Of each word: True when it is the name that a definition introduces.

    That is the word behind ``class``, ``def``, ``fn`` and the like, and the first word before a
    parenthesis on a line that opens a brace, or is followed by a line that does, and does not begin
    with a word of control.
    """
    count = len(scanned.word_term)
    named = np.zeros(count, np.bool_)
    if count < 2:
        return named
    keyword = is_among(scanned.word_term, _KEYWORD_TERMS)
    gap = scanned.word_start[1:] - scanned.word_end[:-1]
    follows = keyword[:-1] & (gap <= _MAX_GAP_BYTES) & (text[scanned.word_end[:-1]] == ord(" "))
    # ``func (s *Server)`` and ``function (event)`` name nothing yet.
    follows &= text[scanned.word_start[1:] - 1] != ord("(")
    named[1:] |= follows
    dotted = (gap == 1) & (text[scanned.word_end[:-1]] == ord("."))
    named[2:] |= follows[:-1] & dotted[1:]

    line = np.searchsorted(lines.newlines, scanned.word_start)
    ends = lines.newlines
    opens = text[ends - 1] == ord("{")
    opens |= (text[ends - 2] == ord("{")) & (text[ends - 1] <= ord(" "))
    after = np.minimum(ends + 2, len(text) - 1)
    opens |= (text[ends - 1] == ord(")")) & (text[after - 1] == ord("{")) & (text[after] <= 32)
    first = np.empty(count, np.bool_)
    first[0] = True
    first[1:] = line[1:] != line[:-1]
    controls = first & is_among(scanned.word_term, _CONTROL_TERMS)
    free = opens.copy()
    free[line[controls]] = False
    called = (text[scanned.word_end] == ord("(")) & free[line]
    at = np.flatnonzero(called)
    if len(at):
        leading = np.empty(len(at), np.bool_)
        leading[0] = True
        leading[1:] = line[at[1:]] != line[at[:-1]]
        named[at[leading]] = True
    return named & ~keyword


WHOLE_LINES: Final = 30
"""A definition of up to this size is cited whole.

Over 198 tasks of nine repositories the line F1 of ranges as they were ranked is 17.9; with whole
definitions of up to 20 lines it is 18.6, of 30 17.8, of 40 17.7, of 60 17.1.
"""

_BLOCK_REACH: Final = 10
"""Lines that an end of a range may move to reach the edge of its block."""
_BESIDE: Final = 6
"""Lines before and behind a single line that is cited from a long definition."""
_SCRAP_LINES: Final = 3
_TAB: Final = 4
_CLOSER: Final = re.compile(
    r"[)\]}>{]|end\b|else\b|elif\b|except\b|finally\b|catch\b|rescue\b|then\b"
)
_BRACKETS: Final = re.compile(r"[)\]}]+[;,]?")
_COMMENT: Final = re.compile(r"//|/\*|\*(?:[ /]|$)|#(?!\[)|--\s|<!--|;;|%%|\"\"\"$")
_COMMENT_CHARS: Final = frozenset('/*#-<;%"')
_LABEL: Final = re.compile(r"\w+:\s*(?://.*|/\*.*)?$")
_IMPORT: Final = re.compile(r"(?:import|from|use|using|package|require|include)\b|#\s*include\b")
_ATTRIBUTE: Final = re.compile(r"@\w|#\[|\[\w+[\](]")


@dataclass(frozen=True, slots=True)
class Extent:
    """The lines of a definition, 1-based and inclusive, decorators among them."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Lines."""
        return self.end - self.start + 1


class Outline:
    """The definitions of one file."""

    def __init__(self, lines: Sequence[str], heads: Iterable[int]) -> None:
        """``heads`` are the 1-based lines that introduce definitions."""
        self._lines = lines
        self._indents = [_indent(line) for line in lines]
        self._heads = {
            head for head in heads if 1 <= head <= len(lines) and not _is_parameter(lines[head - 1])
        }
        self._extents = sorted(self._find(), key=lambda each: (each.size, each.start))

    def _find(self) -> list[Extent]:
        found: list[Extent] = []
        open_heads: list[int] = []
        last = 0
        for number, (line, indent) in enumerate(zip(self._lines, self._indents, strict=True), 1):
            if indent < 0:
                continue
            text = line.lstrip()
            if text[0] in _COMMENT_CHARS and number not in self._heads and _COMMENT.match(text):
                # It belongs to what follows; within a body that is the body.
                # (The stars of a comment stand one column deeper than its beginning.)
                depth = indent - (text[0] == "*")
                if open_heads and depth > self._indents[open_heads[-1] - 1]:
                    last = number
                continue
            if open_heads and not (":" in text and _LABEL.match(text)):
                while open_heads and self._ends(open_heads[-1], indent, text):
                    found.append(self._extent(open_heads.pop(), last))
            if number in self._heads:
                open_heads.append(number)
            last = number
        return found + [self._extent(head, last) for head in reversed(open_heads)]

    def _ends(self, head: int, indent: int, text: str) -> bool:
        """True when a line at ``indent`` is no longer part of the definition."""
        own = self._indents[head - 1]
        return indent < own or (indent == own and not _CLOSER.match(text))

    def _extent(self, head: int, end: int) -> Extent:
        start = head
        while start > 1 and _ATTRIBUTE.match(self._lines[start - 2].lstrip()):
            start -= 1
        return Extent(start, max(head, end))

    def around(self, start: int, end: int) -> Extent | None:
        """The smallest definition that holds the lines; None when none does."""
        for extent in self._extents:
            if extent.start <= start and end <= extent.end:
                return extent
        return None

    def citable(self, start: int, end: int, whole: int = WHOLE_LINES) -> tuple[int, int]:
        """The range widened to what it is a part of, without what belongs to the next definition.

        A definition of up to ``whole`` lines that it lies in, or that one of its ends lies in, is
        taken in whole; in a longer one its ends move to the edges of their blocks.
        """
        start, end = self._without_scraps(start, self._without_next(start, end), whole)
        both = self.around(start, end)
        if both is not None and both.size <= whole:
            return both.start, both.end
        first, last = self.around(start, start), self.around(end, end)
        if first is not None and first != both and first.size <= whole:
            start = first.start
        else:
            start = self._block_start(start, end, both.start if both else 1)
        if last is not None and last != both and last.size <= whole:
            end = last.end
        else:
            end = self._block_end(start, end, both.end if both else len(self._lines))
        if both is not None and end - start < _SCRAP_LINES:
            # The name alone of a long definition, or a line of it, shows too little.
            end = self._without_next(start, min(both.end, start + _BLOCK_REACH))
        return self._without_imports(start, max(start, end))

    def _without_imports(self, start: int, end: int) -> tuple[int, int]:
        """The range without the imports that it begins with, unless it is nothing else."""
        for number in range(start, end + 1):
            text = self._lines[number - 1].lstrip()
            if text and not _IMPORT.match(text):
                return number, end
        return start, end

    def at(self, line: int, whole: int = WHOLE_LINES) -> tuple[int, int]:
        """What to cite for one line: its definition, or of a long one the block around it."""
        both = self.around(line, line)
        low, high = (both.start, both.end) if both else (1, len(self._lines))
        if both is not None and both.size <= whole:
            return low, high
        return self.citable(max(low, line - _BESIDE), min(high, line + _BESIDE), whole)

    def _without_scraps(self, start: int, end: int, whole: int) -> tuple[int, int]:
        """The range without the last lines of a long definition and the first ones of another."""
        first, last = self.around(start, start), self.around(end, end)
        if first and first.size > whole and start < first.end < end < first.end + first.size:
            if first.end - start < _SCRAP_LINES:
                start = self._next_text(first.end + 1, end)
        if last and last.size > whole and start < last.start and end < last.end:
            if end - last.start < _SCRAP_LINES:
                end = self._without_next(start, last.start - 1)
        while start < end and _BRACKETS.fullmatch(self._lines[start - 1].strip()):
            start = self._next_text(start + 1, end)
        return start, end

    def _next_text(self, number: int, end: int) -> int:
        """The first line from ``number`` on that is not blank, ``end`` at most."""
        while number < end and self._indents[number - 1] < 0:
            number += 1
        return min(number, end)

    def _without_next(self, start: int, end: int) -> int:
        """The end moved up over blank lines and what stands above the next definition."""
        last = end
        while last > start and self._is_lead(last):
            last -= 1
        # A comment alone is no lead when nothing follows that it could lead to.
        after = next((n for n in range(end + 1, len(self._lines) + 1) if not self._is_lead(n)), 0)
        return last if after in self._heads or self._indents[end - 1] < 0 else end

    def _is_lead(self, number: int) -> bool:
        text = self._lines[number - 1].lstrip()
        if number in self._heads:
            return False
        return not text or bool(_COMMENT.match(text) or _ATTRIBUTE.match(text))

    def _block_start(self, start: int, end: int, lowest: int) -> int:
        """The line above that opens the block, or the first behind a blank line, if it is near.

        Where none is near above, the first behind a blank line below, if that is near.
        """
        opens = self._indents[start - 1]
        if start > 1 and self._indents[start - 2] < 0 and not self._closes(start):
            return start
        at = start
        while at > lowest and start - at < _BLOCK_REACH:
            if self._indents[at - 2] < 0 and not self._closes(at):
                return at
            at -= 1
            if 0 <= self._indents[at - 1] < opens:
                return at
        if at == lowest:
            return at
        for number in range(start + 1, min(start + _BLOCK_REACH, (start + end) // 2)):
            if self._indents[number - 2] < 0 <= self._indents[number - 1]:
                return number
        return start

    def _closes(self, number: int) -> bool:
        """True for a line that goes on with what a line above it began."""
        return bool(_CLOSER.match(self._lines[number - 1].lstrip()))

    def _block_end(self, start: int, end: int, highest: int) -> int:
        """The last line that belongs to the statements cited, if it is near.

        Where none is near below, the last above that a blank line follows, if that is near.
        """
        own = min((i for i in self._indents[start - 1 : end] if i >= 0), default=0)
        at = end
        while at < highest and at - end < _BLOCK_REACH:
            indent = self._indents[at]
            if indent < 0 or indent < own or (indent == own and not self._closes(at + 1)):
                return at
            at += 1
        if at == highest:
            return at
        for number in range(end - 1, max(end - _BLOCK_REACH, (start + end) // 2), -1):
            if self._indents[number] < 0 <= self._indents[number - 1]:
                return number
        return end


def _is_parameter(line: str) -> bool:
    """True for a line inside a signature: ``struct Cookie *co,`` defines nothing."""
    text = line.strip()
    return (text.endswith(",") and "(" not in text) or text.count(")") > text.count("(")


def _indent(line: str) -> int:
    """Columns before the text; -1 for a blank line."""
    text = line.lstrip()
    if not text:
        return -1
    lead = line[: len(line) - len(text)]
    return len(lead) + (_TAB - 1) * lead.count("\t") if lead else 0


def joined(ranges: Iterable[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Ranges of one file with a score: those that touch as one, with the better score."""
    result: list[tuple[int, int, float]] = []
    for start, end, score in sorted(ranges):
        if result and start <= result[-1][1] + 1:
            before = result.pop()
            start, end, score = before[0], max(end, before[1]), max(score, before[2])
        result.append((start, end, score))
    return result
