"""A server whose files are replaced or taken away while it runs."""

import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.fakes.openai_server import says, serving
from tests.serving import INITIALIZE, ROOT, Served, served
from tests.tooling import write_tree

SERVE = """
import logging, sys
sys.path.insert(0, sys.argv[1])
from server.protocol import app, entry
app.PREPARE_AFTER_S = float(sys.argv[2])
made = entry.build(stdio=True)
logging.getLogger().setLevel("INFO")
made.run()
"""
NEVER_S = "86400"
READ = '<tool_call>\n{"name": "Read", "arguments": {"path": "a.py"}}\n</tool_call>'
ANSWER = "<final_answer>\na.py:1-2 (the delay)\n</final_answer>"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    tree = {".git/HEAD": "", "a.py": "def retry_delay(attempt):\n    return 2**attempt\n"}
    return write_tree(tmp_path / "repository", tree)


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A folder that our packages are copied to, and from which those that they need are linked."""
    folder = tmp_path / "site-packages"
    for name in ("server", "explorer", "launch"):
        shutil.copytree(ROOT / name, folder / name)
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if not (folder / found.name).exists() and not found.name.startswith("fastcontext"):
            (folder / found.name).symlink_to(found)
    return folder


def command(installation: Path, prepare_after_s: str) -> list[str]:
    # Without site, nothing else can be imported than what is in the folder.
    return [sys.executable, "-I", "-S", "-c", SERVE, str(installation), prepare_after_s]


def wait_for(server: Served, text: str) -> None:
    """Return when stderr holds the text; a ping at a time, which the server answers meanwhile."""
    while text not in server.errors():
        assert "result" in server.answer(server.send("ping"))


def text_of(server: Served, number: int) -> tuple[bool, str]:
    result = server.answer(number)["result"]
    return result["isError"], result["content"][0]["text"]


@pytest.mark.parametrize("explorer", ["scout", "model"])
def test_a_question_is_answered_though_the_installation_has_been_taken_away(
    tmp_path: Path, installation: Path, repository: Path, explorer: str
) -> None:
    with serving([says(READ), says(ANSWER)]) as model:
        settings = {"FASTCONTEXT_ENDPOINT": model.url} if explorer == "model" else {}
        with served(tmp_path, command=command(installation, "0"), **settings) as server:
            server.initialize()
            wait_for(server, "all is loaded that a question needs")
            installation.rename(tmp_path / "taken away")
            asked = server.call("explore_repository", query="retry delay", path=str(repository))
            is_error, text = text_of(server, asked)
            assert not is_error, text
            assert f"Answered by the {explorer}" in text, text + server.errors()
            assert "a.py:1-2" in text


def test_the_client_is_still_asked_for_its_roots(
    tmp_path: Path, installation: Path, repository: Path
) -> None:
    with served(tmp_path, command=command(installation, "0")) as server:
        capable = INITIALIZE | {"capabilities": {"roots": {}}}
        server.answer(server.send("initialize", capable))
        wait_for(server, "all is loaded that a question needs")
        installation.rename(tmp_path / "taken away")
        asked = server.call("explore_repository", query="retry delay")
        request = server.receive()
        assert request["method"] == "roots/list"
        named = {"roots": [{"uri": repository.as_uri()}]}
        reply = {"jsonrpc": "2.0", "id": request["id"], "result": named}
        assert server.process.stdin is not None
        server.process.stdin.write(json.dumps(reply).encode() + b"\n")
        server.process.stdin.flush()
        is_error, text = text_of(server, asked)
        assert not is_error, text
        assert "a.py:1-2" in text


def test_what_is_missing_is_told_with_what_to_do(
    tmp_path: Path, installation: Path, repository: Path
) -> None:
    with served(tmp_path, command=command(installation, NEVER_S)) as server:
        server.initialize()
        installation.rename(tmp_path / "taken away")
        for name, arguments in (
            ("explore_repository", {"query": "retry delay", "path": str(repository)}),
            ("engine_status", {}),
        ):
            is_error, text = text_of(server, server.call(name, **arguments))
            assert is_error
            assert "the installation of fastcontext-mcp changed while this server was run" in text
            assert "No module named" in text
            assert "hint: restart the server" in text


def test_a_fault_of_the_caller_is_told_beside_a_changed_installation(
    tmp_path: Path, installation: Path
) -> None:
    with served(tmp_path, command=command(installation, NEVER_S)) as server:
        server.initialize()
        ours = installation / "server/__init__.py"
        ours.write_text(ours.read_text())
        os.utime(ours, ns=(0, 0))
        is_error, text = text_of(server, server.call("explore_repository", query=""))
        assert is_error
        assert "the query is empty" in text
        assert "changed while this server was running\nhint: restart the server" in text


def test_a_part_that_was_never_installed_is_named(
    tmp_path: Path, installation: Path, repository: Path
) -> None:
    (installation / "numpy").unlink()
    with served(tmp_path, command=command(installation, NEVER_S)) as server:
        server.initialize()
        asked = server.call("explore_repository", query="retry delay", path=str(repository))
        is_error, text = text_of(server, asked)
        assert is_error
        assert "the installation of fastcontext-mcp is not complete (No module named 'nump" in text
