"""Words and definitions of source text as arrays: identifiers split, stemmed and hashed.

A *word* is a run of letters, digits and underscores. Its *parts* are what camelCase, snake_case and
acronyms (``HTTPServer``) consist of; each is stemmed lightly. A word of several parts also counts
as a whole, the same for every spelling: ``fooBar``, ``foo_bar`` and ``FOO_BAR`` are ``foobar``.

Text and query go through the same function, so that equal terms have equal hashes. Everything is
array arithmetic: a loop in Python over the words of 5,000 files would take several seconds. Text
beyond ASCII comes in as ``folding.fold`` leaves it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.scout.folding import apart, fold, folded, plain

Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint32]
Indexes = NDArray[np.int32]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

PAD: Final = b"\n\n\n\n\n\n\n\n"
"""What must precede and follow a text, so that looks at neighbours need no test for its ends."""

MAX_SCAN_BYTES: Final = 4 << 20
"""The most bytes of one scan: the tables of powers are that long."""

_T = TypeVar("_T")

_LOWER, _UPPER, _DIGIT, _UNDERSCORE = 1, 2, 3, 4
_MIN_PART_CHARS = 2


def _tables() -> tuple[Bytes, Bytes, Hashes]:
    """Class, lower case and hash value of each byte; bytes beyond ASCII count as lower letters."""
    kind = np.zeros(256, np.uint8)
    lower = np.arange(256, dtype=np.uint8)
    kind[ord("a") : ord("z") + 1] = _LOWER
    kind[128:] = _LOWER
    kind[ord("A") : ord("Z") + 1] = _UPPER
    kind[ord("0") : ord("9") + 1] = _DIGIT
    kind[ord("_")] = _UNDERSCORE
    lower[ord("A") : ord("Z") + 1] += 32
    # A fixed multiplicative sequence: if it varied, kept indexes could not be read.
    value = (np.arange(1, 257, dtype=np.uint64) * 2_654_435_761 ^ 0x9E3779B9).astype(np.uint32)
    value = (value ^ (value >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    value[kind == 0] = 0
    value[ord("_")] = 0
    return kind, lower, value[lower] * ((kind > 0) & (kind < _UNDERSCORE))


_KIND, _LOWERED, _VALUE = _tables()
_BASE, _BASE_INVERSE = 0x01000193, pow(0x01000193, -1, 1 << 32)
_powers: list[tuple[Hashes, Hashes]] = []


def _power_tables(size: int) -> tuple[Hashes, Hashes]:
    """Powers of the hash's base and its inverse modulo 2**32, up to the exponent ``size``."""
    # Read once: another thread may put tables there meanwhile, and shorter ones.
    known = _powers[:]
    if known and len(known[0][0]) > size:
        return known[0]
    length = max(1 << 16, 1 << (size + 1).bit_length())
    tables = []
    for base in (_BASE, _BASE_INVERSE):
        factors = np.full(length, base, np.uint32)
        factors[0] = 1
        tables.append(np.multiply.accumulate(factors, dtype=np.uint32))
    _powers[:] = [(tables[0], tables[1])]
    return tables[0], tables[1]


@dataclass(frozen=True, slots=True)
class Scan:
    """The terms of a text in order of position. Offsets are into the scanned bytes."""

    term: Hashes
    """The hash of each part's stem."""
    start: Indexes
    end: Indexes
    word: Indexes
    """The index of the word that each part belongs to."""
    word_term: Hashes
    """The hash of each whole word, not stemmed."""
    word_start: Indexes
    word_end: Indexes
    compound: Mask
    """Whether each word has several parts."""


