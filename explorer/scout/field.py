"""The candidates' texts cut into cells of a few lines, with what each cell says about the query.

A cell begins at a definition, or at most ``CELL_LINES`` lines after the cell before. All cells form
one row, with empty ones between the files, so that windows over neighbouring cells are sums over
shifted arrays and never mix two files. (One pass over the same arrays: apart, its steps would be
hard to follow, so this module is a little longer than others.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.query import WORD_GROUP, WORD_GROUPS, Query
from explorer.scout.scanned import Scanned, scans_of
from explorer.scout.tokens import Bytes, Floats, Indexes, Lines, Mask, is_among, long_enough

CELL_LINES: Final = 8
FINE_CELL_LINES: Final = 4
"""For the files that will be cited: two cells of four lines fit a hunk of seven better than one or
two cells of eight."""
GAP_CELLS: Final = 8
"""Empty cells between files: the reach of the widest window."""

_MAX_WINDOW_TERMS: Final = 96
_SATURATION: Final = 1.0
_MAX_QUOTED: Final = 2_000


_MARK_TERMS: Final = np.array(list(WORD_GROUP), np.uint32)
_MARK_GROUPS: Final = np.array(list(WORD_GROUP.values()), np.int32)


@dataclass(frozen=True, slots=True)
class Field:
    """The candidates' cells. Arrays over cells are parallel; ``file`` is -1 in the gaps."""

    file: Indexes
    """The candidate that each cell is of."""
    first: Indexes
    """The cell's first line, 1-based in its file."""
    last: Indexes
    block: Indexes
    """The number of the definition that the cell lies in, ascending; gaps have their own."""
    starts_block: Mask
    spans: Indexes
    """Each candidate's first cell, and the one after its last."""
    line_counts: Indexes
    terms: Indexes
    """The weightiest terms of the query, as indexes; the arrays below have a column for each."""
    counts: Floats
    """How often each term occurs in each cell."""
    block_counts: Floats
    """How often each term occurs in each block."""
    block_names: Floats
    """How often each term is the name of a definition in each block."""
    marks: Floats
    """How many words of each group of ``WORD_GROUPS`` each cell has."""
    features: dict[str, Floats]
    """What is known of each cell, by the name of the feature."""


def build_field(
    texts: Sequence[bytes], query: Query, weight: Floats, cell_lines: int = CELL_LINES
) -> Field:
    """The field of the candidates' texts, of which there is at least one, in their order."""
    return field_of(scans_of(texts), query, weight, cell_lines)


def field_of(
    scans: Sequence[Scanned], query: Query, weight: Floats, cell_lines: int = CELL_LINES
) -> Field:
    """The field of texts that are scanned already."""
    detailed = cell_lines < CELL_LINES
    found, files = _gather(scans, query, detailed=detailed)
    cells, cell_of_line = _cut(found.defines, files, cell_lines)
    field = Field(
        **cells,
        **_count(found, cells["block"], cell_of_line, weight),
        line_counts=np.array([count for _, count in files], np.int32),
        features={},
    )
    _describe(field, found, cell_of_line, query, weight, detailed=detailed)
    if detailed:
        _describe_shape(field, found, cell_of_line)
    return field


@dataclass(frozen=True, slots=True)
class _Lines:
    """What the candidates' lines hold. A line's number is its place in the row of all lines."""

    hit_line: Indexes
    """The line of each occurrence of a term of the query."""
    hit_term: Indexes
    hit_symbol: Mask
    """Whether it is the name of a definition."""
    hit_order: Indexes
    """The number of the part among all parts; a whole word has that of its first part."""
    quoted: Indexes
    """The line of each occurrence of a quoted text."""
    defines: Mask
    """Whether each line introduces a definition."""
    mark_line: Indexes
    """The line of each word of ``WORD_GROUPS``; this and what follows only for fine cells."""
    mark: Indexes
    """The word's group."""
    blank: Mask
    comment: Mask
    imports: Mask
    indent: Indexes
    width: Indexes


