"""What is known of a candidate file or a cell, as numbers for the ranking networks.

The networks weigh every occurrence of a query's term by what the term is (rare, in the title,
written as code, the name of a definition) together with how it occurs (often, in the file's name,
all over the file); no score that is added up beforehand can do that. Besides these matches there
are tables of features, with a row for each file or cell.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.field import Field
from explorer.scout.query import Query
from explorer.scout.rows import Postings
from explorer.scout.scores import PathIndex, Scores, rarity, share
from explorer.scout.tokens import Floats, Indexes, is_among

_TERM_COLUMNS: Final = 17
_REACH: Final = 8
"""How many cells on either side count as far, at most the gap between two files."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Which terms occur in which files, or in which cells, as parallel arrays."""

    owner: Indexes
    """The file or cell."""
    values: Floats
    """A row for each pair of owner and term: first what the term is, then how it occurs."""


def describe_terms(
    found: Postings, lengths: Indexes, paths: PathIndex, chosen: NDArray[np.int64], query: Query
) -> Floats:
    """What is known of each term of the query, a row for each."""
    terms = len(query.terms)
    idf = rarity(lengths, found, terms)
    files = max(2, len(paths.paths))
    in_paths = np.bincount(
        np.searchsorted(query.terms, paths.terms[is_among(paths.terms, query.terms)]),
        minlength=terms,
    )
    idf = np.where((idf == 0) & (in_paths > 0), np.log(1.0 + files), idf)
    symbols = np.bincount(found.term, weights=found.symbol > 0, minlength=terms)
    near = np.isin(found.file, chosen)
    among = np.bincount(found.term[near], minlength=terms)
    weight = idf * query.weight
    place = np.empty(terms)
    place[np.argsort(-weight, kind="stable")] = np.arange(terms)
    capital = np.array([word[:1].isupper() for word in query.words], np.float32)
    digits = np.array([any(c.isdigit() for c in word) for word in query.words], np.float32)
    columns = [
        idf / 10,
        idf / np.log(files + 1.0),
        query.weight / 3,
        query.title,
        query.scope,
        query.lead,
        query.code,
        query.whole,
        capital,
        digits,
        np.log1p(symbols) / 8,
        symbols > 0,
        np.log1p(among) / 4,
        np.log1p(in_paths) / 8,
        np.log1p(place) / 5,
        weight / max(1e-6, float(weight.max(initial=0.0))),
        np.full(terms, np.log1p(terms) / 6),
    ]
    return np.stack(columns, axis=1).astype(np.float32).reshape(terms, _TERM_COLUMNS)


def match_files(
    found: Postings,
    lengths: Indexes,
    paths: PathIndex,
    chosen: NDArray[np.int64],
    query: Query,
    field: Field,
    described: Floats,
) -> Matches:
    """The terms that occur in each candidate's text or path."""
    terms, count = len(query.terms), len(chosen)
    place = np.full(len(paths.paths), -1, np.int64)
    place[chosen] = np.arange(count)
    shape = (count, max(1, terms))
    tallies = np.zeros((4, *shape), np.float32)
    mine = place[found.file] >= 0
    at = place[found.file[mine]], found.term[mine]
    tallies[0][at], tallies[1][at] = found.count[mine], found.symbol[mine]
    hits = np.flatnonzero((place[paths.owner] >= 0) & is_among(paths.terms, query.terms))
    term = np.searchsorted(query.terms, paths.terms[hits])
    named = paths.in_name[hits]
    tallies[2][place[paths.owner[hits[~named]]], term[~named]] = 1
    tallies[3][place[paths.owner[hits[named]]], term[named]] = 1
    counts, symbols, folder, name = tallies
    file, term = np.nonzero((counts > 0) | (folder > 0) | (name > 0))
    most = np.ones(max(1, terms), np.float32)
    np.maximum.at(most, found.term, found.count)
    full = lengths[lengths > 0]
    norm = 0.4 + 0.6 * lengths[chosen] / max(1.0, float(full.mean()) if len(full) else 1.0)
    tally = counts[file, term]
    ranks = _ranks(counts)
    peak, spread = _shape_in_file(field, terms)
    whole = paths.stem_whole[chosen][file] == query.terms[term] if terms else tally > 0
    columns = [
        np.log1p(tally) / 4,
        tally / (tally + 1.2 * norm[file]),
        np.minimum(symbols[file, term], 3) / 3,
        folder[file, term],
        name[file, term],
        whole,
        tally / most[term],
        ranks[file, term] / 5,
        np.log1p(peak[file, term]) / 3,
        spread[file, term],
    ]
    how = np.stack(columns, axis=1).astype(np.float32)
    return Matches(file.astype(np.int32), np.concatenate([described[term], how], axis=1))


