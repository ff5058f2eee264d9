"""The paths in git's index, read without git: the index format of versions 2 to 4.

As in ``Documentation/gitformat-index.txt`` of git 2.39. Only the paths are read: what git tracks is
not ignored, whatever the rules say.
"""

MAX_INDEX_BYTES = 128 << 20
"""Maximum size of an index; that of 500,000 files takes some 60 MB."""
MAX_ENTRIES = 1_000_000

_HEADER_BYTES = 12
_STATUS_BYTES = 40  # Times, device, inode, mode, owner and size, before the object's name.
_EXTENDED = 0x40
_LONG_NAME = 0xFFF


class IndexProblemError(ValueError):
    """An index that is not read; ``str`` says why: "it is damaged"."""


def tracked_paths(data: bytes, *, sha256: bool) -> list[bytes]:
    """The paths of all entries, in git's order; ``sha256`` says how objects are named.

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
    except (IndexError, ValueError):
        raise IndexProblemError("it is damaged") from None
    while len(data) - hash_bytes - end >= 8:
        # A split index names the other half in this extension.
        if data[end : end + 4] == b"link":
            raise IndexProblemError("it is split (git's core.splitIndex)")
        end += 8 + int.from_bytes(data[end + 4 : end + 8], "big")
    return paths


def _entries(data: bytes, version: int, count: int, hash_bytes: int) -> tuple[list[bytes], int]:
    paths: list[bytes] = []
    at, path = _HEADER_BYTES, b""
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
