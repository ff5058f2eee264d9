"""The index of one repository: its rows, kept up to date in memory and between processes.

On disk it is one file for each root in the user's cache directory, readable by the user alone. The
file is written under a name of its own and moved into place, so two processes never see half of
one; a checksum shows damage, a version number that other code wrote it. Neither is then used.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from explorer.limits import Deadline
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
from explorer.scout.texts import MAX_BYTES, MAX_CODE_BYTES, bytes_read, most_bytes

MAX_FILES: Final = 40_000
"""The most files that are indexed; of a larger repository those that ``_best_first`` prefers."""
MAX_SOURCE_BYTES: Final = 512 << 20
"""The most source that is indexed, in the same order; the index is an eighth of it."""

_SAVED_SHARE: Final = 100
"""The index is written again when more than one in this many files has changed since."""
_NAMED: Final = 3
_BATCH_FILES: Final = 64
_FIRST_FILES: Final = 128
"""The files that a first answer indexes, and more of them while ``_FIRST_S`` has not passed."""
_FIRST_S: Final = 0.15
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

    def index_first(self, paths: Sequence[str], stopped: Stop) -> list[IndexRows]:
        """Index the best of ``paths``, which are best first, and return their rows."""
        deadline = Deadline(_FIRST_S)
        fresh: list[IndexRows] = []
        for begin in range(0, len(paths), _BATCH_FILES):
            if stopped() or (begin >= _FIRST_FILES and not deadline.left_s):
                break
            batch = sorted(paths[begin : begin + _BATCH_FILES])
            fresh.append(build_rows(read_files(self.workspace, batch)))
            self.take_in(fresh[-1])
        self._settle()
        self.pending = self.pending.without({path for each in fresh for path in each.paths})
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

    def save(self) -> None:
        """Keep the index for the next process, if it has changed since it was kept."""
        self._settle()
        if self._store is not None and self._unsaved:
            save(self._store, self.rows)
        self._unsaved = 0

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


FORMAT: Final = 2
"""To be raised whenever the layout of the file changes."""

_DEPENDS_ON: Final = ("folding", "tokens", "texts", "rows")
"""The modules that decide what is in an index; one written by another version is not used."""

MAX_KEPT: Final = 40
"""How many indexes are kept; those not used for longest are removed."""

_MAX_KEPT_BYTES: Final = 1 << 30
_LITTER_S: Final = 3_600.0
_MAGIC: Final = b"fastcontext-scout\n"
_HEAD: Final = struct.Struct("<IIQ")
_ARRAYS: Final = {
    "stamps": np.int64,
    "offsets": np.int64,
    "terms": np.uint32,
    "counts": np.uint8,
    "lengths": np.int32,
    "digests": np.int64,
}
"""The arrays of the rows, in the file's order, behind their paths."""


@cache
def version() -> int:
    """A number for what this code writes into an index."""
    folder = resources.files("explorer.scout")
    checksum = FORMAT
    for name in _DEPENDS_ON:
        checksum = zlib.crc32(folder.joinpath(f"{name}.py").read_bytes(), checksum)
    return checksum


def store_path(directory: Path, root: Path, *, include_hidden: bool) -> Path:
    """The file in which the index of a root is kept."""
    key = f"{root}\0{include_hidden}".encode("utf-8", "surrogateescape")
    return directory / f"{hashlib.sha256(key).hexdigest()[:32]}.index"


def save(path: Path, rows: IndexRows) -> bool:
    """Write the rows; False when the disk does not take them, which does no harm."""
    names = json.dumps(rows.paths, ensure_ascii=False).encode("utf-8", "surrogateescape")
    parts = [names, *(getattr(rows, name).tobytes() for name in _ARRAYS)]
    sizes = struct.pack(f"<{len(parts)}Q", *(len(part) for part in parts))
    body = b"".join([sizes, *parts])
    temporary = None
    # As launch.files.replacing does, which this package may not import.
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _HEAD.pack(version(), zlib.crc32(body), len(body)))
            file.write(body)
        Path(temporary).replace(path)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        return False
    _prune(path.parent)
    return True


def load(path: Path) -> IndexRows | None:
    """The rows as they were saved; None when there are none, or they are damaged or outdated."""
    try:
        data = _read_own(path)
    except OSError:
        return None
    start = len(_MAGIC) + _HEAD.size
    if len(data) < start or not data.startswith(_MAGIC):
        return None
    written_by, checksum, size = _HEAD.unpack_from(data, len(_MAGIC))
    body = memoryview(data)[start:]
    if written_by != version() or len(body) != size or zlib.crc32(body) != checksum:
        return None
    names, *sizes = struct.unpack_from(f"<{1 + len(_ARRAYS)}Q", body)
    position = 8 * (1 + len(_ARRAYS))
    paths = json.loads(bytes(body[position : position + names]).decode("utf-8", "surrogateescape"))
    position += names
    arrays = {}
    for (name, kind), length in zip(_ARRAYS.items(), sizes, strict=True):
        arrays[name] = np.frombuffer(body[position : position + length], kind)
        position += length
    arrays["stamps"] = arrays["stamps"].reshape(-1, 3)
    return IndexRows(tuple(paths), **arrays)


def _read_own(path: Path) -> bytes:
    """The content of a regular file of this user; its time becomes that of its last use.

    Raises:
        OSError: there is none, or something else is in its place.
    """
    # Not blocking, because to open a FIFO is to wait for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "not a regular file of this user", str(path))
        with contextlib.suppress(OSError):
            os.utime(descriptor)
        return file.read(_MAX_KEPT_BYTES + 1)


def _prune(directory: Path) -> None:
    """Remove indexes beyond ``MAX_KEPT``, and what killed processes left behind."""
    with contextlib.suppress(OSError):
        old = time.time() - _LITTER_S
        for each in directory.glob(".new-*"):
            if each.stat().st_mtime < old:
                each.unlink(missing_ok=True)
        kept = sorted(directory.glob("*.index"), key=lambda each: -each.stat().st_mtime)
        for each in kept[MAX_KEPT:]:
            each.unlink(missing_ok=True)
