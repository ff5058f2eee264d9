"""Which lines of the files found are cited."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.candidates import Place, merge_cells
from explorer.scout.field import FINE_CELL_LINES, Field, build_field
from explorer.scout.matches import Floats, Matches, describe_cells, match_cells, words_said
from explorer.scout.model import Weights, choose_cells, sigmoid
from explorer.scout.network import score_all
from explorer.scout.query import Query

_RUST_TESTS: Final = b"#[cfg(test)]\nmod "
_NEVER: Final = 1 << 30


def read_cells(
    texts: Sequence[bytes], query: Query, weight: Floats, described: Floats
) -> tuple[Field, list[tuple[Floats, Matches]]]:
    """The texts cut finely, and what is known of the cells of each."""
    field = build_field(texts, query, weight, FINE_CELL_LINES)
    said = words_said(query.text)
    return field, [
        (
            describe_cells(field, index, said, tests_from(text)),
            match_cells(field, index, described),
        )
        for index, text in enumerate(texts)
    ]


def tests_from(text: bytes) -> int:
    """The line from which on a file of Rust holds its tests; beyond its end if it has none."""
    at = text.find(_RUST_TESTS)
    return text.count(b"\n", 0, at) + 1 if at >= 0 else _NEVER


def choose_places(
    texts: Sequence[bytes],
    chances: NDArray[np.float64],
    query: Query,
    weight: Floats,
    described: Floats,
    weights: Weights,
) -> tuple[Field, list[Place]]:
    """The texts' cells, and the places worth citing of them, at least one of each text.

    A place's ``file`` is the text's index. ``chances`` are those of the files to be sought at all.
    """
    field, known = read_cells(texts, query, weight, described)
    at: list[NDArray[np.int64]] = []
    chance: list[NDArray[np.float64]] = []
    needed: list[int] = []
    for index, (table, matches) in enumerate(known):
        begin, end = (int(each) for each in field.spans[index])
        own = sigmoid(score_all(weights.cells, table, matches).astype(np.float64))
        at.append(np.arange(begin, end))
        chance.append(own * chances[index])
        needed.append(begin + int(np.argmax(own)))
    every, all_chances = np.concatenate(at), np.concatenate(chance)
    size = np.maximum(1, field.last[every] - field.first[every] + 1)
    picked = np.union1d(every[choose_cells(all_chances, size)], needed)
    return field, merge_cells(field, picked, all_chances[np.searchsorted(every, picked)])


def heads_of(field: Field, file: int) -> list[int]:
    """The lines of a text that introduce definitions."""
    begin, end = (int(each) for each in field.spans[file])
    heads: list[int] = field.first[begin:end][field.starts_block[begin:end]].tolist()
    return heads
