"""Where definitions stand in a text, found by the words around them, in any common language."""

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