def scan(text: Bytes) -> Scan:
    """The words and parts of a text that begins and ends with ``PAD``.

    Raises:
        ValueError: it is longer than ``MAX_SCAN_BYTES``.
    """
    if len(text) > MAX_SCAN_BYTES:
        raise ValueError(f"{len(text)} bytes are too many for one scan")
    # take is twice as fast as an index, and this is where most of the time goes.
    kind = _KIND.take(text)
    alnum = (kind - 1) < 3
    upper = kind == _UPPER
    before = alnum[:-1]
    opens = np.zeros(len(text), np.bool_)
    # A part begins after anything that is neither letter nor digit, at a capital that does not
    # follow a capital, and at the last capital of a run before a small letter.
    hump = upper[1:-1] & (~upper[:-2] | (kind[2:] == _LOWER))
    opens[1:-1] = alnum[1:-1] & (~before[:-1] | hump)
    closes = np.zeros(len(text), np.bool_)
    closes[1:] = before & (~alnum[1:] | opens[1:])
    start = np.flatnonzero(opens).astype(np.int32)
    end = np.flatnonzero(closes).astype(np.int32)

    in_word = kind > 0
    edges = np.flatnonzero(in_word[1:] != in_word[:-1]).astype(np.int32) + 1
    word_start, word_end = edges[0::2], edges[1::2]
    word = (np.searchsorted(word_start, start, side="right") - 1).astype(np.int32)
    count = np.bincount(word, minlength=len(word_start))

    # Sums of value times power up to each byte: the hash of a range is the difference of two.
    power, inverse = _power_tables(len(text))
    total = np.cumsum(_VALUE.take(text) * power[: len(text)], dtype=np.uint32)
    below, back = total.take(start - 1), inverse.take(start)
    stem_end = _stem_ends(_LOWERED.take(text), start, end)
    return Scan(
        term=_mixed((total.take(stem_end - 1) - below) * back),
        start=start,
        end=end,
        word=word,
        word_term=_whole_terms((total.take(end - 1) - below) * back, end - start, count),
        word_start=word_start,
        word_end=word_end,
        compound=count > 1,
    )


def _whole_terms(parts: Hashes, sizes: Indexes, count: NDArray[np.int64]) -> Hashes:
    """The hash of each word, from those of its parts: underscores between them do not count.

    ``count`` is the number of parts of each word; it is 0 for a word of underscores.
    """
    result = np.zeros(len(count), np.uint32)
    if len(parts):
        filled = np.flatnonzero(count)
        first = np.cumsum(count[filled]) - count[filled]
        done = np.cumsum(sizes, dtype=np.int32) - sizes
        inside = done - np.repeat(done[first], count[filled])
        power, _ = _power_tables(int(inside.max()))
        result[filled] = np.add.reduceat(parts * power.take(inside), first, dtype=np.uint32)
    return _mixed(result)


