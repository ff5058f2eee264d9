"""The candidates' texts cut into cells of a few lines, with what each cell says about the query.

A cell begins at a definition or at most ``CELL_LINES`` lines behind the one before. All candidates
lie one behind the other in one row of cells, with empty ones between them, so that windows over
neighbouring cells are sums over shifted arrays and never mix two files.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.query import Query
from explorer.scout.tokens import (
    PAD,
    Bytes,
    Lines,
    Mask,
    Scan,
    defined_words,
    is_among,
    lines_of,
    long_enough,
    scan,
    words_of,
)

CELL_LINES: Final = 8
FINE_CELL_LINES: Final = 4
"""For the files that will be cited: a hunk of seven lines fits two cells of four better than one
or two of eight."""
GAP_CELLS: Final = 8
"""Empty cells between files: the widest window's reach."""

WORD_GROUPS: Final = (
    "if elif elsif unless when cond",
    "else otherwise default",
    "return yield",
    "for while loop each foreach do",
    "try catch except rescue finally ensure",
    "throw throws raise panic abort error err exception errors fail goto",
    "null nil none undefined nullptr optional some",
    "new make malloc calloc alloc create init constructor",
    "switch case match",
    "true false",
    "self this super",
    "import use require include package from",
    "const final let var val auto mut",
    "static public private protected pub internal export override virtual",
    "class struct enum interface trait impl type module",
    "def fn func function fun sub",
    "assert check verify require debug_assert expect",
    "log warn debug info trace print printf logger",
    "lock unlock mutex synchronized atomic",
    "async await promise future channel",
    "len length size count num",
    "close free release delete drop dispose destroy remove",
    "todo fixme xxx hack",
    "license copyright author",
    "param returns args example note see since",
    "not and or is in instanceof typeof isinstance",
    "string str int bool char void float double uint8 u8 u32 i32 usize size_t",
    "get set add put push append insert",
)
"""Words of code by what they are for: fixes change conditions more often than imports."""

_CHUNK_BYTES: Final = 1 << 17
_MAX_WINDOW_TERMS: Final = 96
_SATURATION: Final = 1.0

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


def _groups() -> dict[int, int]:
    known: dict[int, int] = {}
    for index, words in enumerate(WORD_GROUPS):
        for _, _, whole in words_of(words):
            known.setdefault(whole, index)
    return dict(sorted(known.items()))


WORD_GROUP: Final = _groups()
"""The group of each word of ``WORD_GROUPS``, by its hash, in ascending order."""
_MARK_TERMS: Final = np.array(list(WORD_GROUP), np.uint32)
_MARK_GROUPS: Final = np.array(list(WORD_GROUP.values()), np.int32)


@dataclass(frozen=True, slots=True)
class Hits:
    """Occurrences of query terms in the candidates, in order of position."""

    line: Ints
    """Line in the row of all lines."""
    term: Ints
    symbol: NDArray[np.bool_]
    """It is the name of a definition."""
    order: Ints
    """Number of the part among all parts; a whole word has its first part's."""


@dataclass(frozen=True, slots=True)
class Field:
    """The candidates' cells. Arrays over cells are parallel; ``file`` is -1 in the gaps."""

    file: Ints
    """Which candidate."""
    first: Ints
    """The cell's first line, 1-based in its file."""
    last: Ints
    block: Ints
    """Number of the definition that the cell lies in, ascending; gaps have their own."""
    starts_block: NDArray[np.bool_]
    spans: NDArray[np.int32]
    """Of each candidate: its first cell and the one behind its last."""
    line_counts: Ints
    terms: Ints
    """The weightiest terms of the query, as indexes; the arrays below have a column for each."""
    counts: Floats
    """Of each cell and term: occurrences."""
    block_counts: Floats
    """Of each block and term: occurrences."""
    block_names: Floats
    """Of each block and term: occurrences as the name of a definition."""
    marks: Floats
    """Of each cell: how many words of each group of ``WORD_GROUPS`` stand in it."""
    features: dict[str, Floats]
    """Of each cell."""