def _gather(
    scans: Sequence[Scanned], query: Query, *, detailed: bool
) -> tuple[_Lines, list[tuple[int, int]]]:
    """What the lines of all chunks hold, and for each file its first line and their number."""
    pieces: list[_Lines] = []
    files: list[tuple[int, int]] = []
    lines = parts = 0
    for each in scans:
        files += [(lines + at, count) for at, count in zip(each.firsts, each.counts, strict=True)]
        pieces.append(_lines_of_chunk(each, query, lines, parts, detailed=detailed))
        lines += len(each.lines.starts)
        parts += len(each.words.term) + 8
    names = [each.name for each in fields(_Lines)]
    arrays = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in names)
    return _Lines(*arrays), files


def _lines_of_chunk(
    scanned: Scanned, query: Query, first_line: int, first_part: int, *, detailed: bool
) -> _Lines:
    lines, words, named = scanned.lines, scanned.words, scanned.named
    keep = np.flatnonzero(long_enough(words, scanned.array))
    part = keep[is_among(words.term[keep], query.terms)]
    whole = np.flatnonzero(words.compound)
    whole = whole[is_among(words.word_term[whole], query.terms)]
    first = np.searchsorted(words.start, words.word_start[whole])
    at = np.concatenate([words.start[part], words.word_start[whole]])
    term = np.concatenate([words.term[part], words.word_term[whole]])
    defines = np.zeros(len(lines.starts), np.bool_)
    defines[np.searchsorted(lines.newlines, words.word_start[named])] = True
    none, no_mask = np.zeros(0, np.int32), np.zeros(0, np.bool_)
    mark_at, mark, width = none, none, none
    shape = no_mask, no_mask, no_mask, none
    if detailed:
        marked = np.flatnonzero(is_among(words.word_term, _MARK_TERMS))
        mark = _MARK_GROUPS[np.searchsorted(_MARK_TERMS, words.word_term[marked])]
        mark_at = words.word_start[marked]
        shape = _shape(scanned.array, lines)
        width = (lines.newlines - lines.starts).astype(np.int32)

    def line_of(offsets: NDArray[np.integer]) -> Indexes:
        return (np.searchsorted(lines.newlines, offsets) + first_line).astype(np.int32)

    return _Lines(
        line_of(at),
        np.searchsorted(query.terms, term).astype(np.int32),
        np.concatenate([named[words.word[part]], named[whole]]),
        (np.concatenate([part, first]) + first_part).astype(np.int32),
        line_of(_places_of(query.quoted, scanned.data)),
        defines,
        line_of(mark_at),
        mark,
        *shape,
        width,
    )


def _shape(text: Bytes, lines: Lines) -> tuple[Mask, Mask, Mask, Indexes]:
    """For each line whether it is blank, a comment or an import, and its indentation."""
    starts, ends = lines.starts, lines.newlines
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
    # "im"port, "us"e, "fr"om, "#i"nclude, "pa"ckage: by two letters, at the left margin.
    imports = np.isin(word, [0x696D, 0x7573, 0x6672, 0x2369, 0x7061]) & (at == starts)
    indent = np.where(blank, 999, at - starts).astype(np.int32)
    return blank, comment & ~blank, imports & ~blank, indent


def _places_of(quoted: Sequence[bytes], joined: bytes) -> NDArray[np.int64]:
    """Where the texts occur, up to a number that no sensible query reaches."""
    places: list[int] = []
    lower = joined.lower() if quoted else b""
    for text in quoted:
        position = lower.find(text)
        while position >= 0 and len(places) < _MAX_QUOTED:
            places.append(position)
            position = lower.find(text, position + len(text))
    return np.array(places, np.int64)


