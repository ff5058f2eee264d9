"""Small networks that score candidate files and cells, evaluated with numpy alone.

Each occurrence of a query's term goes through two layers. Their output is summed over a file's or a
cell's occurrences; the sums and what else is known of it go through two more. So what an occurrence
is worth is learned from what the term is and how it occurs, where BM25 has a formula.

``weights.npz`` holds the networks, ``weights.json`` the calibration and what was trained on. Both
are written by ``benchmarks/scout_training.py``; nothing in them was set by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.matches import Matches
from explorer.scout.tokens import Floats

FORMAT: Final = 2
_MIN_SOUGHT_LINES: Final = 8.0
_SOUGHT_SHARE: Final = 0.5
"""The share of the lines expected to be sought that is counted: F1 is higher if they turn out to be
few, so that case matters more. Cross-validated line F1 is 19.5 with 0.5, 19.3 with 1, 18.5 with
1.5."""
_LOOKED_AT: Final = 20

CLIP: Final = 6.0
"""Standardised inputs are kept within plus and minus this: a new repository may hold anything."""
USUAL_MATCHES: Final = 4.0
"""The usual number of matches of a row; if there are more on average, their sums count less."""


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
        """A score for each row of the table; higher is better. Matches are sorted by owner."""
        values = scaled(matches.values, self.match_mean, self.match_scale)
        hidden = lifted(values @ self.a, self.a_bias)
        pooled = pool(hidden @ self.b + self.b_bias, matches.owner, len(table))
        x = scaled(table, self.x_mean, self.x_scale)
        upper = join(x, pooled, len(matches.owner))
        inner = lifted(upper @ self.c, self.c_bias)
        return np.asarray(upper @ self.straight + inner @ self.d + self.bias, np.float32)


def scaled(values: Floats, mean: Floats, scale: Floats) -> Floats:
    """The values in units of their usual spread, within plus and minus ``CLIP``."""
    result: Floats = values - mean
    result /= scale
    np.clip(result, -CLIP, CLIP, out=result)
    return result


def lifted(values: Floats, bias: Floats) -> Floats:
    """The values plus the bias, at least 0; in the place of ``values``, which are large."""
    values += bias
    np.maximum(values, 0, out=values)
    return values


def pool(values: Floats, owner: NDArray[np.integer], count: int) -> Floats:
    """The sum of the rows of each of ``count`` owners; ``owner`` ascends."""
    result = np.zeros((count, values.shape[1]), np.float32)
    if len(owner):
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        result[owner[first]] = np.add.reduceat(values, first, axis=0)
    return result


def join(x: Floats, pooled: Floats, matches: int) -> Floats:
    """The input of the upper layers: the table's, the sums, and the sums scaled to the usual."""
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


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """A linear model over features in their own units."""

    weight: NDArray[np.float64]
    bias: float

    def logit(self, features: Floats) -> NDArray[np.float64]:
        """The score of each row."""
        return np.asarray(features @ self.weight + self.bias, np.float64)


@dataclass(frozen=True, slots=True)
class Weights:
    """All that was trained."""

    files: tuple[Network, ...]
    calibration: LogisticModel
    """Turns a file's score, compared with those of the others, into the chance that it is right."""
    cells: tuple[Network, ...]
    """Their score is the log odds that a line of the cell is sought, if its file is."""
    high: float
    """The chance from which on the confidence in the first file is high."""
    medium: float


@cache
def load_weights() -> Weights:
    """The weights that ship with the package.

    Raises:
        ValueError: this code does not read their format.
    """
    folder = resources.files("explorer.scout")
    record = json.loads(folder.joinpath("weights.json").read_text("utf-8"))
    with folder.joinpath("weights.npz").open("rb") as file, np.load(file) as kept:
        return parse_weights(record, dict(kept))


def parse_weights(data: dict[str, Any], arrays: Mapping[str, NDArray[np.floating]]) -> Weights:
    """The weights in the training script's record and arrays.

    Raises:
        ValueError: the record has another format.
        KeyError: an array is missing.
    """
    if data.get("format") != FORMAT:
        raise ValueError(f"weights of format {data.get('format')!r}, not {FORMAT}")

    part = data["calibration"]
    confidence = data["confidence"]
    return Weights(
        networks_of(arrays, "files"),
        LogisticModel(np.array(part["weight"], np.float64), float(part["bias"])),
        networks_of(arrays, "cells"),
        float(confidence["high"]),
        float(confidence["medium"]),
    )


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance that each logit stands for."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30, 30))), np.float64)


def calibration_features(raw: NDArray[np.float64]) -> Floats:
    """How each score compares with the others of its query: share, distances, place."""
    exponential = np.exp(raw - raw.max())
    chance = exponential / exponential.sum()
    ordered = np.sort(raw)[::-1]
    second = ordered[1] if len(ordered) > 1 else ordered[0]
    place = np.argsort(np.argsort(-raw, kind="stable"), kind="stable")
    columns = [
        np.log(chance + 1e-6),
        raw - raw.max(),
        np.maximum(raw - second, 0),
        np.log1p(place),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def file_chances(calibration: LogisticModel, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance that each candidate is one of the files sought, by its score."""
    chances = sigmoid(calibration.logit(calibration_features(raw)))
    # The calibration says how much the best file, the second and the others are worth, not which
    # those are: it must not change the order.
    ordered = np.empty_like(chances)
    ordered[np.argsort(-raw, kind="stable")] = np.sort(chances)[::-1]
    return ordered


def how_many_files(chances: NDArray[np.float64], most: int) -> int:
    """How many of the best files to cite: the number with the highest expected F1."""
    ordered = np.sort(chances)[::-1]
    sought = max(1.0, float(ordered[:_LOOKED_AT].sum()))
    counts = np.arange(1, min(most, len(ordered)) + 1)
    expected = 2 * np.cumsum(ordered[: len(counts)]) / (counts + sought)
    return int(np.argmax(expected)) + 1


def choose_cells(chances: NDArray[np.float64], lines: NDArray[np.int32]) -> NDArray[np.int64]:
    """The cells to cite, best first: the number with the highest expected F1 over lines.

    ``chances`` say how likely a line of each cell is sought, ``lines`` how many each cell has.
    """
    order = np.argsort(-chances, kind="stable")
    right = np.cumsum(chances[order] * lines[order])
    size = np.cumsum(lines[order])
    sought = max(_SOUGHT_SHARE * float(right[-1]), _MIN_SOUGHT_LINES)
    count = int(np.argmax(2 * right / (size + sought))) + 1
    return order[:count]
