from explorer.records import Citation, Span
from server.exploring.course import second_opinion


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
