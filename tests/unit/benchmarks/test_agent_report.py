"""The table of the agent benchmark."""

from typing import Any

from benchmarks.agent_report import figures, report


def row(task: int, arm: str, **more: Any) -> dict[str, Any]:
    return {
        "id": str(task), "arm": arm, "stop_reason": "answered", "requests": 4,
        "prompt_tokens": 1_000, "cached_tokens": 0, "completion_tokens": 10, "estimated": False,
        "seconds": 1.0, "tool_calls": 3, "output_bytes": 100, "asked": 0, "failed": 0,
        "citations": [{"path": "a.py", "start": 1, "end": 2}], "functions": ["a.py:f"],
        "sought_files": ["a.py", "b.py"], "sought_functions": ["a.py:f"],
    } | more  # fmt: skip


def test_f1_is_absent_where_nothing_is_known_to_be_sought() -> None:
    known, unknown = figures(row(1, "with")), figures(row(1, "with", sought_files=[]))

    assert round(known["file F1"], 1) == 66.7
    assert known["function F1"] == 100.0
    assert "file F1" not in unknown


def test_an_answer_without_citations_scores_nothing_and_is_not_left_out() -> None:
    none = figures(row(1, "with", citations=[], functions=[]))

    assert (none["file F1"], none["function F1"]) == (0.0, 0.0)


def test_differences_are_paired_over_the_tasks_that_both_arms_have() -> None:
    rows = [row(task, "without", requests=4 + task) for task in range(6)]
    rows += [row(task, "with", requests=3 + task, asked=1) for task in range(5)]
    text = report(rows)
    line = next(line for line in text.splitlines() if line.startswith("requests"))

    # Means differ by 1 in every task, although tasks differ by more than that.
    assert line.split() == ["requests", "5", "6.0", "5.0", "-1.0", "[-1.0,", "-1.0]"]
    assert "asked in 5 of 5 runs; 5 calls" in text


def test_runs_without_an_answer_and_estimated_tokens_are_told() -> None:
    text = report([
        row(1, "with", stop_reason="max_turns"), row(1, "without", estimated=True),
    ])  # fmt: skip

    assert "with: 0 of 1 runs ended with an answer" in text
    assert "without: 1 of 1 runs ended with an answer; tokens of 1 estimated" in text


def test_without_a_whole_pair_there_is_no_table() -> None:
    assert report([row(1, "with")]) == "No task has been run in both arms."