def _ranks(counts: Floats) -> Floats:
    """The logarithm of each file's place among the candidates for each term."""
    ordered = np.sort(-counts, axis=0)
    place = np.empty_like(counts)
    for column in range(counts.shape[1]):
        place[:, column] = np.searchsorted(ordered[:, column], -counts[:, column])
    return np.log1p(place)


def _shape_in_file(field: Field, terms: int) -> tuple[Floats, Floats]:
    """For each candidate and term the most in one cell, and the share of cells that have it."""
    files = len(field.spans)
    peak = np.zeros((files, max(1, terms)), np.float32)
    spread = np.zeros_like(peak)
    begins = field.spans[:, 0]
    size = np.maximum(1, field.spans[:, 1] - begins)[:, None]
    peak[:, field.terms] = np.maximum.reduceat(field.counts, begins, axis=0)
    present = (field.counts > 0).astype(np.float32)
    spread[:, field.terms] = np.add.reduceat(present, begins, axis=0) / size
    return peak, spread


def match_cells(field: Field, file: int, described: Floats) -> Matches:
    """The terms that occur in each cell of a candidate, near it or in its block."""
    begin, end = (int(each) for each in field.spans[file])
    low, high = begin - _REACH, end + _REACH
    total = np.zeros((high - low + 1, len(field.terms)), np.float32)
    np.cumsum(field.counts[low:high], axis=0, out=total[1:])
    index = np.arange(_REACH, _REACH + end - begin)
    own, near, around, wide, far = (
        total[index + reach + 1] - total[index - reach] for reach in (0, 1, 2, 4, _REACH)
    )
    block = field.block[begin:end]
    inside, named = field.block_counts[block], field.block_names[block]
    above = total[index] - total[index - 3]
    cell, term = np.nonzero((wide > 0) | (inside > 0))
    frequency = np.count_nonzero(own, axis=0).astype(np.float32)
    size = end - begin
    local = np.log(1.0 + (size - frequency + 0.5) / (frequency + 0.5))
    everywhere = np.maximum(own.sum(axis=0), 1.0)
    at = cell, term
    columns = [
        np.log1p(own[at]),
        np.log1p(near[at]),
        np.log1p(around[at]),
        np.log1p(wide[at]),
        np.log1p(far[at]),
        np.log1p(above[at]),
        np.log1p(inside[at]),
        np.minimum(named[at], 2),
        local[term] / 5,
        near[at] / everywhere[term],
        frequency[term] / size,
        np.log1p(everywhere[term]) / 4,
    ]
    how = np.stack(columns, axis=1).astype(np.float32)
    what = described[field.terms[term]]
    return Matches(cell.astype(np.int32), np.concatenate([what, how], axis=1))