def _cut(
    defines: Mask, files: Sequence[tuple[int, int]], cell_lines: int
) -> tuple[dict[str, Any], Indexes]:
    """The field's cells, and the cell of each line."""
    cell_of_line = np.zeros(len(defines) + 1, np.int32)
    gap = np.full(GAP_CELLS, -1, np.int32)
    file, first, last, opens = [gap], [gap], [gap], [gap < 0]
    spans: list[tuple[int, int]] = []
    total = GAP_CELLS
    for index, (begin, count) in enumerate(files):
        starts, opening = _cell_starts(defines[begin : begin + count], cell_lines)
        ends = np.append(starts[1:], count)
        cell_of_line[begin : begin + count] = np.repeat(
            np.arange(total, total + len(starts), dtype=np.int32), ends - starts
        )
        file += [np.full(len(starts), index, np.int32), gap]
        first += [starts + 1, gap]
        last += [ends.astype(np.int32), gap]
        opens += [opening, gap < 0]
        spans.append((total, total + len(starts)))
        total += len(starts) + GAP_CELLS
    starts_block = np.concatenate(opens)
    return {
        "file": np.concatenate(file),
        "first": np.concatenate(first),
        "last": np.concatenate(last),
        "block": np.cumsum(starts_block, dtype=np.int32),
        "starts_block": starts_block,
        "spans": np.array(spans, np.int32).reshape(-1, 2),
    }, cell_of_line


def _count(found: _Lines, block: Indexes, cell_of_line: Indexes, weight: Floats) -> dict[str, Any]:
    """The field's counts of terms and words."""
    cells, blocks = len(block), int(block[-1]) + 1
    best = np.argsort(-weight)[:_MAX_WINDOW_TERMS]
    best = np.sort(best[weight[best] > 0])
    column = np.full(len(weight) + 1, -1, np.int64)
    column[best] = np.arange(len(best))
    cell = cell_of_line[found.hit_line]
    chosen = column[found.hit_term] >= 0

    def table(owner: Indexes, kept: Mask, rows: int) -> Floats:
        key = owner[kept].astype(np.int64) * len(best) + column[found.hit_term[kept]]
        flat = np.bincount(key, minlength=rows * len(best))
        return flat.astype(np.float32).reshape(rows, len(best))

    counts = table(cell, chosen, cells)
    # Blocks ascend without a gap, so each is a run of cells.
    firsts = np.flatnonzero(np.diff(block, prepend=-1))
    per_block = np.zeros((blocks, len(best)), np.float32)
    per_block[block[firsts]] = np.add.reduceat(counts, firsts, axis=0)
    groups = len(WORD_GROUPS)
    key = cell_of_line[found.mark_line].astype(np.int64) * groups + found.mark
    marks = np.bincount(key, minlength=cells * groups).astype(np.float32)
    return {
        "terms": best.astype(np.int32),
        "counts": counts,
        "block_counts": per_block,
        "block_names": table(block[cell], chosen & found.hit_symbol, blocks),
        "marks": marks.reshape(cells, groups),
    }


def _describe(
    field: Field,
    found: _Lines,
    cell_of_line: Indexes,
    query: Query,
    weight: Floats,
    *,
    detailed: bool,
) -> None:
    """Add what the cells' terms, pairs of terms and quoted texts say."""
    cells = len(field.file)
    best, counts, block_counts = field.terms, field.counts, field.block_counts
    cell = cell_of_line[found.hit_line]
    windows = (counts, *_windows(counts, 1, 2, 4))
    own, near, around, wide = (each / (each + _SATURATION) for each in windows)
    gains = weight[best]
    out = field.features
    for name, share in {"own": own, "around": around, "wide": wide}.items():
        out[name] = weighed(share, gains)
    by_kind = np.stack([gains, gains * query.title[best], gains * query.code[best]], axis=1)
    out["near"], out["near_title"], out["near_code"] = (near @ by_kind).T
    local = _local_gains(counts, field, query.weight[best])
    out["local_near"] = np.einsum("ij,ij->i", near, local)
    if detailed:
        out["local_own"] = np.einsum("ij,ij->i", own, local)
        out["local_around"] = np.einsum("ij,ij->i", around, local)
    out["block"] = weighed(block_counts / (block_counts + _SATURATION), gains)[field.block]
    symbol = found.hit_symbol
    named = np.bincount(
        field.block[cell[symbol]],
        weights=weight[found.hit_term[symbol]],
        minlength=int(field.block[-1]) + 1,
    )
    out["block_name"] = named.astype(np.float32)[field.block]
    at, gain = _pairs(found, query, weight)
    pairs = np.bincount(cell[at], weights=gain, minlength=cells)
    out["pairs"] = pairs.astype(np.float32)
    (out["pairs_near"],) = _windows(out["pairs"], 1)
    quoted = np.bincount(cell_of_line[found.quoted], minlength=cells)
    out["quoted"] = quoted.astype(np.float32)
    (out["quoted_near"],) = _windows(out["quoted"], 1)


