"""Opening files strictly below a directory descriptor.

Every component is opened relative to the descriptor before it and never through a symlink, so a
directory that is swapped for a link between the check and the use cannot lead outside. (The same
guarantee as Linux' ``openat2`` with ``RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS``, on any POSIX.)
"""

import os
import stat
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def open_root(path: Path) -> int:
    """A new descriptor of the directory at ``path``, which is no symlink.

    Raises:
        PermissionError: it may not be read or entered.
        OSError: it is missing, a symlink, or no directory.
    """
    return _entered(os.open(path, _DIRECTORY))


def open_directory(root_fd: int, path: str) -> int:
    """A new descriptor of the directory ``path`` below ``root_fd``; ``""`` is the root itself.

    Raises:
        PermissionError: it may not be read or entered.
        OSError: a component is missing, a symlink, or no directory.
    """
    current = os.open(".", _DIRECTORY, dir_fd=root_fd)
    for part in path.split("/") if path else ():
        if part == "..":
            os.close(current)
            raise PermissionError(path)
        try:
            below = os.open(part, _DIRECTORY, dir_fd=current)
        finally:
            os.close(current)
        current = below
    return _entered(current)


def open_file(root_fd: int, path: str) -> int:
    """A new descriptor of the regular file ``path`` below ``root_fd``.

    A FIFO, device or socket is refused before it is opened, and again after: opening a device can
    have effects, and the name may be swapped in between, when O_NONBLOCK keeps a FIFO from hanging.

    Raises:
        IsADirectoryError: it is a directory.
        NotRegularError: it is neither a regular file nor a directory.
        OSError: a component is missing or a symlink, or permission is denied.
    """
    parent, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        raise IsADirectoryError(path)
    directory = open_directory(root_fd, parent)
    try:
        _require_regular(os.stat(name, dir_fd=directory, follow_symlinks=False), path)
        descriptor = os.open(name, _FILE, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _entered(directory: int) -> int:
    """The descriptor, of a directory that rg can be started in: reading it needs less."""
    try:
        os.stat(".", dir_fd=directory)
    except OSError:
        os.close(directory)
        raise
    return directory


class NotRegularError(OSError):
    """The path names a FIFO, device, socket or, after a race, a symlink."""


def _require_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(path)
