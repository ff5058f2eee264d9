"""What is known of a candidate file and of a cell, as numbers for the ranking models."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.field import Field
from explorer.scout.paths import PathIndex
from explorer.scout.scores import Scores

Floats = NDArray[np.float32]

SCORED: Final = (
    "body flat title lead code whole cover rare symbol symbol_code fields path name name_share "
    "stem scope partner mention"
).split()
PEAKED: Final = (
    "own near around wide local_near near_title near_code block block_name pairs pairs_near "
    "quoted_near"
).split()
CELL_RANKED: Final = (
    "own near around wide local_own local_near local_around near_title near_code block block_name "
    "pairs pairs_near quoted quoted_near"
).split()


def share(values: Floats) -> Floats:
    """The values as shares of the largest."""
    most = np.float32(values.max()) if len(values) else np.float32(0)
    return np.asarray(values / most if most > 0 else np.zeros_like(values), np.float32)


def log_rank(values: Floats) -> Floats:
    """Minus the logarithm of each value's place; equal values share the best place of theirs."""
    ordered = np.sort(-values)
    place = np.searchsorted(ordered, -values, side="left")
    return np.asarray(-np.log1p(place) / np.log(2), np.float32)


def first_features(scores: Scores, paths: PathIndex, lengths: NDArray[np.int32]) -> Floats:
    """A row for each file, from the index alone."""
    columns = [share(scores[name]) for name in SCORED]
    columns += _kind(paths, lengths)
    return np.stack(columns, axis=1).astype(np.float32)


def _kind(paths: PathIndex, lengths: NDArray[np.int32]) -> list[Floats]:
    size = np.log1p(lengths.astype(np.float32))
    columns = [
        paths.is_test,
        paths.is_aside,
        paths.is_code,
        paths.is_document,
        paths.is_header,
        np.minimum(paths.depth, 8) / 8,
        paths.common,
        size / 10,
        (size / 10) ** 2,
    ]
    return [column.astype(np.float32) for column in columns]


def file_features(
    scores: Scores,
    paths: PathIndex,
    lengths: NDArray[np.int32],
    chosen: NDArray[np.int64],
    first: Floats,
    field: Field,
) -> Floats:
    """A row for each chosen file. ``first`` is the first ranking's logit of each of them."""
    columns: list[Floats] = []
    for name in SCORED:
        whole = share(scores[name])[chosen]
        columns += [whole, log_rank(scores[name][chosen]) * (whole > 0)]
    begins = field.spans[:, 0]
    for name in PEAKED:
        # The gap behind each file holds zeros, so a segment may reach to the next file's begin.
        peaks = np.maximum.reduceat(field.features[name], begins)
        columns += [share(peaks), log_rank(peaks)]
    own, mass = field.features["near"], field.features["around"]
    strong = (own >= 0.7 * max(1e-6, float(own.max()))).astype(np.float32)
    columns.append(np.log1p(np.add.reduceat(strong, begins)))
    columns.append(share(np.add.reduceat(mass * mass, begins) ** np.float32(0.5)))
    columns += _kind(_subset(paths, chosen), lengths[chosen])
    columns += [first, first - first.max(), log_rank(first)]
    return np.stack(columns, axis=1).astype(np.float32)


def _subset(paths: PathIndex, chosen: NDArray[np.int64]) -> PathIndex:
    none = np.zeros(0, np.int32)
    return PathIndex(
        paths=(),
        owner=none,
        terms=np.zeros(0, np.uint32),
        in_name=np.zeros(0, np.bool_),
        stem_whole=np.zeros(0, np.uint32),
        name_size=paths.name_size[chosen],
        is_test=paths.is_test[chosen],
        is_aside=paths.is_aside[chosen],
        is_code=paths.is_code[chosen],
        is_document=paths.is_document[chosen],
        is_header=paths.is_header[chosen],
        depth=paths.depth[chosen],
        common=paths.common[chosen],
        partner=none,
    )
