"""What the reader costs on this machine: loading, memory, and pairs a second."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import psutil

from explorer.limits import Deadline
from explorer.reader.session import WEIGHTS, Reader

_LENGTHS: Final = (128, 192, 256)
"""Of question, passage and the three tokens around them."""
_QUESTION_TOKENS: Final = 64
_PAIRS: Final = 64
_ROUNDS: Final = 5


def main(args: Sequence[str] | None = None) -> int:
    """Print a table; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.speed")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the reader")
    options = parser.parse_args(args)
    # A word of the vocabulary is one token.
    pieces = (options.weights / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words = [piece for piece in pieces if piece.isascii() and piece.isalpha() and len(piece) > 1]
    chance = np.random.default_rng(3)
    question = " ".join(chance.choice(words, _QUESTION_TOKENS))
    texts = {
        length: [" ".join(chance.choice(words, length - _QUESTION_TOKENS - 3))] * _PAIRS
        for length in _LENGTHS
    }
    process = psutil.Process()
    before, begun = process.memory_info().rss, time.perf_counter()
    reader = Reader(options.weights)
    print(f"loaded in {time.perf_counter() - begun:.2f} s")
    reader.read(question, texts[_LENGTHS[-1]], deadline=Deadline(1e6), cancelled=lambda: False)
    print(f"memory: {(process.memory_info().rss - before) / 1e6:.0f} MB more")
    alone = Reader(options.weights, threads=1)
    for length in _LENGTHS:
        rates: dict[str, list[float]] = {}
        for _ in range(_ROUNDS):
            for name, each in (("all threads", reader), ("one thread", alone)):
                begun = time.perf_counter()
                each.read(question, texts[length], deadline=Deadline(1e6), cancelled=lambda: False)
                rates.setdefault(name, []).append(_PAIRS / (time.perf_counter() - begun))
        told = ", ".join(f"{median(found):.0f} on {name}" for name, found in rates.items())
        print(f"{length} tokens: pairs a second {told}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
