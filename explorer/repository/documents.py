r"""Files opened strictly below the root, and their lines.

Every component of a path is opened relative to the descriptor before it and never through a
symlink, so a directory that is swapped for a link between the check and the use cannot lead
outside. (The same guarantee as Linux' ``openat2`` with ``RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS``,
on any POSIX.)

Lines are decoded, cut as ripgrep and editors count them, and cached: a line ends only at ``\n``, a
trailing ``\r`` is dropped, and text after the last ``\n`` is a line. (``str.splitlines`` also
splits at form feeds, U+2028 and more, and would count differently.)
"""

import codecs
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.repository.secrets import mask_secrets

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def open_root(path: Path) -> int:
    """A new descriptor of the directory at ``path``.

    Raises:
        PermissionError: it may not be read or entered.
        OSError: it is missing, a symlink, or not a directory.
    """
    return _entered(os.open(path, _DIRECTORY))


def open_directory(root_fd: int, path: str) -> int:
    """A new descriptor of the directory ``path`` below ``root_fd``; ``""`` is the root itself.

    Raises:
        PermissionError: it may not be read or entered.
        OSError: a component is missing, a symlink, or not a directory.
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

    A FIFO, device or socket is refused before it is opened, because opening a device can have
    effects, and again after, because the name may be swapped in between; O_NONBLOCK then keeps a
    FIFO from hanging.

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
    """The descriptor, if rg can be started in the directory: reading it needs fewer rights."""
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


MAX_DOCUMENT_BYTES = 8 << 20
"""Larger files are not held whole; ``read_window`` streams them."""

_BINARY_PROBE_BYTES = 65_536  # As much as ripgrep looks at before it searches.
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
    """False for a file larger than ``MAX_DOCUMENT_BYTES``, of which these are the first lines."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some consecutive lines of a file."""

    start: int
    """1-based number of the first line."""
    lines: tuple[str, ...]
    """Each cut to the length asked for. Empty when ``start`` lies past the end."""
    total: int | None
    """How many lines the whole file has, if they were counted."""
    binary: bool = False


def read_document(descriptor: int, path: str) -> Document:
    """The document of an open regular file, at most ``MAX_DOCUMENT_BYTES`` of it."""
    size = os.fstat(descriptor).st_size
    data = _read_at_most(descriptor, MAX_DOCUMENT_BYTES + 1)
    complete = len(data) <= MAX_DOCUMENT_BYTES
    if is_binary(data):
        return Document(path, (), size, binary=True, complete=complete)
    if not complete:
        data = data[: data.rfind(b"\n", 0, MAX_DOCUMENT_BYTES) + 1] or data[:MAX_DOCUMENT_BYTES]
    return Document(path, split_lines(decode(data)), size, complete=complete)


def read_window(
    descriptor: int,
    start: int,
    count: int,
    line_bytes: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Window:
    """``count`` lines from line ``start`` on; memory does not grow with the file.

    Lines are cut after ``line_bytes``. The total is known only if the file's end was reached. Once
    ``stopped`` is true, at the latest after another MiB, the lines are those found until then.
    """
    os.lseek(descriptor, 0, os.SEEK_SET)
    lines: list[bytes] = []
    number, current, first, ended = 1, bytearray(), True, False
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        if stopped():
            return Window(start, _texts(lines), None)
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
    """The line number reached, and the position in the chunk after the lines skipped."""
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


def begins_binary(descriptor: int) -> bool:
    """True when the beginning of the open file is binary."""
    return is_binary(os.pread(descriptor, _BINARY_PROBE_BYTES, 0))


def is_binary(data: bytes) -> bool:
    """True when there are NUL bytes near the beginning, unless it is UTF-16 with its mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    return b"\0" in data[:_BINARY_PROBE_BYTES]


def decode(data: bytes) -> str:
    """The text: by the byte-order mark, else as UTF-8, with U+FFFD for invalid bytes and NUL."""
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
    """What differs once the file behind the descriptor has changed."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


class DocumentCache:
    """The documents used last, by path and identity, up to a number of bytes. Thread-safe."""

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[tuple[str, Identity], Document] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, identity: Identity) -> Document | None:
        """The document, if the file is still the one that was read."""
        with self._lock:
            document = self._entries.get((path, identity))
            if document is not None:
                self._entries.move_to_end((path, identity))
            return document

    def put(self, document: Document, identity: Identity) -> None:
        """Keep a document; beyond the limit those that were not used for longest are dropped."""
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


