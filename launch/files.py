"""Replacing a file as a whole, a lock that ends with its holder, and Git LFS pointers."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file that replaces ``path`` at the end, so that nobody reads half of it.

    After an error ``path`` is as it was. Written by hand, because the library for it,
    atomicwrites, is no longer maintained.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        if mode != 0o600:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read."""
    with replacing(path) as file:
        file.write(text.encode())


_POINTER = b"version https://git-lfs.github.com/spec/"

POINTER_HINT = "run `git lfs pull` in its folder"


def is_lfs_pointer(path: Path) -> bool:
    """Whether the file only names, by hash and size, one that Git LFS has not fetched."""
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


class Lock:
    """An exclusive lock that the system drops when its holder dies, however it dies.

    Not the package filelock: the keeper holds this lock across a fork, and loads few packages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> bool:
        """Take the lock without waiting; whether it is held now."""
        # Not at the top: Windows has no fcntl, and files are replaced there as well.
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def drop(self) -> None:
        """Give the lock back. Its file stays: if it were removed, two could hold the lock."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
