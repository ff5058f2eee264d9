"""The second ranking: what the networks, trained on commit messages, do not know of a question.

A plain question asks for the file that is about something; a message tells what went wrong in one.
So a file whose name the question says weighs more, and so does one that is not buried, superseded
or aside. In a long text the title weighs more than the explanation, and so does a file's name. A
question that is nothing but a name is decided by definitions alone.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.networks import LogisticModel, file_chances
from explorer.scout.query import Query
from explorer.scout.scores import PathIndex, Scores, share, sought_kind
from explorer.scout.tokens import (
    PAD,
    Floats,
    Hashes,
    distinct,
    is_among,
    long_enough,
    scan,
    words_of,
)

COLUMNS: Final = ("name said", "folder said", "old", "depth", "aside", "title", "name", "sought")
_PLAIN_GAINS: Final = np.array([1.0, 0.6, -0.5, -0.2, -1.0, 0.0, 0.0, 6.0])
_LONG_GAINS: Final = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0])
"""What each column adds to a file's score, in log odds. Set by hand: fitted to documentation pairs
of 35 repositories, they rank these better and questions worse (``benchmarks/SCOUT.md``)."""
PLAIN: Final = LogisticModel(np.array([1.086148, -0.260302, 0.566139, -0.342751]), 0.196904)
"""Turns scores of plain questions into chances; fitted on 970 documentation pairs."""
PLAIN_HIGH: Final = 0.76
"""From here on the first file was right in 91% of these."""
_SURE, _UNSURE = 0.97, 0.7
"""How often the first file defines the name asked for if it stands out by ``_APART``, or does not:
measured on 144 names of 17 repositories."""
_APART: Final = 1.0


def extra_features(query: Query, paths: PathIndex, rows: Sequence[int], scores: Scores) -> Floats:
    """A row for each of the chosen files, with ``COLUMNS``."""
    said = distinct(part for _, parts, _ in words_of(query.text) for part in parts)
    folders = [paths.paths[row].rpartition("/")[0].rpartition("/")[2] for row in rows]
    names = [paths.paths[row].rpartition("/")[2].lstrip(".").partition(".")[0] for row in rows]
    of_name, of_folder = _said_share(names, said), _said_share(folders, said)
    at = np.asarray(rows, np.int64)
    depth = paths.depth[at]
    columns = [
        of_name == 1.0,
        of_folder,
        paths.is_old[at],
        np.minimum(4.0, depth - depth.min(initial=np.inf)),
        paths.is_aside[at],
        share(scores["title"])[at],
        share(scores["name"])[at],
        sought_kind(paths, query.seeks)[at],
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _said_share(texts: Sequence[str], said: Hashes) -> Floats:
    """The share of each text's parts of words that are said; 0 for a text without any."""
    data = [text.encode("utf-8", "replace") for text in texts]
    array = np.frombuffer(PAD + b"\n".join(data) + PAD, np.uint8)
    found = scan(array)
    keep = long_enough(found, array)
    starts = np.cumsum([len(PAD)] + [len(text) + 1 for text in data[:-1]])
    owner = np.searchsorted(starts, found.start[keep], side="right") - 1
    heard = np.bincount(owner, is_among(found.term[keep], said), len(texts))
    return (heard / np.maximum(1, np.bincount(owner, minlength=len(texts)))).astype(np.float32)


def chances_of(
    query: Query,
    raw: NDArray[np.float64],
    extra: Floats,
    standing: Floats,
    usual: LogisticModel,
    *,
    is_exact: bool,
) -> NDArray[np.float64]:
    """The chance of each candidate to be right. ``raw`` are the scores of the networks.

    ``usual`` calibrates those of messages and issues. ``is_exact``: how candidates stand decides.
    """
    if is_exact:
        return _named(raw, standing)
    if query.is_plain:
        return file_chances(PLAIN, raw + extra @ _PLAIN_GAINS)
    return file_chances(usual, raw + extra @ _LONG_GAINS)


def _named(raw: NDArray[np.float64], standing: Floats) -> NDArray[np.float64]:
    """Those that define the name by how they stand out, all others far behind them."""
    order = np.lexsort((-raw, -standing))
    first = standing[order[0]]
    apart = len(order) < 2 or first - standing[order[1]] >= _APART
    chances = np.empty(len(raw))
    for place, index in enumerate(order.tolist()):
        behind = first - standing[index] if standing[index] else 9.0
        chances[index] = (_SURE if apart else _UNSURE) * np.exp(-behind) * 0.999**place
    return chances
