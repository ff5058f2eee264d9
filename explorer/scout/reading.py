"""What the reader reads for a question: passages of the likely files, the likeliest first."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.definitions import Definition
from explorer.errors import ReaderError
from explorer.limits import Deadline
from explorer.reader.passages import Passage, parts_of, passage_text, passages_of
from explorer.reader.session import Reader
from explorer.repository.documents import split_lines
from explorer.scout.places import HIGH, Looked

logger = logging.getLogger(__name__)

BUDGET_S: Final = 1.5
"""How long is read for one question."""

LOOKED_AT: Final = 12
"""The files of which something is read: of the files sought 94 to 96% are among them."""
MOST_PASSAGES: Final = 64
"""More are not read. Of 440 questions the NDCG@10 of primary targets is 88.2 with 16, 88.4 with 32,
88.6 with 48, 88.4 with 64, 88.2 with 112; of 680 others the definition is first in 50.7, 51.0,
51.8, 52.2 and 51.8%."""
_HEAD_LINES: Final = 7
_SURE_PASSAGES: Final = 16
"""More are not read where the words are sure of the first definition."""
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


@dataclass(frozen=True, slots=True)
class Read:
    """What the reader says of the definitions."""

    scores: NDArray[np.float64]
    """That of the best passage of each definition, in the rows of the table; NaN if none is."""
    passages: dict[int, Passage]
    """The best passage of each row of which something was read."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The reader for one question, with the time that it has."""

    reader: Future[Reader]
    """It may still be loading."""
    deadline: Deadline
    cancelled: Callable[[], bool]
    budget_s: float = BUDGET_S
    aside: Callable[[], AbstractContextManager[None]] = nullcontext
    """Held while it waits or reads."""

    def is_ready(self) -> bool:
        """Whether there is a reader; waits for one that is loading, while there is time."""
        try:
            with self.aside():
                self.reader.result(min(self.budget_s, self.deadline.left_s))
        except (ReaderError, TimeoutError):
            return False
        return True

    def read(
        self, question: str, looked: Looked, scores: NDArray[np.float64], paths: Sequence[str]
    ) -> Read:
        """What the reader says, as far as there is time; to be asked only when it is ready.

        ``scores`` are the log odds of the definitions by their words. Where these are sure, only
        the first passages are read.
        """
        shares = np.exp(scores - scores.max(initial=0.0))
        is_sure = shares.max(initial=0.0) >= HIGH * shares.sum()
        readings = to_read(looked, scores)[: _SURE_PASSAGES if is_sure else MOST_PASSAGES]
        deadline = Deadline(min(self.budget_s, self.deadline.left_s))
        best = np.full(len(scores), np.nan)
        passages: dict[int, Passage] = {}
        try:
            texts = texts_of(looked, paths, readings)
            with self.aside():
                said = self.reader.result(0).read(
                    question, texts, deadline=deadline, cancelled=self.cancelled
                )
        except ReaderError as error:
            logger.warning("answered without the reader: %s", error)
            said = np.zeros(0, np.float32)
        for reading, score in zip(readings, said.tolist(), strict=False):
            if not score <= best[reading.row]:
                best[reading.row] = score
                passages[reading.row] = reading.passage
        return Read(best, passages)


def best_part(
    reader: Reader,
    question: str,
    path: str,
    lines: Sequence[str],
    outline: Sequence[Definition],
    span: tuple[int, int],
    deadline: Deadline,
) -> tuple[tuple[int, int], ...]:
    """The lines in the span that answer the question best, and the head of their definition.

    Empty if there is no definition in it, or no time.

    Raises:
        ReaderError: onnxruntime fails.
    """
    start, end = span
    inside = [each for each in passages_of(outline) if start <= each.start and each.end <= end]
    texts = (passage_text(path, lines, outline, each) for each in inside)
    said = reader.read(question, texts, deadline=deadline, cancelled=lambda: False)
    if not len(said):
        return ()
    best = inside[int(np.argmax(said))]
    each = outline[best.definition]
    head = (max(start, each.head), min(max(each.body - 1, each.head), each.head + _HEAD_LINES))
    return (best.start, best.end), head


def to_read(
    looked: Looked, scores: NDArray[np.float64], most: int = MOST_PASSAGES
) -> list[Reading]:
    """The passages to read, first to last; ``scores`` are the log odds of the definitions."""
    found: list[tuple[float, Reading]] = []
    base = 0
    for file, outline in enumerate(looked.outlines):
        own = scores[base : base + len(outline)]
        for place, number in enumerate(np.argsort(-own, kind="stable")[:most].tolist()):
            early = _FIRST_OF_A_FILE[place] if place < len(_FIRST_OF_A_FILE) else 0.0
            parts = _by_cells(looked, file, parts_of(outline, number))
            for later, passage in enumerate(parts[:_OF_A_DEFINITION]):
                urgency = float(own[number]) + early - later * _LATER_PART
                found.append((urgency, Reading(base + number, passage)))
        base += len(outline)
    found.sort(key=lambda each: -each[0])
    return [reading for _, reading in found[:most]]


def _by_cells(looked: Looked, file: int, parts: list[Passage]) -> list[Passage]:
    """The parts of a definition, those with the likeliest cell first."""
    if len(parts) < 2:
        return parts
    cells = looked.cells[file]

    def best(part: Passage) -> float:
        inside = (cells.last >= part.start) & (cells.first <= part.end)
        return float(cells.chance[inside].max(initial=0.0))

    return sorted(parts, key=lambda part: -best(part))


def texts_of(looked: Looked, paths: Sequence[str], readings: Sequence[Reading]) -> list[str]:
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
