"""The reader on onnxruntime: what it scores, in what order, and when it stops."""

import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from explorer.errors import ReaderError
from explorer.limits import Deadline
from explorer.reader.session import Reader, pair_of
from explorer.reader.words import CLS, SEP
from tests.fakes.readers import WORDS, tiny_weights

QUESTION = "where is the retry delay"
PASSAGES = [" ".join(WORDS[number:] * (1 + number % 5)) for number in range(len(WORDS))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("reader") / "weights")


@pytest.fixture(scope="module")
def reader(folder: Path) -> Reader:
    return Reader(folder, threads=3)


def scores(reader: Reader, passages: list[str]) -> NDArray[np.float32]:
    return reader.read(QUESTION, passages, deadline=Deadline(1000), cancelled=lambda: False)


def test_a_pair_is_laid_out_as_bert_lays_it_out() -> None:
    pair = pair_of([7, 8], [9])
    assert pair["input_ids"].tolist() == [[CLS, 7, 8, SEP, 9, SEP]]
    assert pair["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]
    assert pair["attention_mask"].tolist() == [[1] * 6]


def test_all_are_scored_in_their_order(reader: Reader) -> None:
    found = scores(reader, PASSAGES)
    assert found.dtype == np.float32
    assert found.shape == (len(PASSAGES),)
    assert len(set(found.tolist())) > len(PASSAGES) // 2
    alone = [scores(reader, [each])[0] for each in PASSAGES]
    assert found.tolist() == alone


def test_a_score_depends_on_its_pair_alone(reader: Reader, folder: Path) -> None:
    found = scores(reader, PASSAGES)
    assert scores(reader, PASSAGES[::-1])[::-1].tolist() == found.tolist()
    assert scores(Reader(folder, threads=1), PASSAGES).tolist() == found.tolist()
    other = reader.read("parse", PASSAGES, deadline=Deadline(1000), cancelled=lambda: False)
    assert other.tolist() != found.tolist()


def test_what_is_too_long_is_read_up_to_the_limit(reader: Reader) -> None:
    long = "retry " * 192
    assert scores(reader, [long])[0] == scores(reader, [long + "delay wait"])[0]


def test_nothing_is_scored_without_passages_or_time(reader: Reader) -> None:
    assert scores(reader, []).shape == (0,)
    none = reader.read(QUESTION, PASSAGES, deadline=Deadline(0), cancelled=lambda: False)
    assert none.shape == (0,)


def test_it_ends_with_the_time_and_keeps_the_first_ones(folder: Path) -> None:
    ticks: Iterator[int] = count()
    # Each look at the clock takes a second: after ten the time is over.
    deadline = Deadline(10, now=lambda: float(next(ticks)))
    endless = ("retry delay" for _ in count())
    found = Reader(folder, threads=2).read(
        QUESTION, endless, deadline=deadline, cancelled=lambda: False
    )
    assert 1 <= len(found) <= 10
    assert set(found.tolist()) == {scores(Reader(folder, threads=1), ["retry delay"])[0]}


def test_it_begins_nothing_that_would_not_end_in_time(folder: Path) -> None:
    reader = Reader(folder, threads=1)
    deadline = Deadline(1e-9, now=lambda: 0.0)
    found = reader.read(QUESTION, PASSAGES, deadline=deadline, cancelled=lambda: False)
    # The first shows how long one takes, which is more than a nanosecond.
    assert len(found) == 1


def test_cancelling_ends_it_before_the_next_passage(folder: Path) -> None:
    taken: list[str] = []

    def passages() -> Iterator[str]:
        for each in PASSAGES:
            taken.append(each)
            yield each

    found = Reader(folder, threads=1).read(
        QUESTION, passages(), deadline=Deadline(1000), cancelled=lambda: len(taken) == 3
    )
    assert len(found) == len(taken) == 3


@pytest.mark.parametrize("name", ["reader.onnx", "vocab.txt", "card.json"])
def test_weights_that_are_missing_are_named(folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    (copy / name).unlink()
    with pytest.raises(ReaderError, match=name.replace(".", r"\.")):
        Reader(copy)


def test_weights_that_are_none_are_a_readers_error(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    (copy / "reader.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ReaderError, match="network cannot be loaded"):
        Reader(copy)


def test_a_machine_without_onnxruntime_is_told_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ReaderError, match="onnxruntime cannot be imported"):
        Reader(folder)
