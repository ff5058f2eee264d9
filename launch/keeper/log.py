"""A log file of limited size whose last lines are kept in memory."""

import io
import os
from collections import deque
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 5 << 20
KEPT = 2
"""Older files beside the current one."""
TAIL_LINES = 200
_LONGEST_LINE = 4_000


class RotatingLog:
    """Takes a program's output in pieces. The secret is blanked."""

    def __init__(self, path: Path, *, secret: str = "", max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._secret = secret.encode()
        self._max = max_bytes
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._rest = b""
        self._file = self._open()

    def write(self, data: bytes) -> None:
        """Take a piece of output; whole lines go to the file."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._put(line)
        # On a full disk lines are lost, but the writer goes on.
        with suppress(OSError):
            if self._file.tell() >= self._max:
                self._rotate()

    def close(self) -> None:
        """Write an unfinished last line and close the file."""
        if self._rest:
            self._put(self._rest)
            self._rest = b""
        self._file.close()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines."""
        return "\n".join(list(self._lines)[-lines:])

    def clear_tail(self) -> None:
        """Forget the lines in memory, so that a new start is not judged by those of the last."""
        self._lines.clear()

    def _put(self, line: bytes) -> None:
        if self._secret:
            line = line.replace(self._secret, b"***")
        line = line[:_LONGEST_LINE]
        # A progress bar redraws itself after a carriage return; keep the last drawing.
        text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        self._lines.append(text)
        with suppress(OSError):
            self._file.write(line + b"\n")

    def _open(self) -> io.FileIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        # Unbuffered: what a full disk refuses must not be written again with the next line.
        return io.FileIO(os.open(self._path, flags, 0o600), "ab")

    def _rotate(self) -> None:
        self._file.close()
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, KEPT + 1))]
        for newer, older in reversed(list(zip(names, names[1:], strict=False))):
            if newer.exists():
                newer.replace(older)
        self._file = self._open()


def read_tail(path: Path, lines: int) -> str:
    """The last lines of a log file; empty if there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - lines * 400))
            data = file.read()
    except OSError:
        return ""
    return "\n".join(data.decode("utf-8", "replace").splitlines()[-lines:])
