"""Small files read whole: regular ones alone, never through a link, up to a number of bytes."""

import errno
import os
import stat
from pathlib import Path

from explorer.repository.documents import NotRegularError, open_file


class NotReadError(Exception):
    """A file is there but is not read; ``str`` says why: "it is too large"."""


def read_inside(root_fd: int, path: str, max_bytes: int) -> bytes | None:
    """What the file at ``path`` below a directory holds, through no link; None if there is none.

    Raises:
        NotReadError: it is a link, no regular file, too large or not readable.
    """
    try:
        descriptor = open_file(root_fd, path)
    except (OSError, ValueError) as error:
        _require_missing(error)
        return None
    return _read(descriptor, max_bytes)


def read_of_user(path: Path, max_bytes: int) -> bytes | None:
    """What a file of the user's own holds, which may be a link; None if there is none.

    Raises:
        NotReadError: it is no regular file, too large or not readable.
    """
    try:
        # Opening a device can have effects, so look first.
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotReadError("it is no regular file")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        _require_missing(error)
        return None
    return _read(descriptor, max_bytes)


def _read(descriptor: int, max_bytes: int) -> bytes:
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotReadError("it is no regular file")
        try:
            data = file.read(max_bytes + 1)
        except OSError as error:
            raise NotReadError(f"it cannot be read: {error.strerror}") from None
    if len(data) > max_bytes:
        size = f"{max_bytes >> 20} MiB" if max_bytes >= 1 << 20 else f"{max_bytes >> 10} KiB"
        raise NotReadError(f"it has more than {size}")
    return data


def _require_missing(error: OSError | ValueError) -> None:
    if isinstance(error, NotRegularError):
        raise NotReadError("it is a link or no regular file") from None
    if isinstance(error, OSError):
        if error.errno == errno.EACCES:
            raise NotReadError("it may not be read") from None
