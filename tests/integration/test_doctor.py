"""What ``doctor`` finds, and how it tries a server."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from server import doctor
from server.clients.install import entry
from server.clients.locations import CLIENTS
from server.trial import try_server
from tests.fakes.openai_server import closed_port
from tests.serving import MAIN, PATIENCE_S

NOISE = "import sys; print('a line that is no JSON'); sys.stdin.readline()"
ENDS = "import sys; sys.exit('no module named x')"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("FASTCONTEXT_", "XDG_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def checks() -> dict[str, dict[str, str]]:
    out = io.StringIO()
    code = doctor.run_checks(out, as_json=True)
    printed = json.loads(out.getvalue())
    assert printed["ok"] == (code == 0)
    return {check["what"]: check for check in printed["checks"]}


def test_the_server_is_spawned_bare_and_answers_a_question_about_a_tree(home: Path) -> None:
    trial = try_server([sys.executable, "-P", MAIN], {}, timeout_s=PATIENCE_S)
    assert trial.problem == ""
    assert trial.tools == ("explore_repository", "engine_status")
    assert trial.found
    assert list(home.iterdir()) == []


def test_the_entrys_roots_do_not_keep_the_trial_from_its_tree(home: Path) -> None:
    given = {"FASTCONTEXT_ROOTS": str(home)}
    trial = try_server([sys.executable, "-P", MAIN], given, timeout_s=PATIENCE_S)
    assert trial.found


def test_what_the_shell_has_set_does_not_reach_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_MAX_TURNS", "many")
    assert try_server([sys.executable, "-P", MAIN], {}, timeout_s=PATIENCE_S).found


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ([sys.executable, "-c", NOISE], "no MCP"),
        ([sys.executable, "-c", ENDS], "ended without an answer; it said: no module named x"),
        (["/nowhere/python"], "cannot be started: No such file"),
    ],
)
def test_a_server_that_does_not_work_is_told_with_its_reason(
    home: Path, command: list[str], problem: str
) -> None:
    assert problem in try_server(command, {}, timeout_s=PATIENCE_S).problem


def test_a_server_that_says_nothing_is_given_up_and_ended(home: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    assert "no answer within 0.2 s" in try_server(command, {}, timeout_s=0.2).problem


def test_the_entry_of_a_client_is_what_is_tried(home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    made = entry(CLIENTS["cursor"]) | {"command": "/nowhere/python"}
    path.write_text(json.dumps({"mcpServers": {"fastcontext": made}}))
    found = checks()["server (cursor)"]
    assert found["state"] == "fail"
    assert "fastcontext install" in found["next_step"]


def test_a_client_without_the_server_gets_the_command_that_installs_it(home: Path) -> None:
    (home / ".codex").mkdir()
    found = checks()["codex"]
    assert (found["state"], found["next_step"]) == ("info", "fastcontext install codex")


def test_every_part_is_looked_at_and_a_machine_with_nothing_but_python_passes(home: Path) -> None:
    found = checks()
    assert {name for name, check in found.items() if check["state"] == "fail"} == set()
    names = {"python", "ripgrep", "settings file", "roots", "repository", "endpoint", "vllm"}
    assert names | {"GPU", "weights", "cache folder", "records"} <= set(found)
    assert found["server (what a client would start)"]["state"] == "ok"


def test_an_endpoint_that_is_down_fails_with_a_next_step(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_ENDPOINT", f"http://127.0.0.1:{closed_port()}/v1")
    found = checks()["endpoint"]
    assert found["state"] == "fail"
    assert "FASTCONTEXT_ENDPOINT" in found["next_step"]


def test_a_folder_that_cannot_be_made_is_told(home: Path) -> None:
    (home / ".local").write_text("a file in the way")
    found = checks()["records"]
    assert found["state"] == "fail"


def test_the_gpu_is_told_by_name_memory_and_driver(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA GB10, 119 GiB, 580.1, 12.1'\n")
    program.chmod(0o755)
    check = doctor._gpu(lambda _: str(program))
    assert check.found == "NVIDIA GB10, 119 GiB, driver 580.1, compute capability 12.1"
    program.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    assert doctor._gpu(lambda _: str(program)).state == "fail"
    assert "mismatch" in doctor._gpu(lambda _: str(program)).found


def test_weights_are_found_where_hugging_face_keeps_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    (home / "hf/hub/models--r0b0tlab--FastContext-1.0-4B-RL-NVFP4").mkdir(parents=True)
    assert "r0b0tlab/FastContext-1.0-4B-RL-NVFP4" in doctor._weights().found
