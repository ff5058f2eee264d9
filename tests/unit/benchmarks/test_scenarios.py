"""The measurements themselves: trees that do not vary, rows that are never lost."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import SCENARIOS
from benchmarks.measure import Bench, Case, keep, table
from benchmarks.trees import NEEDLE_FILES, NEEDLES, tree
from tests.serving import ROOT


def digest(root: Path) -> str:
    sums = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        sums.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return sums.hexdigest()


def test_a_tree_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one", 60), tree(tmp_path / "other", 60)
    assert digest(one) == digest(other)
    assert digest(one) != digest(tree(tmp_path, 61))


def test_a_tree_has_the_files_asked_for_and_each_needle_in_as_many_of_them(tmp_path: Path) -> None:
    texts = [path.read_text() for path in tree(tmp_path, 300).rglob("*.py")]
    assert len(texts) == 300
    assert {sum(needle in text for text in texts) for needle in NEEDLES} == {NEEDLE_FILES}


def test_a_table_holds_median_p95_count_and_ratio() -> None:
    base = Case("bare", (1.0, 2.0, 3.0), "ms", equal_work="5 rows")
    other = Case("ours", (*[2.0] * 19, 3.0, 9.0), "ms", "bare", "5 rows")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table([base, other]).split("\n")
    ]
    assert rows[0] == ["case", "n", "median", "p95", "ratio", "equal work"]
    assert rows[2] == ["bare", "3", "2 ms", "3 ms", "", "5 rows"]
    assert rows[3] == ["ours", "21", "2 ms", "3 ms", "1.00", "5 rows"]


def test_a_second_run_on_the_same_day_leaves_the_first_ones_rows(tmp_path: Path) -> None:
    first = keep("turn", [Case("a", (1.0,), "ms")], name="here", runs=tmp_path)
    second = keep("turn", [Case("a", (2.0,), "ms")], name="here", runs=tmp_path)
    assert first.parent == second.parent
    samples = [json.loads(path.read_text().splitlines()[1])["samples"] for path in (first, second)]
    assert samples == [[1.0], [2.0]]


def test_without_a_name_the_scenarios_are_listed_and_nothing_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = [line.partition(":")[0] for line in done.stdout.split("\n\n")]
    assert listed == list(SCENARIOS)


def test_a_name_that_is_no_scenario_is_refused_with_those_that_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nope"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no scenario 'nope'" in done.stderr
    assert "greps" in done.stderr


@pytest.mark.parametrize("name", ["turn", "greps", "mixed", "scout"])
def test_scenarios_measure_equal_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.searches.SIZES", (80,))
    monkeypatch.setattr("benchmarks.scouting.FILES", 80)
    cases = SCENARIOS[name](Bench(tmp_path, 1, lambda _: None))
    names = {case.name for case in cases}
    assert all(case.against in names | {""} for case in cases)
    assert all(case.samples for case in cases)
