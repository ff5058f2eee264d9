"""The rows of the index: of each file the hashes of its terms with how often they occur.

They are a forward index in three flat arrays. A query scans all of it, some hundred million entries
a second, and counts on the way how many files have each of its terms; so a changed file costs no
more than its own terms, and the whole takes about a fifth of the source's size.

The files are read quickly, and only through the workspace's own root.
"""

import hashlib
import os
import stat
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.repository.documents import open_directory
from explorer.repository.workspace import Workspace
from explorer.scout.folding import fold
from explorer.scout.texts import most_bytes, text_of
from explorer.scout.tokens import (
    PAD,
    Hashes,
    Indexes,
    defined_words,
    in_chunks,
    is_among,
    lines_of,
    long_enough,
    scan,
)

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK

_CHUNK_BYTES: Final = 1 << 18
_WORKERS: Final = 2
_SELECTED_ROWS: Final = 1_024
MAX_COUNT: Final = 63
"""The highest number of occurrences that a row can say."""
_SYMBOL_SHIFT: Final = 6


class Stamp(NamedTuple):
    """What shows that a file is still the one that was read."""

    changed_ns: int
    """``st_ctime_ns``, which no program can set back; 0 where it may hide a later change."""
    size: int
    inode: int


NO_FILE: Final = Stamp(0, -1, 0)
Stamps = NDArray[np.int64]
"""Stamps as the rows of an array."""
_INODE: Final = (1 << 63) - 1
_CLOCK_TICK_NS: Final = 50_000_000
"""Two changes of a file within this time may have the same stamp: kernels count in 1 to 10 ms."""

FileText = tuple[str, Stamp, bytes]
"""A file's path, its stamp, and its text in UTF-8."""


def stamps(workspace: Workspace, paths: Sequence[str]) -> Stamps:
    """The stamp of each path, ``NO_FILE`` where there is no regular file.

    The directories on the way are not checked: a stamp says nothing about a file's content, and a
    file whose stamp differs is opened by ``read_files``, which follows no link.
    """
    root, is_regular, look = workspace.descriptor, stat.S_ISREG, os.stat
    found: list[int] = []
    for path in paths:
        try:
            status = look(path, dir_fd=root, follow_symlinks=False)
        except (OSError, ValueError):
            found += NO_FILE
            continue
        if is_regular(status.st_mode):
            found += (status.st_ctime_ns, status.st_size, status.st_ino & _INODE)
        else:
            found += NO_FILE
    return np.array(found, np.int64).reshape(-1, 3)


def digest_of(text: bytes) -> int:
    """A 63-bit digest of a file's text."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def read_files(
    workspace: Workspace, paths: Iterable[str], stopped: Callable[[], bool] = lambda: False
) -> Iterator[FileText]:
    """The files at the paths; the text is b"" where there is none to read.

    Binary files have no text, and long lines are cut. Paths must come from ``Workspace.files`` and
    be sorted: each directory is opened once, component by component, without following links.
    """
    paths = list(paths)
    for path, (directory, name) in zip(paths, _walk(workspace, paths), strict=True):
        if stopped():
            return
        yield path, *_read(directory, name)


def _walk(workspace: Workspace, paths: Iterable[str]) -> Iterator[tuple[int, str]]:
    """For each path an open descriptor of its directory, -1 if there is none, and the name."""
    current, descriptor = None, -1
    try:
        for path in paths:
            parent, _, name = path.rpartition("/")
            if parent != current:
                if descriptor >= 0:
                    os.close(descriptor)
                    descriptor = -1
                current = parent
                try:
                    descriptor = open_directory(workspace.descriptor, parent)
                except (OSError, ValueError):
                    descriptor = -1
            yield descriptor, name
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _read(directory: int, name: str) -> tuple[Stamp, bytes]:
    before = _stamp(directory, name)
    if before == NO_FILE:
        return before, b""
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=directory)
    except OSError:
        return before, b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return NO_FILE, b""
        data = os.read(descriptor, most_bytes(name))
        stamp = _stamped(status, time.time_ns())
    except OSError:
        return before, b""
    finally:
        os.close(descriptor)
    return stamp, text_of(data)


def _stamp(directory: int, name: str) -> Stamp:
    if directory < 0:
        return NO_FILE
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except (OSError, ValueError):
        return NO_FILE
    return _stamped(status) if stat.S_ISREG(status.st_mode) else NO_FILE


def _stamped(status: os.stat_result, now_ns: int = 0) -> Stamp:
    """The stamp; for a file that changed just before ``now_ns`` one that never matches again."""
    fresh = now_ns - status.st_ctime_ns < _CLOCK_TICK_NS and now_ns > 0
    changed_ns = 0 if fresh else status.st_ctime_ns
    return Stamp(changed_ns, status.st_size, status.st_ino & _INODE)


@dataclass(frozen=True, slots=True)
class IndexRows:
    """The terms of some files. File ``i`` has the entries ``offsets[i]`` to ``offsets[i + 1]``."""

    paths: tuple[str, ...]
    stamps: Stamps
    offsets: NDArray[np.int64]
    terms: Hashes
    """Sorted within a file."""
    counts: NDArray[np.uint8]
    """How often a term occurs, at most 63; in the two highest bits how often as a definition's
    name, at most 3."""
    lengths: Indexes
    """How many parts of identifiers each file has: what BM25 calls its length."""
    digests: NDArray[np.int64]
    """The digest of each file's text, which shows that a file with another stamp is the same."""


