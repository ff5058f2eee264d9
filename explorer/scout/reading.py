"""The bytes of many visible files, read quickly and only through the workspace's own root."""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.repository.documents import decode, is_binary, open_directory
from explorer.repository.workspace import Workspace

MAX_FILE_BYTES = 1 << 20
"""Of a larger file the beginning is read; hand-written source is smaller."""

_MINIFIED_LINE_BYTES = 400
"""Mean length of lines above which a file is taken for generated and only its name counts."""
_MINIFIED_FILE_BYTES = 8_192
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class Stamp(NamedTuple):
    """What tells that a file is still the one that was read."""

    changed_ns: int
    """``st_ctime_ns``, which no program can set back; 0 where it may hide a later change."""
    size: int
    inode: int


NO_FILE = Stamp(0, -1, 0)
Stamps = NDArray[np.int64]
"""Stamps as rows of an array."""
_INODE = (1 << 63) - 1
_CLOCK_TICK_NS = 50_000_000
"""Two changes of a file within this time may have the same stamp; kernels count in 1 to 10 ms."""


def stamps(workspace: Workspace, paths: Sequence[str]) -> Stamps:
    """Of each path its stamp, ``NO_FILE`` where no regular file stands there.

    Directories on the way are not looked at: a stamp says nothing of a file's content, and where
    it differs the file is opened by ``read_files``, which follows no link.
    """
    root, is_regular, look = workspace.descriptor, stat.S_ISREG, os.stat
    found: list[int] = []
    for path in paths:
        try:
            status = look(path, dir_fd=root, follow_symlinks=False)
        except (OSError, ValueError):
            found += NO_FILE
            continue
        if is_regular(status.st_mode):
            found += (status.st_ctime_ns, status.st_size, status.st_ino & _INODE)
        else:
            found += NO_FILE
    return np.array(found, np.int64).reshape(-1, 3)


def digest_of(text: bytes) -> int:
    """A 63-bit digest of a file's text."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def read_files(
    workspace: Workspace, paths: Iterable[str], stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[str, Stamp, bytes]]:
    """Each path with its stamp and its text in UTF-8; b"" where there is no text to read.

    Binary and minified files have no text. Paths must come from ``Workspace.files`` and be sorted:
    directories are opened once each, component by component, without following links.
    """
    paths = list(paths)
    for path, (directory, name) in zip(paths, _walk(workspace, paths), strict=True):
        if stopped():
            return
        yield path, *_read(directory, name)


def _walk(workspace: Workspace, paths: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Of each path an open descriptor of its directory, -1 if there is none, and the name."""
    current, descriptor = None, -1
    try:
        for path in paths:
            parent, _, name = path.rpartition("/")
            if parent != current:
                if descriptor >= 0:
                    os.close(descriptor)
                    descriptor = -1
                current = parent
                try:
                    descriptor = open_directory(workspace.descriptor, parent)
                except (OSError, ValueError):
                    descriptor = -1
            yield descriptor, name
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _stamp(directory: int, name: str) -> Stamp:
    if directory < 0:
        return NO_FILE
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except (OSError, ValueError):
        return NO_FILE
    if not stat.S_ISREG(status.st_mode):
        return NO_FILE
    return _stamped(status)


def _stamped(status: os.stat_result, now_ns: int = 0) -> Stamp:
    """The stamp; of a file that changed a moment before ``now_ns`` one that no later look finds."""
    fresh = now_ns - status.st_ctime_ns < _CLOCK_TICK_NS and now_ns > 0
    changed_ns = 0 if fresh else status.st_ctime_ns
    return Stamp(changed_ns, status.st_size, status.st_ino & _INODE)


def _read(directory: int, name: str) -> tuple[Stamp, bytes]:
    before = _stamp(directory, name)
    if before == NO_FILE:
        return before, b""
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=directory)
    except OSError:
        return before, b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return NO_FILE, b""
        data = os.read(descriptor, MAX_FILE_BYTES)
        stamp = _stamped(status, time.time_ns())
    except OSError:
        return before, b""
    finally:
        os.close(descriptor)
    return stamp, text_of(data)


def text_of(data: bytes) -> bytes:
    """The text in UTF-8; b"" for binary and minified content. Line numbers are the file's."""
    if is_binary(data):
        return b""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = decode(data).encode("utf-8", "replace")
    size = len(data)
    if size > _MINIFIED_FILE_BYTES and size > _MINIFIED_LINE_BYTES * (data.count(b"\n") + 1):
        return b""
    return data
