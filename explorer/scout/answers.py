"""From the candidates of a query to the places that answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from explorer.records import Confidence
from explorer.repository.documents import split_lines
from explorer.scout.candidates import Place, choose_places, heads_of, trimmed
from explorer.scout.matches import Floats, Matches
from explorer.scout.networks import Weights, file_chances, how_many_files, score_all
from explorer.scout.query import Query
from explorer.scout.ranges import Outline, joined

_REASON_WORDS: Final = 4
_FURTHER: Final = 4
_OUTLINED: Final = 200
"""Lines before and behind the places cited in which definitions are looked for."""


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
    features: Floats
    matches: Matches
    described: Floats
    """Of each term of the query what it is."""
    weight: Floats
    """Of each term its rarity times how much the query says it."""
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
    raw = score_all(weights.files, found.features, found.matches)
    chances = file_chances(weights.calibration, raw.astype(np.float64))
    order = np.argsort(-chances, kind="stable").tolist()
    count = min(how_many_files(chances, files), most)
    if query.trace.bare:
        order = list(dict.fromkeys([*found.named, *order]))
    cited = list(dict.fromkeys([*order[:count], *found.named]))[:files]
    lines = {index: split_lines(found.texts[index].decode("utf-8", "replace")) for index in cited}
    texts = [found.texts[index] for index in cited]
    terms = query, found.weight, found.described
    field, chosen = choose_places(texts, chances[cited], *terms, weights)
    places = [
        trimmed(Place(cited[each.file], each.start, each.end, each.score), lines[cited[each.file]])
        for each in chosen
    ]
    if query.trace.bare:
        places = [place for place in places if place.file not in found.named]
    heads = {index: heads_of(field, place) for place, index in enumerate(cited)}
    ranked = _in_order(cited, citable(heads, places, lines, found.named))
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
    heads: Mapping[int, Sequence[int]],
    places: Sequence[Place],
    lines: Mapping[int, Sequence[str]],
    named: Mapping[int, Sequence[int]],
) -> list[Place]:
    """The places as whole definitions and blocks, those that touch joined, best first.

    ``heads`` are the lines of each file that introduce definitions, ``named`` those that the query
    names; these come before all others.
    """
    result: list[Place] = []
    for file, text in lines.items():
        found = [place for place in places if place.file == file]
        said = named.get(file, ())
        # Of a long file only what lies near enough to matter is taken apart.
        low = max(0, min([*said, *(place.start for place in found)], default=1) - _OUTLINED)
        high = max([*said, *(place.end for place in found)], default=1) + _OUTLINED
        outline = Outline(text[low:high], [head - low for head in heads[file]])
        ranges = [
            (*outline.citable(place.start - low, place.end - low), place.score) for place in found
        ]
        # A sort by place would lose which frame is the innermost; a score keeps it.
        ranges += [
            (*outline.at(line - low), 2.0 - number / 1_000) for number, line in enumerate(said)
        ]
        result += [
            Place(file, start + low, end + low, score) for start, end, score in joined(ranges)
        ]
    return sorted(result, key=lambda place: -place.score)


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
