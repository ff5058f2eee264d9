"""From the candidates of a query to the places that answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.documents import split_lines
from explorer.records import Confidence
from explorer.scout.candidates import Place, merge_cells, trimmed
from explorer.scout.features import Floats, cell_features
from explorer.scout.field import Field
from explorer.scout.model import Weights, choose_cells, file_chances, how_many_files, sigmoid
from explorer.scout.query import Query
from explorer.scout.ranges import Outline, joined

_REASON_WORDS: Final = 4
_FURTHER: Final = 4


@dataclass(frozen=True, slots=True)
class FoundPlace:
    """A range of a file, with the file's lines."""

    path: str
    start: int
    end: int
    reason: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """The places found, best first."""

    places: tuple[FoundPlace, ...]
    notes: tuple[str, ...] = ()
    confidence: Confidence = "low"
    chance: float = 0.0
    """Of the first file to be right."""
    further: tuple[str, ...] = ()
    """The files next in line."""
    empty_query: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """The files that were read for a query, best by the first ranking first."""

    rows: list[int]
    paths: list[str]
    texts: list[bytes]
    field: Field
    features: Floats
    named: dict[int, list[int]]
    """Those that the query names with line numbers, and the lines, in the query's order."""


def compose(
    query: Query,
    found: Candidates,
    weights: Weights,
    *,
    most: int,
    files: int,
    notes: tuple[str, ...] = (),
) -> Answer:
    """At most ``most`` places of at most ``files`` files.

    Files that a bare stack trace names come first, innermost frame first, with its lines.
    """
    chances = file_chances(weights, found.features)
    order = np.argsort(-chances, kind="stable").tolist()
    count = min(how_many_files(chances, files), most)
    if query.trace.bare:
        order = list(dict.fromkeys([*found.named, *order]))
    cited = list(dict.fromkeys([*order[:count], *found.named]))[:files]
    cells, cell_chances = _chosen_cells(found.field, cited, chances.tolist(), weights)
    lines = {index: split_lines(found.texts[index].decode("utf-8", "replace")) for index in cited}
    places = [
        trimmed(place, lines[place.file])
        for place in merge_cells(found.field, cells, cell_chances)
        if not (query.trace.bare and place.file in found.named)
    ]
    ranked = _in_order(cited, citable(found.field, places, lines, found.named))
    best = float(chances[order[0]])
    return Answer(
        places=tuple(
            FoundPlace(
                found.paths[place.file],
                place.start,
                place.end,
                _reason(query, lines[place.file][place.start - 1 : place.end]),
                lines[place.file],
            )
            for place in ranked[:most]
        ),
        notes=notes,
        confidence=_confidence(best, weights),
        chance=best,
        further=tuple(found.paths[index] for index in order[len(cited) : len(cited) + _FURTHER]),
    )


def _in_order(cited: Sequence[int], places: Sequence[Place]) -> list[Place]:
    """The best place of each file in the files' order, then what else there is."""
    firsts = {place.file: place for place in reversed(places)}
    rest = [place for place in places if firsts[place.file] is not place]
    return [firsts[index] for index in cited if index in firsts] + rest


def citable(
    field: Field,
    places: Sequence[Place],
    lines: Mapping[int, Sequence[str]],
    named: Mapping[int, Sequence[int]],
) -> list[Place]:
    """The places as whole definitions and blocks, those that touch joined, best first.

    ``named`` are the lines of each file that the query names; they come before all others.
    """
    result: list[Place] = []
    for file in lines:
        begin, end = (int(each) for each in field.spans[file])
        heads = field.first[begin:end][field.starts_block[begin:end]].tolist()
        outline = Outline(lines[file], heads)
        ranges = [
            (*outline.citable(place.start, place.end), place.score)
            for place in places
            if place.file == file
        ]
        # A sort by place would lose which frame is the innermost; a score keeps it.
        ranges += [
            (*outline.at(line), 2.0 - number / 1_000)
            for number, line in enumerate(named.get(file, ()))
        ]
        result += [Place(file, *each) for each in joined(ranges)]
    return sorted(result, key=lambda place: -place.score)


def _chosen_cells(
    field: Field, cited: list[int], chances: list[float], weights: Weights
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cells to cite of the cited candidates, at least one of each, and their chances."""
    at: list[NDArray[np.int64]] = []
    chance: list[NDArray[np.float64]] = []
    needed: list[int] = []
    for index in cited:
        begin, end = (int(each) for each in field.spans[index])
        own = sigmoid(weights.cells.logit(cell_features(field, index)))
        at.append(np.arange(begin, end))
        chance.append(own * chances[index])
        needed.append(begin + int(np.argmax(own)))
    every, all_chances = np.concatenate(at), np.concatenate(chance)
    size = np.maximum(1, field.last[every] - field.first[every] + 1)
    picked = np.union1d(every[choose_cells(all_chances, size)], needed)
    order = np.argsort(every)
    return picked, all_chances[order[np.searchsorted(every, picked, sorter=order)]]


def _confidence(chance: float, weights: Weights) -> Confidence:
    if chance >= weights.high:
        return "high"
    return "medium" if chance >= weights.medium else "low"


def _reason(query: Query, lines: Sequence[str]) -> str:
    """The words of the query that stand in the lines, the weightiest first."""
    text = "\n".join(lines).lower()
    order = np.argsort(-query.weight * (1 + query.code), kind="stable").tolist()
    words = list(dict.fromkeys(query.words[index] for index in order))
    found = [word for word in words if word.lower() in text][:_REASON_WORDS]
    return "has " + ", ".join(found) if found else ""
