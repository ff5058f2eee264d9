"""What is left unloaded where stdio is served, and that it works when it is needed after all."""

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from server import version
from tests.serving import PATIENCE_S, ROOT, bare_environment, served

LEFT = {
    "mcp", "starlette.applications", "starlette.responses", "sse_starlette", "httpx2",
    "mcp.server.auth.routes", "mcp.server.sse", "mcp.shared._otel", "opentelemetry.trace",
    "mcp_types._v2026_07_28", "importlib.metadata",
}  # fmt: skip

STANDING_IN = """
import json, sys
from types import ModuleType
from server.protocol import deferred, entry
server = entry.build(stdio=True)
left = [name for name, each in sys.modules.items() if type(each) is deferred._Unloaded]
"""

USED = (
    STANDING_IN
    + """
import anyio, asyncio
async def modern():
    from mcp import Client
    async with Client(server, mode="2026-07-28") as client:
        return len((await client.list_tools()).tools)
tools = anyio.run(modern)

def stand_ins():
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if type(value) is deferred._StandIn:
                yield module.__name__, name, value

found = list(stand_ins())
kinds = {}
for module, name, value in found:
    real = value._real()
    same = real is getattr(sys.modules[value._module.__name__], value._name)
    kinds[f"{module}.{name}"] = [type(real).__name__, same, isinstance(real, type) and
        issubclass(real, BaseException)]
for name in left:
    getattr(sys.modules[name], "anything", None)

async def http():
    import httpx2
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Accept": "application/json, text/event-stream"}
    transport = httpx2.ASGITransport(app=app)
    async with app.router.lifespan_context(app):
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as web:
            return (await web.post("/mcp", json=message, headers=headers)).json()
over_http = len(anyio.run(http)["result"]["tools"])
still = [name for name in left if type(sys.modules[name]) is not ModuleType]
print(json.dumps({"tools": tools, "kinds": kinds, "still": still, "http": over_http}))
"""
)


def printed(code: str, *, cwd: Path = ROOT) -> Any:
    """What the code prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_serving_stdio_leaves_unloaded_what_it_does_not_use() -> None:
    left = printed(STANDING_IN + "print(json.dumps(left))")
    assert set(left) >= LEFT


def test_what_was_left_unloaded_works_as_soon_as_it_is_used() -> None:
    told = printed(USED)
    assert told["tools"] == told["http"] == 2
    assert told["still"] == []
    assert "mcp.server.lowlevel.server.Starlette" in told["kinds"]
    for name, (kind, is_same, is_error) in told["kinds"].items():
        # What is compared or caught would not work as a stand-in.
        assert kind not in ("int", "float", "str", "bool", "tuple", "NoneType"), name
        assert is_same, name
        assert not is_error, name


def test_an_sdk_that_was_not_tried_is_imported_as_always() -> None:
    code = (
        "import json; from server.protocol import deferred; deferred.TRIED = 'mcp-0.'"
        + STANDING_IN
        + "import starlette.applications; print(json.dumps([left, deferred.defer()]))"
    )
    assert printed(code) == [[], False]


@pytest.mark.parametrize("entry", ["server", "server.main", "server.commands.root"])
def test_no_arguments_serve_where_stdin_is_no_terminal(tmp_path: Path, entry: str) -> None:
    command = [sys.executable, "-m", entry]
    with served(tmp_path, command=command, PYTHONPATH=str(ROOT)) as server:
        assert server.initialize()["result"]["serverInfo"]["name"] == "fastcontext"


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version() == project["version"]


def test_no_arguments_in_a_terminal_show_the_help(tmp_path: Path) -> None:
    control, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "server"],
            env=bare_environment(tmp_path, PYTHONPATH=str(ROOT)),
            cwd="/",
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        os.close(control)
        os.close(terminal)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: fastcontext" in done.stderr
    assert "explore" in done.stderr
