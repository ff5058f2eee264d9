"""The paths in git's index, read without git: the index format of versions 2 to 4.

As in ``Documentation/gitformat-index.txt`` of git 2.39. Only the paths are read: what git tracks is
not ignored, whatever the rules say.
"""

import os
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

MAX_INDEX_BYTES = 64 << 20
"""Maximum size of an index, and of the paths in it; that of 80,000 files takes some 9 MB."""
MAX_ENTRIES = 500_000

_HEADER_BYTES = 12
_STATUS_BYTES = 40  # Times, device, inode, mode, owner and size, before the object's name.
_EXTENDED = 0x40
_LONG_NAME = 0xFFF


class IndexProblemError(ValueError):
    """An index that is not read; ``str`` says why: "it is damaged"."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What git tracks in one checkout."""

    paths: Sequence[bytes]
    """Sorted, relative to the checkout."""
    top: str = ""
    """The checkout relative to the root, such as ``"lib/"``."""
    prefix: str = ""
    """The root relative to the checkout, where that is around it."""

    def __contains__(self, path: str) -> bool:
        """Whether a file, or one in a directory, is tracked; ``path`` is relative to the root."""
        if not self.paths:
            return False
        name = os.fsencode(self.prefix + path.removeprefix(self.top))
        for wanted in (name, name + b"/"):
            at = bisect_left(self.paths, wanted)
            if at < len(self.paths) and (self.paths[at] + b"/").startswith(name + b"/"):
                return True
        return False


def tracked_paths(data: bytes, *, sha256: bool) -> list[bytes]:
    """The paths of all entries, sorted; ``sha256`` says how objects are named.

    Raises:
        IndexProblemError: it is damaged, split into two files, of another version or too large.
    """
    version, count = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
    if data[:4] != b"DIRC" or not 2 <= version <= 4:
        raise IndexProblemError("it is damaged, or newer than version 4")
    if count > MAX_ENTRIES:
        raise IndexProblemError(f"it has more than {MAX_ENTRIES} entries")
    hash_bytes = 32 if sha256 else 20
    try:
        paths, end = _entries(data, version, count, hash_bytes)
    except IndexProblemError:
        raise
    except (IndexError, ValueError):
        raise IndexProblemError("it is damaged") from None
    while len(data) - hash_bytes - end >= 8:
        # A split index names the other half in this extension.
        if data[end : end + 4] == b"link":
            raise IndexProblemError("it is split (git's core.splitIndex)")
        end += 8 + int.from_bytes(data[end + 4 : end + 8], "big")
    paths.sort()  # As they are, if git wrote them.
    return paths


def _entries(data: bytes, version: int, count: int, hash_bytes: int) -> tuple[list[bytes], int]:
    paths: list[bytes] = []
    at, path, size = _HEADER_BYTES, b"", 0
    flags_at = _STATUS_BYTES + hash_bytes
    for _ in range(count):
        flags = data[at + flags_at]
        length = (flags << 8 | data[at + flags_at + 1]) & _LONG_NAME
        name = at + flags_at + (4 if flags & _EXTENDED else 2)
        if version == 4:
            cut, name = _number(data, name)
            end = data.index(b"\0", name)
            path = path[: len(path) - cut] + data[name:end]
            at = end + 1
        else:
            end = name + length if length < _LONG_NAME else data.index(b"\0", name)
            path = data[name:end]
            # One to eight NULs, so that each entry's length is a multiple of eight.
            at += (end - at + 8) & ~7
        size += len(path)
        if size > MAX_INDEX_BYTES:
            # Version 4 leaves out what a path shares with the one before.
            raise IndexProblemError("its paths are too long")
        paths.append(path)
    if at > len(data):
        raise IndexError
    return paths, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, as in offsets of packs, and where it ends."""
    byte = data[at]
    value = byte & 127
    while byte & 128:
        at += 1
        byte = data[at]
        value = (value + 1) << 7 | byte & 127
    return value, at + 1