def describe_cells(field: Field, file: int, said: Floats, tests_from: int) -> Floats:
    """A row for each cell of a candidate: its shape, place and kinds of words.

    ``said`` are the query's own counts of ``WORD_GROUPS``; ``tests_from`` is the line at which the
    file's tests begin.
    """
    begin, end = (int(each) for each in field.spans[file])
    count = end - begin
    block = field.block[begin:end] - field.block[begin]
    sizes = np.bincount(block)
    firsts = np.cumsum(sizes) - sizes
    inside = np.arange(count) - firsts[block]
    marks = np.log1p(field.marks[begin:end])
    feature = field.features
    columns = [
        (np.arange(count) + 1) / count,
        np.full(count, np.log1p(count) / 5),
        np.log1p(np.arange(count)) / 5,
        field.starts_block[begin:end],
        np.log1p(sizes[block]) / 3,
        np.log1p(inside) / 3,
        np.log1p(sizes[block] - 1 - inside) / 3,
        inside / sizes[block],
        np.full(count, np.log1p(len(sizes)) / 4),
        feature["blank"][begin:end],
        feature["comment"][begin:end],
        feature["import"][begin:end],
        np.minimum(feature["indent"][begin:end], 16) / 16,
        feature["lines"][begin:end] / np.float32(8),
        feature["width"][begin:end] / np.float32(60),
        field.first[begin:end] >= tests_from,
    ]
    for name in CELL_RANKED:
        values = feature[name][begin:end]
        columns += [share(values), log_rank(values) * (values > 0)]
    table = np.stack(columns, axis=1).astype(np.float32)
    return np.concatenate([table, marks, marks * np.minimum(said, 1)], axis=1)


SCORED: Final = (
    "body flat title lead code whole cover rare symbol symbol_code fields path name name_share "
    "stem scope partner mention"
).split()
PEAKED: Final = (
    "own near around wide local_near near_title near_code block block_name pairs pairs_near "
    "quoted_near"
).split()
CELL_RANKED: Final = (
    "own near around wide local_own local_near local_around near_title near_code block block_name "
    "pairs pairs_near quoted quoted_near"
).split()


def log_rank(values: Floats) -> Floats:
    """Minus the logarithm of each value's place; equal values share the best of their places."""
    ordered = np.sort(-values)
    place = np.searchsorted(ordered, -values, side="left")
    return np.asarray(-np.log1p(place) / np.log(2), np.float32)


def file_features(
    scores: Scores,
    paths: PathIndex,
    lengths: Indexes,
    chosen: NDArray[np.int64],
    first: Floats,
    field: Field,
) -> Floats:
    """A row for each chosen file. ``first`` are their scores in the first ranking."""
    columns: list[Floats] = []
    for name in SCORED:
        whole = share(scores[name])[chosen]
        columns += [whole, log_rank(scores[name][chosen]) * (whole > 0)]
    begins = field.spans[:, 0]
    for name in PEAKED:
        # The gap after each file holds zeros, so a segment may reach to where the next file begins.
        peaks = np.maximum.reduceat(field.features[name], begins)
        columns += [share(peaks), log_rank(peaks)]
    own, mass = field.features["near"], field.features["around"]
    strong = (own >= 0.7 * max(1e-6, float(own.max()))).astype(np.float32)
    columns.append(np.log1p(np.add.reduceat(strong, begins)))
    columns.append(share(np.add.reduceat(mass * mass, begins) ** np.float32(0.5)))
    columns += _kind(paths, lengths, chosen)
    columns += [first, first - first.max(), log_rank(first)]
    return np.stack(columns, axis=1).astype(np.float32)


def _kind(
    paths: PathIndex, lengths: Indexes, chosen: NDArray[np.int64]
) -> list[NDArray[np.floating]]:
    """What kind of file each chosen one is, as columns."""
    size = np.log1p(lengths[chosen].astype(np.float32))
    return [
        paths.is_test[chosen].astype(np.float32),
        paths.is_aside[chosen].astype(np.float32),
        paths.is_code[chosen].astype(np.float32),
        paths.is_document[chosen].astype(np.float32),
        paths.is_header[chosen].astype(np.float32),
        np.minimum(paths.depth[chosen], 8) / 8,
        paths.common[chosen],
        size / 10,
        (size / 10) ** 2,
    ]
