"""Groups to train the reader with: those of records, a teacher's scores of them, their shares."""

import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.reader.groups import Corpus, Group, Texts, load_groups, read_scores, write_scores
from benchmarks.reader.plan import plan_of
from tests.fakes.readers import vocabulary_of

WORDS = "whole inner next far one two three".split()
PASSAGES = [
    # file, definition's head, first and last line, text
    (0, 10, 10, 20, "whole"),
    (0, 13, 13, 15, "inner"),
    (0, 22, 22, 30, "next"),
    (0, 40, 40, 50, "far"),
    (1, 10, 10, 20, "one two three"),
    (1, 30, 30, 33, "two"),
    (1, 40, 40, 43, "three"),
]


def _record(folder: Path, **task: Any) -> Path:
    """A folder with one record, in which lines 10 to 20 of the first file are sought."""
    folder.mkdir(exist_ok=True)
    asked = {"repo": "owner/name", "kind": "doc", "query": "next one", "files": {"a": [[10, 20]]}}
    record = {
        "id": "one",
        "task": asked | task,
        "paths": ["a", "b"],
        "definitions": [[f, "", "", a, b, head, b - a + 1] for f, head, a, b, _ in PASSAGES],
        "read": [[row, a, b, text] for row, (_, _, a, b, text) in enumerate(PASSAGES)],
    }
    with lzma.open(folder / "one.jsonl.xz", "wt") as file:
        file.write(json.dumps(record) + "\n")
    return folder


@pytest.mark.parametrize(
    ("kind", "sought", "others"),
    [
        ("commit", ["whole", "inner"], ["far", "one two three", "two", "three"]),
        ("doc", ["whole"], ["next", "far", "one two three", "two", "three"]),
    ],
)
def test_a_record_becomes_a_group_of_what_lies_in_what_is_sought_and_what_is_not_near(
    tmp_path: Path, kind: str, sought: list[str], others: list[str]
) -> None:
    vocabulary = vocabulary_of(tmp_path, WORDS)
    corpus = load_groups([_record(tmp_path / "records", kind=kind)], vocabulary, 1)
    pieces = vocabulary.read_text().splitlines()
    [group] = corpus.groups

    def text(number: int) -> str:
        return " ".join(pieces[token] for token in corpus.texts[number])

    assert (group.repository, group.kind) == ("owner/name", f"scout-{kind}")
    assert text(group.question) == "next one"
    assert [text(number) for number in group.sought] == sought
    assert [text(number) for number in group.others] == others


def test_a_record_with_nothing_sought_among_what_is_read_is_no_group(tmp_path: Path) -> None:
    folder = _record(tmp_path / "records", files={"c": [[10, 20]]})
    assert load_groups([folder], vocabulary_of(tmp_path, WORDS), 1).groups == []


def test_a_record_of_a_repository_that_is_kept_for_measuring_is_refused(tmp_path: Path) -> None:
    folder = _record(tmp_path / "records", repo="pallets/flask")
    with pytest.raises(ValueError, match="'pallets/flask', which is kept for measuring"):
        load_groups([folder], vocabulary_of(tmp_path, WORDS), 1)


def test_scores_of_other_groups_are_refused(tmp_path: Path) -> None:
    vocabulary = vocabulary_of(tmp_path, WORDS)
    one = load_groups([_record(tmp_path / "records", kind="commit")], vocabulary, 1)
    write_scores(tmp_path / "scores.npz", one, np.arange(6.0))
    assert read_scores(tmp_path / "scores.npz", one).tolist() == [0, 1, 2, 3, 4, 5]
    other = load_groups([_record(tmp_path / "records", kind="doc")], vocabulary, 1)
    with pytest.raises(ValueError, match="are of other groups; hint: "):
        read_scores(tmp_path / "scores.npz", other)


def test_a_name_is_trained_on_half_as_often_and_what_the_scout_reads_more() -> None:
    kinds = ["name", "doc", "scout-name", "scout-test"]
    nothing = np.zeros(0, np.int32)
    made = [Group("owner/name", kind, 0, nothing, nothing) for kind in kinds]
    plan = plan_of(Corpus(Texts.of([]), made * 100), range(400), epochs=10, size=9, seed=1)
    assert plan.shape == (10 * 550 // 9, 9)
    counts = Counter(kinds[number % 4] for number in plan.ravel().tolist())
    assert counts["name"] == pytest.approx(500, rel=0.1)
    assert [counts[kind] for kind in kinds[1:]] == pytest.approx([1000, 1000, 3000], rel=0.02)
