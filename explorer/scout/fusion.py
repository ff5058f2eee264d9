"""How what the words say and what the reader says are weighed against each other.

The files are ranked first, then the definitions, by what is known of their file and of themselves.
Both are conditional logits. The reader's scores are comparable within one question only, so what
counts is how far each is behind the best. A plain question and a long text have weights of their
own: the words of a message say more about the file, those of a question less.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.judging import FEATURES, LEAST_CHANCE
from explorer.scout.networks import LogisticModel, file_chances

Values = NDArray[np.float64]

FILE_COLUMNS: Final = ("chance", "rank", "best", "three", "sum", "raw", "named")
DEFINITION_COLUMNS: Final = (*FEATURES, "reader", "behind", "behind_in_file")
_UNREAD: Final = -8.0
"""What a file or definition of which nothing was read is behind the best one, in log odds."""
_FEW: Final = 4
_THREE: Final = 3


@dataclass(frozen=True, slots=True)
class Levels:
    """From which chances on the confidence in the first file, and the first place, is given."""

    high: float
    medium: float
    place_high: float
    place_medium: float


@dataclass(frozen=True, slots=True)
class Fusion:
    """The weights for one kind of question."""

    files: Values
    """Of ``FILE_COLUMNS``."""
    calibration: LogisticModel
    """Turns the files' scores into chances, as ``networks.file_chances`` does."""
    definitions: Values
    """Of ``DEFINITION_COLUMNS``."""
    levels: Levels


def parse_fusion(data: dict[str, Any]) -> Fusion:
    """The weights in the record that ``benchmarks.reader.fusion`` writes.

    Raises:
        KeyError: a weight is missing.
    """
    calibration = data["calibration"]
    return Fusion(
        np.array([data["files"][name] for name in FILE_COLUMNS]),
        LogisticModel(np.array(calibration["weight"], np.float64), float(calibration["bias"])),
        np.array([data["definitions"][name] for name in DEFINITION_COLUMNS]),
        Levels(*(float(data[name]) for name in ("high", "medium", "place_high", "place_medium"))),
    )


@cache
def load_fusion() -> dict[str, Fusion]:
    """The weights that ship with the package, for ``plain`` questions and for ``long`` texts."""
    text = resources.files("explorer.scout").joinpath("fusion.json").read_text("utf-8")
    return {kind: parse_fusion(each) for kind, each in json.loads(text).items()}


def file_columns(chances: Values, table: Values, owner: NDArray[np.int64], read: Values) -> Values:
    """A row for each file, with ``FILE_COLUMNS``.

    ``table`` and ``owner`` are those of the definitions, ``read`` is what the reader says of each
    of these: NaN where it read nothing.
    """
    count = len(chances)
    known = ~np.isnan(read)
    best, three, total = (np.full(count, np.nan) for _ in range(3))
    for file in range(count):
        own = np.sort(read[known & (owner == file)])[::-1]
        if len(own):
            best[file] = own[0]
            three[file] = np.append(own[:_THREE], [own[-1]] * (_THREE - len(own[:_THREE]))).mean()
            few = own[:_FEW]
            total[file] = own[0] + np.log(np.exp(few - own[0]).sum())
    named = np.zeros(count)
    exact = table[:, FEATURES.index("exact")] + table[:, FEATURES.index("qualified")]
    np.maximum.at(named, owner, exact)
    columns = [
        np.log(chances + LEAST_CHANCE),
        -np.log1p(np.argsort(np.argsort(-chances, kind="stable"), kind="stable")),
        *(_behind(each) for each in (best, three, total)),
        np.where(np.isnan(best), 0.0, np.clip(best, -8.0, 8.0)),
        np.minimum(named, 1.0),
    ]
    return np.stack(columns, axis=1)


def definition_columns(
    chances: Values, table: Values, owner: NDArray[np.int64], read: Values
) -> Values:
    """A row for each definition, with ``DEFINITION_COLUMNS``; ``chances`` are the fused ones."""
    with_files = table.copy()
    with_files[:, FEATURES.index("file")] = np.log(chances + LEAST_CHANCE)[owner]
    in_file = np.full(len(chances), -np.inf)
    known = ~np.isnan(read)
    np.maximum.at(in_file, owner[known], read[known])
    columns = [
        np.where(known, np.clip(read, -8.0, 8.0), -8.0),
        _behind(read),
        np.where(known, np.maximum(read - in_file[owner], _UNREAD), _UNREAD),
    ]
    return np.concatenate([with_files, np.stack(columns, axis=1)], axis=1)


def _behind(scores: Values) -> Values:
    """How far each score is behind the best one; NaN is far."""
    if np.isnan(scores).all():
        return np.zeros(len(scores))
    return np.where(np.isnan(scores), _UNREAD, np.maximum(scores - np.nanmax(scores), _UNREAD))


def fuse(
    fusion: Fusion,
    chances: Values,
    table: Values,
    owner: NDArray[np.int64],
    read: Values,
    *,
    gains: Values | float = 1.0,
) -> tuple[Values, Values]:
    """The chances of the files and the log odds of the definitions, words and reader together.

    The chances of the files are multiplied by their ``gains``.
    """
    raw = file_columns(chances, table, owner, read) @ fusion.files
    fused = gains * file_chances(fusion.calibration, raw)
    return fused, definition_columns(fused, table, owner, read) @ fusion.definitions
