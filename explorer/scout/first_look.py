"""A first look through files that are not indexed yet: ripgrep counts the query's words in them.

That takes a tenth of the time of indexing. The counts stand in for the index, roughly: words are
also found as parts of longer ones, names of definitions are not told apart, and sizes in words are
estimated from sizes in bytes. The files that rank high by them are indexed first, the rest later.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from explorer.repository.ripgrep import current_handle, rg_output
from explorer.repository.workspace import Workspace
from explorer.scout.folding import fold
from explorer.scout.index import Pending
from explorer.scout.query import Query
from explorer.scout.rows import MAX_COUNT, IndexRows
from explorer.scout.texts import MAX_CODE_BYTES, bytes_read
from explorer.scout.tokens import stems_of, words_of

MAX_WORDS: Final = 24
"""How many words of the query are looked for, the weightiest first."""

_BYTES_A_PART: Final = 9
"""How many bytes of source text make one part of an identifier, measured on nine repositories."""
_MAX_OUTPUT_BYTES: Final = 24 << 20
_SHORT: Final = 3
_PIECES: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def count_words(
    workspace: Workspace,
    query: Query,
    pending: Pending,
    stopped: Callable[[], bool],
    timeout_s: float,
) -> IndexRows:
    """Rows with the query's terms alone; those of files that rg did not reach are empty.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    words = _words(query)
    row_of = {path: row for row, path in enumerate(pending.paths)}
    keys: dict[int, int] = {}
    if words and pending.paths:
        keys = _counted(_output(workspace, words, stopped, timeout_s), words, row_of)
    distinct = np.array(sorted(keys), np.int64)
    count = np.array([keys[key] for key in distinct.tolist()], np.int64)
    offsets = np.searchsorted(distinct >> 32, np.arange(len(pending.paths) + 1))
    size = bytes_read(pending.paths, pending.stamps[:, 1])
    return IndexRows(
        tuple(pending.paths),
        pending.stamps,
        offsets.astype(np.int64),
        (distinct & 0xFFFFFFFF).astype(np.uint32),
        np.minimum(count, MAX_COUNT).astype(np.uint8),
        (size // _BYTES_A_PART).astype(np.int32),
        np.zeros(len(pending.paths), np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Word:
    """What is looked for."""

    pattern: str
    terms: tuple[int, ...]
    """The terms that occur where it matches."""


def _words(query: Query) -> dict[bytes, _Word]:
    """What to look for, by its text in lower case without underscores."""
    order = np.argsort(-query.weight * (1.0 + query.code), kind="stable").tolist()
    terms = set(query.terms.tolist())
    found: dict[bytes, _Word] = {}
    for index in order:
        if len(found) >= MAX_WORDS:
            break
        text = query.words[index]
        stems = [(stem, term) for stem, term in stems_of(text) if term in terms]
        for stem, term in stems:
            # A short word has to stand alone; a long one may go on behind its stem.
            escaped = _either_form(stem.decode("utf-8", "replace"))
            pattern = escaped if len(stem) > _SHORT else rf"\b{escaped}\b"
            found.setdefault(stem, _Word(pattern, (term,)))
        (_, parts, whole), *more = words_of(text) or [("", [], 0)]
        if len(parts) > 1 and not more and whole in terms:
            pieces = [piece for piece in _PIECES.findall(text) if piece]
            key = _key("".join(pieces).encode())
            pattern = "_?".join(_either_form(piece) for piece in pieces)
            found.setdefault(key, _Word(pattern, (whole, *(term for _, term in stems))))
    return found


def _either_form(text: str) -> str:
    """A pattern for the text, its letters composed or decomposed."""
    forms = dict.fromkeys(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    pattern = "|".join(re.escape(form) for form in forms)
    return f"(?:{pattern})" if len(forms) > 1 else pattern


def _key(matches: bytes) -> bytes:
    """What matched, whatever its spelling."""
    return fold(matches).lower().replace(b"_", b"")


def _output(
    workspace: Workspace, words: dict[bytes, _Word], stopped: Callable[[], bool], timeout_s: float
) -> bytes:
    # Longest first: of two that begin at the same place, rg takes the one that it was given first.
    longest = sorted(words, key=len, reverse=True)
    patterns = [f"--regexp={words[key].pattern}" for key in longest]
    options = ["--only-matching", "--ignore-case", "--heading", "--no-line-number", "--null"]
    rules, ignored = workspace.listing.rg_rules()
    options += ["--color=never", f"--max-filesize={MAX_CODE_BYTES}", *rules]
    output, _ = rg_output(
        [*options, *patterns, "--", "./"],
        cwd_fd=workspace.descriptor,
        max_bytes=_MAX_OUTPUT_BYTES,
        timeout_s=timeout_s,
        handle=current_handle(),
        stdin=ignored,
        stopped=stopped,
    )
    return output


def _counted(output: bytes, words: dict[bytes, _Word], row_of: dict[str, int]) -> dict[int, int]:
    """How often each term occurs in each row; the key is the row and the term as one number."""
    keys: dict[int, int] = {}
    for group in output.split(b"\n\n"):
        path, _, matches = group.partition(b"\0")
        row = row_of.get(path.decode("utf-8", "surrogateescape").removeprefix("./"))
        if row is None:
            continue
        begin = row << 32
        for match, count in Counter(_key(matches).split()).items():
            word = words.get(match)
            for term in word.terms if word is not None else ():
                keys[begin | term] = keys.get(begin | term, 0) + count
    return keys
