"""The localisation benchmark on a repository of two commits."""

import json
from pathlib import Path

import pytest

from benchmarks import localisation
from benchmarks.localisation_report import report
from tests.tooling import clone_of

CODE = "def total(items):\n    return sum(items)\n\n\ndef discount(total):\n    return total * 2\n"


@pytest.fixture
def laid_out(tmp_path: Path) -> list[str]:
    """A bare clone with one fix, a task made of it, and the arguments that lead to both."""
    ship = "def ship(order):\n    order.state = 'shipped'\n"
    base = clone_of({"cart.py": CODE, "order.py": ship}, tmp_path)
    task = {
        "id": "shop-1", "repo": "o/shop", "base_commit": base, "date": "2026-01-01",
        "query": "The discount of the total is doubled", "language": "python",
        "files": {"cart.py": [[5, 6]]}, "n_tree_files": 2, "stem_in_query": False,
    }  # fmt: skip
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    return [
        *("--tasks", str(tmp_path / "tasks.jsonl"), "--mirror", str(tmp_path / "mirror")),
        *("--trees", str(tmp_path / "trees"), "--runs", str(tmp_path / "runs"), "--machine", "m"),
    ]


def test_a_run_prints_the_table_and_keeps_predictions_that_can_be_scored_again(
    laid_out: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trees").mkdir()
    assert localisation.run([*laid_out, "--first"]) == 0
    first = capsys.readouterr().out
    (folder,) = (tmp_path / "runs").glob("*/localisation-tasks")
    kept = sorted(path.name for path in folder.iterdir())
    assert localisation.run([*laid_out, "--predictions", str(folder)]) == 0
    again = capsys.readouterr().out

    files = ["floor.jsonl", "scout-first.jsonl", "scout.jsonl"]
    assert kept == ["conditions.json", *files, "table.txt"]
    assert again.splitlines()[1].split()[:5] == ["scout", "1", "100.0", "100.0", "100.0"]
    assert "scout minus floor" in again
    assert first.endswith(again)


def test_a_second_run_leaves_the_first_ones_predictions(
    laid_out: list[str], tmp_path: Path
) -> None:
    (tmp_path / "trees").mkdir()
    for _ in range(2):
        localisation.run([*laid_out, "--no-floor"])

    folders = sorted(path.name for path in (tmp_path / "runs").glob("*/*"))
    assert folders == ["localisation-tasks", "localisation-tasks-2"]


def test_the_peer_is_asked_in_its_own_process_and_has_two_rows(
    laid_out: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trees").mkdir()
    answer = {
        "citations": [
            {"path": "order.py", "start": 1, "end": 2},
            {"path": "cart.py", "start": 5, "end": 6},
        ],
        "index_s": 0.5,
        "query_s": 0.25,
    }
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nwhile read line; do echo '{json.dumps(answer)}'; done\n")
    python.chmod(0o755)
    localisation.run([*laid_out, "--no-floor", "--semble", str(python)])
    rows = {line[:30].strip(): line[30:].split() for line in capsys.readouterr().out.splitlines()}

    assert rows["semble, no vectors, one file"][1:4] == ["0.0", "0.0", "0.0"]
    assert rows["semble, no vectors, five files"][1:4] == ["50.0", "100.0", "66.7"]
    assert "scout minus semble, no vectors" in rows


def test_the_report_says_how_often_each_confidence_was_given_and_right() -> None:
    def task(number: int) -> dict[str, object]:
        return {
            "id": str(number), "language": "go", "n_tree_files": 9_000, "stem_in_query": True,
            "files": {"right.go": [[1, 2]]},
        }  # fmt: skip

    def answer(path: str, confidence: str) -> dict[str, object]:
        cited = [{"path": path, "start": 1, "end": 2}]
        return {"citations": cited, "seconds": 0.5, "index_s": 1.0, "confidence": confidence}

    given = [("right.go", "high")] * 3 + [("wrong.go", "high")] + [("wrong.go", "low")] * 4
    scout = {str(n): answer(*each) for n, each in enumerate(given)}
    text = report([task(n) for n in range(8)], {"scout": scout})

    assert "confidence high: given in 50% of 8 tasks, right in 75% of them" in text
    assert "confidence medium: given in 0% of 8 tasks, never" in text
    assert "confidence low: given in 50% of 8 tasks, right in 0% of them" in text


def test_files_named_behind_the_cited_ones_count_for_the_ranking_alone() -> None:
    from benchmarks.localisation_report import score

    task = {"files": {"right.go": [[1, 2]]}}
    cited = [{"path": "wrong.go", "start": 1, "end": 2}]
    with_them = score(task, cited, 0.0, ["right.go"])

    assert (with_them.hit1, with_them.hit3, with_them.recall5) == (0.0, 1.0, 1.0)
    assert with_them.file_recall == 0.0
    assert score(task, cited, 0.0).hit3 == 0.0
