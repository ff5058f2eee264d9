r"""The lines of files: decoded, cut into lines as ripgrep and editors count them, and cached.

A line ends at ``\n`` alone, a trailing ``\r`` is dropped; text after the last ``\n`` is a line.
(``str.splitlines`` also splits at form feeds, U+2028 and more, and would count differently.)
"""

import codecs
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass

MAX_DOCUMENT_BYTES = 8 << 20
"""Files over this size are not held whole; ``read_window`` streams them."""

_BINARY_PROBE_BYTES = 65_536  # What ripgrep looks at before it begins to search.
_CHUNK_BYTES = 1 << 20
_CACHE_BYTES = 8 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text. ``lines[0]`` is line 1."""

    path: str
    lines: tuple[str, ...]
    """Empty for a binary file. NUL characters are shown as U+FFFD."""
    size: int
    """Bytes of the file on disk."""
    binary: bool = False
    complete: bool = True
    """False when the file is larger than ``MAX_DOCUMENT_BYTES``: the lines are its beginning."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some consecutive lines of a file."""

    start: int
    """1-based number of the first line."""
    lines: tuple[str, ...]
    """Each cut to the length asked for. Empty when ``start`` lies past the end."""
    total: int | None
    """Lines of the whole file where they were counted."""
    binary: bool = False


def read_document(descriptor: int, path: str) -> Document:
    """The document behind an open regular file, at most ``MAX_DOCUMENT_BYTES`` of it."""
    size = os.fstat(descriptor).st_size
    data = _read_at_most(descriptor, MAX_DOCUMENT_BYTES + 1)
    complete = len(data) <= MAX_DOCUMENT_BYTES
    if is_binary(data):
        return Document(path, (), size, binary=True, complete=complete)
    if not complete:
        data = data[: data.rfind(b"\n", 0, MAX_DOCUMENT_BYTES) + 1] or data[:MAX_DOCUMENT_BYTES]
    return Document(path, split_lines(decode(data)), size, complete=complete)


def read_window(descriptor: int, start: int, count: int, line_bytes: int) -> Window:
    """``count`` lines from line ``start`` on, read in chunks: memory does not grow with the file.

    Lines longer than ``line_bytes`` lose their rest. The file's total is known only when its end
    was reached.
    """
    os.lseek(descriptor, 0, os.SEEK_SET)
    lines: list[bytes] = []
    number, current, first, ended = 1, bytearray(), True, False
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        if first and is_binary(chunk):
            return Window(start, (), None, binary=True)
        first = False
        position = 0
        if number < start:
            number, position = _skip_lines(chunk, number, start)
        while number >= start and position < len(chunk):
            end = chunk.find(b"\n", position)
            stop = len(chunk) if end < 0 else end
            current += chunk[position : min(stop, position + line_bytes + 4 - len(current))]
            if end < 0:
                position = len(chunk)
                continue
            lines.append(bytes(current))
            current.clear()
            number, position = number + 1, end + 1
            if len(lines) == count:
                return Window(start, _texts(lines), None)
        ended = chunk.endswith(b"\n")
    if first:
        return Window(start, (), 0)
    if not ended and number >= start:
        lines.append(bytes(current))
    total = number - 1 if ended else number
    return Window(start, _texts(lines), total)


def _skip_lines(chunk: bytes, number: int, start: int) -> tuple[int, int]:
    """The line number reached and the position behind what was skipped of the chunk."""
    newlines = chunk.count(b"\n")
    if number + newlines < start:
        return number + newlines, len(chunk)
    position = 0
    while number < start:
        position = chunk.index(b"\n", position) + 1
        number += 1
    return number, position


def _texts(lines: list[bytes]) -> tuple[str, ...]:
    return tuple(_clean(line.decode("utf-8", "replace")).removesuffix("\r") for line in lines)


def is_binary(data: bytes) -> bool:
    """True when NUL bytes stand near the beginning, and it is not UTF-16 with its mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    return b"\0" in data[:_BINARY_PROBE_BYTES]


def decode(data: bytes) -> str:
    """Text of the bytes: by their byte-order mark, else UTF-8, with U+FFFD for what is invalid."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _clean(data[len(mark) :].decode(encoding, "replace"))
    return _clean(data.decode("utf-8", "replace"))


def split_lines(text: str) -> tuple[str, ...]:
    """The text's lines without their ends."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    return tuple(lines)


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _read_at_most(descriptor: int, limit: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    while limit > 0 and (piece := os.read(descriptor, min(limit, _CHUNK_BYTES))):
        pieces.append(piece)
        limit -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


Identity = tuple[int, int, int, int]
"""Device, inode, modification time in ns, size."""


def identity_of(descriptor: int) -> Identity:
    """What changes when the file behind the descriptor changes."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


class DocumentCache:
    """The documents read last, by path and identity, up to a number of bytes. Thread-safe."""

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[tuple[str, Identity], Document] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, identity: Identity) -> Document | None:
        """The document, when the file is still the one that was read."""
        with self._lock:
            document = self._entries.get((path, identity))
            if document is not None:
                self._entries.move_to_end((path, identity))
            return document

    def put(self, document: Document, identity: Identity) -> None:
        """Keep a document, dropping those used longest ago beyond the limit."""
        with self._lock:
            key = (document.path, identity)
            if document.size > self._max_bytes or key in self._entries:
                return
            self._entries[key] = document
            self._bytes += document.size
            while self._bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= dropped.size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0
