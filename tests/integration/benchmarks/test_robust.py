"""The fuzzers and the soak, shortened; ``python -m benchmarks robust`` runs them in full."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks import robust
from benchmarks.measure import Bench, Case
from benchmarks.odd_inputs import OddInputs
from benchmarks.robust import SEED

OUTPUTS = 800


def test_odd_outputs_calls_and_messages_break_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robust, "_ROWS", 10)
    cases = robust.robust(Bench(tmp_path, OUTPUTS, lambda _: None))
    assert [each for case in cases for each in case.failures] == []
    outputs, calls, explorations, messages = (case.equal_work for case in cases)
    assert outputs == "800 model outputs, 0 failures"
    assert calls.startswith("80 tool calls, 0 failures, ")
    assert " 0 of them" not in calls
    assert explorations.startswith("20 explorations, 0 failures, ")
    assert " 0 answered" not in explorations
    assert messages.startswith("80 messages, 0 failures, ")


def test_the_same_seed_makes_the_same_inputs() -> None:
    one, other = OddInputs(SEED), OddInputs(SEED)
    for number in range(50):
        assert one.model_output() == other.model_output()
        assert one.tool_call() == other.tool_call()
        assert one.message(number, "/r") == other.message(number, "/r")


def test_what_breaks_is_counted_and_told_with_its_seed_and_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def breaks(text: str) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(robust, "parse_answer", breaks)
    case = robust._measured(Bench(tmp_path, 0, print), "model outputs", 50, robust._read_outputs)
    assert "50 failures" in case.equal_work
    assert case.failures[3] == f"model outputs, seed {SEED}, number 3: RuntimeError('broken')"
    assert len(case.failures) == 20


@pytest.mark.parametrize(("failures", "status"), [((), 0), (("it broke",), 1)])
def test_a_failure_is_the_exit_status_and_is_kept(
    failures: tuple[str, ...],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = Case("a", (1.0,), "ms", failures=failures)
    monkeypatch.setitem(entry.SCENARIOS, "robust", lambda _: [case])
    monkeypatch.setattr(entry.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "robust", "--runs", str(tmp_path)])
    assert entry.main() == status
    assert ("failed: it broke" in capsys.readouterr().out) == bool(failures)
    assert list(failures) == kept_failures(tmp_path)


def kept_failures(runs: Path) -> list[str]:

    (path,) = runs.rglob("*.jsonl")
    return json.loads(path.read_text().splitlines()[1])["failures"]
