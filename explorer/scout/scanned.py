"""The words and lines of the texts that are looked at, found once for all who need them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from explorer.scout.folding import fold
from explorer.scout.tokens import (
    PAD,
    Bytes,
    Lines,
    Mask,
    Scan,
    defined_words,
    in_chunks,
    lines_of,
    scan,
)

_CHUNK_BYTES: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Scanned:
    """Some texts with their words and lines, which are those of all texts in one row."""

    texts: list[bytes]
    """As ``fold`` leaves them."""
    data: bytes
    """All texts, a ``PAD`` before, between and after them."""
    array: Bytes
    words: Scan
    lines: Lines
    named: Mask
    """Whether each word is the name of a definition."""
    firsts: list[int]
    """For each text the index of its first line."""
    counts: list[int]
    """How many lines each text has."""


def scanned(texts: Sequence[bytes]) -> Scanned:
    """The texts' words and lines."""
    folded = [fold(text) for text in texts]
    data = PAD + PAD.join(folded) + PAD
    array = np.frombuffer(data, np.uint8)
    lines, words = lines_of(array), scan(array)
    sizes = [len(PAD)] + [len(text) + len(PAD) for text in folded]
    firsts = np.searchsorted(lines.starts, np.cumsum(sizes)[:-1]).tolist()
    counts = [text.count(b"\n") + (not text.endswith(b"\n") and bool(text)) for text in folded]
    return Scanned(
        folded, data, array, words, lines, defined_words(array, words, lines), firsts, counts
    )


def scans_of(texts: Sequence[bytes]) -> list[Scanned]:
    """The words and lines of the texts in their order, in chunks."""
    chunks = list(in_chunks(texts, len, _CHUNK_BYTES))
    if len(chunks) == 1:
        return [scanned(chunks[0])]
    # Array arithmetic releases the interpreter's lock: two cores do nearly twice as much.
    with ThreadPoolExecutor(2, "scout-scan") as pool:
        return list(pool.map(scanned, chunks))
