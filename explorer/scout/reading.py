"""The bytes of many visible files, read quickly and only through the workspace's own root."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from explorer.confined import open_directory
from explorer.documents import decode, is_binary
from explorer.workspace import Workspace

MAX_FILE_BYTES = 1 << 20
"""Of a larger file the beginning is read; hand-written source is smaller."""

_MINIFIED_LINE_BYTES = 400
"""Mean length of lines above which a file is taken for generated and only its name counts."""
_MINIFIED_FILE_BYTES = 8_192
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is still the one that was read."""

    mtime_ns: int
    size: int
    inode: int


NO_FILE = Stamp(0, -1, 0)


def stamps(workspace: Workspace, paths: Iterable[str]) -> list[Stamp]:
    """Of each path its stamp, ``NO_FILE`` where no regular file stands there. Paths are sorted."""
    found = []
    for directory, name in _walk(workspace, paths):
        found.append(_stamp(directory, name))
    return found


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
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


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
        stamp = Stamp(status.st_mtime_ns, status.st_size, status.st_ino)
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