def _describe_shape(field: Field, found: _Lines, cell_of_line: Indexes) -> None:
    """Add what the cells' lines look like."""
    out, cells = field.features, len(field.file)
    cell_of_line = cell_of_line[:-1]
    size = np.maximum(1, field.last - field.first + 1).astype(np.float32)
    kinds = {"blank": found.blank, "comment": found.comment, "import": found.imports}
    for name, mask in kinds.items():
        share = np.bincount(cell_of_line[mask], minlength=cells) / size
        out[name] = share.astype(np.float32)
    least = np.full(cells, 999, np.int32)
    np.minimum.at(least, cell_of_line, found.indent)
    out["indent"] = np.minimum(least, 40).astype(np.float32)
    out["lines"] = size
    wide = np.bincount(cell_of_line, weights=found.width, minlength=cells) / size
    out["width"] = np.minimum(wide, 200).astype(np.float32)


def _cell_starts(defines: Mask, cell_lines: int) -> tuple[Indexes, Mask]:
    """The 0-based first lines of a file's cells, and which of them begin a block."""
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


def weighed(shares: Floats, gains: Floats) -> Floats:
    """The sum of each row's shares, each times the gain of its column."""
    # For five columns OpenBLAS 0.3.31 with AVX-512 also computes with stack that nobody wrote, and
    # drops the result; where that looked like a signalling NaN, numpy would warn of it.
    with np.errstate(invalid="ignore"):
        return np.asarray(shares @ gains, np.float32)


def _windows(values: Floats, *reaches: int) -> list[Floats]:
    """For each reach the sums over the cells up to that far away."""
    total = np.zeros((len(values) + 1, *values.shape[1:]), np.float32)
    np.cumsum(values, axis=0, out=total[1:])
    size = len(values)
    index = np.arange(size)
    return [
        total[np.minimum(index + reach + 1, size)] - total[np.maximum(index - reach, 0)]
        for reach in reaches
    ]


def _local_gains(counts: Floats, field: Field, weight: Floats) -> Floats:
    """Each term's weight in each cell times its rarity among the cells of the file.

    A word that is everywhere in a file says nothing about where in it to look.
    """
    gains = np.zeros_like(counts)
    for begin, end in field.spans.tolist():
        size = end - begin
        frequency = np.count_nonzero(counts[begin:end], axis=0)
        gains[begin:end] = weight * np.log(1.0 + (size - frequency + 0.5) / (frequency + 0.5))
    return gains


def _pairs(found: _Lines, query: Query, weight: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The hits that directly follow the term before them in the query, and the pairs' weights."""
    said, term, order = query.sequence, found.hit_term, found.hit_order
    both = (said[:-1] >= 0) & (said[1:] >= 0) if len(said) > 1 else np.zeros(0, np.bool_)
    wanted = np.zeros((len(query.terms), len(query.terms)), np.bool_)
    wanted[said[:-1][both], said[1:][both]] = True
    part = np.flatnonzero(~query.whole[term])
    if len(part) < 2 or not both.any():
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    part = part[np.argsort(order[part], kind="stable")]
    left, right = part[:-1], part[1:]
    close = order[right] - order[left] == 1
    close &= wanted[term[left], term[right]]
    at = right[close]
    return at, weight[term[at]] + weight[term[left[close]]]
