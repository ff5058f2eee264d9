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
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from explorer.scout.index import Rows
from explorer.scout.reading import Stamp

FORMAT: Final = 1
"""To be raised whenever terms, counts or their layout change."""

MAX_KEPT: Final = 40
"""Indexes kept; those not used for longest are removed."""

_MAGIC: Final = b"fastcontext-scout\n"
_HEAD: Final = struct.Struct("<IIQ")


def store_path(directory: Path, root: Path, *, include_hidden: bool) -> Path:
    """Where the index of a root is kept."""
    key = f"{root}\0{include_hidden}".encode("utf-8", "surrogateescape")
    return directory / f"{hashlib.sha256(key).hexdigest()[:32]}.index"


def save(path: Path, rows: Rows) -> bool:
    """Write the rows; False when the disk does not take them, which harms nothing."""
    stamps = np.array([(s.mtime_ns, s.size, s.inode) for s in rows.stamps], np.int64).reshape(-1, 3)
    names = json.dumps(rows.paths, ensure_ascii=False).encode("utf-8", "surrogateescape")
    parts = [names, *(part.tobytes() for part in (stamps, rows.offsets, rows.terms))]
    parts += [rows.counts.tobytes(), rows.lengths.tobytes()]
    sizes = struct.pack(f"<{len(parts)}Q", *(len(part) for part in parts))
    body = b"".join([sizes, *parts])
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _HEAD.pack(FORMAT, zlib.crc32(body), len(body)))
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
    version, checksum, size = _HEAD.unpack_from(data, len(_MAGIC))
    body = memoryview(data)[start:]
    if version != FORMAT or len(body) != size or zlib.crc32(body) != checksum:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    sizes = struct.unpack_from("<6Q", body)
    parts = []
    position = 48
    for length in sizes:
        parts.append(body[position : position + length])
        position += length
    stamps = np.frombuffer(parts[1], np.int64).reshape(-1, 3).tolist()
    paths = json.loads(bytes(parts[0]).decode("utf-8", "surrogateescape"))
    return Rows(
        tuple(paths),
        tuple(Stamp(*each) for each in stamps),
        np.frombuffer(parts[2], np.int64),
        np.frombuffer(parts[3], np.uint32),
        np.frombuffer(parts[4], np.uint8),
        np.frombuffer(parts[5], np.int32),
    )


def _prune(directory: Path) -> None:
    with contextlib.suppress(OSError):
        kept = sorted(directory.glob("*.index"), key=lambda each: -each.stat().st_mtime)
        for each in kept[MAX_KEPT:]:
            each.unlink(missing_ok=True)
