"""Taking rg's output apart while it streams, keeping only what may be shown.

Paths end with NUL (``-0``), so no name can imitate anything else. What belongs to a file that is
not wanted is dropped as it passes and takes no memory.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from explorer.tools.arguments import OutputMode

_ROW = re.compile(rb"(\d+)([:-])(.*)", re.DOTALL)
_ROW_START = re.compile(rb"^\d+[:-]", re.MULTILINE)
_OMITTED = re.compile(rb" \[\.\.\. (?:omitted end of long line|\d+ more match(?:es)?)\]$")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file as rg printed it."""

    number: int
    """0 for the gap between two groups of lines."""
    is_match: bool
    text: str
    """Without line end; ``...`` at its end stands for what was cut."""


GAP = Row(0, False, "--")

# What ends a file's part: an empty line, the end of the only line, or nothing. With --crlf rg ends
# what it adds itself with \r\n, but not everywhere.
_PART_ENDS: dict[OutputMode, re.Pattern[bytes]] = {
    "content": re.compile(rb"\n\r?\n"),
    "count": re.compile(rb"\r?\n"),
    "files_with_matches": re.compile(rb""),
}


class Collector:
    """A sink for rg that keeps each wanted file's part of the output."""

    def __init__(
        self, mode: OutputMode, wanted: Callable[[bytes], str | None], max_bytes: int
    ) -> None:
        """``wanted`` gives the path under which a file of rg's is to be kept, or None."""
        self.parts: dict[str, bytes] = {}
        """By path: the rows (content), nothing (files), or the number (count)."""
        self.full = False
        """True once more than ``max_bytes`` would have had to be kept."""
        self._wanted = wanted
        self._max_bytes = max_bytes
        self._end = _PART_ENDS[mode]
        self._buffer = bytearray()
        self._kept_bytes = 0
        self._in_part = False
        self._path: str | None = None
        self._searched = 0

    def __call__(self, chunk: bytes) -> bool:
        """Take a chunk; False when enough is kept."""
        self._buffer += chunk
        while self._take_path() and self._take_part():
            pass
        self.full = self._kept_bytes + len(self._buffer) > self._max_bytes
        return not self.full

    def close(self) -> None:
        """Keep the last part, which rg ends with nothing but the end of its output."""
        if self._in_part and self._path is not None:
            complete = len(self._buffer)
            if self.full:  # Stopped somewhere: up to the last whole line.
                complete = self._buffer.rfind(b"\n")
            if complete > 0:
                self.parts[self._path] = bytes(self._buffer[:complete]).rstrip(b"\r\n")
        self._buffer.clear()
        self._in_part = False

    def _take_path(self) -> bool:
        if self._in_part:
            return True
        end = self._buffer.find(b"\0", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return False
        self._path = self._wanted(bytes(self._buffer[:end]))
        del self._buffer[: end + 1]
        self._in_part, self._searched = True, 0
        return True

    def _take_part(self) -> bool:
        found = self._end.search(self._buffer, self._searched)
        if found is None:
            if self._path is None:  # Not wanted: only what may begin the end is kept.
                del self._buffer[:-2]
            self._searched = max(0, len(self._buffer) - 2)
            return False
        start, end = found.span()
        del found  # It holds the buffer, which cannot shrink meanwhile.
        if self._path is not None:
            self.parts[self._path] = bytes(self._buffer[:start])
            self._kept_bytes += start + len(self._path)
        del self._buffer[:end]
        self._in_part, self._searched = False, 0
        return True


def rows_of(part: bytes) -> Iterator[Row]:
    """The rows of a file's part, in order, without what rg says about binary data further on."""
    position = 0
    while position <= len(part):
        end = part.find(b"\n", position)
        end = len(part) if end < 0 else end
        line = part[position:end]
        position = end + 1
        found = _ROW.match(line)
        if found:
            raw = _OMITTED.sub(b"...", found[3].removesuffix(b"\r"))
            text = raw.decode("utf-8", "replace").replace("\0", "\ufffd")
            yield Row(int(found[1]), found[2] == b":", text)
        elif line in (b"--", b"--\r"):
            yield GAP


def count_rows(part: bytes) -> int:
    """How many rows, gaps aside, a file's part has."""
    return len(_ROW_START.findall(part))


def order_of(path: str) -> str:
    """A sort key that puts paths in the order of ``rg --sort path``: part by part."""
    return path.replace("/", "\0")