def build_field(
    texts: Sequence[bytes], query: Query, weight: Floats, cell_lines: int = CELL_LINES
) -> Field:
    """The field of the candidates' texts, in their order."""
    lines = _Lines(query, cell_lines)
    chunks = _chunks(texts)
    if len(chunks) == 1:
        lines.add(chunks[0], _scanned(chunks[0]))
        return lines.cut(query, weight)
    # Array arithmetic lets go of the interpreter's lock: two cores do nearly twice as much.
    with ThreadPoolExecutor(2, "scout-field") as pool:
        for chunk, scanned in zip(chunks, pool.map(_scanned, chunks), strict=True):
            lines.add(chunk, scanned)
    return lines.cut(query, weight)


def _chunks(texts: Sequence[bytes]) -> list[list[bytes]]:
    chunks: list[list[bytes]] = []
    size = _CHUNK_BYTES
    for text in texts:
        if size + len(text) > _CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(text)
        size += len(text)
    return chunks


@dataclass(frozen=True, slots=True)
class _Scanned:
    """A chunk's words, its lines, and which words are names of definitions."""

    joined: bytes
    text: Bytes
    lines: Lines
    found: Scan
    named: Mask


def _scanned(chunk: list[bytes]) -> _Scanned:
    joined = PAD + PAD.join(chunk) + PAD
    text = np.frombuffer(joined, np.uint8)
    lines, found = lines_of(text), scan(text)
    return _Scanned(joined, text, lines, found, defined_words(text, found, lines))


