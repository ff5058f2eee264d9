"""Readers for tests: a tiny network in the format of the real one, and one that goes by words."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.reader import graph
from explorer.errors import ReaderError
from explorer.limits import Deadline
from explorer.reader.session import Reader
from explorer.reader.words import PASSAGE_TOKENS, QUESTION_TOKENS

WORDS = "where is the retry delay wait parse read file store clone get set return def class".split()
_HIDDEN = 24


def tiny_weights(folder: Path) -> Path:
    """The folder, with a network of one layer that nothing has trained, in int8."""
    folder.mkdir()
    pieces = [f"[unused{number}]" for number in range(103)] + WORDS
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    (folder / "card.json").write_text(json.dumps({"version": "tiny", "repositories": {}}))
    whole = folder / "float32.onnx"
    onnx.save(graph.build(_weights(len(pieces)), graph.HEADS), whole)
    graph.quantize(whole, folder / "reader.onnx")
    whole.unlink()
    return folder


def vocabulary_of(folder: Path, words: Iterable[str]) -> Path:
    """A vocabulary of these pieces, with BERT's special ones at their places."""
    special = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    path = folder / "vocab.txt"
    path.write_text("\n".join(dict.fromkeys([*special, *words])) + "\n")
    return path


def _weights(words: int) -> dict[str, NDArray[Any]]:
    chance = np.random.default_rng(7)
    sizes = dict.fromkeys(("query", "key", "value", "attended"), _HIDDEN) | {"up": 4 * _HIDDEN}
    layer = {f"layers.0.{name}": (size, _HIDDEN) for name, size in sizes.items()}
    linear = layer | {
        "layers.0.down": (_HIDDEN, 4 * _HIDDEN),
        "pooler": (_HIDDEN, _HIDDEN),
        "score": (1, _HIDDEN),
    }
    found: dict[str, NDArray[Any]] = {
        "word.weight": chance.normal(size=(words, _HIDDEN)),
        "kind.weight": chance.normal(size=(2, _HIDDEN)),
        "position.weight": chance.normal(size=(QUESTION_TOKENS + PASSAGE_TOKENS + 3, _HIDDEN)),
    }
    for name, shape in linear.items():
        found[f"{name}.weight"] = chance.normal(size=shape)
        found[f"{name}.bias"] = chance.normal(size=shape[:1])
    for name in ("norm", "layers.0.attended_norm", "layers.0.norm"):
        found[f"{name}.weight"] = np.ones(_HIDDEN)
        found[f"{name}.bias"] = np.zeros(_HIDDEN)
    return found


class WordReader(Reader):
    """Likes the passages that have a word, and remembers what it was given."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.questions: list[str] = []
        self.passages: list[str] = []

    def read(
        self,
        question: str,
        passages: Iterable[str],
        *,
        deadline: Deadline,
        cancelled: Callable[[], bool],
    ) -> NDArray[np.float32]:
        """20 for each passage with the word, -20 for the others."""
        texts = list(passages)
        self.questions.append(question)
        self.passages += texts
        return np.array([20.0 if self.word in text else -20.0 for text in texts], np.float32)


def at_hand(reader: Reader | ReaderError) -> Callable[[], Future[Reader]]:
    """What a ``Scout`` gets the reader from: one that is loaded, or that cannot be."""
    found: Future[Reader] = Future()
    if isinstance(reader, ReaderError):
        found.set_exception(reader)
    else:
        found.set_result(reader)
    return lambda: found
