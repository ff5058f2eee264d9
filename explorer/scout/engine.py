"""The index of one workspace, kept up to date, and the search through it."""

import time
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from explorer.repository.workspace import Workspace
from explorer.scout import index
from explorer.scout.answers import Answer, Candidates, compose
from explorer.scout.candidates import choose_candidates, first_ranking
from explorer.scout.field import build_field
from explorer.scout.index import Rows, build_rows, empty_rows, find, merge_rows, select_rows
from explorer.scout.matches import describe_terms, file_features, match_files
from explorer.scout.networks import load_weights
from explorer.scout.query import Query, parse_query, resolve
from explorer.scout.quick import Unread, count_words
from explorer.scout.reading import (
    MAX_FILE_BYTES,
    NO_FILE,
    Stamps,
    digest_of,
    read_files,
    stamps,
)
from explorer.scout.scores import PathIndex, index_paths, score_files

MAX_FILES: Final = 40_000
"""Files that are indexed; of a larger repository those of code first, then the shallowest."""
MAX_SOURCE_BYTES: Final = 512 << 20
"""Bytes of source that are indexed, the index being an eighth of them; code first again."""

INLINE_BYTES: Final = 4 << 20
"""Source that is indexed before an answer; where more is to be read, ripgrep looks first."""

_ANSWER_SHARE: Final = 0.15
"""Of the time left, kept back from indexing for the search itself."""
_SAVED_SHARE: Final = 100
"""The index is written again when more than one in so many files changed since it was."""
_LOOK_S: Final = 5.0
_BATCH_FILES: Final = 64
_LOOKED_AT: Final = 128
"""Files that are indexed for a first answer, the best by ripgrep's counts."""
_LOOKED_AT_S: Final = 0.15
_BEHIND_BYTES: Final = 2 << 20
_NAMED_FILES: Final = 12
"""Most files that are read for standing in a stack trace."""

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Todo:
    """Files that the index lacks or has an older state of, in the order of their paths."""

    paths: tuple[str, ...]
    stamps: Stamps

    @property
    def source_bytes(self) -> int:
        """What reading them comes to."""
        return int(np.clip(self.stamps[:, 1], 0, MAX_FILE_BYTES).sum())

    def without(self, done: Container[str]) -> "_Todo":
        """Those of the files that are not among ``done``."""
        left = [row for row, path in enumerate(self.paths) if path not in done]
        return _Todo(tuple(self.paths[row] for row in left), self.stamps[left])


_NOTHING: Final = _Todo((), np.zeros((0, 3), np.int64))


