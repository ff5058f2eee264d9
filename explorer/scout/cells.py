"""What is known of the cells of the likely files: fine ones, of a few lines."""

from collections.abc import Sequence
from typing import Final

from explorer.scout.field import FINE_CELL_LINES, Field, field_of
from explorer.scout.matches import Matches, describe_cells, match_cells
from explorer.scout.query import Query, words_said
from explorer.scout.scanned import Scanned
from explorer.scout.tokens import Floats

_RUST_TESTS: Final = b"#[cfg(test)]\nmod "
_NEVER: Final = 1 << 30


def read_cells(
    scans: Sequence[Scanned], query: Query, weight: Floats, described: Floats
) -> tuple[Field, list[tuple[Floats, Matches]]]:
    """The texts cut finely, and for each what is known of its cells."""
    field = field_of(scans, query, weight, FINE_CELL_LINES)
    said = words_said(query.text)
    texts = [text for each in scans for text in each.texts]
    return field, [
        (
            describe_cells(field, index, said, tests_from(text)),
            match_cells(field, index, described),
        )
        for index, text in enumerate(texts)
    ]


def tests_from(text: bytes) -> int:
    """The line at which the tests of a Rust file begin; beyond its end if it has none."""
    at = text.find(_RUST_TESTS)
    return text.count(b"\n", 0, at) + 1 if at >= 0 else _NEVER
