"""The server as a process: launch forms, a clean stdout, a hostile working directory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from server.clients.install import entry
from server.clients.locations import CLIENTS
from tests.fakes.openai_server import says, serving
from tests.serving import INITIALIZE, MAIN, ROOT, Served, bare_environment, served
from tests.tooling import write_tree

BIN = Path(sys.executable).parent

NOISY_SERVER = """
import os, subprocess, sys
sys.path.insert(0, {root!r})
from server.protocol.app import build_server
from server.settings import Settings
from explorer.engines.scripted import ScriptedEngine

class Noisy(ScriptedEngine):
    def stream(self, request):
        print("printed by the engine", flush=True)
        sys.stdout.write("left in a buffer")
        os.write(1, b"written to descriptor 1\\n")
        subprocess.run(["echo", "printed by a child"], check=True)
        return super().stream(request)

read = '<tool_call>{{"name": "Read", "arguments": {{"path": "a.py"}}}}</tool_call>'
engine = Noisy([read, "<final_answer>a.py:1-1 (here)</final_answer>"])
build_server(Settings(endpoint="http://127.0.0.1:1/v1"), engine_factory=lambda _: engine).run()
"""


NEWEST = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": INITIALIZE["clientInfo"],
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    tree = {
        ".git/HEAD": "ref: refs/heads/main\n",
        "a.py": "def retry_delay(attempt: int) -> float:\n    return 2.0**attempt\n",
        "b.py": "from a import retry_delay\n\nprint(retry_delay(3))\n",
    }
    return write_tree(tmp_path / "repository", tree)


@pytest.mark.parametrize(
    "form", ["file", "module", "package", "mcp run", "command line"], ids=lambda form: form
)
def test_every_launch_form_serves_from_any_directory(
    tmp_path: Path, repository: Path, form: str
) -> None:
    settings = {}
    command = {
        "file": [sys.executable, MAIN],
        "module": [sys.executable, "-m", "server.main"],
        "package": [sys.executable, "-m", "server", "serve"],
        "mcp run": [str(BIN / "mcp"), "run", MAIN],
        "command line": [
            sys.executable,
            "-c",
            "from server.commands.root import main; main()",
            "serve",
        ],
    }[form]
    if form in ("module", "package", "command line"):
        # What installing the project does for these forms.
        settings = {"PYTHONPATH": str(ROOT)}
    with served(tmp_path, command=command, cwd="/", **settings) as server:
        assert server.initialize()["result"]["serverInfo"]["name"] == "fastcontext"
        tools = server.answer(server.send("tools/list"))["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["explore_repository", "engine_status"]
        called = server.call("explore_repository", query="retry delay", path=str(repository))
        assert "a.py" in server.answer(called)["result"]["content"][0]["text"]


def test_nothing_in_the_working_directory_is_imported(tmp_path: Path, repository: Path) -> None:
    planted = "import os; os.write(2, b'PLANTED\\n'); raise SystemExit('planted')\n"
    names = [
        "mcp.py", "explorer/__init__.py", "server/__init__.py", "server/main.py", "launch.py",
        "sitecustomize.py", "usercustomize.py", "numpy.py", "httpx.py", "typing_extensions.py",
        "http/__init__.py", "logging/__init__.py", "anyio.py", "pydantic/__init__.py",
    ]  # fmt: skip
    write_tree(repository, dict.fromkeys(names, planted))
    commands = [[sys.executable, MAIN], [str(BIN / "mcp"), "run", MAIN]]
    for command in commands:
        with served(tmp_path, command=command, cwd=repository) as server:
            server.initialize()
            called = server.call("explore_repository", query="where is the retry delay?")
            assert "a.py" in server.answer(called)["result"]["content"][0]["text"]
            assert "PLANTED" not in server.errors()


@pytest.mark.parametrize("form", ["console script", "entry", "file", "package"])
def test_no_package_on_pythonpath_is_started_in_the_place_of_ours(
    tmp_path: Path, repository: Path, form: str
) -> None:
    # A sourced ROS 2 has a package ``launch`` there, and many a monorepo one named ``server``.
    planted = "import os; os.write(2, b'PLANTED\\n'); raise SystemExit('planted')\n"
    names = ["launch", "mcp", "numpy"] + ["explorer", "server"] * (form != "package")
    others = write_tree(tmp_path / "others", {f"{name}/__init__.py": planted for name in names})
    path = f"{others}{os.pathsep}{ROOT}"
    command = {
        "console script": [
            sys.executable,
            "-c",
            "from fastcontext_mcp import main; main()",
            "serve",
        ],
        "entry": [entry(CLIENTS["cursor"])["command"], "-I", MAIN],
        "file": [sys.executable, MAIN],
        "package": [sys.executable, "-m", "server", "serve"],
    }[form]
    with served(tmp_path, command=command, cwd="/", PYTHONPATH=path) as server:
        server.initialize()
        called = server.call("explore_repository", query="retry delay", path=str(repository))
        assert "a.py" in server.answer(called)["result"]["content"][0]["text"]
        assert "PLANTED" not in server.errors()


@pytest.mark.parametrize("module", ["server.main", "server"])
def test_running_as_a_module_imports_nothing_from_the_working_directory(
    tmp_path: Path, repository: Path, module: str
) -> None:
    # The interpreter itself puts it first on the path, so ``server`` has to be installed and what
    # runpy loads is out of reach; from the first line of ours on it is gone.
    planted = "import os; os.write(2, b'PLANTED\\n'); raise SystemExit('planted')\n"
    names = ["mcp.py", "explorer/__init__.py", "launch.py", "numpy.py", "httpx.py", "anyio.py"]
    write_tree(repository, dict.fromkeys([*names, "gc.py", "typer.py", "pathlib.py"], planted))
    arguments = ["serve"] if module == "server" else []
    command = [sys.executable, "-m", module, *arguments]
    with served(tmp_path, command=command, cwd=repository, PYTHONPATH=str(ROOT)) as server:
        server.initialize()
        called = server.call("explore_repository", query="where is the retry delay?")
        assert "a.py" in server.answer(called)["result"]["content"][0]["text"]
        assert "PLANTED" not in server.errors()


def test_the_servers_own_folder_hides_no_module_of_the_standard_library() -> None:
    ours = {path.stem for path in (ROOT / "server").glob("*.py")}
    assert ours & set(sys.stdlib_module_names) == set()


def test_stdout_carries_only_json_rpc_whatever_prints(tmp_path: Path, repository: Path) -> None:
    script = tmp_path / "noisy.py"
    script.write_text(NOISY_SERVER.format(root=str(ROOT)))
    with served(tmp_path, command=[sys.executable, str(script)], cwd="/") as server:
        server.initialize()
        called = server.call("explore_repository", query="q", path=str(repository))
        assert "`a.py:1-1`" in server.answer(called)["result"]["content"][0]["text"]
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.end_of_output() == b""
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in server.lines)
    errors = server.errors()
    assert "printed by the engine" in errors
    assert "written to descriptor 1" in errors
    assert "printed by a child" in errors


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
async def test_the_sdks_client_talks_to_a_noisy_server_in_both_eras(
    tmp_path: Path, repository: Path, mode: str
) -> None:
    script = tmp_path / "noisy.py"
    script.write_text(NOISY_SERVER.format(root=str(ROOT)))
    command = StdioServerParameters(command=sys.executable, args=[str(script)], cwd="/")
    async with Client(command, mode=mode) as client:
        assert len((await client.list_tools()).tools) == 2
        result = await client.call_tool(
            "explore_repository", {"query": "q", "path": str(repository)}
        )
    assert not result.is_error
    assert "`a.py:1-1`" in result.content[0].text  # type: ignore[union-attr]


def test_what_is_printed_while_importing_does_not_reach_the_client(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "server", copy / "server")
    shutil.copytree(ROOT / "explorer", copy / "explorer")
    app = copy / "server/protocol/app.py"
    app.write_text(app.read_text() + "\nimport os\nprint('a banner')\nos.write(1, b'raw')\n")
    with served(tmp_path, command=[sys.executable, str(copy / "server/main.py")]) as server:
        server.initialize()
        assert "a banner" in server.errors()
        assert len(server.lines) == 1


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_a_repository_whose_name_is_not_utf_8_is_explored_again_and_again(
    tmp_path: Path, repository: Path
) -> None:
    odd = repository.rename(tmp_path / os.fsdecode(b"repo_\xff"))
    with served(tmp_path, cwd=odd) as server:
        server.initialize(views=True)
        for path in ("", f"file://{tmp_path}/repo_%ff"):
            called = server.call("explore_repository", query="retry delay", path=path)
            result = server.answer(called)["result"]
            assert result["structuredContent"]["repository"] == f"{tmp_path}/repo_\ufffd"
            assert "a.py" in result["content"][0]["text"]
        assert "Traceback" not in server.errors()


def test_wrong_settings_are_told_to_the_agent_and_do_not_keep_the_server_from_starting(
    tmp_path: Path, repository: Path
) -> None:
    with served(tmp_path, FASTCONTEXT_MAX_TURN="3") as server:
        server.initialize()
        result = server.answer(server.call("explore_repository", query="q"))["result"]
        assert result["isError"] is True
        assert "did you mean FASTCONTEXT_MAX_TURNS?" in result["content"][0]["text"]


def test_progress_comes_with_rising_numbers_and_short_messages(
    tmp_path: Path, repository: Path
) -> None:
    turns = [
        says('<tool_call>\n{"name": "Grep", "arguments": {"pattern": "retry"}}\n</tool_call>'),
        says("<final_answer>\na.py:1-2 (the delay)\n</final_answer>"),
    ]
    with (
        serving(turns) as model,
        served(tmp_path, FASTCONTEXT_ENDPOINT=model.url) as server,
    ):
        server.initialize()
        called = server.call("explore_repository", query="q", path=str(repository))
        messages = []
        while (message := server.receive()).get("id") != called:
            assert message["method"] == "notifications/progress"
            messages.append(message["params"])
        numbers = [each["progress"] for each in messages]
        assert numbers == sorted(set(numbers))
        assert all(len(each["message"]) <= 120 for each in messages)
        assert any("turn 1" in each["message"] for each in messages)
        assert all("total" not in each for each in messages)


def test_the_interpreter_says_nothing_when_stdin_is_not_json(tmp_path: Path) -> None:
    command = [sys.executable, MAIN]
    done = subprocess.run(
        command,
        input=b"hello\n\xff\xfe\n\n",
        env=bare_environment(tmp_path),
        cwd="/",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    for line in done.stdout.splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"


def test_a_client_may_fall_back_to_the_older_handshake(tmp_path: Path, repository: Path) -> None:
    with served(tmp_path) as server:
        # All of it before the first answer, as behind a start that took the client too long.
        asked = server.send("server/discover", NEWEST)
        begun = server.send("initialize", INITIALIZE)
        server.send("notifications/initialized", notify=True)
        called = server.call("explore_repository", query="retry delay", path=str(repository))
        assert server.answer(asked)["result"]["supportedVersions"] == ["2026-07-28"]
        assert server.answer(begun)["result"]["protocolVersion"] == "2025-06-18"
        assert "a.py" in server.answer(called)["result"]["content"][0]["text"]
        again = server.answer(server.send("tools/list", NEWEST))
        assert again["error"]["code"] == -32600


def test_a_client_that_uses_the_newest_protocol_stays_with_it(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.answer(server.send("server/discover", NEWEST))
        listed = server.answer(server.send("tools/list", NEWEST))["result"]["tools"]
        assert len(listed) == 2
        assert server.answer(server.send("initialize", INITIALIZE))["error"]["code"] == -32022


def answered(server: Served, line: bytes) -> dict[str, Any]:
    """The next message after a line that is sent as it is."""
    assert server.process.stdin is not None
    server.process.stdin.write(line + b"\n")
    server.process.stdin.flush()
    return server.receive()


def test_every_request_gets_an_answer_however_it_is_written(
    tmp_path: Path, repository: Path
) -> None:
    call = (
        '{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "explore_repository'
        f'", "arguments": {{"path": "{repository}", "query": "%s"}}}}}}'
    )
    with served(tmp_path) as server:
        server.initialize()
        for half in (r"retry delay \ud83d", r"\uDE00 retry delay", r"retry \\ delay \ud83d\ud83d"):
            message = answered(server, (call % half).encode())
            assert message["id"] == 7
            assert "a.py" in message["result"]["content"][0]["text"]
        for line, number, code in (
            (b"hello", None, -32700),
            (b'{"jsonrpc": "2.0", "id": 8, "method": "ping"', None, -32700),
            (b"[" * 100_000, None, -32700),
            (b'[{"jsonrpc": "2.0", "id": 8, "method": "ping"}]', None, -32600),
            (b'{"id": 8, "method": "ping"}', 8, -32600),
            (b'{"jsonrpc": "2.0", "id": "a", "method": 5}', "a", -32600),
            (b'{"jsonrpc": "2.0", "id": 8, "method": "ping", "params": [1]}', 8, -32600),
        ):
            message = answered(server, line)
            assert (message["id"], message["error"]["code"]) == (number, code)


def test_what_is_no_request_gets_no_answer(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.initialize()
        assert server.process.stdin is not None
        server.process.stdin.write(b'\n{"jsonrpc": "2.0", "method": 5}\n{"id": 3, "result": 5}\n')
        number = server.send("ping")
        assert server.receive()["id"] == number


def test_a_closed_stderr_does_not_put_anything_on_the_wire(tmp_path: Path) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" "{MAIN}" 2>&-'],
        input=json.dumps(message).encode() + b"\n",
        env=bare_environment(tmp_path),
        cwd="/",
        stdout=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    for line in done.stdout.splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"
