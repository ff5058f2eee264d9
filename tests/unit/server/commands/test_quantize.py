import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from explorer.events import Note, RunStarted, TurnFinished, TurnStarted
from explorer.limits import Usage
from explorer.trajectory import TrajectoryWriter
from launch.verify.probes import Conversation
from server.commands.quantize import QuantizationFailed, calibration_items, conversations, register
from server.errors import UsageError
from tests.checkpoints import drafts

SYSTEM = {"role": "system", "content": "You explore."}
ASKED = {"role": "user", "content": "<query>where?</query>"}
SEEN = {"role": "tool", "tool_call_id": "1", "content": "a.py"}
TOOLS = [{"type": "function", "function": {"name": "Glob"}}]


def run(*arguments: str) -> Any:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, list(arguments))


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def recorded(path: Path, *turns: str) -> Path:
    opening = [SYSTEM, ASKED]
    with TrajectoryWriter(path, repository=path.parent / "elsewhere") as write:
        write(RunStarted("where?", "/testbed/x", "m", opening, TOOLS, {}))
        appended = opening
        for number, text in enumerate(turns, 1):
            write(TurnStarted(number, appended, final=False))
            usage = Usage(prompt_tokens=1, completion_tokens=1, cached_tokens=0)
            write(TurnFinished(number, said(text), "stop", usage, 0.1, 0.2, 0.3))
            write(Note(number, "read a file"))
            appended = [said(text), SEEN]
    return path


def test_verify_prints_a_line_for_each_check_and_succeeds(tmp_path: Path) -> None:
    source, packed = drafts()
    folder, against = packed.write(tmp_path / "nvfp4"), source.write(tmp_path / "bf16")
    result = run("verify", str(folder), "--against", str(against), "--no-behaviour")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ok      files: ")
    assert lines[2].startswith("skipped quantizers: ")
    assert len(lines) == 11


def test_verify_fails_with_the_line_that_says_why(tmp_path: Path) -> None:
    _, packed = drafts()
    del packed.texts["chat_template.jinja"]
    result = run("verify", str(packed.write(tmp_path / "nvfp4")))
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
    assert line.startswith("FAILED  tokenizer and template: no chat template")


def test_verify_as_json_is_one_object_with_the_figures(tmp_path: Path) -> None:
    source, packed = drafts()
    folder, against = packed.write(tmp_path / "nvfp4"), source.write(tmp_path / "bf16")
    result = run("verify", str(folder), "--against", str(against), "--no-behaviour", "--json")
    report = json.loads(result.stdout)
    assert report["passed"] is True
    figures = {check["name"]: check["figures"] for check in report["checks"]}
    cosines = [cosine for cosine, _ in figures["weights against source"]["tensors"].values()]
    assert len(cosines) == 14
    assert min(cosines) > 0.99


def test_without_torch_the_comparison_of_behaviour_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    source, packed = drafts()
    folder, against = packed.write(tmp_path / "nvfp4"), source.write(tmp_path / "bf16")
    result = run("verify", str(folder), "--against", str(against))
    assert result.exit_code == 0
    assert "skipped tool calls: needs torch" in result.stdout
    assert "fastcontext-mcp[quantize]" in result.stdout


def test_quantize_refuses_what_exists_with_a_hint(tmp_path: Path) -> None:
    result = run("quantize", str(tmp_path), str(tmp_path))
    assert isinstance(result.exception, QuantizationFailed)
    assert "not overwritten" in str(result.exception)
    assert result.exception.hint == "choose another folder, or remove it first"


def test_an_unknown_device_is_wrong_usage(tmp_path: Path) -> None:
    result = run("quantize", str(tmp_path), str(tmp_path / "out"), "--device", "tpu")
    assert isinstance(result.exception, UsageError)


def test_bench_engine_needs_checkpoints_or_to_be_told_to_do_without() -> None:
    result = run("bench", "engine")
    assert isinstance(result.exception, UsageError)
    assert "--weightless" in result.exception.hint


def test_results_are_never_overwritten(tmp_path: Path) -> None:
    result = run("bench", "matmul", "--out", str(tmp_path))
    assert isinstance(result.exception, UsageError)
    assert "exists already" in str(result.exception)


def test_a_trajectory_becomes_the_chat_that_the_model_saw(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run.jsonl", "call Glob", "the answer")
    (found,) = conversations(path)
    assert found == Conversation(
        (SYSTEM, ASKED, said("call Glob"), SEEN, said("the answer")), tuple(TOOLS)
    )
    assert calibration_items(path) == [found]


def test_a_folder_of_trajectories_gives_them_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        recorded(tmp_path / f"{name}.jsonl", name)
    found = calibration_items(tmp_path)
    assert [item.messages[-1]["content"] for item in found if not isinstance(item, str)] == [
        "a",
        "b",
    ]


def test_a_folder_without_any_says_how_to_record_some(tmp_path: Path) -> None:
    with pytest.raises(QuantizationFailed) as caught:
        calibration_items(tmp_path)
    assert "--record" in caught.value.hint


def test_a_file_of_texts_is_read_as_texts(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('"one"\n{"text": "two"}\n')
    assert calibration_items(path) == ["one", "two"]
