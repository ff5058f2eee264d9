"""The work behind a question: index, first ranking, candidates' texts, places."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from explorer.documents import split_lines
from explorer.scout import store
from explorer.scout.agreement import Confidence
from explorer.scout.candidates import choose_candidates, first_ranking, trimmed
from explorer.scout.features import Floats, file_features
from explorer.scout.field import Field, build_field
from explorer.scout.index import (
    Rows,
    build_rows,
    empty_rows,
    find,
    join_rows,
    select_rows,
)
from explorer.scout.matches import Matches, describe_terms, match_files
from explorer.scout.model import Weights, file_chances, how_many_files, load_weights
from explorer.scout.network import score_all
from explorer.scout.passages import choose_places
from explorer.scout.paths import PathIndex, index_paths
from explorer.scout.query import Query, parse_query
from explorer.scout.reading import read_files, stamps
from explorer.scout.scores import score_files
from explorer.workspace import Workspace

MAX_FILES: Final = 40_000
"""Files that are indexed; of a larger repository those of code first, then the shallowest."""

_ANSWER_SHARE: Final = 0.15
"""Of the time left, kept back from indexing for the search itself."""
_SAVED_SHARE: Final = 100
"""The index is written again when more than one in so many files changed since it was."""

_REASON_WORDS: Final = 4
_FURTHER: Final = 4

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
    texts: list[bytes]
    field: Field
    features: Floats
    matches: Matches
    described: Floats
    """Of each term of the query what it is."""
    weight: Floats
    """Of each term its rarity times its weight."""


class Engine:
    """The index of one workspace and the search through it. Used by one thread at a time."""

    def __init__(self, workspace: Workspace, cache_dir: Path | None = None) -> None:
        self._workspace = workspace
        self._paths: PathIndex = index_paths(())
        self._store = cache_dir and store.store_path(
            cache_dir, workspace.root, include_hidden=workspace.include_hidden
        )
        self._unsaved = 0
        self._rows: Rows = (self._store and store.load(self._store)) or empty_rows()

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
        """The best places for the query among the files at ``paths``, which are sorted.

        ``until`` is a ``time.monotonic`` moment; ``files`` the most files to cite from.
        """
        parsed = parse_query(query)
        if parsed.empty:
            return Answer((), empty_query=True)
        index_until = until - _ANSWER_SHARE * (until - time.monotonic())
        self.refresh(paths, lambda: cancelled() or time.monotonic() > index_until)
        notes = self._notes(paths)
        found = None
        if not cancelled() and self._rows.paths and most > 0:
            found = self.candidates(parsed)
        if found is None or cancelled():
            return Answer((), notes)
        return self._answer(parsed, found, load_weights(), most, files, notes)

    def candidates(self, query: Query) -> Candidates | None:
        """The files worth reading for the query, read; None when there are none."""
        rows = self._rows
        postings = find(rows, query.terms)
        scores, weight = score_files(postings, rows.lengths, self._paths, query)
        ranking = first_ranking(scores, self._paths)
        chosen = choose_candidates(ranking).tolist()
        texts = self._texts(chosen)
        chosen = [index for index in chosen if texts[index]]
        if not chosen:
            return None
        at = np.array(chosen, np.int64)
        field = build_field([texts[index] for index in chosen], query, weight)
        features = file_features(scores, self._paths, rows.lengths, at, ranking[at], field)
        known = postings, rows.lengths, self._paths, at, query
        described = describe_terms(*known)
        matches = match_files(*known, field, described)
        texts_read = [texts[index] for index in chosen]
        return Candidates(chosen, texts_read, field, features, matches, described, weight)

    def _answer(
        self,
        query: Query,
        found: Candidates,
        weights: Weights,
        most: int,
        files: int,
        notes: tuple[str, ...],
    ) -> Answer:
        raw = score_all(weights.files, found.features, found.matches)
        chances = file_chances(weights.calibration, raw.astype(np.float64))
        order = np.argsort(-chances, kind="stable").tolist()
        cited = order[: min(how_many_files(chances, files), most)]
        texts = [found.texts[index] for index in cited]
        lines = [split_lines(text.decode("utf-8", "replace")) for text in texts]
        places = choose_places(texts, chances[cited], query, found.weight, found.described, weights)
        merged = [trimmed(place, lines[place.file]) for place in places]
        # The best place of each file comes first, in the files' order; then what else there is.
        firsts = {place.file: place for place in reversed(merged)}
        rest = [place for place in merged if firsts[place.file] is not place]
        ranked = [firsts[index] for index in sorted(firsts)] + rest
        best = float(chances[order[0]])
        name = [self._rows.paths[index] for index in found.rows]
        return Answer(
            places=tuple(
                FoundPlace(
                    name[cited[place.file]],
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
            further=tuple(name[index] for index in order[len(cited) : len(cited) + _FURTHER]),
        )

    def refresh(self, paths: tuple[str, ...], stopped: Stop) -> None:
        """Read what is new or changed, drop what is gone. Stopping keeps what was done."""
        wanted_paths = _bounded(paths)
        now = stamps(self._workspace, wanted_paths)
        known = {path: index for index, path in enumerate(self._rows.paths)}
        keep: list[int] = []
        wanted: list[str] = []
        for path, stamp in zip(wanted_paths, now, strict=True):
            index = known.get(path)
            if index is not None and self._rows.stamps[index] == stamp:
                keep.append(index)
            elif stamp.size >= 0:
                wanted.append(path)
        if wanted or len(keep) != len(self._rows.paths):
            kept = select_rows(self._rows, keep)
            fresh = build_rows(read_files(self._workspace, wanted, stopped), stopped)
            joined = join_rows([kept, fresh])
            # In the order of their paths: as long as no path comes or goes, theirs is kept.
            order = sorted(range(len(joined.paths)), key=joined.paths.__getitem__)
            self._rows = select_rows(joined, order)
            self._unsaved += len(wanted) + abs(len(self._rows.paths) - len(known))
            if self._unsaved > len(paths) // _SAVED_SHARE and not stopped():
                self._save()
        if self._paths.paths != self._rows.paths:
            self._paths = index_paths(self._rows.paths)

    def _save(self) -> None:
        if self._store is not None:
            store.save(self._store, self._rows)
        self._unsaved = 0

    def path_of(self, row: int) -> str:
        """The path of an indexed file."""
        return self._rows.paths[row]

    def _texts(self, chosen: list[int]) -> dict[int, bytes]:
        by_path = sorted((self._rows.paths[index], index) for index in chosen)
        read = read_files(self._workspace, [path for path, _ in by_path])
        return {index: text for (_, index), (_, _, text) in zip(by_path, read, strict=True)}

    def _notes(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        notes = []
        bounded = min(len(paths), MAX_FILES)
        if bounded < len(paths):
            notes.append(
                f"{len(paths) - bounded} of {len(paths)} files were left out: the scout indexes "
                f"{MAX_FILES}; ask about a directory to search all of it."
            )
        missing = bounded - len(self._rows.paths)
        if missing > 0:
            notes.append(f"{missing} of {len(paths)} files were not searched: time was short.")
        return tuple(notes)


def _bounded(paths: tuple[str, ...]) -> tuple[str, ...]:
    if len(paths) <= MAX_FILES:
        return paths
    index = index_paths(paths)
    order = np.lexsort((index.depth, index.is_test | index.is_aside, ~index.is_code))
    return tuple(sorted(paths[place] for place in order[:MAX_FILES].tolist()))


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
