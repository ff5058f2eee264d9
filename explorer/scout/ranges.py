"""The ranges that are cited: from the best cells of a file to what a person would cite.

Definitions are found by the words around them, in any common language. How far one extends is read
off its indentation: from its name to the last line that is indented deeper, closing brackets and
words included. Short definitions are cited whole, long ones block by block.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.field import FINE_CELL_LINES, Field, build_field
from explorer.scout.matches import Matches, describe_cells, match_cells
from explorer.scout.networks import Weights, choose_cells, score_all, sigmoid
from explorer.scout.query import Query, words_said
from explorer.scout.tokens import Floats

_WHOLE_CELLS_LINES: Final = 24
"""A definition of up to this size is cited whole when half of its cells' lines are chosen."""
_OUTLINED: Final = 200
"""How many lines before and after the chosen ones are searched for definitions."""
_RUST_TESTS: Final = b"#[cfg(test)]\nmod "
_NEVER: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class ScoredRange:
    """A range of lines of one candidate, 1-based and inclusive."""

    file: int
    start: int
    end: int
    score: float


def read_cells(
    texts: Sequence[bytes], query: Query, weight: Floats, described: Floats
) -> tuple[Field, list[tuple[Floats, Matches]]]:
    """The texts cut finely, and for each what is known of its cells."""
    field = build_field(texts, query, weight, FINE_CELL_LINES)
    said = words_said(query.text)
    return field, [
        (
            describe_cells(field, index, said, tests_from(text)),
            match_cells(field, index, described),
        )
        for index, text in enumerate(texts)
    ]


def tests_from(text: bytes) -> int:
    """The line at which the tests of a Rust file begin; beyond its end if it has none."""
    at = text.find(_RUST_TESTS)
    return text.count(b"\n", 0, at) + 1 if at >= 0 else _NEVER


def choose_ranges(
    texts: Sequence[bytes],
    chances: NDArray[np.float64],
    query: Query,
    weight: Floats,
    described: Floats,
    weights: Weights,
) -> tuple[list[list[int]], list[ScoredRange]]:
    """The lines of each text that introduce definitions, and the ranges worth citing, best first.

    Each text has at least one range; a range's ``file`` is the index of its text. ``chances`` are
    those of the texts to be sought at all.
    """
    field, known = read_cells(texts, query, weight, described)
    at: list[NDArray[np.int64]] = []
    chance: list[NDArray[np.float64]] = []
    needed: list[int] = []
    heads: list[list[int]] = []
    for index, (table, matches) in enumerate(known):
        begin, end = (int(each) for each in field.spans[index])
        own = sigmoid(score_all(weights.cells, table, matches).astype(np.float64))
        at.append(np.arange(begin, end))
        chance.append(own * chances[index])
        needed.append(begin + int(np.argmax(own)))
        heads.append(field.first[begin:end][field.starts_block[begin:end]].tolist())
    every, all_chances = np.concatenate(at), np.concatenate(chance)
    size = np.maximum(1, field.last[every] - field.first[every] + 1)
    picked = np.union1d(every[choose_cells(all_chances, size)], needed)
    return heads, _joined_cells(field, picked, all_chances[np.searchsorted(every, picked)])


def _joined_cells(
    field: Field, cells: NDArray[np.int64], chances: NDArray[np.float64]
) -> list[ScoredRange]:
    """The chosen cells as ranges: neighbours joined, small definitions whole, best first."""
    found: list[ScoredRange] = []
    for cell, chance in zip(cells.tolist(), chances.tolist(), strict=True):
        low, high = _whole_block(field, cell, cells)
        file, start, end = int(field.file[cell]), int(field.first[low]), int(field.last[high])
        last = found[-1] if found else None
        if last is not None and last.file == file and start <= last.end + 1:
            start, chance = last.start, max(last.score, chance)
            end = max(end, last.end)
            found.pop()
        found.append(ScoredRange(file, start, max(start, end), chance))
    return sorted(found, key=lambda each: -each.score)


def _whole_block(field: Field, cell: int, chosen: NDArray[np.int64]) -> tuple[int, int]:
    """The cell, or the first and last cell of its definition if that is small and half chosen."""
    low = high = cell
    block = field.block[cell]
    while field.file[low - 1] == field.file[cell] and field.block[low - 1] == block:
        low -= 1
    while field.file[high + 1] == field.file[cell] and field.block[high + 1] == block:
        high += 1
    lines = int(field.last[high] - field.first[low]) + 1
    inside = chosen[(chosen >= low) & (chosen <= high)]
    taken = int((field.last[inside] - field.first[inside] + 1).sum())
    if lines <= _WHOLE_CELLS_LINES and 2 * taken >= lines:
        return low, high
    return cell, cell


def trimmed(chosen: ScoredRange, lines: Sequence[str]) -> ScoredRange:
    """The range without blank lines at its ends, within the file."""
    start, end = chosen.start, min(chosen.end, len(lines))
    while start < end and not lines[start - 1].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return ScoredRange(chosen.file, start, end, chosen.score)


