"""The second ranking: what the networks, trained on commit messages, do not know of a question."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from explorer.scout.definers import Defining
from explorer.scout.names import VALUE
from explorer.scout.query import Query
from explorer.scout.scores import PathIndex, Scores, share
from explorer.scout.tokens import Floats, words_of

EXTRA: Final = (
    "defines plainly stem_named scope old stem_said stem_all folder_said main_stem depth_rank "
    "named_near"
).split()
_MAIN: Final = re.compile(r"^(?:index|main|mod|__init__|lib|core|base|init|common|utils?|types?)$")


def extra_features(
    query: Query,
    paths: PathIndex,
    rows: Sequence[int],
    defines: Sequence[Defining],
    scores: Scores,
) -> Floats:
    """A row of ``EXTRA`` for each of the chosen files."""
    said = {part for _, parts, whole in words_of(query.text) for part in (*parts, whole)}
    size = np.array([paths.depth[row] for row in rows], np.float32)
    least = float(size.min()) if len(size) else 0.0
    near = share(scores["name"])
    table = []
    for row, each in zip(rows, defines, strict=True):
        path = paths.paths[row]
        stem = path.rpartition("/")[2].lstrip(".").partition(".")[0]
        words = words_of(stem)
        parts = [part for _, inner, _ in words for part in inner]
        heard = sum(part in said for part in parts)
        folder = path.rpartition("/")[0].rpartition("/")[2]
        folder_parts = [part for _, inner, _ in words_of(folder) for part in inner]
        table.append(
            [
                each.plainness / 5,
                each.plainness >= VALUE,
                each.is_stem,
                each.scope * (each.plainness > 0),
                paths.is_old[row],
                heard / max(1, len(parts)),
                heard == len(parts) > 0,
                sum(part in said for part in folder_parts) / max(1, len(folder_parts)),
                bool(_MAIN.match(stem.lower())),
                min(4.0, float(paths.depth[row]) - least),
                float(near[row]),
            ]
        )
    return np.array(table, np.float32).reshape(len(rows), len(EXTRA))
