"""What ``doctor`` finds, and how it tries a server."""

import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from explorer.reader import session
from server.clients.install import entry
from server.clients.table import CLIENTS
from server.doctor import Finding, checks, client_entries
from server.doctor.trial import try_server
from server.settings import load_settings
from tests.checkpoints import drafts
from tests.fakes.openai_server import closed_port
from tests.fakes.readers import tiny_weights
from tests.serving import MAIN, PATIENCE_S, hanging, served

NOISE = "import sys; print('a line that is no JSON'); sys.stdin.readline()"
ENDS = "import sys; sys.exit('no module named x')"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("FASTCONTEXT_", "XDG_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def found_by_doctor() -> dict[str, dict[str, str]]:
    out = io.StringIO()
    code = checks.run_checks(out, as_json=True)
    printed = json.loads(out.getvalue())
    assert printed["ok"] == (code == 0)
    return {check["what"]: check for check in printed["checks"]}


def test_the_server_is_spawned_bare_and_answers_a_question_about_a_tree(home: Path) -> None:
    trial = try_server([sys.executable, "-P", MAIN], {}, timeout_s=PATIENCE_S)
    assert trial.problem == ""
    assert trial.tools == ("explore_repository", "engine_status")
    assert trial.answer_is_right
    assert list(home.iterdir()) == []


def test_the_entrys_roots_do_not_keep_the_trial_from_its_tree(home: Path) -> None:
    given = {"FASTCONTEXT_ROOTS": str(home)}
    trial = try_server([sys.executable, "-P", MAIN], given, timeout_s=PATIENCE_S)
    assert trial.answer_is_right


def write_settings(home: Path, text: str) -> None:
    path = home / ".config" / "fastcontext" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_neither_the_files_roots_nor_a_flag_keep_the_trial_from_its_tree(home: Path) -> None:
    write_settings(home, f'roots = ["{home}"]\n')
    for flags in ([], ["--root", str(home)], [f"--root={home}"]):
        trial = try_server([sys.executable, "-P", MAIN, *flags], {}, timeout_s=PATIENCE_S)
        assert trial.answer_is_right, trial


def test_a_server_that_may_not_see_the_tree_is_not_called_broken(home: Path) -> None:
    script = f"exec {sys.executable} -P {MAIN} --root {home}"
    trial = try_server(["/bin/sh", "-c", script], {}, timeout_s=PATIENCE_S)
    assert trial.problem == ""
    assert "outside the allowed roots" in trial.unasked


def test_a_trial_leaves_no_record(home: Path) -> None:
    write_settings(home, f'record_dir = "{home / "file"}"\n')
    given = {"FASTCONTEXT_RECORD_DIR": str(home / "variable")}
    flag = ["--record", str(home / "flag")]
    for settings, flags in (({}, []), (given, []), ({}, flag)):
        assert try_server(
            [sys.executable, "-P", MAIN, *flags], settings, timeout_s=PATIENCE_S
        ).answer_is_right
    assert [path.name for path in home.iterdir()] == [".config"]


def test_a_long_deadline_of_the_entry_does_not_make_the_trial_long(home: Path) -> None:
    with hanging() as endpoint:
        given = {"FASTCONTEXT_ENDPOINT": endpoint.url, "FASTCONTEXT_MODEL": "m"}
        command = [sys.executable, "-P", MAIN, "--deadline", "600"]
        given["FASTCONTEXT_DEADLINE_S"] = "600"
        assert try_server(command, given, timeout_s=PATIENCE_S).answer_is_right


def test_what_the_shell_has_set_does_not_reach_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_MAX_TURNS", "many")
    assert try_server([sys.executable, "-P", MAIN], {}, timeout_s=PATIENCE_S).answer_is_right


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


def configure(file: Path, made: Mapping[str, object]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"mcpServers": {"fastcontext": made}}))


def test_the_entry_of_a_client_is_what_is_tried(home: Path) -> None:
    configure(home / ".cursor/mcp.json", entry(CLIENTS["cursor"]) | {"command": "/nowhere/python"})
    found = found_by_doctor()["server (cursor)"]
    assert found["state"] == "fail"
    assert found["next_step"] == "fastcontext install cursor writes it anew"


def test_a_number_among_an_entrys_settings_is_passed_on_as_a_word(home: Path) -> None:
    made = entry(CLIENTS["cursor"]) | {"env": {"FASTCONTEXT_MAX_TURNS": 3, "UNSET": None}}
    configure(home / ".cursor/mcp.json", made)
    assert found_by_doctor()["server (cursor)"]["state"] == "ok"
    made["env"] = {"FASTCONTEXT_MAX_TURNS": 300}
    configure(home / ".cursor/mcp.json", made)
    found = found_by_doctor()["server (cursor)"]
    assert found["state"] == "fail"
    # The server's own words: installing keeps the entry's settings.
    assert "FASTCONTEXT_MAX_TURNS" in found["next_step"]