def citable(
    heads: Sequence[Sequence[int]],
    chosen: Sequence[ScoredRange],
    lines: Sequence[Sequence[str]],
    named: Mapping[int, Sequence[int]],
) -> list[ScoredRange]:
    """The ranges as whole definitions and blocks, those that touch joined, best first.

    ``heads`` are the lines of each file that introduce definitions, ``named`` those that the query
    names; these come before all others.
    """
    result: list[ScoredRange] = []
    for file, text in enumerate(lines):
        found = [each for each in chosen if each.file == file]
        said = named.get(file, ())
        # In a long file only what lies near enough to matter is searched for definitions.
        low = max(0, min([*said, *(each.start for each in found)], default=1) - _OUTLINED)
        high = max([*said, *(each.end for each in found)], default=1) + _OUTLINED
        definitions = Definitions(text[low:high], [head - low for head in heads[file]])
        ranges = [
            (*definitions.citable(each.start - low, each.end - low), each.score) for each in found
        ]
        # The score keeps the order of the frames, the innermost first.
        ranges += [
            (*definitions.at(line - low), 2.0 - number / 1_000) for number, line in enumerate(said)
        ]
        result += [
            ScoredRange(file, start + low, end + low, score) for start, end, score in joined(ranges)
        ]
    return sorted(result, key=lambda each: -each.score)


WHOLE_LINES: Final = 30
"""A definition of up to this size is cited whole.

Over 198 tasks of nine repositories the line F1 of the ranges as ranked is 17.9; with whole
definitions of up to 20 lines it is 18.6, of 30 17.8, of 40 17.7, of 60 17.1.
"""

_BLOCK_REACH: Final = 10
"""How far an end of a range may move to reach the edge of its block."""
_BESIDE: Final = 6
"""How many lines around a single one are cited from a long definition, on each side."""
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
    """The lines of a definition with its decorators, 1-based and inclusive."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """How many lines."""
        return self.end - self.start + 1


class Definitions:
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
                # It belongs to what follows; inside a body that is the body itself.
                # (The stars of a block comment are one column deeper than its beginning.)
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
        """True when a line with this indentation is no longer part of the definition."""
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

        A definition of up to ``whole`` lines that holds it, or one of its ends, is included as a
        whole; in a longer one the ends move to the edges of their blocks.
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
            # Only the name of a long definition, or one of its lines, shows too little.
            end = self._without_next(start, min(both.end, start + _BLOCK_REACH))
        return self._without_imports(start, max(start, end))

    def _without_imports(self, start: int, end: int) -> tuple[int, int]:
        """The range without the imports at its beginning, unless it is nothing else."""
        for number in range(start, end + 1):
            text = self._lines[number - 1].lstrip()
            if text and not _IMPORT.match(text):
                return number, end
        return start, end

    def at(self, line: int, whole: int = WHOLE_LINES) -> tuple[int, int]:
        """What to cite for one line: its definition, or the block around it in a long one."""
        both = self.around(line, line)
        low, high = (both.start, both.end) if both else (1, len(self._lines))
        if both is not None and both.size <= whole:
            return low, high
        return self.citable(max(low, line - _BESIDE), min(high, line + _BESIDE), whole)

    def _without_scraps(self, start: int, end: int, whole: int) -> tuple[int, int]:
        """The range without the last lines of one long definition and the first of another."""
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
        """The end, moved up past blank lines and what belongs to the next definition."""
        last = end
        while last > start and self._is_lead(last):
            last -= 1
        # A comment belongs to the next definition only if there is one.
        after = next((n for n in range(end + 1, len(self._lines) + 1) if not self._is_lead(n)), 0)
        return last if after in self._heads or self._indents[end - 1] < 0 else end

    def _is_lead(self, number: int) -> bool:
        text = self._lines[number - 1].lstrip()
        if number in self._heads:
            return False
        return not text or bool(_COMMENT.match(text) or _ATTRIBUTE.match(text))

    def _block_start(self, start: int, end: int, lowest: int) -> int:
        """The line above that opens the block, or that follows a blank line, if it is near.

        If none is near above, the first line below that follows a blank one, if that is near.
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
        """True for a line that continues what a line above it began."""
        return bool(_CLOSER.match(self._lines[number - 1].lstrip()))

    def _block_end(self, start: int, end: int, highest: int) -> int:
        """The last line that belongs to the statements cited, if it is near.

        If none is near below, the last line above that precedes a blank one, if that is near.
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
    """True for a line within a signature: ``struct Cookie *co,`` defines nothing."""
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
    """Scored ranges of one file, those that touch joined, with the better score."""
    result: list[tuple[int, int, float]] = []
    for start, end, score in sorted(ranges):
        if result and start <= result[-1][1] + 1:
            before = result.pop()
            start, end, score = before[0], max(end, before[1]), max(score, before[2])
        result.append((start, end, score))
    return result
