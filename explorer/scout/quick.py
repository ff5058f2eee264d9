"""A first look through files that are not indexed yet: ripgrep counts the query's words in them.

It takes a tenth of the time that indexing takes. The counts stand in for the index's: words are
found as parts of longer ones too, names of definitions are not told apart, and sizes in words are
estimated from sizes in bytes. What ranks high by them is then indexed, the rest later.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from explorer.repository.ripgrep import RgHandle, run_rg
from explorer.repository.workspace import Workspace
from explorer.scout.index import Rows
from explorer.scout.query import Query
from explorer.scout.reading import MAX_FILE_BYTES, Stamps
from explorer.scout.tokens import stems_of, words_of

MAX_WORDS: Final = 24
"""Words of the query that are looked for, the weightiest first."""

_BYTES_A_PART: Final = 9
"""Of source text, measured on nine repositories."""
_MAX_OUTPUT_BYTES: Final = 24 << 20
_MAX_COUNT: Final = 63
_SHORT: Final = 3
_PIECES: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


@dataclass(frozen=True, slots=True)
class Unread:
    """Files that are to be looked through, as parallel sequences."""

    paths: Sequence[str]
    stamps: Stamps


def count_words(
    workspace: Workspace,
    query: Query,
    unread: Unread,
    stopped: Callable[[], bool],
    timeout_s: float,
) -> Rows:
    """Rows of the files with the query's terms alone; empty ones of files that rg did not reach.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    words = _words(query)
    row_of = {path: row for row, path in enumerate(unread.paths)}
    keys: dict[int, int] = {}
    if words and unread.paths:
        keys = _counted(_output(workspace, words, stopped, timeout_s), words, row_of)
    distinct = np.array(sorted(keys), np.int64)
    count = np.array([keys[key] for key in distinct.tolist()], np.int64)
    offsets = np.searchsorted(distinct >> 32, np.arange(len(unread.paths) + 1))
    size = np.clip(unread.stamps[:, 1], 0, MAX_FILE_BYTES)
    return Rows(
        tuple(unread.paths),
        unread.stamps,
        offsets.astype(np.int64),
        (distinct & 0xFFFFFFFF).astype(np.uint32),
        np.minimum(count, _MAX_COUNT).astype(np.uint8),
        (size // _BYTES_A_PART).astype(np.int32),
        np.zeros(len(unread.paths), np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Word:
    """What is looked for."""

    pattern: str
    terms: tuple[int, ...]
    """The terms that a match is an occurrence of."""


def _words(query: Query) -> dict[bytes, _Word]:
    """What to look for, under its text in lower case without underscores."""
    order = np.argsort(-query.weight * (1.0 + query.code), kind="stable").tolist()
    terms = set(query.terms.tolist())
    found: dict[bytes, _Word] = {}
    for index in order:
        if len(found) >= MAX_WORDS:
            break
        text = query.words[index]
        stems = [(stem, term) for stem, term in stems_of(text) if term in terms]
        for stem, term in stems:
            # A short word stands alone; of a long one what its stem lacks may follow.
            escaped = re.escape(stem.decode("utf-8", "replace"))
            pattern = escaped if len(stem) > _SHORT else rf"\b{escaped}\b"
            found.setdefault(stem, _Word(pattern, (term,)))
        (_, parts, whole), *more = words_of(text) or [("", [], 0)]
        if len(parts) > 1 and not more and whole in terms:
            pieces = [piece for piece in _PIECES.findall(text) if piece]
            key = "".join(pieces).lower().encode()
            pattern = "_?".join(re.escape(piece) for piece in pieces)
            found.setdefault(key, _Word(pattern, (whole, *(term for _, term in stems))))
    return found


def _output(
    workspace: Workspace, words: dict[bytes, _Word], stopped: Callable[[], bool], timeout_s: float
) -> bytes:
    chunks: list[bytes] = []
    room = _MAX_OUTPUT_BYTES

    def sink(chunk: bytes) -> bool:
        nonlocal room
        chunks.append(chunk)
        room -= len(chunk)
        return room > 0 and not stopped()

    # Longest first: where two begin at one place, rg takes the first that it was given.
    longest = sorted(words, key=len, reverse=True)
    patterns = [f"--regexp={words[key].pattern}" for key in longest]
    options = ["--only-matching", "--ignore-case", "--heading", "--no-line-number", "--null"]
    options += ["--color=never", f"--max-filesize={MAX_FILE_BYTES}", *workspace.listing.rules]
    run_rg(
        [*options, *patterns, "--", "./"],
        cwd_fd=workspace.descriptor,
        sink=sink,
        timeout_s=timeout_s,
        handle=RgHandle(),
    )
    return b"".join(chunks)


def _counted(output: bytes, words: dict[bytes, _Word], row_of: dict[str, int]) -> dict[int, int]:
    """How often each term occurs in each row, under both as one number."""
    keys: dict[int, int] = {}
    for group in output.split(b"\n\n"):
        path, _, matches = group.partition(b"\0")
        row = row_of.get(path.decode("utf-8", "surrogateescape").removeprefix("./"))
        if row is None:
            continue
        begin = row << 32
        for match, count in Counter(matches.lower().replace(b"_", b"").split()).items():
            word = words.get(match)
            for term in word.terms if word is not None else ():
                keys[begin | term] = keys.get(begin | term, 0) + count
    return keys
