"""The weights that ship with the package, and the card that says what they were made from."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reader.excluded import may_be_mined
from explorer.limits import Deadline
from explorer.reader.session import WEIGHTS, load_reader

CARD = json.loads((WEIGHTS / "card.json").read_text("utf-8"))
ASKED = Path(__file__).parents[4] / "benchmarks" / "reader" / "asked"
RETRY = (
    "net/client.py Client._retry_delay\ndef _retry_delay(self, attempt):\n    return 2 ** attempt"
)
PARSE = "cli/args.py parse_color\ndef parse_color(text):\n    return COLORS[text.lower()]"


def test_they_are_small_enough_for_a_wheel() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 25_000_000


def test_nothing_that_questions_are_about_was_mined() -> None:
    assert len(CARD["repositories"]) >= 120
    assert sum(CARD["repositories"].values()) == CARD["groups"] >= 150_000
    assert [name for name in CARD["repositories"] if not may_be_mined(name)] == []


def test_the_fusion_is_fitted_to_questions_about_repositories_that_the_reader_never_saw() -> None:
    fitted = {each["repo"] for name in ("asked", "reports") for each in written(name)}
    assert fitted == set(CARD["not_trained_on"])

    learned = {each["repo"] for each in written("training")}
    assert len(learned) >= 120
    assert learned <= set(CARD["repositories"])


@pytest.mark.parametrize("name", ["asked", "reports", "training"])
def test_what_was_written_to_learn_from_seeks_lines_of_a_commit(name: str) -> None:
    found = written(name)
    assert len({each["id"] for each in found}) == len(found)
    assert all(may_be_mined(each["repo"]) and len(each["base_commit"]) == 40 for each in found)
    assert all(each["query"].strip() and each["files"] for each in found)
    ranges = [span for each in found for spans in each["files"].values() for span in spans]
    assert all(1 <= start <= end for start, end in ranges)


def written(name: str) -> list[dict[str, Any]]:
    """The questions in a file of ``benchmarks/reader/asked``."""
    return [json.loads(line) for line in (ASKED / f"{name}.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("question", "best"), [("how long to wait before a retry", 0), ("parse the colour given", 1)]
)
def test_they_load_and_tell_what_answers_a_question(question: str, best: int) -> None:
    found = load_reader().read(
        question, [RETRY, PARSE], deadline=Deadline(1000), cancelled=lambda: False
    )
    assert found.argmax() == best