class _Lines:
    """All candidates' lines, gathered chunk by chunk."""

    def __init__(self, query: Query, cell_lines: int) -> None:
        self._query = query
        self._cell_lines = cell_lines
        self._detailed = cell_lines < CELL_LINES
        self._lines = 0
        self._parts = 0
        self._hits: list[Hits] = []
        self._files: list[tuple[int, int]] = []
        self._defines: list[NDArray[np.bool_]] = []
        self._blank: list[NDArray[np.bool_]] = []
        self._import: list[NDArray[np.bool_]] = []
        self._comment: list[NDArray[np.bool_]] = []
        self._indent: list[Ints] = []
        self._quoted: list[Ints] = []
        self._mark_line: list[Ints] = []
        self._mark: list[Ints] = []
        self._width: list[Ints] = []

    def add(self, chunk: list[bytes], scanned: _Scanned) -> None:
        """Take a chunk's lines in."""
        joined, text, lines = scanned.joined, scanned.text, scanned.lines
        found, named = scanned.found, scanned.named
        begins = np.cumsum([len(PAD)] + [len(each) + len(PAD) for each in chunk])
        for index, each in enumerate(chunk):
            first = int(np.searchsorted(lines.starts, begins[index]))
            count = each.count(b"\n") + (not each.endswith(b"\n") and bool(each))
            self._files.append((self._lines + first, count))
        keep = np.flatnonzero(long_enough(found, text))
        terms = self._query.terms
        part = keep[is_among(found.term[keep], terms)]
        whole = np.flatnonzero(found.compound)
        whole = whole[is_among(found.word_term[whole], terms)]
        first_part = np.searchsorted(found.start, found.word_start[whole])
        order = np.concatenate([part, first_part])
        at = np.concatenate([found.start[part], found.word_start[whole]])
        term = np.concatenate([found.term[part], found.word_term[whole]])
        symbol = np.concatenate([named[found.word[part]], named[whole]])
        self._hits.append(
            Hits(
                (np.searchsorted(lines.newlines, at) + self._lines).astype(np.int32),
                np.searchsorted(terms, term).astype(np.int32),
                symbol,
                (order + self._parts).astype(np.int32),
            )
        )
        defines = np.zeros(len(lines.starts), np.bool_)
        defines[np.searchsorted(lines.newlines, found.word_start[named])] = True
        self._defines.append(defines)
        self._find_quoted(joined, lines.newlines)
        if self._detailed:
            self._shape(text, lines.starts, lines.newlines)
            self._mark_words(found, lines)
        self._lines += len(lines.starts)
        self._parts += len(found.term) + 8

    def _mark_words(self, found: Scan, lines: Lines) -> None:
        marked = np.flatnonzero(is_among(found.word_term, _MARK_TERMS))
        self._mark.append(_MARK_GROUPS[np.searchsorted(_MARK_TERMS, found.word_term[marked])])
        line = np.searchsorted(lines.newlines, found.word_start[marked]) + self._lines
        self._mark_line.append(line.astype(np.int32))
        self._width.append((lines.newlines - lines.starts).astype(np.int32))

    def _shape(self, text: Bytes, starts: Ints, ends: Ints) -> None:
        visible = np.flatnonzero(text > ord(" "))
        if not len(visible):
            visible = np.zeros(1, np.int64)
        nearest = np.minimum(np.searchsorted(visible, starts), len(visible) - 1)
        at = visible[nearest]
        blank = (at >= ends) | (at < starts)
        head = text[at]
        after = text[np.minimum(at + 1, len(text) - 1)]
        slash = (head == ord("/")) & ((after == ord("/")) | (after == ord("*")))
        comment = slash | (head == ord("*")) | ((head == ord("#")) & (after <= ord(" ")))
        word = (head.astype(np.int32) << 8) | after
        # "im"port, "us"e, "re"quire, "fr"om, "#i"nclude: by two letters, at the left margin.
        imports = np.isin(word, [0x696D, 0x7573, 0x6672, 0x2369, 0x7061]) & (at == starts)
        self._blank.append(blank)
        self._comment.append(comment & ~blank)
        self._import.append(imports & ~blank)
        self._indent.append(np.where(blank, 999, at - starts).astype(np.int32))

    def _find_quoted(self, joined: bytes, newlines: Ints) -> None:
        if not self._query.quoted:
            return
        lower = joined.lower()
        places: list[int] = []
        for text in self._query.quoted:
            position = lower.find(text)
            while position >= 0 and len(places) < 2_000:
                places.append(position)
                position = lower.find(text, position + len(text))
        if places:
            line = np.searchsorted(newlines, np.array(places)) + self._lines
            self._quoted.append(line.astype(np.int32))

    def cut(self, query: Query, weight: Floats) -> Field:
        """The field of all lines taken in."""
        defines = np.concatenate(self._defines) if self._defines else np.zeros(0, np.bool_)
        cell_of_line = np.zeros(len(defines) + 1, np.int32)
        file: list[Ints] = []
        first: list[Ints] = []
        last: list[Ints] = []
        starts_block: list[NDArray[np.bool_]] = []
        spans: list[tuple[int, int]] = []
        total = GAP_CELLS
        gap = np.full(GAP_CELLS, -1, np.int32)
        for index, (begin, count) in enumerate(self._files):
            starts, opening = _cell_starts(defines[begin : begin + count], self._cell_lines)
            ends = np.append(starts[1:], count)
            cell_of_line[begin : begin + count] = np.repeat(
                np.arange(total, total + len(starts), dtype=np.int32), ends - starts
            )
            file += [gap, np.full(len(starts), index, np.int32)]
            first += [gap, starts + 1]
            last += [gap, ends.astype(np.int32)]
            starts_block += [gap < 0, opening]
            spans.append((total, total + len(starts)))
            total += len(starts) + GAP_CELLS
        file.append(gap)
        first.append(gap)
        last.append(gap)
        starts_block.append(gap < 0)
        opens = np.concatenate(starts_block)
        field = Field(
            file=np.concatenate(file),
            first=np.concatenate(first),
            last=np.concatenate(last),
            block=np.cumsum(opens, dtype=np.int32),
            starts_block=opens,
            spans=np.array(spans, np.int32).reshape(-1, 2),
            line_counts=np.array([count for _, count in self._files], np.int32),
            features={},
            **self._counted(np.cumsum(opens, dtype=np.int32), cell_of_line, weight),
        )
        self._describe(field, cell_of_line, query, weight)
        return field

    def _counted(self, block: Ints, cell_of_line: Ints, weight: Floats) -> dict[str, Any]:
        """The field's counts of terms and words."""
        hits = _joined(self._hits)
        cells = len(block)
        best = np.argsort(-weight)[:_MAX_WINDOW_TERMS]
        best = np.sort(best[weight[best] > 0])
        column = np.full(len(weight) + 1, -1, np.int64)
        column[best] = np.arange(len(best))
        cell = cell_of_line[hits.line] if len(hits.line) else hits.line
        chosen = column[hits.term] >= 0
        blocks = int(block[-1]) + 1 if cells else 0

        def table(owner: Ints, kept: NDArray[np.bool_], rows: int) -> Floats:
            key = owner[kept].astype(np.int64) * len(best) + column[hits.term[kept]]
            flat = np.bincount(key, minlength=rows * len(best))
            return flat.astype(np.float32).reshape(rows, len(best))

        counts = table(cell, chosen, cells)
        # Blocks ascend without a gap, so each is a run of cells.
        firsts = np.flatnonzero(np.diff(block, prepend=-1))
        per_block = np.zeros((blocks, len(best)), np.float32)
        per_block[block[firsts]] = np.add.reduceat(counts, firsts, axis=0)
        groups = len(WORD_GROUPS)
        line = np.concatenate(self._mark_line) if self._mark_line else np.zeros(0, np.int32)
        mark = np.concatenate(self._mark) if self._mark else np.zeros(0, np.int32)
        key = cell_of_line[line].astype(np.int64) * groups + mark
        marks = np.bincount(key, minlength=cells * groups).astype(np.float32)
        return {
            "terms": best.astype(np.int32),
            "counts": counts,
            "block_counts": per_block,
            "block_names": table(block[cell], chosen & hits.symbol, blocks),
            "marks": marks.reshape(cells, groups),
        }

    def _describe(self, field: Field, cell_of_line: Ints, query: Query, weight: Floats) -> None:
        hits = _joined(self._hits)
        cells = len(field.file)
        best, counts = field.terms, field.counts
        cell = cell_of_line[hits.line] if len(hits.line) else hits.line
        own, near, around, wide = (_saturate(each) for each in _windows(counts))
        gains = weight[best]
        out = field.features
        out["own"], out["around"], out["wide"] = own @ gains, around @ gains, wide @ gains
        by_kind = np.stack([gains, gains * query.title[best], gains * query.code[best]], axis=1)
        out["near"], out["near_title"], out["near_code"] = (near @ by_kind).T
        local = _local_gains(counts, field, query.weight[best])
        out["local_near"] = np.einsum("ij,ij->i", near, local)
        if self._detailed:
            out["local_own"] = np.einsum("ij,ij->i", own, local)
            out["local_around"] = np.einsum("ij,ij->i", around, local)
        blocks = int(field.block[-1]) + 1 if cells else 0
        out["block"] = (_saturate(field.block_counts) @ gains)[field.block]
        named = np.bincount(
            field.block[cell[hits.symbol]], weights=weight[hits.term[hits.symbol]], minlength=blocks
        )
        out["block_name"] = named.astype(np.float32)[field.block]
        pairs = _pairs(hits, query, weight)
        out["pairs"] = np.bincount(cell[pairs[0]], weights=pairs[1], minlength=cells).astype(
            np.float32
        )
        out["pairs_near"] = _spread(out["pairs"], 1)
        quoted = np.concatenate(self._quoted) if self._quoted else np.zeros(0, np.int32)
        out["quoted"] = np.bincount(cell_of_line[quoted], minlength=cells).astype(np.float32)
        out["quoted_near"] = _spread(out["quoted"], 1)
        if self._detailed:
            self._describe_shape(field, cell_of_line)

    def _describe_shape(self, field: Field, cell_of_line: Ints) -> None:
        out, cells = field.features, len(field.file)
        size = np.maximum(1, field.last - field.first + 1).astype(np.float32)
        for name, masks in (
            ("blank", self._blank),
            ("comment", self._comment),
            ("import", self._import),
        ):
            mask = np.concatenate(masks) if masks else np.zeros(0, np.bool_)
            share = np.bincount(cell_of_line[:-1][mask], minlength=cells) / size
            out[name] = share.astype(np.float32)
        indent = np.concatenate(self._indent) if self._indent else np.zeros(0, np.int32)
        least = np.full(cells, 999, np.int32)
        np.minimum.at(least, cell_of_line[:-1], indent)
        out["indent"] = np.minimum(least, 40).astype(np.float32)
        out["lines"] = size
        width = np.concatenate(self._width) if self._width else np.zeros(0, np.int32)
        wide = np.bincount(cell_of_line[:-1], weights=width, minlength=cells) / size
        out["width"] = np.minimum(wide, 200).astype(np.float32)