EVIDENCE_CHARS = 160
"""The longest evidence line; a longer one is cut and ends in three dots."""

_LOOKED_AT_LINES = 400
"""How many lines of a range are looked at: it can be a whole file."""

_LOOKED_AT_CHARS = 500
"""How many characters of a line are looked at: minified files have lines of megabytes."""

_MODIFIERS = (
    r"(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|async"
    r"|override|virtual|inline|extern|unsafe|const|sealed|partial|synchronized|pub(?:\([^)]*\))?"
    r"|open|data|suspend|readonly|local|global|mutable|constexpr|template\s*<[^>]*>)\s+)*"
)
_KEYWORD_DEFINITION = re.compile(
    rf"^\s*{_MODIFIERS}"
    r"(?:def|class|func|fn|function\*?|interface|trait|struct|enum|union|impl|module|namespace|mod"
    r"|type|protocol|extension|object|record|sub|macro_rules!|defmodule|defp?|typedef"
    r"|CREATE\s+(?:TABLE|VIEW|FUNCTION)|#\s*define)\b\s*[^\s=;]"
)
_BOUND_FUNCTION = re.compile(
    rf"^\s*{_MODIFIERS}(?:(?:let|var|const)\s+)?[\w$.]+\s*[:=]\s*"
    r"(?:async\s*)?(?:function\b|\([^()]*\)\s*(?::[^=]+)?=>|[\w$]+\s*=>|lambda\b)"
)
# A C, Java, C# or TypeScript head: words, a name, parentheses and an opening brace or a line's end.
_BRACE_DEFINITION = re.compile(
    r"^\s*(?!(?:if|for|while|switch|catch|return|else|do|try|throw|new|await|yield|case|assert"
    r"|elif|when|until|unless|not|and|or|in|with|delete|sizeof)\b)"
    r"(?:[\w:<>,*&\[\]?@~.$]+\s+)*[\w:~$*&]+\s*\([^;={}]*\{$"
)
_UNTELLING = re.compile(
    r"^(?:[\W_]*$|//|/\*|\*|#(?!\s*(?:define|if|include|\[))|--|;;|<!--|\"\"\"|'''|"
    r"@\w+$|(?:else|try|do|begin|end|fi|done|then|pass|break|continue|finally|return)\b\W*$)"
)


def is_definition(line: str) -> bool:
    """True when the line begins a function, class, type or the like in any common language."""
    line = line[:_LOOKED_AT_CHARS]
    return bool(
        _KEYWORD_DEFINITION.match(line)
        or _BOUND_FUNCTION.match(line)
        or _BRACE_DEFINITION.match(line.rstrip())
    )


def evidence_of(lines: Sequence[str], start: int, end: int) -> str:
    """The first definition in the range, else its first telling line; stripped, 160 characters.

    A telling line is more than brackets, a comment or a bare keyword. A range without one gives
    its first line with any text, an empty range "". ``lines`` are the whole file's, ``start`` and
    ``end`` are 1-based and inclusive; what lies outside the file is ignored.
    """
    first = max(start, 1) - 1
    chosen = lines[first : min(end, first + _LOOKED_AT_LINES)]
    for line in chosen:
        if is_definition(line):
            return _shortened(line)
    texts = [line for line in chosen if line[:_LOOKED_AT_CHARS].strip()]
    for line in texts:
        if not _UNTELLING.match(line[:_LOOKED_AT_CHARS].strip()):
            return _shortened(line)
    return _shortened(texts[0]) if texts else ""


def _shortened(line: str) -> str:
    """The line without secrets, its white space as single blanks, and cut with three dots."""
    text = " ".join(mask_secrets(line[:_LOOKED_AT_CHARS]).split())
    if len(text) <= EVIDENCE_CHARS:
        return text
    return text[: EVIDENCE_CHARS - 3].rstrip() + "..."
