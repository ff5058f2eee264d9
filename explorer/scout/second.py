"""The second ranking: what the networks, trained on commit messages, do not know of a question.

A plain question asks for the file that is about something; a message tells what went wrong in one.
So a file whose name the question says weighs more, and so does one that is not buried, superseded
or aside. What a question is nothing but a name of is decided by definitions alone.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.networks import LogisticModel, file_chances
from explorer.scout.query import Query
from explorer.scout.scores import PathIndex
from explorer.scout.tokens import Floats, words_of

_GAINS: Final = {
    "name said": 1.0,
    "folder said": 0.6,
    "old": -0.5,
    "depth": -0.2,
    "aside": -1.0,
}
"""What each column adds to a file's score, in log odds. Set by hand: fitted to documentation pairs
of 35 repositories they rank these better and questions worse (``benchmarks/SCOUT.md``)."""
PLAIN: Final = LogisticModel(np.array([0.708151, -0.023047, 0.647453, -0.592968]), -0.068524)
"""Turns scores of plain questions into chances; fitted on 490 documentation pairs."""
PLAIN_HIGH: Final = 0.77
"""From here on the first file was right in 91% of these."""
_SURE, _UNSURE = 0.97, 0.7
"""How often the first file defines the name asked for if it stands out by ``_APART``, or does not:
measured on 144 names of 17 repositories."""
_APART: Final = 1.0


def extra_features(query: Query, paths: PathIndex, rows: Sequence[int]) -> Floats:
    """A row for each of the chosen files, with a column for each of ``_GAINS``."""
    said = {part for _, parts, whole in words_of(query.text) for part in (*parts, whole)}
    least = min((float(paths.depth[row]) for row in rows), default=0.0)
    table = []
    for row in rows:
        folder, _, name = paths.paths[row].rpartition("/")
        stem = _parts(name.lstrip(".").partition(".")[0])
        within = _parts(folder.rpartition("/")[2])
        table.append(
            [
                bool(stem) and all(part in said for part in stem),
                sum(part in said for part in within) / max(1, len(within)),
                paths.is_old[row],
                min(4.0, float(paths.depth[row]) - least),
                paths.is_aside[row],
            ]
        )
    return np.array(table, np.float32).reshape(len(rows), len(_GAINS))


def _parts(text: str) -> list[int]:
    return [part for _, parts, _ in words_of(text) for part in parts]


def chances_of(
    query: Query,
    raw: NDArray[np.float64],
    extra: Floats,
    standing: Floats,
    usual: LogisticModel,
) -> NDArray[np.float64]:
    """The chance of each candidate to be right. ``raw`` are the scores of the networks.

    ``usual`` calibrates those of messages and issues.
    """
    if query.alone is not None and standing.any():
        return _named(raw, standing)
    if not query.is_plain:
        return file_chances(usual, raw)
    return file_chances(PLAIN, raw + extra @ np.array(list(_GAINS.values()), np.float32))


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
