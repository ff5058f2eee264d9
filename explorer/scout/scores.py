"""Scores of every file for a query, from the index alone."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.definitions import is_among
from explorer.scout.index import Postings, Rows, find
from explorer.scout.paths import PathIndex
from explorer.scout.query import Query

Scores = dict[str, NDArray[np.float32]]

# Robertson and Zaragoza, "The probabilistic relevance framework" (2009): the usual range.
_K1: Final = 1.2
_B: Final = 0.6
_SYMBOL_GAIN: Final = 5.0
_NAME_GAIN: Final = 6.0
_DIRECTORY_GAIN: Final = 2.0


def rarity(rows: Rows, found: Postings, terms: int) -> NDArray[np.float32]:
    """Of each term its inverse document frequency, 0 where it occurs nowhere."""
    files = max(1, int(np.count_nonzero(rows.lengths)))
    frequency = np.bincount(found.term, minlength=terms).astype(np.float32)
    idf = np.log(1.0 + (files - frequency + 0.5) / (frequency + 0.5))
    return np.where(frequency > 0, np.maximum(idf, 0.01), 0.0).astype(np.float32)


def score_files(rows: Rows, paths: PathIndex, query: Query) -> tuple[Scores, NDArray[np.float32]]:
    """Each score over all files, and the weight of each term: its rarity times its weight.

    ``rows.paths`` and ``paths.paths`` are the same.
    """
    count, terms = len(rows.paths), len(query.terms)
    found = find(rows, query.terms)
    idf = rarity(rows, found, terms)
    path_hits = np.flatnonzero(is_among(paths.terms, query.terms))
    path_term = np.searchsorted(query.terms, paths.terms[path_hits])
    path_owner = paths.owner[path_hits]
    path_in_name = paths.in_name[path_hits]
    # A term that stands in names alone has no document frequency; it is as rare as can be.
    in_paths = np.bincount(path_term, minlength=terms) > 0
    idf = np.where((idf == 0) & in_paths, np.log(1.0 + count), idf).astype(np.float32)
    weight = idf * query.weight

    lengths = rows.lengths.astype(np.float32)
    mean = max(1.0, float(lengths[lengths > 0].mean()) if np.any(lengths > 0) else 1.0)
    norm = 1.0 - _B + _B * lengths / mean

    def total(values: NDArray[np.floating], owner: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.bincount(owner, weights=values, minlength=count).astype(np.float32)

    def bm25(gain: NDArray[np.float32], norms: NDArray[np.float32]) -> NDArray[np.float32]:
        saturated = found.count * (_K1 + 1) / (found.count + _K1 * norms[found.file])
        return total(gain[found.term] * saturated, found.file)

    own = weight[found.term]
    scores: Scores = {
        "body": bm25(weight, norm),
        "flat": bm25(weight, np.ones_like(norm)),
        "title": bm25(weight * query.title, norm),
        "code": bm25(weight * query.code, norm),
        "whole": bm25(weight * query.whole, norm),
        "cover": total(own, found.file) / max(1e-6, float(weight.sum())),
        "symbol": total(own * (found.symbol > 0), found.file),
        "symbol_code": total(
            own * (found.symbol > 0) * query.whole[found.term].astype(np.float32), found.file
        ),
    }
    # BM25F: occurrences in all fields are added before they are saturated.
    key = found.file.astype(np.int64) * terms + found.term
    field = found.count / norm[found.file] + _SYMBOL_GAIN * found.symbol
    path_key = path_owner.astype(np.int64) * terms + path_term
    path_value = np.where(path_in_name, _NAME_GAIN, _DIRECTORY_GAIN).astype(np.float32)
    keys = np.concatenate([key, path_key])
    distinct, place = np.unique(keys, return_inverse=True)
    mass = np.bincount(place, weights=np.concatenate([field, path_value]))
    gain = weight[(distinct % terms).astype(np.int64)] if terms else mass
    owner = (distinct // max(1, terms)).astype(np.int32)
    scores["fields"] = total((gain * mass * (_K1 + 1) / (mass + _K1)), owner)

    path_weight = weight[path_term]
    scores["path"] = _once(path_owner, path_term, path_weight, terms, count)
    name_owner, name_term = path_owner[path_in_name], path_term[path_in_name]
    name_weight = path_weight[path_in_name]
    scores["name"] = _once(name_owner, name_term, name_weight, terms, count)
    named = np.bincount(name_owner, minlength=count).astype(np.float32)
    scores["name_share"] = np.minimum(1.0, named / np.maximum(1.0, paths.name_size))
    whole_at = np.flatnonzero(is_among(paths.stem_whole, query.terms))
    scores["stem"] = np.zeros(count, np.float32)
    scores["stem"][whole_at] = weight[np.searchsorted(query.terms, paths.stem_whole[whole_at])]
    scores["mention"] = _mentions(paths, query)
    return scores, weight


def _once(
    owner: NDArray[np.int32],
    term: NDArray[np.int64],
    weight: NDArray[np.float32],
    terms: int,
    count: int,
) -> NDArray[np.float32]:
    """The sum of weights over the distinct terms of each owner."""
    key, first = np.unique(owner.astype(np.int64) * max(1, terms) + term, return_index=True)
    owners = key // max(1, terms)
    return np.bincount(owners, weights=weight[first], minlength=count).astype(np.float32)


def _mentions(paths: PathIndex, query: Query) -> NDArray[np.float32]:
    """1 where the query names the file with its suffix, 2 with a directory; shared by namesakes."""
    result = np.zeros(len(paths.paths), np.float32)
    if not query.paths:
        return result
    by_name: dict[str, list[int]] = {}
    wanted = {each.rpartition("/")[2] for each in query.paths}
    for index, path in enumerate(paths.paths):
        name = path.rpartition("/")[2].lower()
        if name in wanted:
            by_name.setdefault(name, []).append(index)
    for each in query.paths:
        directory, _, name = each.rpartition("/")
        for index in by_name.get(name, ()):
            value = 1.0 / len(by_name[name])
            if directory:
                value += _common_tail(paths.paths[index].lower(), each)
            result[index] = max(result[index], value)
    return result


def _common_tail(path: str, mentioned: str) -> float:
    """1.0 for a common directory above the file, 0 for none."""
    return float(path.split("/")[-2:-1] == mentioned.split("/")[-2:-1])
