"""The standard streams as a process may get them: closed, or in an encoding that lacks much."""

import errno
import io
import os
import sys
from pathlib import Path


class _Closed(io.TextIOBase):
    """In place of a closed stdout: what is written would be lost, so writing fails."""

    def write(self, _text: str) -> int:
        """Never returns.

        Raises:
            OSError: as the system would say it.
        """
        raise OSError(errno.EBADF, "stdout is closed")


def make_ready() -> None:
    """Let stdout and stderr take every text, and put something in the place of what is closed.

    A character that the encoding lacks is written as its number. ``sys.__stdin__`` and the like
    still tell what was closed.
    """
    # A file gets the lowest free number; one that got 1 or 2 would receive what is printed.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(descriptor)
    sys.stdin = sys.stdin or io.TextIOWrapper(io.BytesIO())
    sys.stdout = sys.stdout or _Closed()
    sys.stderr = sys.stderr or Path(os.devnull).open("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
