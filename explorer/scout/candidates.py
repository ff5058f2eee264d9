"""From all files to the few whose text is read, and from their cells to the lines cited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.field import FINE_CELL_LINES, Field, build_field
from explorer.scout.matches import Floats, Matches, describe_cells, match_cells, share, words_said
from explorer.scout.networks import Weights, choose_cells, score_all, sigmoid
from explorer.scout.query import Query
from explorer.scout.scores import PathIndex, Scores

CANDIDATES: Final = 48
"""Files whose texts are read for one query; 96% of the files sought are among them."""

_FIRST: Final = {"body": 1.0, "fields": 1.4, "symbol": 0.5, "name": 0.5, "code": 0.4, "path": 0.2}
_TEST, _ASIDE, _NO_CODE, _DOCUMENT = 0.45, 0.6, 0.35, 0.6
_WHOLE_BLOCK_LINES: Final = 24
"""A definition of up to this size is cited whole when half of it is chosen."""


@dataclass(frozen=True, slots=True)
class Place:
    """A range of lines of one candidate, 1-based and inclusive."""

    file: int
    start: int
    end: int
    score: float


def first_ranking(scores: Scores, paths: PathIndex) -> Floats:
    """Of each file how likely it is to be worth reading, from the index alone."""
    total = np.zeros(len(paths.paths), np.float32)
    for name, gain in _FIRST.items():
        total += gain * share(scores[name])
    prior = np.where(paths.is_test, _TEST, 1.0) * np.where(paths.is_aside, _ASIDE, 1.0)
    prior *= np.where(paths.is_code, 1.0, _NO_CODE) * np.where(paths.is_document, _DOCUMENT, 1.0)
    ranking: Floats = total * prior + 2.0 * np.minimum(scores["mention"], 2.0)
    return ranking.astype(np.float32)


def choose_candidates(ranking: Floats, count: int = CANDIDATES) -> NDArray[np.int64]:
    """The best files, best first; ties go by path."""
    count = min(count, len(ranking))
    top = np.argpartition(-ranking, count - 1)[:count] if count else np.zeros(0, np.int64)
    top = top[np.lexsort((top, -ranking[top]))]
    return top[ranking[top] > 0]


def merge_cells(
    field: Field, cells: NDArray[np.int64], chances: NDArray[np.float64]
) -> list[Place]:
    """The chosen cells as places: neighbours joined, small definitions whole, best first.

    ``cells`` are indexes into the field, ``chances`` theirs.
    """
    order = np.argsort(cells)
    cells, chances = cells[order], chances[order]
    places: list[Place] = []
    for cell, chance in zip(cells.tolist(), chances.tolist(), strict=True):
        low, high = _whole_block(field, cell, cells)
        file, start, end = int(field.file[cell]), int(field.first[low]), int(field.last[high])
        last = places[-1] if places else None
        if last is not None and last.file == file and start <= last.end + 1:
            start, chance = last.start, max(last.score, chance)
            end = max(end, last.end)
            places.pop()
        places.append(Place(file, start, max(start, end), chance))
    return sorted(places, key=lambda place: -place.score)


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
    if lines <= _WHOLE_BLOCK_LINES and 2 * taken >= lines:
        return low, high
    return cell, cell


def trimmed(place: Place, lines: Sequence[str]) -> Place:
    """The place without blank lines at its ends, within the file."""
    start, end = place.start, min(place.end, len(lines))
    while start < end and not lines[start - 1].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return Place(place.file, start, end, place.score)


_RUST_TESTS: Final = b"#[cfg(test)]\nmod "
_NEVER: Final = 1 << 30


def read_cells(
    texts: Sequence[bytes], query: Query, weight: Floats, described: Floats
) -> tuple[Field, list[tuple[Floats, Matches]]]:
    """The texts cut finely, and what is known of the cells of each."""
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
    """The line from which on a file of Rust holds its tests; beyond its end if it has none."""
    at = text.find(_RUST_TESTS)
    return text.count(b"\n", 0, at) + 1 if at >= 0 else _NEVER


def choose_places(
    texts: Sequence[bytes],
    chances: NDArray[np.float64],
    query: Query,
    weight: Floats,
    described: Floats,
    weights: Weights,
) -> tuple[Field, list[Place]]:
    """The texts' cells, and the places worth citing of them, at least one of each text.

    A place's ``file`` is the text's index. ``chances`` are those of the files to be sought at all.
    """
    field, known = read_cells(texts, query, weight, described)
    at: list[NDArray[np.int64]] = []
    chance: list[NDArray[np.float64]] = []
    needed: list[int] = []
    for index, (table, matches) in enumerate(known):
        begin, end = (int(each) for each in field.spans[index])
        own = sigmoid(score_all(weights.cells, table, matches).astype(np.float64))
        at.append(np.arange(begin, end))
        chance.append(own * chances[index])
        needed.append(begin + int(np.argmax(own)))
    every, all_chances = np.concatenate(at), np.concatenate(chance)
    size = np.maximum(1, field.last[every] - field.first[every] + 1)
    picked = np.union1d(every[choose_cells(all_chances, size)], needed)
    return field, merge_cells(field, picked, all_chances[np.searchsorted(every, picked)])


def heads_of(field: Field, file: int) -> list[int]:
    """The lines of a text that introduce definitions."""
    begin, end = (int(each) for each in field.spans[file])
    heads: list[int] = field.first[begin:end][field.starts_block[begin:end]].tolist()
    return heads
