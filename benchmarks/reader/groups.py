"""Groups to train and to measure the reader with, as tokens.

A group is a question, the passages sought and others that are not. There are two sources:

* ``*.json.xz``, written by ``benchmarks.reader.mining``;
* ``*.jsonl.xz``, records of ``benchmarks.reader.collect``: what the scout would have the reader
  read for a task. Their kinds are those of the tasks with ``scout-`` before them.

A teacher's scores of all groups are kept with a digest of the groups that they belong to.
"""

import hashlib
import json
import lzma
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.reader.excluded import may_be_mined
from benchmarks.reader.mining import LEAST_OTHERS, MOST_SOUGHT, NEAR_LINES, touch
from explorer.reader.words import PASSAGE_TOKENS, QUESTION_TOKENS, Vocabulary

SCOUT: Final = "scout-"
"""What the kinds of groups made of records begin with."""
_PATTERNS: Final = ("*.json.xz", "*.jsonl.xz")
_OF_A_DEFINITION: Final = frozenset(("doc", "name"))
"""Kinds of tasks that seek one definition, not changed lines."""
_MOST_OTHERS: Final = 64

Tokens = NDArray[np.uint16]
Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Texts:
    """Tokens of many texts in one array, which forked processes share without a copy."""

    tokens: Tokens
    offsets: NDArray[np.int64]
    """Where each text begins, and at last where the last one ends."""

    @classmethod
    def of(cls, texts: Sequence[Tokens]) -> "Texts":
        """These texts, in their order."""
        return cls(
            np.concatenate([np.zeros(0, np.uint16), *texts]),
            np.cumsum([0, *map(len, texts)], dtype=np.int64),
        )

    def __getitem__(self, number: int) -> Tokens:
        """The tokens of one text."""
        return self.tokens[self.offsets[number] : self.offsets[number + 1]]

    def lengths(self, numbers: Numbers) -> NDArray[np.int64]:
        """How many tokens each of these texts has."""
        return self.offsets[numbers + 1] - self.offsets[numbers]


@dataclass(frozen=True, slots=True)
class Group:
    """A question with passages, by their numbers among the texts of the corpus."""

    repository: str
    kind: str
    question: int
    sought: Numbers
    others: Numbers


@dataclass(frozen=True, slots=True)
class Corpus:
    """Groups and the texts that they name."""

    texts: Texts
    groups: list[Group]

    def pairs(self, numbers: Iterable[int]) -> tuple[Numbers, NDArray[np.int64]]:
        """Question and passage of all pairs of these groups, and where each group's pairs begin.

        The first array is [pairs, 2], a group's sought before its others; the second has one more
        row than there are groups, the count of pairs.
        """
        chosen = [self.groups[number] for number in numbers]
        passages = [np.concatenate([each.sought, each.others]) for each in chosen]
        sizes = [len(each) for each in passages]
        questions = np.repeat(np.array([each.question for each in chosen], np.int32), sizes)
        found = np.concatenate([np.zeros(0, np.int32), *passages])
        return np.stack([questions, found], 1), np.cumsum([0, *sizes], dtype=np.int64)

    def digest(self) -> str:
        """SHA-256 of the tokens of all pairs, as hexadecimal digits."""
        found = hashlib.sha256()
        for part in (self.texts.tokens, self.texts.offsets, *self.pairs(range(len(self.groups)))):
            found.update(part.tobytes())
        return found.hexdigest()


def load_groups(folders: Iterable[Path], vocabulary: Path, workers: int) -> Corpus:
    """The groups of all files in the folders, in the order of the files' names.

    Raises:
        ValueError: a record is of a repository that is kept for measuring.
    """
    read = partial(_read, vocabulary=vocabulary)
    found = [path for folder in folders for each in _PATTERNS for path in folder.rglob(each)]
    paths = sorted(found, key=lambda path: path.name)
    if workers <= 1:
        return _joined([read(path) for path in paths])
    # The largest first, so that no worker begins with it when the others are done.
    by_size = sorted(paths, key=lambda path: -path.stat().st_size)
    with ProcessPoolExecutor(workers) as pool:
        parts = dict(zip(by_size, pool.map(read, by_size), strict=True))
    return _joined([parts[path] for path in paths])


