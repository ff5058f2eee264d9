"""The weights that ship with the package, and the card that says what they were made from."""

import json

import pytest

from benchmarks.reader.excluded import may_be_mined
from explorer.limits import Deadline
from explorer.reader.session import WEIGHTS, load_reader

CARD = json.loads((WEIGHTS / "card.json").read_text("utf-8"))
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


@pytest.mark.parametrize(
    ("question", "best"), [("how long to wait before a retry", 0), ("parse the colour given", 1)]
)
def test_they_load_and_tell_what_answers_a_question(question: str, best: int) -> None:
    found = load_reader().read(
        question, [RETRY, PARSE], deadline=Deadline(1000), cancelled=lambda: False
    )
    assert found.argmax() == best
