import math

import pytest

from benchmarks.questions_report import (
    ndcg,
    paired,
    score_how,
    score_issue,
    score_question,
)


def answer(*paths: str, **more: object) -> dict[str, object]:
    return {"citations": [{"path": path, "start": 5, "end": 9} for path in paths]} | more


def test_ndcg_gives_each_target_the_rank_of_the_first_result_that_matches_it():
    assert ndcg(["lib/a.py"], ["a.py"]) == 1.0
    assert ndcg(["a.py"], ["x.py", "lib/a.py"]) == pytest.approx(1 / math.log2(3))
    assert ndcg(["a.py", "b.py"], ["b.py"]) == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert ndcg(["a.py"], ["data.py"]) == 0.0


def test_files_after_the_cited_ones_count_for_the_ranking_but_not_for_f1():
    task = {"relevant": [{"path": "a.py"}], "secondary": [{"path": "b.py"}]}
    found = score_question(task, answer("x.py", "a.py", further=["b.py"]))

    assert (found["hit@1"], found["hit@3"], found["R@5"]) == (0.0, 1.0, 1.0)
    assert found["file F1"] == pytest.approx(0.5)
    assert "defined" not in found
    assert score_question(task, answer("a.py", defined=False))["defined"] == 0.0


def test_an_issue_without_functions_is_left_out_of_their_figure():
    task = {"files": {"a.py": [[1, 4], [9, 12]]}, "functions": [], "modules": ["a.py:A"]}
    shown = [{"path": "a.py", "start": 9, "end": 9}]
    found = score_issue(task, answer("a.py", modules=["a.py:A", "a.py:B"], shown=shown))

    assert "function F1" not in found
    assert found["module F1"] == pytest.approx(2 / 3)
    assert found["shown"] == 0.5


def test_a_place_answers_a_how_question_if_it_is_or_lies_in_a_definition_that_does():
    gold = [{"path": "a.py", "start": 5, "end": 20, "head": 6}]
    shown = [{"path": "a.py", "start": 5, "end": 9}]
    right = score_how({}, answer("a.py", gold=gold, shown=shown))
    wider = score_how({}, answer("b.py", "a.py", gold=[gold[0] | {"end": 8}]))

    assert right == {"first": 1.0, "first 3": 1.0, "shown": 1.0}
    assert wider == {"first": 0.0, "first 3": 0.0, "shown": 0.0}


def test_intervals_are_over_the_tasks_that_both_runs_have():
    ours, theirs = [{"x": 1.0}, {"x": 0.5}, {}], [{"x": 0.0}, {}, {"x": 1.0}]

    assert paired(ours, theirs, "x") == (100.0, 100.0, 100.0)
    assert paired(ours, theirs, "y") == (0.0, 0.0, 0.0)