class _Table:
    """Collects the texts of one file; one that several groups have is kept once."""

    def __init__(self, vocabulary: Path) -> None:
        self._vocabulary = Vocabulary.read(vocabulary)
        self._numbers: dict[tuple[str, int], int] = {}
        self.texts: list[Tokens] = []

    def question(self, text: str) -> int:
        return self._number(text, QUESTION_TOKENS)

    def passages(self, texts: Iterable[str]) -> Numbers:
        return np.array([self._number(text, PASSAGE_TOKENS) for text in texts], np.int32)

    def _number(self, text: str, most: int) -> int:
        number = self._numbers.setdefault((text, most), len(self.texts))
        if number == len(self.texts):
            self.texts.append(np.array(self._vocabulary.tokens(text, most), np.uint16))
        return number


def _read(path: Path, vocabulary: Path) -> Corpus:
    table = _Table(vocabulary)
    with lzma.open(path, "rt") as file:
        if path.name.endswith(".json.xz"):
            groups = _of_mined(json.load(file), table)
        else:
            found = [_of_record(json.loads(line), table) for line in file]
            groups = [each for each in found if each is not None]
    return Corpus(Texts.of(table.texts), groups)


def _of_mined(mined: dict[str, Any], table: _Table) -> list[Group]:
    numbers = table.passages(mined["passages"])
    return [
        Group(
            mined["repo"],
            each["kind"],
            table.question(each["q"]),
            numbers[each["pos"]],
            numbers[each["neg"]],
        )
        for each in mined["groups"]
    ]


def _of_record(record: dict[str, Any], table: _Table) -> Group | None:
    """The group of a record; None if nothing sought is read, or hardly anything beside it."""
    task = record["task"]
    if not may_be_mined(task["repo"]):
        raise ValueError(f"a record is of {task['repo']!r}, which is kept for measuring")
    sought: list[str] = []
    others: list[str] = []
    for row, start, end, text in record["read"]:
        definition = record["definitions"][row]
        file, head = definition[0], definition[5]
        ranges = task["files"].get(record["paths"][file], ())
        if task["kind"] in _OF_A_DEFINITION:
            hit = any(begin == head for begin, _ in ranges)
            near = touch(start, end, ranges)
        else:
            hit = touch(start, end, ranges)
            near = touch(start, end, ranges, NEAR_LINES)
        if hit:
            sought.append(text)
        elif not near:
            others.append(text)
    if not sought or len(others) < LEAST_OTHERS:
        return None
    return Group(
        task["repo"],
        f"{SCOUT}{task['kind']}",
        table.question(task["query"]),
        table.passages(sought[:MOST_SOUGHT]),
        table.passages(others[:_MOST_OTHERS]),
    )


def _joined(parts: Sequence[Corpus]) -> Corpus:
    groups: list[Group] = []
    ends = [np.zeros(1, np.int64)]
    texts = tokens = 0
    for part in parts:
        groups += [
            Group(
                each.repository,
                each.kind,
                each.question + texts,
                each.sought + np.int32(texts),
                each.others + np.int32(texts),
            )
            for each in part.groups
        ]
        ends.append(part.texts.offsets[1:] + tokens)
        texts += len(part.texts.offsets) - 1
        tokens += len(part.texts.tokens)
    flat = np.concatenate([np.zeros(0, np.uint16), *(part.texts.tokens for part in parts)])
    return Corpus(Texts(flat, np.concatenate(ends)), groups)


def write_scores(path: Path, corpus: Corpus, scores: NDArray[np.floating[Any]]) -> None:
    """Keep the scores of all pairs of the corpus, in the order of ``Corpus.pairs``, as float16."""
    # By the file, because by its name it would get another ending.
    with path.open("wb") as file:
        np.savez(file, scores=scores.astype(np.float16), digest=np.array(corpus.digest()))


def read_scores(path: Path, corpus: Corpus) -> NDArray[np.float16]:
    """The scores that ``write_scores`` kept: [pairs].

    Raises:
        ValueError: they are of other groups, or of other tokens.
    """
    with np.load(path) as kept:
        if str(kept["digest"]) != corpus.digest():
            raise ValueError(
                f"the scores in {str(path)!r} are of other groups; hint: score these with"
                " `python -m benchmarks.reader.scoring --groups`, same folders and vocabulary"
            )
        return np.asarray(kept["scores"], np.float16)
