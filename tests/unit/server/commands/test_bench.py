import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.commands.bench import bench
from server.errors import UsageError
from tests.tooling import python_that_runs

# Stands in for the Python that has vLLM: says which GPU there is, and measures bf16 alone.
CHILD = """\
import json, sys
if sys.argv[1] == "-c":
    print(9, 0)
    sys.exit()
plan = json.loads(sys.argv[-1])
if plan["name"] != "bf16":
    sys.exit(3)
row = {"variant": "bf16", "kind": "ttft_ms", "prompt_tokens": 32, "n": 5, "median": 20.0}
with open(plan["rows"], "a") as file:
    file.write(json.dumps(row) + "\\n")
"""


@pytest.fixture
def python(tmp_path: Path) -> str:
    return python_that_runs(CHILD, tmp_path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(bench, list(arguments))


def test_a_variant_without_a_figure_is_named_below_the_table_of_the_others(
    tmp_path: Path, python: str
) -> None:
    out = tmp_path / "out"
    result = run(
        "engine", "--weightless", "--variant", "bf16", "--variant", "nvfp4",
        "--python", python, "--out", str(out),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    text = (out / "engine.md").read_text()
    assert "| TTFT of 32 tokens, ms | 20.0 | 5 |" in text
    assert "* nvfp4: error: the engine's process ended with 3" in text
    assert (out / "engine.png").exists() is (find_spec("matplotlib") is not None)


@pytest.mark.parametrize("kind", ["engine", "matmul"])
def test_a_results_folder_that_cannot_be_made_is_wrong_usage(
    tmp_path: Path, python: str, kind: str
) -> None:
    (tmp_path / "file").touch()
    out = ["--out", str(tmp_path / "file" / "out")]
    more = ["--weightless", "--python", python] if kind == "engine" else []
    result = run(kind, *more, *out)
    assert isinstance(result.exception, UsageError), result.exception
    assert "cannot be made" in str(result.exception)


@pytest.mark.parametrize("config", [None, "[]", '{"model_type": "mamba"}'])
def test_a_folder_that_is_no_checkpoint_is_refused_before_results_have_a_folder(
    tmp_path: Path, python: str, config: str | None
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    if config is not None:
        (model / "config.json").write_text(config)
    out = tmp_path / "out"
    result = run(
        "engine", "--bf16", str(model), "--nvfp4", str(model),
        "--python", python, "--out", str(out),
    )  # fmt: skip
    assert isinstance(result.exception, UsageError), result.exception
    assert "cannot be measured" in str(result.exception)
    assert not out.exists()


def test_a_python_that_cannot_be_run_leaves_no_folder_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("engine", "--weightless", "--python", "/no/such/python", "--out", str(out))
    assert isinstance(result.exception, UsageError)
    assert not out.exists()


def test_lines_that_are_no_rows_are_named_and_left_out_of_the_report(tmp_path: Path) -> None:
    row = {"variant": "bf16", "kind": "ttft_ms", "prompt_tokens": 32, "n": 5, "median": 20.0}
    lines = [json.dumps(row), "[1]", "null", "[" * 100_000, '{"variant": "bf16", "ki']
    (tmp_path / "engine.jsonl").write_text("\n".join(lines))
    result = run("report", str(tmp_path))
    assert result.exit_code == 0, result.exception
    assert "20.0" in result.stdout
    assert [line for line in result.stderr.splitlines() if "is not a row" in line] == [
        f"line {number} of 'engine.jsonl' is not a row and is left out" for number in (2, 3, 4, 5)
    ]
