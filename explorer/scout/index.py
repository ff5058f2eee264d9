"""The index: of each file the hashes of its terms with how often they occur, nothing else.

It is a forward index in three flat arrays. A query looks through all of it, at some hundred million
entries a second, and counts in how many files each of its terms occurs as it goes; so one changed
file costs no more than its own terms, and the whole stays at about a fifth of the source's size.

On disk it is one file for each root in the user's cache directory, readable by the user alone. It
is written under a name of its own and moved into place, so two processes never see half of one; a
checksum tells a damaged file, a format number another version's. Neither of these is used.
"""

import contextlib
import hashlib
import json
import os
import struct
import tempfile
import time
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.ranges import defined_words, is_among, lines_of
from explorer.scout.reading import Stamp, Stamps, digest_of
from explorer.scout.tokens import PAD, Hashes, Indexes, long_enough, scan

_CHUNK_BYTES: Final = 1 << 18
_WORKERS: Final = 2
_SELECTED_ROWS: Final = 1_024
_MAX_COUNT: Final = 63
_SYMBOL_SHIFT: Final = 6


@dataclass(frozen=True, slots=True)
class Rows:
    """Some files' terms. File ``i`` has the entries ``offsets[i]`` to ``offsets[i + 1]``."""

    paths: tuple[str, ...]
    stamps: Stamps
    offsets: NDArray[np.int64]
    terms: Hashes
    """Sorted within a file."""
    counts: NDArray[np.uint8]
    """Occurrences, at most 63; in the two highest bits those as a definition's name, at most 3."""
    lengths: Indexes
    """Parts of identifiers in each file: what BM25 calls its length."""
    digests: NDArray[np.int64]
    """Of each file's text: what tells that a file with another stamp is still the same."""

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self.stamps, self.offsets, self.terms, self.counts, self.lengths, self.digests)
        return sum(array.nbytes for array in arrays)


def empty_rows() -> Rows:
    """Rows of no file."""
    return Rows(
        (),
        np.zeros((0, 3), np.int64),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint32),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
    )


def build_rows(
    files: Iterable[tuple[str, Stamp, bytes]], stopped: Callable[[], bool] = lambda: False
) -> Rows:
    """The rows of the files, in their order; of those before the stop when ``stopped`` says so."""
    pieces: list[Rows] = []
    waiting: deque[Future[Rows]] = deque()
    # Array arithmetic lets go of the interpreter's lock: two cores do nearly twice as much.
    with ThreadPoolExecutor(_WORKERS, "scout-index") as pool:
        for chunk in _chunks(files):
            if stopped():
                break
            waiting.append(pool.submit(_rows_of_chunk, chunk))
            if len(waiting) > 2 * _WORKERS:
                pieces.append(waiting.popleft().result())
        pieces += [each.result() for each in waiting]
    return join_rows(pieces)


def join_rows(pieces: Sequence[Rows]) -> Rows:
    """The rows of all pieces, one behind the other."""
    if not pieces:
        return empty_rows()
    starts = np.cumsum([0] + [len(piece.terms) for piece in pieces])
    offsets = [np.zeros(1, np.int64)]
    offsets += [piece.offsets[1:] + start for piece, start in zip(pieces, starts, strict=False)]
    return Rows(
        tuple(path for piece in pieces for path in piece.paths),
        np.concatenate([piece.stamps for piece in pieces]),
        np.concatenate(offsets),
        np.concatenate([piece.terms for piece in pieces]),
        np.concatenate([piece.counts for piece in pieces]),
        np.concatenate([piece.lengths for piece in pieces]),
        np.concatenate([piece.digests for piece in pieces]),
    )


