"""The trained part of the scout: linear models whose weights are data, and what follows from them.

``weights.json`` is written by ``benchmarks/scout_training.py``; nothing here was set by hand.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FORMAT: Final = 1
_MIN_GOLD_LINES: Final = 8.0
_LOOKED_AT: Final = 20


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model over features in their own units."""

    weight: NDArray[np.float64]
    bias: float

    def logit(self, features: Floats) -> NDArray[np.float64]:
        """Of each row its score."""
        return np.asarray(features @ self.weight + self.bias, np.float64)


@dataclass(frozen=True, slots=True)
class Weights:
    """All that was trained."""

    files: Linear
    calibration: Linear
    """From what a file's score looks like among the others' to the chance that it is right."""
    cells: Linear
    high: float
    """Chance from which on a first file is said to be found with high confidence."""
    medium: float


@cache
def load_weights() -> Weights:
    """The weights that ship with the package.

    Raises:
        ValueError: they are of another format than this code reads.
    """
    text = resources.files("explorer.scout").joinpath("weights.json").read_text("utf-8")
    return parse_weights(json.loads(text))


def parse_weights(data: dict[str, Any]) -> Weights:
    """The weights in the training script's record.

    Raises:
        ValueError: the record has another format.
    """
    if data.get("format") != FORMAT:
        raise ValueError(f"weights of format {data.get('format')!r}, not {FORMAT}")

    def linear(name: str) -> Linear:
        part = data[name]
        return Linear(np.array(part["weight"], np.float64), float(part["bias"]))

    confidence = data["confidence"]
    return Weights(
        linear("files"),
        linear("calibration"),
        linear("cells"),
        float(confidence["high"]),
        float(confidence["medium"]),
    )


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance behind each logit."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30, 30))), np.float64)


def calibration_features(raw: NDArray[np.float64]) -> Floats:
    """What a score looks like among the others of its query: share, distances, place."""
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


def file_chances(weights: Weights, features: Floats) -> NDArray[np.float64]:
    """Of each candidate the chance that it is one of the files sought."""
    raw = weights.files.logit(features)
    chances = sigmoid(weights.calibration.logit(calibration_features(raw)))
    # The calibration says how much the best, second and further files are worth, never which
    # those are: it must not turn the order around.
    ordered = np.empty_like(chances)
    ordered[np.argsort(-raw, kind="stable")] = np.sort(chances)[::-1]
    return ordered


def how_many_files(chances: NDArray[np.float64], most: int) -> int:
    """How many of the best files to cite: as many as give the highest expected F1."""
    ordered = np.sort(chances)[::-1]
    sought = max(1.0, float(ordered[:_LOOKED_AT].sum()))
    counts = np.arange(1, min(most, len(ordered)) + 1)
    expected = 2 * np.cumsum(ordered[: len(counts)]) / (counts + sought)
    return int(np.argmax(expected)) + 1


def choose_cells(chances: NDArray[np.float64], lines: NDArray[np.int32]) -> NDArray[np.int64]:
    """The cells to cite, best first: as many as give the highest expected F1 over lines.

    ``chances`` are those of a line of each cell to be sought, ``lines`` the cells' sizes.
    """
    order = np.argsort(-chances, kind="stable")
    right = np.cumsum(chances[order] * lines[order])
    size = np.cumsum(lines[order])
    sought = max(float(right[-1]), _MIN_GOLD_LINES)
    count = int(np.argmax(2 * right / (size + sought))) + 1
    return order[:count]
