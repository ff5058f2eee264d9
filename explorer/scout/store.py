"""The index on disk, so that the next process starts warm.

One file for each root in the user's cache directory, readable by the user alone. It is written to
a name of its own and moved into place, so two processes never see half of one; a checksum tells a
damaged file, a format number another version's. Either is simply not used.
"""

import contextlib
import hashlib
import json
import os
import struct
import tempfile
import time
import zlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from explorer.scout.index import Rows

FORMAT: Final = 2
"""To be raised whenever the layout changes."""

_DEPENDS_ON: Final = ("tokens", "definitions", "index", "reading")
"""Modules that decide what is in an index: one that another text of theirs wrote is not used."""

MAX_KEPT: Final = 40
"""Indexes kept; those not used for longest are removed."""

_LITTER_S: Final = 3_600.0
_MAGIC: Final = b"fastcontext-scout\n"
_PARTS: Final = 7
_HEAD: Final = struct.Struct("<IIQ")


@cache
def version() -> int:
    """A number for what this code writes into an index."""
    folder = resources.files("explorer.scout")
    checksum = FORMAT
    for name in _DEPENDS_ON:
        checksum = zlib.crc32(folder.joinpath(f"{name}.py").read_bytes(), checksum)
    return checksum


def store_path(directory: Path, root: Path, *, include_hidden: bool) -> Path:
    """Where the index of a root is kept."""
    key = f"{root}\0{include_hidden}".encode("utf-8", "surrogateescape")
    return directory / f"{hashlib.sha256(key).hexdigest()[:32]}.index"


def save(path: Path, rows: Rows) -> bool:
    """Write the rows; False when the disk does not take them, which harms nothing."""
    names = json.dumps(rows.paths, ensure_ascii=False).encode("utf-8", "surrogateescape")
    parts = [names, *(part.tobytes() for part in (rows.stamps, rows.offsets, rows.terms))]
    parts += [rows.counts.tobytes(), rows.lengths.tobytes(), rows.digests.tobytes()]
    sizes = struct.pack(f"<{len(parts)}Q", *(len(part) for part in parts))
    body = b"".join([sizes, *parts])
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _HEAD.pack(version(), zlib.crc32(body), len(body)))
            file.write(body)
        os.replace(temporary, path)  # noqa: PTH105 - both names are at hand as they are
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
        return False
    _prune(path.parent)
    return True


def load(path: Path) -> Rows | None:
    """The rows as they were saved; None when there are none, or they are damaged or of old."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _HEAD.size
    if len(data) < start or not data.startswith(_MAGIC):
        return None
    written_by, checksum, size = _HEAD.unpack_from(data, len(_MAGIC))
    body = memoryview(data)[start:]
    if written_by != version() or len(body) != size or zlib.crc32(body) != checksum:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    sizes = struct.unpack_from(f"<{_PARTS}Q", body)
    parts = []
    position = 8 * _PARTS
    for length in sizes:
        parts.append(body[position : position + length])
        position += length
    paths = json.loads(bytes(parts[0]).decode("utf-8", "surrogateescape"))
    return Rows(
        tuple(paths),
        np.frombuffer(parts[1], np.int64).reshape(-1, 3),
        np.frombuffer(parts[2], np.int64),
        np.frombuffer(parts[3], np.uint32),
        np.frombuffer(parts[4], np.uint8),
        np.frombuffer(parts[5], np.int32),
        np.frombuffer(parts[6], np.int64),
    )


def _prune(directory: Path) -> None:
    """Remove what is not used any more, and what a process that was killed left behind."""
    with contextlib.suppress(OSError):
        old = time.time() - _LITTER_S
        for each in directory.glob(".new-*"):
            if each.stat().st_mtime < old:
                each.unlink(missing_ok=True)
        kept = sorted(directory.glob("*.index"), key=lambda each: -each.stat().st_mtime)
        for each in kept[MAX_KEPT:]:
            each.unlink(missing_ok=True)