class Engine:
    """The index of one workspace and the search through it. Used by one thread at a time."""

    def __init__(self, workspace: Workspace, cache_dir: Path | None = None) -> None:
        self._workspace = workspace
        self._paths: PathIndex = index_paths(())
        self._store = cache_dir and index.store_path(
            cache_dir, workspace.root, include_hidden=workspace.include_hidden
        )
        self._unsaved = 0
        self._rows: Rows = (self._store and index.load(self._store)) or empty_rows()
        self._fresh: list[Rows] = []
        self._pending = _NOTHING
        self._bound: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._left_out = 0

    def search(
        self,
        query: str,
        paths: tuple[str, ...],
        *,
        most: int,
        files: int,
        until: float,
        cancelled: Stop,
        look_first: bool = False,
    ) -> Answer:
        """The best places for the query among the files at ``paths``, which are sorted.

        ``until`` is a ``time.monotonic`` moment; ``files`` the most files to cite from. With
        ``look_first`` a repository of which much is not indexed is answered about by ripgrep's
        counts, and ``next_batch`` tells what is left to be indexed.

        Raises:
            RipgrepError: rg is missing or does not start.
        """
        parsed = parse_query(query)
        if parsed.empty:
            return Answer((), empty_query=True)
        index_until = until - _ANSWER_SHARE * (until - time.monotonic())

        def stopped() -> bool:
            return cancelled() or time.monotonic() > index_until

        todo = self._todo(paths)
        rows = None
        if look_first and todo.source_bytes > INLINE_BYTES and not stopped():
            rows = self._look(parsed, todo, stopped, min(_LOOK_S, index_until - time.monotonic()))
        else:
            self._index(todo, stopped)
        notes = self._notes(rows, len(paths))
        found = None
        if not cancelled() and (rows or self._rows).paths and most > 0:
            found = self.candidates(parsed, rows)
        if found is None or cancelled():
            return Answer((), notes)
        return compose(parsed, found, load_weights(), most=most, files=files, notes=notes)

    def candidates(self, query: Query, rows: Rows | None = None) -> Candidates | None:
        """The files worth reading for the query, read; None when there are none.

        ``rows`` stand in for the index.
        """
        rows = rows or self._rows
        paths = self._path_index(rows.paths)
        postings = find(rows, query.terms)
        scores, weight = score_files(postings, rows.lengths, paths, query)
        ranking = first_ranking(scores, paths)
        frames = _frames(query, rows.paths)
        named = list(dict.fromkeys(row for row, _ in frames))[:_NAMED_FILES]
        chosen = list(dict.fromkeys([*named, *choose_candidates(ranking).tolist()]))
        read = self._texts([rows.paths[row] for row in chosen])
        chosen = [row for row in chosen if read[rows.paths[row]]]
        if not chosen:
            return None
        texts = [read[rows.paths[row]] for row in chosen]
        at = np.array(chosen, np.int64)
        field = build_field(texts, query, weight)
        features = file_features(scores, paths, rows.lengths, at, ranking[at], field)
        lines: dict[int, list[int]] = {}
        for row, line in frames:
            index = chosen.index(row) if row in chosen else -1
            if index >= 0 and line <= field.line_counts[index]:
                lines.setdefault(index, []).append(line)
        known = postings, rows.lengths, paths, at, query
        described = describe_terms(*known)
        matches = match_files(*known, field, described)
        return Candidates(
            rows=chosen,
            paths=[rows.paths[row] for row in chosen],
            texts=texts,
            features=features,
            matches=matches,
            described=described,
            weight=weight,
            named=lines,
        )

    def refresh(self, paths: tuple[str, ...], stopped: Stop) -> None:
        """Read what is new or changed, drop what is gone. Stopping keeps what was done."""
        self._index(self._todo(paths), stopped)

    def next_batch(self) -> list[str]:
        """Files to be indexed next, sorted; empty when there are none. None is given twice."""
        todo = self._pending
        sizes = np.clip(todo.stamps[:, 1], 0, MAX_FILE_BYTES)
        count = int(np.searchsorted(np.cumsum(sizes), _BEHIND_BYTES)) + 1
        self._pending = _Todo(todo.paths[count:], todo.stamps[count:])
        return list(todo.paths[:count])

    def take_in(self, rows: Rows) -> None:
        """Add the rows of a batch, in place of older ones of the same files."""
        if rows.paths:
            self._fresh.append(rows)
            self._unsaved += len(rows.paths)

    def save(self) -> None:
        """Keep the index for the next process, if it changed since it was kept."""
        self._settle()
        if self._store is not None and self._unsaved:
            index.save(self._store, self._rows)
        self._unsaved = 0

    def path_of(self, row: int) -> str:
        """The path of an indexed file."""
        return self._rows.paths[row]

    @property
    def has_pending(self) -> bool:
        """True when ``next_batch`` has files to give."""
        return bool(self._pending.paths)

    @property
    def rows(self) -> Rows:
        """The index."""
        return self._rows

    def _todo(self, paths: tuple[str, ...]) -> _Todo:
        """What is to be read. Rows of files that are gone are dropped, those of others stay."""
        self._settle()
        wanted, now = self._wanted(paths)
        if self._rows.paths != wanted:
            chosen = frozenset(wanted)
            keep = [row for row, path in enumerate(self._rows.paths) if path in chosen]
            self._unsaved += len(self._rows.paths) - len(keep)
            self._rows = select_rows(self._rows, keep)
        rows = self._rows
        # Both are sorted, so the rows kept stand in the places of their paths.
        if len(rows.paths) == len(wanted):
            known = np.arange(len(wanted))
        else:
            row_of = {path: row for row, path in enumerate(rows.paths)}
            known = np.array([row_of.get(path, -1) for path in wanted], np.int64)
        old = rows.stamps[known] if len(rows.paths) else np.full_like(now, -2)
        is_known = known >= 0
        changed = ~is_known | (old != now).any(axis=1)
        touched = np.flatnonzero(changed & is_known & (old[:, 1] == now[:, 1])).tolist()
        same = self._same([(wanted[place], int(known[place])) for place in touched])
        left = [
            place
            for place in np.flatnonzero(changed & (now[:, 1] >= 0)).tolist()
            if wanted[place] not in same
        ]
        self._pending = _Todo(tuple(wanted[place] for place in left), now[left])
        return self._pending

    def _same(self, touched: Sequence[tuple[str, int]]) -> frozenset[str]:
        """Those of the touched files whose text is as it was; their rows get their new stamps."""
        if not touched:
            return frozenset()
        found: list[str] = []
        stamped = self._rows.stamps.copy()
        read = read_files(self._workspace, [path for path, _ in touched])
        for (path, row), (_, stamp, text) in zip(touched, read, strict=True):
            if stamp != NO_FILE and digest_of(text) == int(self._rows.digests[row]):
                stamped[row] = stamp
                found.append(path)
        self._rows = replace(self._rows, stamps=stamped)
        self._unsaved += len(found)
        return frozenset(found)

    def _index(self, todo: _Todo, stopped: Stop) -> None:
        """Read the files and take them in."""
        if todo.paths:
            rows = build_rows(read_files(self._workspace, todo.paths, stopped), stopped)
            self.take_in(rows)
            self._settle()
            self._pending = todo.without(frozenset(rows.paths))
        if self._unsaved > len(self._rows.paths) // _SAVED_SHARE and not stopped():
            self.save()

    def _look(self, query: Query, todo: _Todo, stopped: Stop, timeout_s: float) -> Rows:
        """Rows of all files: the index's, and ripgrep's counts of those that it lacks.

        The best of these are indexed first.
        """
        unread = Unread(todo.paths, todo.stamps)
        with ThreadPoolExecutor(1, "scout-look") as pool:
            counting = pool.submit(count_words, self._workspace, query, unread, stopped, timeout_s)
            # rg is a process of its own: meanwhile the paths are taken apart here.
            self._path_index(tuple(sorted({*todo.paths, *self._rows.paths})))
            counted = counting.result()
        rows = merge_rows(self._rows, counted)
        index = self._path_index(rows.paths)
        scores, _ = score_files(find(rows, query.terms), rows.lengths, index, query)
        best = choose_candidates(first_ranking(scores, index), len(rows.paths)).tolist()
        lacking = frozenset(todo.paths)
        wanted = [rows.paths[row] for row in best if rows.paths[row] in lacking]
        until = time.monotonic() + _LOOKED_AT_S
        fresh: list[Rows] = []
        for begin in range(0, len(wanted), _BATCH_FILES):
            if stopped() or (begin >= _LOOKED_AT and time.monotonic() > until):
                break
            batch = sorted(wanted[begin : begin + _BATCH_FILES])
            fresh.append(build_rows(read_files(self._workspace, batch)))
            self.take_in(fresh[-1])
        self._settle()
        self._pending = todo.without({path for each in fresh for path in each.paths})
        return merge_rows(rows, *fresh)

    def _settle(self) -> None:
        """Put fresh rows in their places, in the order of their paths."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self._rows = merge_rows(self._rows, *fresh)

    def _path_index(self, paths: tuple[str, ...]) -> PathIndex:
        if self._paths.paths != paths:
            self._paths = index_paths(paths)
        return self._paths

    def _texts(self, paths: Sequence[str]) -> dict[str, bytes]:
        return {path: text for path, _, text in read_files(self._workspace, sorted(paths))}

    def _wanted(self, paths: tuple[str, ...]) -> tuple[tuple[str, ...], Stamps]:
        """The paths within the bounds, sorted, with their stamps now."""
        given = len(paths)
        if given > MAX_FILES:
            if self._bound[0] != paths:
                self._bound = paths, tuple(sorted(_best_first(paths)[:MAX_FILES]))
            paths = self._bound[1]
        now = stamps(self._workspace, paths)
        sizes = np.clip(now[:, 1], 0, MAX_FILE_BYTES)
        self._left_out = given - len(paths)
        if sizes.sum() <= MAX_SOURCE_BYTES:
            return paths, now
        size_of = dict(zip(paths, sizes.tolist(), strict=True))
        kept, room = set[str](), MAX_SOURCE_BYTES
        for path in _best_first(paths):
            if size_of[path] <= room:
                room -= size_of[path]
                kept.add(path)
        self._left_out = given - len(kept)
        chosen = [place for place, path in enumerate(paths) if path in kept]
        return tuple(paths[place] for place in chosen), now[chosen]

    def _notes(self, looked: Rows | None, files: int) -> tuple[str, ...]:
        notes = []
        if self._left_out:
            notes.append(
                f"{self._left_out} of {files} files were left out: the scout indexes {MAX_FILES} "
                f"files or {MAX_SOURCE_BYTES >> 20} MiB; ask about a directory to search all of it."
            )
        pending = len(self._pending.paths)
        if pending and looked is None:
            notes.append(f"{pending} of {files} files were not searched: time was short.")
        elif pending:
            notes.append(
                f"{pending} of {files} files are not indexed yet and were searched by their words "
                "alone; asked again, the ranking may be better."
            )
        return tuple(notes)


def _frames(query: Query, paths: Sequence[str]) -> list[tuple[int, int]]:
    """The rows of the files that the query names with a line number, and the line."""
    if not query.trace.frames:
        return []
    names = {frame.path.rpartition("/")[2] for frame in query.trace.frames}
    by_name: dict[str, list[str]] = {}
    row_of: dict[str, int] = {}
    for row, path in enumerate(paths):
        name = path.rpartition("/")[2]
        if name in names:
            by_name.setdefault(name, []).append(path)
            row_of[path] = row
    resolved = ((resolve(frame, by_name), frame.line) for frame in query.trace.frames)
    return [(row_of[path], line) for path, line in resolved if path is not None]


def _best_first(paths: tuple[str, ...]) -> list[str]:
    """Code before the rest, tests and what lies aside behind, the shallowest first."""
    index = index_paths(paths)
    order = np.lexsort((index.depth, index.is_test | index.is_aside, ~index.is_code))
    return [paths[place] for place in order.tolist()]
