import pytest

from explorer.records import Citation, Span
from server.exploring.course import place_opinion, second_opinion


def cite(path):
    return Citation(path, 3, 9)


def test_the_same_first_file_raises_the_confidence():
    opinion = second_opinion([cite("a.py")], [cite("a.py")], "medium")

    assert opinion.confidence == "high"
    assert opinion.notes == ()


def test_disagreement_with_a_sure_scout_lowers_it_and_names_what_was_overlooked():
    opinion = second_opinion([cite("a.py")], [cite("b.py")], "high")

    assert opinion.confidence == "low"
    assert "b.py:3-9" in opinion.notes[0]


def test_what_the_model_has_read_is_not_called_overlooked():
    opinion = second_opinion([cite("a.py")], [cite("b.py")], "high", [Span("b.py", 1, 50)])

    assert opinion.notes == ()


def test_an_unsure_scout_neither_lowers_nor_names_anything():
    opinion = second_opinion([cite("a.py")], [cite("b.py")], "low")

    assert opinion.confidence == "medium"
    assert opinion.notes == ()


def test_a_shared_file_that_is_not_the_first_is_medium():
    opinion = second_opinion([cite("a.py"), cite("b.py")], [cite("b.py")], "high")

    assert opinion.confidence == "medium"
    assert opinion.notes == ()


def test_without_the_models_answer_the_scouts_own_confidence_counts():
    assert second_opinion([], [cite("a.py")], "high").confidence == "high"


def test_without_the_scouts_answer_the_models_is_medium():
    assert second_opinion([cite("a.py")], [], "high").confidence == "medium"


@pytest.mark.parametrize(
    ("scout", "sure", "confidence"),
    [
        ([Citation("a.py", 9, 20)], "high", "high"),
        ([Citation("a.py", 9, 20)], "low", "medium"),
        ([Citation("a.py", 10, 20)], "high", "medium"),
        ([Citation("b.py", 1, 2), Citation("a.py", 1, 4)], "high", "medium"),
        ([Citation("b.py", 1, 2), Citation("a.py", 10, 14)], "high", "low"),
        ([], "low", "low"),
    ],
)
def test_the_place_is_as_sure_as_the_scout_is_about_the_same_lines(scout, sure, confidence):
    assert place_opinion([cite("a.py")], scout, sure) == confidence
