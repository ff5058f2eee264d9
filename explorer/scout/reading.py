"""What the reader reads for a question: passages of the likely files, the likeliest first."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.reader.passages import Passage, passage_text, passages_of
from explorer.repository.documents import split_lines
from explorer.scout.places import Looked

LOOKED_AT: Final = 12
"""The files of which something is read: of the files sought 94 to 96% are among them."""
MOST_PASSAGES: Final = 112
"""More are not read: on two cores about 90 can be in the usual time."""
_OF_A_DEFINITION: Final = 3
_FIRST_OF_A_FILE: Final = (3.0, 1.6, 0.8)
"""How much earlier the best definitions of each file are read, in log odds: a file is known by its
best definitions, and words alone do not know them well."""
_LATER_PART: Final = 1.0
"""How much later each further part of a long definition is read, in log odds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A passage to read."""

    row: int
    """The row of its definition in the table of all."""
    passage: Passage


def to_read(looked: Looked, scores: NDArray[np.float64]) -> list[Reading]:
    """The passages to read, first to last; ``scores`` are the log odds of the definitions."""
    found: list[tuple[float, Reading]] = []
    base = 0
    for file, outline in enumerate(looked.outlines):
        passages: dict[int, list[Passage]] = {}
        for passage in passages_of(outline):
            passages.setdefault(passage.definition, []).append(passage)
        own = scores[base : base + len(outline)]
        for place, number in enumerate(np.argsort(-own, kind="stable").tolist()):
            early = _FIRST_OF_A_FILE[place] if place < len(_FIRST_OF_A_FILE) else 0.0
            if place >= MOST_PASSAGES:
                break
            parts = _by_cells(looked, file, passages.get(number, []))
            for later, passage in enumerate(parts[:_OF_A_DEFINITION]):
                urgency = float(own[number]) + early - later * _LATER_PART
                found.append((urgency, Reading(base + number, passage)))
        base += len(outline)
    found.sort(key=lambda each: -each[0])
    return [reading for _, reading in found[:MOST_PASSAGES]]


def _by_cells(looked: Looked, file: int, parts: list[Passage]) -> list[Passage]:
    """The parts of a definition, those with the likeliest cell first."""
    if len(parts) < 2:
        return parts
    cells = looked.cells[file]

    def best(part: Passage) -> float:
        inside = (cells.last >= part.start) & (cells.first <= part.end)
        return float(cells.chance[inside].max(initial=0.0))

    return sorted(parts, key=lambda part: -best(part))


def texts_of(looked: Looked, paths: list[str], readings: list[Reading]) -> list[str]:
    """What the reader reads of each passage; ``paths`` are those of the files looked into."""
    lines: dict[int, list[str]] = {}
    texts: list[str] = []
    for reading in readings:
        file = int(looked.owner[reading.row])
        if file not in lines:
            lines[file] = list(split_lines(looked.texts[file].decode("utf-8", "replace")))
        outline = looked.outlines[file]
        texts.append(passage_text(paths[file], lines[file], outline, reading.passage))
    return texts
