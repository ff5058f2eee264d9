import pytest

from benchmarks.localisation_report import paired_interval, score

TASK = {"files": {"a.py": [[10, 19]], "b.py": [[1, 10]]}}


def test_files_and_lines_are_scored_as_sets():
    found = score(TASK, [{"path": "a.py", "start": 10, "end": 29}], 0.5)

    assert (found.file_precision, found.file_recall) == (1.0, 0.5)
    assert found.file_f1 == pytest.approx(2 / 3)
    assert (found.line_precision, found.line_recall, found.line_f1) == (0.5, 0.5, 0.5)
    assert (found.files, found.lines, found.seconds) == (1, 20, 0.5)


def test_a_file_cited_twice_counts_once_and_in_its_first_place():
    ranges = [("c.py", 1, 2), ("c.py", 5, 6), ("a.py", 1, 2), ("d.py", 1, 1)]
    found = score(TASK, [{"path": p, "start": s, "end": e} for p, s, e in ranges], 0)

    assert found.files == 3
    assert (found.hit1, found.hit3, found.recall5) == (0.0, 1.0, 0.5)


def test_no_citation_scores_nothing():
    found = score(TASK, [], 0)

    assert (found.file_f1, found.line_f1, found.hit1, found.lines) == (0, 0, 0, 0)


def test_a_paired_interval_lies_around_the_difference():
    better = [score(TASK, [{"path": "a.py", "start": 10, "end": 19}], 0)] * 5
    worse = [score(TASK, [], 0)] * 5
    mean, low, high = paired_interval(better, worse, "file_f1")

    assert mean == pytest.approx(200 / 3)
    assert low == pytest.approx(mean)
    assert high == pytest.approx(mean)


def test_what_is_shown_is_the_share_of_hunks_with_a_line_in_the_code() -> None:
    task = {"files": {"a.py": [[1, 4], [20, 26]], "b.py": [[3, 9]]}}
    shown = [{"path": "a.py", "start": 4, "end": 12}, {"path": "b.py", "start": 10, "end": 30}]
    assert score(task, [], 0.0, shown=shown).shown == pytest.approx(1 / 3)
    assert score(task, [], 0.0).shown == 0.0
