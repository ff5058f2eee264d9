"""The work behind a question: index, first ranking, candidates' texts, places."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.documents import split_lines
from explorer.scout.candidates import (
    best_places,
    choose_candidates,
    first_ranking,
    rank_candidates,
)
from explorer.scout.field import build_field
from explorer.scout.index import Rows, build_rows, empty_rows, join_rows, select_rows
from explorer.scout.paths import PathIndex, index_paths
from explorer.scout.query import parse_query
from explorer.scout.reading import read_files, stamps
from explorer.scout.scores import score_files
from explorer.workspace import Workspace

_ANSWER_SHARE = 0.15
"""Of the time left, kept back from indexing for the search itself."""
_PLACES_PER_FILE = 3
_FURTHER_FILE = 0.9
"""A further file is cited when its score reaches this share of the best one's."""

Stop = Callable[[], bool]


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
    empty_query: bool = False


class Engine:
    """The index of one workspace and the search through it. Used by one thread at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._rows: Rows = empty_rows()
        self._paths: PathIndex = index_paths(())

    def search(
        self,
        query: str,
        paths: tuple[str, ...],
        *,
        most: int,
        files: int,
        until: float,
        cancelled: Stop,
    ) -> Answer:
        """The best places for the query among the files at ``paths``, which are sorted."""
        parsed = parse_query(query)
        if parsed.empty:
            return Answer((), empty_query=True)
        left = until - time.monotonic()
        index_until = until - _ANSWER_SHARE * left
        self.refresh(paths, lambda: cancelled() or time.monotonic() > index_until)
        notes = self._notes(paths)
        if cancelled() or not self._rows.paths or most < 1:
            return Answer((), notes)
        scores, weight = score_files(self._rows, self._paths, parsed)
        ranking = first_ranking(scores, self._paths)
        chosen = choose_candidates(ranking)
        texts = self._texts(chosen.tolist())
        chosen = np.array([index for index in chosen.tolist() if texts[index]], np.int64)
        if cancelled() or not len(chosen):
            return Answer((), notes)
        field = build_field([texts[index] for index in chosen.tolist()], parsed, weight)
        final = rank_candidates(ranking[chosen], field)
        places: list[FoundPlace] = []
        order = np.argsort(-final, kind="stable")[:files]
        for candidate in order.tolist():
            if final[candidate] < _FURTHER_FILE * final[order[0]]:
                break
            path = self._rows.paths[int(chosen[candidate])]
            lines = split_lines(texts[int(chosen[candidate])].decode("utf-8", "replace"))
            places += [
                FoundPlace(path, place.start, min(place.end, len(lines)), "", lines)
                for place in best_places(field, candidate, _PLACES_PER_FILE)
                if place.start <= len(lines)
            ]
        return Answer(tuple(places[:most]), notes)

    def refresh(self, paths: tuple[str, ...], stopped: Stop) -> None:
        """Read what is new or changed, drop what is gone. Stopping keeps what was done."""
        now = stamps(self._workspace, paths)
        known = {path: index for index, path in enumerate(self._rows.paths)}
        keep: list[int] = []
        wanted: list[str] = []
        for path, stamp in zip(paths, now, strict=True):
            index = known.get(path)
            if index is not None and self._rows.stamps[index] == stamp:
                keep.append(index)
            elif stamp.size >= 0:
                wanted.append(path)
        if wanted or len(keep) != len(self._rows.paths):
            kept = select_rows(self._rows, sorted(keep))
            fresh = build_rows(read_files(self._workspace, wanted, stopped), stopped)
            self._rows = join_rows([kept, fresh])
        if self._paths.paths != self._rows.paths:
            self._paths = index_paths(self._rows.paths)

    def _texts(self, chosen: list[int]) -> dict[int, bytes]:
        by_path = sorted((self._rows.paths[index], index) for index in chosen)
        read = read_files(self._workspace, [path for path, _ in by_path])
        return {index: text for (_, index), (_, _, text) in zip(by_path, read, strict=True)}

    def _notes(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        missing = len(paths) - len(self._rows.paths)
        if missing <= 0:
            return ()
        return (f"{missing} of {len(paths)} files were not searched: the time was too short.",)