def _cell_starts(defines: NDArray[np.bool_], cell_lines: int) -> tuple[Ints, NDArray[np.bool_]]:
    """0-based first lines of the cells of a file, and which of them begin a block."""
    count = len(defines)
    if not count:
        return np.zeros(1, np.int32), np.ones(1, np.bool_)
    heads = np.flatnonzero(defines)
    if not len(heads) or heads[0]:
        heads = np.concatenate([np.zeros(1, heads.dtype), heads])
    sizes = np.diff(np.append(heads, count))
    pieces = np.maximum(1, np.round(sizes / cell_lines)).astype(np.int64)
    which = np.repeat(np.arange(len(heads)), pieces)
    number = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = heads[which] + number * sizes[which] // pieces[which]
    return starts.astype(np.int32), number == 0


def _joined(pieces: list[Hits]) -> Hits:
    if not pieces:
        none = np.zeros(0, np.int32)
        return Hits(none, none, np.zeros(0, np.bool_), none)
    return Hits(
        np.concatenate([piece.line for piece in pieces]),
        np.concatenate([piece.term for piece in pieces]),
        np.concatenate([piece.symbol for piece in pieces]),
        np.concatenate([piece.order for piece in pieces]),
    )


def _saturate(counts: Floats) -> Floats:
    return counts / (counts + _SATURATION)


