"""The index of one repository: its rows, kept up to date in memory and between processes."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from explorer.repository.paths import as_word
from explorer.repository.workspace import Workspace
from explorer.scout.rows import (
    NO_FILE,
    IndexRows,
    Stamps,
    build_rows,
    digest_of,
    empty_rows,
    merge_rows,
    read_files,
    select_rows,
    stamps,
)
from explorer.scout.scores import PathIndex, index_paths
from explorer.scout.store import load, locked, save, seal_of, store_path
from explorer.scout.texts import MAX_BYTES, MAX_CODE_BYTES, bytes_read, most_bytes

MAX_FILES: Final = 40_000
"""The most files that are indexed; of a larger repository those that ``_best_first`` prefers."""
MAX_SOURCE_BYTES: Final = 512 << 20
"""The most source that is indexed, in the same order; the index is an eighth of it."""

_SAVED_SHARE: Final = 100
"""The index is written again when more than one in this many files has changed since."""
_NAMED: Final = 3
_FIRST_FILES: Final = 128
"""The files that a first answer indexes. With those that a seventh of a second allowed it was no
better: 76.75 NDCG@10 both, 76.86 with the whole index, on 220 questions about 11 repositories."""
_BEHIND_BYTES: Final = 2 << 20

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Pending:
    """Files that the index lacks or knows in an older state, in the order of their paths."""

    paths: tuple[str, ...]
    stamps: Stamps

    @property
    def source_bytes(self) -> int:
        """How much of them would be read."""
        return int(bytes_read(self.paths, self.stamps[:, 1]).sum())

    def without(self, done: Container[str]) -> "Pending":
        """The files that are not among ``done``."""
        left = [row for row, path in enumerate(self.paths) if path not in done]
        return Pending(tuple(self.paths[row] for row in left), self.stamps[left])


class RepositoryIndex:
    """The index of one repository. To be used by one thread at a time."""

    def __init__(self, workspace: Workspace, cache_dir: Path | None = None) -> None:
        """``cache_dir`` is where the index is kept between processes; None keeps it nowhere."""
        self.workspace = workspace
        self._store = cache_dir and store_path(
            cache_dir, workspace.root, include_hidden=workspace.include_hidden
        )
        self._seal = self._store and seal_of(self._store)
        self.rows = (self._store and load(self._store)) or empty_rows()
        """What is indexed."""
        self.pending = Pending((), np.zeros((0, 3), np.int64))
        """What is still to be indexed, as of the last ``find_pending``."""
        self.left_out = 0
        """How many files are beyond the bounds."""
        self._read_in_part: list[str] = []
        self._unsaved = 0
        self._fresh: list[IndexRows] = []
        self._paths: PathIndex = index_paths(())
        self._bound: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def refresh(self, paths: tuple[str, ...], stopped: Stop) -> None:
        """Index what is new or changed, drop what is gone. When stopped, what was done is kept."""
        self.find_pending(paths)
        self.index_pending(stopped)

    def find_pending(self, paths: tuple[str, ...]) -> None:
        """See which of the sorted ``paths`` are to be indexed, and drop the rows of all others."""
        self._settle()
        wanted, now = self._wanted(paths)
        if self.rows.paths != wanted:
            chosen = frozenset(wanted)
            keep = [row for row, path in enumerate(self.rows.paths) if path in chosen]
            self._unsaved += len(self.rows.paths) - len(keep)
            self.rows = select_rows(self.rows, keep)
        rows = self.rows
        # Both are sorted, so without a missing row the rows are where their paths are.
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
        self.pending = Pending(tuple(wanted[place] for place in left), now[left])

    def index_pending(self, stopped: Stop) -> None:
        """Index what is pending, and keep it for the next process if that is worth it."""
        if self.pending.paths:
            rows = build_rows(read_files(self.workspace, self.pending.paths, stopped), stopped)
            self.take_in(rows)
            self._settle()
            self.pending = self.pending.without(frozenset(rows.paths))
        if self._unsaved > len(self.rows.paths) // _SAVED_SHARE and not stopped():
            self.save()

    def index_first(self, paths: Sequence[str], stopped: Stop) -> IndexRows:
        """Index the best of ``paths``, which are best first, and return their rows."""
        best = sorted(paths[:_FIRST_FILES])
        fresh = build_rows(read_files(self.workspace, best, stopped), stopped)
        self.take_in(fresh)
        self._settle()
        self.pending = self.pending.without(frozenset(fresh.paths))
        return fresh

    def next_batch(self) -> list[str]:
        """Take the next files to be indexed, sorted, off those pending; empty when none are."""
        pending = self.pending
        sizes = bytes_read(pending.paths, pending.stamps[:, 1])
        count = int(np.searchsorted(np.cumsum(sizes), _BEHIND_BYTES)) + 1
        self.pending = Pending(pending.paths[count:], pending.stamps[count:])
        return list(pending.paths[:count])

    def take_in(self, rows: IndexRows) -> None:
        """Add the rows of some files in place of older ones, by the next ``find_pending``."""
        if rows.paths:
            self._fresh.append(rows)
            self._unsaved += len(rows.paths)

    def save(self) -> bool:
        """Keep the index for the next process, if it has changed; False if it cannot be kept.

        What another process has kept meanwhile stays: rows of files that this index lacks.
        """
        self._settle()
        if self._store is None:
            return False
        is_kept = True
        if self._unsaved:
            with locked(self._store.parent):
                others = load(self._store) if seal_of(self._store) != self._seal else None
                rows = merge_rows(others, self.rows) if others is not None else self.rows
                is_kept = save(self._store, rows)
                # Those of others are not held here, so the next time they have to be read again.
                self._seal = seal_of(self._store) if others is None else b""
        self._unsaved = 0
        return is_kept

    def path_index(self, paths: tuple[str, ...]) -> PathIndex:
        """What the paths say; kept until other paths are asked about."""
        if self._paths.paths != paths:
            self._paths = index_paths(paths)
        return self._paths

    def notes(self, files: int, *, looked: bool, found: bool) -> tuple[str, ...]:
        """What an answer about ``files`` files has to say.

        ``looked``: ripgrep looked first; ``found``: there are places in it.
        """
        notes = []
        # Of data, the beginning says enough, unless what was asked for is nowhere else.
        cut = [
            path for path in self._read_in_part if not found or most_bytes(path) == MAX_CODE_BYTES
        ]
        if cut:
            names = ", ".join(map(as_word, cut[:_NAMED])) + (", ..." if cut[_NAMED:] else "")
            notes.append(f"Only the beginning of these large files was searched: {names}.")
        if self.left_out:
            notes.append(
                f"{self.left_out} of {files} files were left out: the scout indexes {MAX_FILES} "
                f"files or {MAX_SOURCE_BYTES >> 20} MiB; ask about a directory to search all of it."
            )
        if self.pending.paths and not looked:
            pending = len(self.pending.paths)
            notes.append(f"{pending} of {files} files were not searched: time was short.")
        return tuple(notes)

    def _settle(self) -> None:
        """Put fresh rows in their places, in the order of their paths."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self.rows = merge_rows(self.rows, *fresh)

    def _same(self, touched: Sequence[tuple[str, int]]) -> frozenset[str]:
        """The touched files whose text has not changed; their rows get the new stamps."""
        if not touched:
            return frozenset()
        found: list[str] = []
        stamped = self.rows.stamps.copy()
        read = read_files(self.workspace, [path for path, _ in touched])
        for (path, row), (_, stamp, text) in zip(touched, read, strict=True):
            if stamp != NO_FILE and digest_of(text) == int(self.rows.digests[row]):
                stamped[row] = stamp
                found.append(path)
        self.rows = replace(self.rows, stamps=stamped)
        self._unsaved += len(found)
        return frozenset(found)

    def _wanted(self, paths: tuple[str, ...]) -> tuple[tuple[str, ...], Stamps]:
        """The paths within the bounds, sorted, with their present stamps."""
        given = len(paths)
        if given > MAX_FILES:
            if self._bound[0] != paths:
                self._bound = paths, tuple(sorted(_best_first(paths)[:MAX_FILES]))
            paths = self._bound[1]
        now = stamps(self.workspace, paths)
        large = np.flatnonzero(now[:, 1] > MAX_BYTES).tolist()
        self._read_in_part = [
            paths[place] for place in large if now[place, 1] > most_bytes(paths[place])
        ]
        sizes = bytes_read(paths, now[:, 1])
        self.left_out = given - len(paths)
        if sizes.sum() <= MAX_SOURCE_BYTES:
            return paths, now
        size_of = dict(zip(paths, sizes.tolist(), strict=True))
        kept, room = set[str](), MAX_SOURCE_BYTES
        for path in _best_first(paths):
            if size_of[path] <= room:
                room -= size_of[path]
                kept.add(path)
        self.left_out = given - len(kept)
        chosen = [place for place, path in enumerate(paths) if path in kept]
        return tuple(paths[place] for place in chosen), now[chosen]


def _best_first(paths: tuple[str, ...]) -> list[str]:
    """Code before other files; of each kind tests and what lies aside last; then the shallowest."""
    index = index_paths(paths)
    order = np.lexsort(
        (index.depth, index.is_test | index.is_aside | index.is_generated, ~index.is_code)
    )
    return [paths[place] for place in order.tolist()]