def test_what_only_the_client_can_fill_in_is_not_tried(home: Path) -> None:
    made = {"command": "${workspaceFolder}/.venv/bin/fastcontext", "args": ["serve"]}
    configure(home / ".cursor/mcp.json", made)
    found = found_by_doctor()["server (cursor)"]
    assert (found["state"], "not tried" in found["found"]) == ("info", True)


def test_different_entries_are_tried_side_by_side(home: Path) -> None:
    """Each of the two servers begins only when the other one was started."""
    waiting = (
        "import pathlib, runpy, sys, time\n"
        "mine, other = map(pathlib.Path, sys.argv[1:])\n"
        "until = time.time() + 10\n"
        "mine.touch()\n"
        "while not other.exists():\n"
        "    assert time.time() < until, 'alone'\n"
        "    time.sleep(0.01)\n"
        f"sys.argv = [{MAIN!r}]\n"
        f"runpy.run_path({MAIN!r}, run_name='__main__')\n"
    )
    one, other = str(home / "one"), str(home / "other")
    arguments = ["-P", "-c", waiting]
    for file, ways in ((".cursor/mcp.json", [one, other]), (".claude.json", [other, one])):
        configure(home / file, {"command": sys.executable, "args": [*arguments, *ways]})
    found = found_by_doctor()
    for client in ("cursor", "claude-code"):
        assert found[f"server ({client})"]["state"] == "ok", found


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = home / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_an_entry_of_the_project_is_tried(project: Path) -> None:
    made = entry(CLIENTS["claude-code"], environment={"FASTCONTEXT_MAX_TURNS": "none"})
    configure(project / ".mcp.json", made)
    found = found_by_doctor()["server (claude-code, this project)"]
    assert found["state"] == "fail"
    assert "'max_turns'" in found["found"]


@pytest.mark.parametrize(
    "change",
    [
        {"command": "/bin/sh", "args": ["-c", "touch ran"]},
        {"env": {"PYTHONPATH": "."}},
        {"env": {"FASTCONTEXT_ENDPOINT": "http://127.0.0.1:1/v1"}},
        {"env": ["FASTCONTEXT_ROOTS=/"]},
        {"url": "http://127.0.0.1:1/mcp"},
    ],
)
def test_nothing_else_that_a_project_names_is_started(
    project: Path, change: dict[str, object]
) -> None:
    configure(project / ".mcp.json", entry(CLIENTS["claude-code"]) | change)
    (project / "sitecustomize.py").write_text(f"open({str(project / 'ran')!r}, 'w')\n")
    found = found_by_doctor()["server (claude-code, this project)"]
    assert found["state"] == "info"
    assert "not tried" in found["found"]
    assert not (project / "ran").exists()


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    """The URL of a running server that asks for the token ``t``."""
    command = [sys.executable, "-P", MAIN, "--http", "127.0.0.1:0"]
    settings = {"FASTCONTEXT_HTTP_TOKEN": "t"}
    with served(home, command=command, **settings) as server:
        until = time.monotonic() + PATIENCE_S
        while (said := re.search(r"(http://\S+)\n", server.errors())) is None:
            assert time.monotonic() < until, server.errors()
            time.sleep(0.02)
        yield said[1]


def test_a_server_that_is_reached_by_url_is_greeted(home: Path, address: str) -> None:
    remote = {"type": "http", "url": address, "headers": {"Authorization": "Bearer t"}}
    configure(home / ".claude.json", remote)
    found = found_by_doctor()["server (claude-code)"]
    assert found["state"] == "ok"
    assert "explore_repository, engine_status" in found["found"]
    configure(home / ".claude.json", {"type": "http", "url": address})
    found = found_by_doctor()["server (claude-code)"]
    assert (found["state"], found["found"]) == ("fail", "HTTP 401 Unauthorized")
    assert "Authorization" in found["next_step"]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"http://127.0.0.1:{closed_port()}/mcp", id="a closed port"),
        "http://[",
        "nonsense",
        "http://127.0.0.1:1",
    ],
)
def test_nobody_is_told_to_install_over_a_url_that_does_not_answer(home: Path, url: str) -> None:
    secret = "a\nb"
    configure(home / ".claude.json", {"url": url, "headers": {"Authorization": secret}})
    found = found_by_doctor()["server (claude-code)"]
    assert found["state"] == "fail"
    assert "install" not in found["next_step"]
    assert secret not in found["found"]


def test_a_wrong_token_given_to_mcp_remote_is_told_as_what_it_is(home: Path, address: str) -> None:
    remote = ["-y", "mcp-remote@latest", address, "--header"]
    configure(
        home / ".cursor/mcp.json", {"command": "npx", "args": [*remote, "Authorization:Bearer x"]}
    )
    found = found_by_doctor()["server (cursor)"]
    assert (found["state"], found["found"]) == ("fail", "HTTP 401 Unauthorized")
    assert "mcp-remote calls it an error of OAuth" in found["next_step"]
    made = {"command": "npx", "args": [*remote, "Authorization: Bearer t"]}
    configure(home / ".cursor/mcp.json", made)
    assert found_by_doctor()["server (cursor)"]["state"] == "ok"


