"""What a process sets once: its standard streams, its logging and its memory.

The streams may be closed, or in an encoding that lacks most characters.
"""

import errno
import io
import logging
import os
import sys
from pathlib import Path

from explorer.visible import spelled

logger = logging.getLogger(__name__)


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


# At DEBUG these write request headers, the API key among them.
_TALKATIVE = ("httpx", "httpcore", "httpx2", "httpcore2", "asyncio")


class _Formatter(logging.Formatter):
    """Writes records in which no text of others acts on a terminal or begins another record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, its further lines indented."""
        return spelled(super().format(record)).replace("\n", "\n    ")


def log_to_stderr(level: str = "WARNING") -> None:
    """Set up logging, unless somebody has; at once where the level is given again.

    To be called before ``MCPServer`` is made, which otherwise sets up rich's boxed tracebacks.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger().setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


# Of malloc.h in the GNU C library; the numbers have not changed since 1996.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_THRESHOLD_BYTES = 1024 * 1024
_ARENAS = 2


def give_memory_back() -> None:
    """Let what is freed go back to the system at once, where the C library can do that.

    Indexing allocates and frees arrays of many sizes in worker threads. The GNU C library raises
    its own thresholds as it sees them freed and keeps the pages: at the peak of a process that
    indexes 10,000 files of 126 MB, 167 MB instead of 95. It costs a twentieth of the time.
    """
    import ctypes  # here, because ``initialize`` does without it

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        logger.debug("this C library has no mallopt")
        return
    for parameter, value in (
        (_M_MMAP_THRESHOLD, _THRESHOLD_BYTES),
        (_M_TRIM_THRESHOLD, _THRESHOLD_BYTES),
        (_M_ARENA_MAX, _ARENAS),
    ):
        mallopt(parameter, value)
