"""Small networks that score candidate files and cells, evaluated with numpy alone.

Each occurrence of a query's term goes through two layers; what comes out is summed over a thing's
occurrences, and the sums and what else is known of the thing go through two more. So the worth of
an occurrence is learned from what the term is and how it occurs, as BM25 fixes it by a formula.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.matches import Matches

Floats = NDArray[np.float32]

CLIP: Final = 6.0
"""Standardised inputs are kept within plus and minus this: a new repository may hold anything."""
USUAL_MATCHES: Final = 4.0
"""Occurrences of a thing; where there are more on average their sums count less."""


@dataclass(frozen=True, slots=True)
class Network:
    """One trained network. Vectors and matrices are applied from the right."""

    x_mean: Floats
    x_scale: Floats
    match_mean: Floats
    match_scale: Floats
    a: Floats
    a_bias: Floats
    b: Floats
    b_bias: Floats
    straight: Floats
    """From the inputs of the upper layers to the score, past them."""
    c: Floats
    c_bias: Floats
    d: Floats
    bias: Floats

    def score(self, table: Floats, matches: Matches) -> Floats:
        """A score of each row of the table; higher is better. Matches are sorted by owner."""
        values = clipped((matches.values - self.match_mean) / self.match_scale)
        hidden = np.maximum(values @ self.a + self.a_bias, 0)
        pooled = pool(hidden @ self.b + self.b_bias, matches.owner, len(table))
        x = clipped((table - self.x_mean) / self.x_scale)
        upper = join(x, pooled, len(matches.owner))
        inner = np.maximum(upper @ self.c + self.c_bias, 0)
        return np.asarray(upper @ self.straight + inner @ self.d + self.bias, np.float32)


def clipped(values: Floats) -> Floats:
    """The values within plus and minus ``CLIP``."""
    return np.asarray(np.clip(values, -CLIP, CLIP), np.float32)


def pool(values: Floats, owner: NDArray[np.integer], count: int) -> Floats:
    """The sum of the rows of each of ``count`` owners; ``owner`` ascends."""
    result = np.zeros((count, values.shape[1]), np.float32)
    if len(owner):
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        result[owner[first]] = np.add.reduceat(values, first, axis=0)
    return result


def join(x: Floats, pooled: Floats, matches: int) -> Floats:
    """What the upper layers see: the inputs, the sums, and the sums by the usual occurrences."""
    usual = USUAL_MATCHES / max(USUAL_MATCHES, matches / max(1, len(x)))
    return np.concatenate(
        [x, pooled / np.float32(USUAL_MATCHES), pooled * np.float32(usual)], axis=1
    )


def score_all(networks: tuple[Network, ...], table: Floats, matches: Matches) -> Floats:
    """The mean of the networks' scores."""
    scores = [each.score(table, matches) for each in networks]
    return np.asarray(np.mean(scores, axis=0), np.float32)


def networks_of(arrays: Mapping[str, NDArray[np.floating]], name: str) -> tuple[Network, ...]:
    """The networks kept in ``arrays`` under ``<name>.<number>.<field>``.

    Raises:
        KeyError: an array is missing.
    """
    count = len({key.split(".")[1] for key in arrays if key.startswith(f"{name}.")})
    if not count:
        raise KeyError(name)
    names = [field.name for field in fields(Network)]
    return tuple(
        Network(*(arrays[f"{name}.{number}.{key}"].astype(np.float32) for key in names))
        for number in range(count)
    )