def select_rows(rows: Rows, chosen: Sequence[int]) -> Rows:
    """The rows at the indexes, in their order."""
    if len(chosen) == len(rows.paths) and all(a == b for a, b in enumerate(chosen)):
        return rows
    at = np.asarray(chosen, np.int64)
    sizes = np.diff(rows.offsets)[at]
    offsets = np.zeros(len(at) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    terms, counts = np.empty(offsets[-1], np.uint32), np.empty(offsets[-1], np.uint8)
    # Piece by piece: the places of all entries would take three times the memory of the entries.
    for begin in range(0, len(at), _SELECTED_ROWS):
        part = slice(begin, begin + _SELECTED_ROWS)
        shift = rows.offsets[at[part]] - offsets[:-1][part]
        low, high = offsets[begin], offsets[min(begin + _SELECTED_ROWS, len(at))]
        entries = np.repeat(shift, sizes[part]) + np.arange(low, high)
        terms[low:high], counts[low:high] = rows.terms[entries], rows.counts[entries]
    return Rows(
        tuple(rows.paths[index] for index in chosen),
        rows.stamps[at],
        offsets,
        terms,
        counts,
        rows.lengths[at],
        rows.digests[at],
    )


def merge_rows(rows: Rows, *newer: Rows) -> Rows:
    """All rows in the order of their paths; of a file that is in several the newest one.

    ``rows`` are in that order. A few files that take the place of older ones cost no more than the
    copying of the arrays.
    """
    fresh = join_rows(newer)
    last = {path: row for row, path in enumerate(fresh.paths)}
    at = [bisect_left(rows.paths, path) for path in last]
    if all(
        row < len(rows.paths) and rows.paths[row] == path
        for row, path in zip(at, last, strict=True)
    ):
        return _replaced(rows, fresh, dict(sorted(zip(at, last.values(), strict=True))))
    joined = join_rows([rows, fresh])
    every = {path: row for row, path in enumerate(joined.paths)}
    return select_rows(joined, [every[path] for path in sorted(every)])


def _replaced(rows: Rows, fresh: Rows, by: Mapping[int, int]) -> Rows:
    """The rows with those at the keys, which ascend, replaced by the fresh ones at the values."""
    if not by:
        return rows
    terms, counts = [], []
    begin = 0
    for row, new in by.items():
        old, now = slice(begin, rows.offsets[row]), slice(*fresh.offsets[new : new + 2])
        terms += [rows.terms[old], fresh.terms[now]]
        counts += [rows.counts[old], fresh.counts[now]]
        begin = rows.offsets[row + 1]
    at, to = np.array(list(by), np.int64), np.array(list(by.values()), np.int64)
    sizes = np.diff(rows.offsets)
    sizes[at] = np.diff(fresh.offsets)[to]
    stamps, lengths, digests = rows.stamps.copy(), rows.lengths.copy(), rows.digests.copy()
    stamps[at], lengths[at], digests[at] = fresh.stamps[to], fresh.lengths[to], fresh.digests[to]
    return Rows(
        rows.paths,
        stamps,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]),
        np.concatenate([*terms, rows.terms[begin:]]),
        np.concatenate([*counts, rows.counts[begin:]]),
        lengths,
        digests,
    )


@dataclass(frozen=True, slots=True)
class Postings:
    """Where the terms of a query occur, as parallel arrays."""

    file: Indexes
    term: Indexes
    """Index into the query's terms."""
    count: NDArray[np.float32]
    symbol: NDArray[np.float32]
    """Occurrences as a definition's name."""


def find(rows: Rows, terms: Hashes) -> Postings:
    """The occurrences of the sorted, distinct ``terms``."""
    hits = np.flatnonzero(is_among(rows.terms, terms))
    packed = rows.counts[hits]
    return Postings(
        (np.searchsorted(rows.offsets, hits, side="right") - 1).astype(np.int32),
        np.searchsorted(terms, rows.terms[hits]).astype(np.int32),
        (packed & _MAX_COUNT).astype(np.float32),
        (packed >> _SYMBOL_SHIFT).astype(np.float32),
    )


Chunk = list[tuple[str, Stamp, bytes]]


def _chunks(files: Iterable[tuple[str, Stamp, bytes]]) -> Iterator[Chunk]:
    chunk: Chunk = []
    size = 0
    for file in files:
        if size + len(file[2]) > _CHUNK_BYTES and chunk:
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += len(file[2])
    if chunk:
        yield chunk


def _rows_of_chunk(chunk: Chunk) -> Rows:
    text = np.frombuffer(PAD + PAD.join(data for _, _, data in chunk) + PAD, np.uint8)
    sizes = np.array([len(data) + len(PAD) for _, _, data in chunk], np.int64)
    begins = np.cumsum(sizes) - sizes + len(PAD)
    found = scan(text)
    keep = long_enough(found, text)
    named = defined_words(text, found, lines_of(text))
    part_file = (np.searchsorted(begins, found.start, side="right") - 1)[keep]
    part_term = found.term[keep]
    whole = np.flatnonzero(found.compound)
    whole_file = np.searchsorted(begins, found.word_start[whole], side="right") - 1
    terms = np.concatenate([part_term, found.word_term[whole]])
    owners = np.concatenate([part_file, whole_file])
    symbol = np.concatenate([named[found.word[keep]], named[whole]])
    keys = (owners.astype(np.uint64) << np.uint64(33)) | (terms.astype(np.uint64) << np.uint64(1))
    keys |= symbol
    keys.sort()
    both = keys >> np.uint64(1)
    first = np.empty(len(both), np.bool_)
    first[:1] = True
    first[1:] = both[1:] != both[:-1]
    at = np.flatnonzero(first)
    count = np.diff(np.append(at, len(both)))
    ones = np.add.reduceat((keys & np.uint64(1)).astype(np.int32), at) if len(at) else count
    packed = np.minimum(count, _MAX_COUNT) | (np.minimum(ones, 3) << _SYMBOL_SHIFT)
    owner = (both[at] >> np.uint64(32)).astype(np.int64)
    offsets = np.zeros(len(chunk) + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=len(chunk)), out=offsets[1:])
    return Rows(
        tuple(path for path, _, _ in chunk),
        np.array([stamp for _, stamp, _ in chunk], np.int64).reshape(-1, 3),
        offsets,
        (both[at] & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        packed.astype(np.uint8),
        np.bincount(part_file, minlength=len(chunk)).astype(np.int32),
        np.array([digest_of(data) for _, _, data in chunk], np.int64),
    )


FORMAT: Final = 2
"""To be raised whenever the layout changes."""

_DEPENDS_ON: Final = ("tokens", "ranges", "index", "reading")
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
    # As launch.files.replacing does, which this package may not import.
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
