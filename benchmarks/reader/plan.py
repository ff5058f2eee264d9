"""Which groups each step of the training takes."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.reader.groups import SCOUT, Corpus

_SHARES: Final = {"name": 0.5, f"{SCOUT}name": 1.0, f"{SCOUT}how": 5.0}
"""How often a group of the kind is used in an epoch."""
_SCOUT_SHARE: Final = 3.0
"""Of other kinds made of records, whose passages are what the reader chooses from in use."""


def plan_of(
    corpus: Corpus, use: Sequence[int], epochs: float, size: int, seed: int
) -> NDArray[np.int64]:
    """The numbers of the groups of each step: [steps, size].

    In an epoch, a group is used as often as its kind is to be; a share that is no whole number is
    how likely it is used once more.
    """
    chance = np.random.default_rng(seed)
    shares = np.array([_share(corpus.groups[number].kind) for number in use])
    wanted = int(epochs * shares.sum() / size) * size
    numbers = np.array(use, np.int64)
    order = [np.zeros(0, np.int64)]
    while sum(map(len, order)) < wanted:
        often = np.floor(shares + chance.random(len(shares))).astype(np.int64)
        order.append(chance.permutation(np.repeat(numbers, often)))
    return np.concatenate(order)[:wanted].reshape(-1, size)


def _share(kind: str) -> float:
    return _SHARES.get(kind, _SCOUT_SHARE if kind.startswith(SCOUT) else 1.0)
