"""Indexes kept between processes.

Each is one file for each root in the user's cache directory, readable by the user alone. The file
is written under a name of its own and moved into place, so two processes never see half of one; a
checksum shows damage, a version number that other code wrote it. Neither is then used.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from explorer.limits import Deadline
from explorer.scout.rows import IndexRows

FORMAT: Final = 2
"""To be raised whenever the layout of the file changes."""

_DEPENDS_ON: Final = ("folding", "tokens", "texts", "rows")
"""The modules that decide what is in an index; one written by another version is not used."""

MAX_KEPT: Final = 40
"""How many indexes are kept; those not used for longest are removed."""

_MAX_KEPT_BYTES: Final = 1 << 30
_LITTER_S: Final = 3_600.0
_LOCK_S: Final = 1.0
"""Another writer is done within some 0.1 s, unless it was stopped."""
_LOCK_PAUSE_S: Final = 0.01
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


def seal_of(path: Path) -> bytes:
    """What differs whenever a kept index is another: its head; empty if there is none."""
    try:
        return _read_own(path, len(_MAGIC) + _HEAD.size)
    except OSError:
        return b""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; without it where others hold it for long, or there is none."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            deadline = Deadline(_LOCK_S)
            while deadline.left_s and not _try_lock(descriptor):
                time.sleep(_LOCK_PAUSE_S)
        yield


@contextlib.contextmanager
def alone_with(directory: Path, root: Path, *, include_hidden: bool) -> Iterator[bool]:
    """Whether no other process holds this for the root; those that come later get False."""
    name = store_path(directory, root, include_hidden=include_hidden).stem
    path = directory / f".busy-{name}"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        yield False
        return
    try:
        is_alone = _try_lock(descriptor)
        yield is_alone
        if is_alone:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Whether this process has the lock of an open file now; it ends when the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def load(path: Path) -> IndexRows | None:
    """The rows as they were saved; None when there are none, or they are damaged or outdated."""
    try:
        data = _read_own(path, _MAX_KEPT_BYTES + 1)
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


def _read_own(path: Path, most: int) -> bytes:
    """The first bytes of a regular file of this user; its time becomes that of its last use.

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
        return file.read(most)


def _prune(directory: Path) -> None:
    """Remove indexes beyond ``MAX_KEPT``, and what killed processes left behind."""
    with contextlib.suppress(OSError):
        old = time.time() - _LITTER_S
        for each in (*directory.glob(".new-*"), *directory.glob(".busy-*")):
            if each.stat().st_mtime < old:
                each.unlink(missing_ok=True)
        kept = sorted(directory.glob("*.index"), key=lambda each: -each.stat().st_mtime)
        for each in kept[MAX_KEPT:]:
            each.unlink(missing_ok=True)