def _windows(counts: Floats) -> list[Floats]:
    """Sums over the cells up to 0, 1, 2 and 4 away."""
    total = np.zeros((len(counts) + 1, counts.shape[1]), np.float32)
    np.cumsum(counts, axis=0, out=total[1:])
    size = len(counts)
    index = np.arange(size)
    result = [counts]
    for reach in (1, 2, 4):
        low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, size)
        result.append(total[high] - total[low])
    return result


def _local_gains(counts: Floats, field: Field, weight: Floats) -> Floats:
    """Of each cell and term the term's weight times its rarity among the cells of the file.

    A word that stands all over a file says nothing of where in it to look.
    """
    gains = np.zeros_like(counts)
    for begin, end in field.spans.tolist():
        size = end - begin
        frequency = np.count_nonzero(counts[begin:end], axis=0)
        gains[begin:end] = weight * np.log(1.0 + (size - frequency + 0.5) / (frequency + 0.5))
    return gains


def _spread(values: Floats, reach: int) -> Floats:
    total = np.concatenate([np.zeros(1, np.float32), np.cumsum(values, dtype=np.float32)])
    index = np.arange(len(values))
    high, low = np.minimum(index + reach + 1, len(values)), np.maximum(index - reach, 0)
    return np.asarray(total[high] - total[low], np.float32)


def _pairs(hits: Hits, query: Query, weight: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Hits that stand right behind the term that the query says before them, with their weight."""
    said = query.sequence
    both = (said[:-1] >= 0) & (said[1:] >= 0) if len(said) > 1 else np.zeros(0, np.bool_)
    terms = len(query.terms)
    wanted = np.unique(said[:-1][both].astype(np.int64) * terms + said[1:][both])
    part = np.flatnonzero(~query.whole[hits.term])
    if len(part) < 2 or not len(wanted):
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    part = part[np.argsort(hits.order[part], kind="stable")]
    left, right = part[:-1], part[1:]
    close = hits.order[right] - hits.order[left] == 1
    close &= np.isin(hits.term[left].astype(np.int64) * terms + hits.term[right], wanted)
    found = right[close]
    return found, weight[hits.term[found]] + weight[hits.term[left[close]]]