def _mixed(hashes: Hashes) -> Hashes:
    """The hashes with their bits spread: the low bits of polynomial hashes differ little."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x7FEB352D)
    hashes = (hashes ^ (hashes >> np.uint32(15))) * np.uint32(0x846CA68B)
    return hashes ^ (hashes >> np.uint32(16))


def _stem_ends(lower: Bytes, start: Indexes, end: Indexes) -> Indexes:
    """Where each part's stem ends: without plural, -ing, -ed, -ly, final e, y or i, double letter.

    Stemming is light on purpose: in code ``cache``, ``cached``, ``caching`` and ``caches`` are one
    thing, but ``compile`` and ``compiler`` are two.
    """
    end = end.copy()

    def cut(where: Mask, chars: int) -> None:
        end[where] -= chars

    take = lower.take
    size = end - start
    last, second = take(end - 1), take(end - 2)
    plural = (last == ord("s")) & (size >= 4)
    plural &= (second != ord("s")) & (second != ord("u")) & (second != ord("i"))
    cut(plural, 1)
    size = end - start
    last, second = take(end - 1), take(end - 2)
    ing = np.flatnonzero((last == ord("g")) & (second == ord("n")) & (size >= 6))
    ing = ing[take(end[ing] - 3) == ord("i")]
    two = (last == ord("d")) & (second == ord("e")) & (size >= 5)
    two |= (last == ord("y")) & (second == ord("l")) & (size >= 6)
    end[ing] -= 3
    cut(two, 2)
    cut((take(end - 1) == ord("e")) & (end - start >= 4), 1)
    last = take(end - 1)
    cut(((last == ord("y")) | (last == ord("i"))) & (end - start >= 4), 1)
    last = take(end - 1)
    letter = (last > ord("9")) & (last < 128)
    cut((last == take(end - 2)) & letter & (end - start >= 4), 1)
    return end


def in_chunks(items: Iterable[_T], size_of: Callable[[_T], int], most: int) -> Iterator[list[_T]]:
    """The items in lists of at most ``most`` in size, or of a single larger item."""
    chunk: list[_T] = []
    size = 0
    for item in items:
        if size + size_of(item) > most and chunk:
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += size_of(item)
    if chunk:
        yield chunk


def long_enough(scanned: Scan, text: Bytes) -> Mask:
    """Whether each part is long enough to mean something: two characters, numbers three."""
    size = scanned.end - scanned.start
    number = _KIND[text[scanned.start]] == _DIGIT
    return size >= np.where(number, 3, _MIN_PART_CHARS)


def stems_of(word: str) -> list[tuple[bytes, int]]:
    """For each part of a word its stem in lower case and the stem's hash."""
    data = fold(word.encode("utf-8", "replace"))[: MAX_SCAN_BYTES - 2 * len(PAD)]
    array = np.frombuffer(PAD + data + PAD, np.uint8)
    found = scan(array)
    keep = long_enough(found, array)
    ends = _stem_ends(_LOWERED[array], found.start, found.end)
    lower = _LOWERED[array].tobytes()
    return [
        (lower[start:end], term)
        for start, end, term in zip(
            found.start[keep].tolist(), ends[keep].tolist(), found.term[keep].tolist(), strict=True
        )
    ]


def words_of(text: str) -> list[tuple[str, list[int], int]]:
    """Each word of a short text as (word, hashes of its parts, hash of the whole), in order.

    The words are written as in ``folding.plain`` text; the hashes are those of folded words.
    """
    written = apart(plain(text))
    array, found = _scanned(folded(written))
    if written.isascii():
        same, shown = array, found
    else:
        # Folding changes what is inside words alone, so there are as many of them.
        same, shown = _scanned(written)
    data = same.tobytes()
    result: list[tuple[str, list[int], int]] = []
    for begin, end, whole in zip(
        shown.word_start.tolist(), shown.word_end.tolist(), found.word_term.tolist(), strict=True
    ):
        result.append((data[begin:end].decode("utf-8", "replace"), [], whole))
    keep = long_enough(found, array)
    for index, term in zip(found.word[keep].tolist(), found.term[keep].tolist(), strict=True):
        result[index][1].append(term)
    return result


def _scanned(text: str) -> tuple[Bytes, Scan]:
    data = text.encode("utf-8", "replace")[: MAX_SCAN_BYTES - 2 * len(PAD)]
    array = np.frombuffer(PAD + data + PAD, np.uint8)
    return array, scan(array)


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


def _hashes(words: str) -> Hashes:
    return np.sort(np.array([whole for _, _, whole in words_of(words)], np.uint32))


_KEYWORD_TERMS = _hashes(_KEYWORDS)
_CONTROL_TERMS = _hashes(_CONTROL)


def distinct(terms: Iterable[int]) -> Hashes:
    """The distinct hashes, sorted."""
    # np.unique would import numpy.ma, which takes a first question 20 ms.
    return np.array(sorted(set(terms)), np.uint32)


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
    """Whether each word is the name that a definition introduces.

    It is if it follows ``class``, ``def``, ``fn`` or the like. It also is if it is the first word
    before a parenthesis on a line that does not begin with a word of control, such as ``if``, and
    that opens a brace at its end or on the next line.
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