def test_a_start_that_is_too_slow_for_a_client_fails(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = replace(CLIENTS["cursor"], start_limit_s=0.001)
    monkeypatch.setattr(client_entries, "CLIENTS", {"cursor": slow})
    configure(home / ".cursor/mcp.json", entry(slow))
    found = found_by_doctor()["server (cursor)"]
    assert found["state"] == "fail"
    assert "Cursor waits 0.001 s for a server to start" in found["found"]


def test_what_keeps_an_entry_from_working_is_told(home: Path) -> None:
    configure(home / ".gemini/settings.json", entry(CLIENTS["gemini"]))
    found = found_by_doctor()
    assert "you have not trusted" in found["gemini"]["found"]
    assert found["server (gemini)"]["state"] == "ok"
    assert "openai-agents waits 5 s" in found["deadline"]["found"]


def test_a_client_without_the_server_gets_the_command_that_installs_it(home: Path) -> None:
    (home / ".codex").mkdir()
    found = found_by_doctor()["codex"]
    assert (found["state"], found["next_step"]) == ("info", "fastcontext install codex")


def test_every_part_is_looked_at_and_a_machine_with_nothing_but_python_passes(home: Path) -> None:
    found = found_by_doctor()
    assert {name for name, check in found.items() if check["state"] == "fail"} == set()
    names = {"python", "ripgrep", "settings file", "roots", "repository", "endpoint", "vllm"}
    assert names | {"GPU", "reader", "weights", "cache folder", "records"} <= set(found)
    assert found["server (what a client would start)"]["state"] == "ok"


def test_an_endpoint_that_is_down_fails_with_a_next_step(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_ENDPOINT", f"http://127.0.0.1:{closed_port()}/v1")
    found = found_by_doctor()["endpoint"]
    assert found["state"] == "fail"
    assert "FASTCONTEXT_ENDPOINT" in found["next_step"]
    assert "hint" not in found["found"]


def test_a_folder_that_cannot_be_made_is_told(home: Path) -> None:
    (home / ".local").write_text("a file in the way")
    found = found_by_doctor()["records"]
    assert found["state"] == "fail"


def test_the_gpu_is_told_by_name_memory_and_driver(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, NVIDIA GB10, 12.1, 121856, 99, 580.1, GPU-1'\n")
    program.chmod(0o755)
    check = checks._gpu(str(program))
    assert check.found == "NVIDIA GB10, 119 GiB, driver 580.1, compute capability 12.1"
    program.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    assert checks._gpu(str(program)).state == "fail"
    assert "mismatch" in checks._gpu(str(program)).found


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader that no other test has loaded."""
    folder = tiny_weights(tmp_path / "reader")
    monkeypatch.setattr(session, "WEIGHTS", folder)
    monkeypatch.setattr(session, "_shared", None)
    return folder


def reader_found() -> Finding:
    return checks._reader(load_settings())


def test_a_reader_that_loads_is_named_by_its_version(home: Path, weights: Path) -> None:
    assert reader_found() == Finding("ok", "reader", "version tiny")


def test_a_reader_without_its_weights_is_told_with_the_next_step(home: Path, weights: Path) -> None:
    (weights / "reader.onnx").write_bytes(b"no network")
    found = reader_found()
    assert found.state == "info"
    assert "cannot be loaded" in found.found
    assert found.found.endswith("; the scout goes by words alone")
    assert found.next_step == "install fastcontext-mcp again"


def test_a_machine_without_onnxruntime_is_told_what_to_install(
    home: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert reader_found().next_step == "pip install onnxruntime"


def test_a_reader_that_is_off_is_told_to_be(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCONTEXT_READER", "off")
    assert "off" in reader_found().found


def test_weights_are_found_where_hugging_face_keeps_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "r0b0tlab/FastContext-1.0-4B-RL-NVFP4"
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    cached = home / "hf/hub" / f"models--{name.replace('/', '--')}" / "snapshots/1"
    drafts()[0].write(cached)
    assert name in found_by_doctor()["weights"]["found"]


def test_weights_and_vllm_are_those_that_the_settings_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drafts()[0].write(home / "mine")
    monkeypatch.setenv("FASTCONTEXT_ENGINE_MODELS", str(folder))
    command = home / "bin/vllm"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n")
    command.chmod(0o755)
    told = home / "vllm-9.9.9.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 9.9.9\n")
    monkeypatch.setenv("FASTCONTEXT_VLLM", str(command))
    found = found_by_doctor()
    assert str(folder) in found["weights"]["found"]
    assert found["vllm"]["found"] == f"9.9.9 ({command})"
    monkeypatch.setenv("FASTCONTEXT_VLLM", str(home / "no"))
    assert found_by_doctor()["vllm"]["state"] == "fail"