def build_rows(files: Iterable[FileText], stopped: Callable[[], bool] = lambda: False) -> IndexRows:
    """The rows of the files, in their order; only of those before ``stopped`` became true."""
    pieces: list[IndexRows] = []
    waiting: deque[Future[IndexRows]] = deque()
    # Array arithmetic releases the interpreter's lock: two cores do nearly twice as much.
    with ThreadPoolExecutor(_WORKERS, "scout-index") as pool:
        for chunk in in_chunks(files, lambda file: len(file[2]), _CHUNK_BYTES):
            if stopped():
                break
            waiting.append(pool.submit(_rows_of_chunk, chunk))
            if len(waiting) > 2 * _WORKERS:
                pieces.append(waiting.popleft().result())
        pieces += [each.result() for each in waiting]
    return join_rows(pieces)


def _rows_of_chunk(chunk: list[FileText]) -> IndexRows:
    texts = [fold(data) for _, _, data in chunk]
    text = np.frombuffer(PAD + PAD.join(texts) + PAD, np.uint8)
    sizes = np.array([len(each) + len(PAD) for each in texts], np.int64)
    begins = np.cumsum(sizes) - sizes + len(PAD)
    found = scan(text)
    keep = long_enough(found, text)
    named = defined_words(text, found, lines_of(text))
    part_file = (np.searchsorted(begins, found.start, side="right") - 1)[keep]
    whole = np.flatnonzero(found.compound)
    whole_file = np.searchsorted(begins, found.word_start[whole], side="right") - 1
    terms = np.concatenate([found.term[keep], found.word_term[whole]])
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
    packed = np.minimum(count, MAX_COUNT) | (np.minimum(ones, 3) << _SYMBOL_SHIFT)
    owner = (both[at] >> np.uint64(32)).astype(np.int64)
    offsets = np.zeros(len(chunk) + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=len(chunk)), out=offsets[1:])
    return IndexRows(
        tuple(path for path, _, _ in chunk),
        np.array([stamp for _, stamp, _ in chunk], np.int64).reshape(-1, 3),
        offsets,
        (both[at] & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        packed.astype(np.uint8),
        np.bincount(part_file, minlength=len(chunk)).astype(np.int32),
        np.array([digest_of(data) for _, _, data in chunk], np.int64),
    )


def empty_rows() -> IndexRows:
    """The rows of no file."""
    return IndexRows(
        (),
        np.zeros((0, 3), np.int64),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint32),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
    )


def join_rows(pieces: Sequence[IndexRows]) -> IndexRows:
    """The rows of all pieces, one after the other."""
    if not pieces:
        return empty_rows()
    starts = np.cumsum([0] + [len(piece.terms) for piece in pieces])
    offsets = [np.zeros(1, np.int64)]
    offsets += [piece.offsets[1:] + start for piece, start in zip(pieces, starts, strict=False)]
    return IndexRows(
        tuple(path for piece in pieces for path in piece.paths),
        np.concatenate([piece.stamps for piece in pieces]),
        np.concatenate(offsets),
        np.concatenate([piece.terms for piece in pieces]),
        np.concatenate([piece.counts for piece in pieces]),
        np.concatenate([piece.lengths for piece in pieces]),
        np.concatenate([piece.digests for piece in pieces]),
    )


def select_rows(rows: IndexRows, chosen: Sequence[int]) -> IndexRows:
    """The rows with these numbers, in their order."""
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
    paths = tuple(rows.paths[index] for index in chosen)
    arrays = rows.stamps[at], offsets, terms, counts, rows.lengths[at], rows.digests[at]
    return IndexRows(paths, *arrays)


def merge_rows(rows: IndexRows, *newer: IndexRows) -> IndexRows:
    """All rows in the order of their paths; of a file that occurs more than once the newest.

    ``rows`` are in that order. Replacing the rows of a few files costs no more than copying the
    arrays.
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


def _replaced(rows: IndexRows, fresh: IndexRows, by: Mapping[int, int]) -> IndexRows:
    """The rows, those at the ascending keys of ``by`` replaced by the fresh ones at its values."""
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
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    terms.append(rows.terms[begin:])
    counts.append(rows.counts[begin:])
    arrays = stamps, offsets, np.concatenate(terms), np.concatenate(counts), lengths, digests
    return IndexRows(rows.paths, *arrays)


@dataclass(frozen=True, slots=True)
class Postings:
    """Where the terms of a query occur, as parallel arrays."""

    file: Indexes
    term: Indexes
    """Index into the query's terms."""
    count: NDArray[np.float32]
    symbol: NDArray[np.float32]
    """How often the term is a definition's name."""


def find(rows: IndexRows, terms: Hashes) -> Postings:
    """The occurrences of the sorted, distinct ``terms``."""
    hits = np.flatnonzero(is_among(rows.terms, terms))
    packed = rows.counts[hits]
    return Postings(
        (np.searchsorted(rows.offsets, hits, side="right") - 1).astype(np.int32),
        np.searchsorted(terms, rows.terms[hits]).astype(np.int32),
        (packed & MAX_COUNT).astype(np.float32),
        (packed >> _SYMBOL_SHIFT).astype(np.float32),
    )
