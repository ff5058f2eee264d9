"""Streamable HTTP: who is let in, and how the process starts and ends."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr

from explorer.engines.endpoint import is_loopback
from server.errors import UsageError
from server.protocol import http_connections, http_server
from server.protocol.app import build_server
from server.protocol.http_connections import BACKLOG, most_connections
from server.protocol.http_server import http_app, parse_address, run_http
from server.settings import Settings
from tests.tooling import write_tree

ROOT = Path(__file__).parents[4]
TOKEN = "a-token-for-tests"
BASE = "http://127.0.0.1:8931"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(http_hosts=("code.example",))
    server = build_server(settings)
    app = http_app(server, settings, "127.0.0.1", SecretStr(TOKEN))
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with (
        server.session_manager.run(),
        httpx.AsyncClient(transport=transport, base_url=BASE, headers=ACCEPT) as opened,
    ):
        yield opened


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.anyio
async def test_the_right_token_is_let_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/mcp", json=INITIALIZE, headers=bearer(TOKEN))
    assert answer.status_code == 200
    assert "serverInfo" in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer("wrong"),
        bearer(TOKEN + "x"),
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \xe9"},
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/", "/anything"])
async def test_without_the_token_nothing_is_answered(
    client: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = await client.post(path, json=INITIALIZE, headers=encoded)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


@pytest.mark.anyio
async def test_a_foreign_host_name_is_refused_even_with_the_token(
    client: httpx.AsyncClient,
) -> None:
    # What a page behind DNS rebinding would send.
    headers = bearer(TOKEN) | {"Host": "evil.example:8931"}
    assert (await client.post("/mcp", json=INITIALIZE, headers=headers)).status_code == 421


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host", ["127.0.0.1:1:evil.com", "localhost:@evil.com", "127.0.0.1.evil.com", "x[::1]", ""]
)
async def test_a_name_that_only_begins_like_a_local_one_is_refused(
    client: httpx.AsyncClient, host: str
) -> None:
    headers = bearer(TOKEN) | {"Host": host}
    assert (await client.post("/mcp", json=INITIALIZE, headers=headers)).status_code == 421
    if host:
        headers = bearer(TOKEN) | {"Origin": f"http://{host}"}
        assert (await client.post("/mcp", json=INITIALIZE, headers=headers)).status_code == 403


@pytest.mark.anyio
async def test_a_foreign_origin_is_refused_even_with_the_token(client: httpx.AsyncClient) -> None:
    headers = bearer(TOKEN) | {"Origin": "http://evil.example"}
    assert (await client.post("/mcp", json=INITIALIZE, headers=headers)).status_code == 403


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8931", "Origin": "http://localhost:6274"},
        {"Host": "code.example", "Origin": "https://code.example"},
        {"Host": "[::1]:8931"},
    ],
)
async def test_loopback_and_configured_names_are_accepted(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/mcp", json=INITIALIZE, headers=bearer(TOKEN) | headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_machines_are_not_served_without_a_token_of_ones_own(host: str) -> None:
    settings = Settings()
    with pytest.raises(UsageError, match="without a token") as caught:
        run_http(build_server(settings), settings, host, 0)
    assert "FASTCONTEXT_HTTP_TOKEN" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("", False), ("10.0.0.1", False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_only_loopback_addresses_count_as_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        (":8080", ("127.0.0.1", 8080)),
        ("8080", ("127.0.0.1", 8080)),
    ],
)
def test_an_address_may_leave_the_host_out(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:port", "127.0.0.1:70000", ":-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A serving process on a free port, its URL and the token that it made."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, str(ROOT / "server/main.py"), "--http", "127.0.0.1:0"]
    started = subprocess.Popen(
        command, cwd="/", env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert started.stderr is not None
        url = re.search(r"http://\S+", started.stderr.readline())
        token = re.search(r"Bearer (\S+)", started.stderr.readline())
        assert url is not None
        assert token is not None
        yield started, url[0], token[1]
    finally:
        started.kill()
        started.communicate(timeout=10)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
async def test_the_sdks_client_explores_over_http_in_both_eras(
    process: tuple[subprocess.Popen[str], str, str], tmp_path: Path, mode: str
) -> None:
    _, url, token = process
    repository = write_tree(tmp_path / "repository", {".git/HEAD": "", "a.py": "def slerp(): ..."})
    heard: list[str | None] = []

    async def hear(_progress: float, _total: float | None, message: str | None) -> None:
        heard.append(message)

    async with httpx2.AsyncClient(headers=bearer(token), trust_env=False) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            result = await client.call_tool(
                "explore_repository",
                {"query": "where is slerp?", "path": str(repository)},
                progress_callback=hear,
            )
    assert not result.is_error
    assert "a.py" in result.content[0].text  # type: ignore[union-attr]
    assert heard


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_with_a_stream_open(
    process: tuple[subprocess.Popen[str], str, str], number: signal.Signals
) -> None:
    started, url, token = process
    headers = ACCEPT | bearer(token)
    with httpx.Client(headers=headers, trust_env=False) as client:
        opened = client.post(url, json=INITIALIZE)
        assert opened.status_code == 200
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        with client.stream("GET", url, headers=session):
            started.send_signal(number)
            assert started.wait(timeout=5) == 0


def test_a_port_that_is_taken_is_an_error_with_a_hint(
    process: tuple[subprocess.Popen[str], str, str], tmp_path: Path
) -> None:
    port = process[1].rpartition(":")[2].partition("/")[0]
    command = [sys.executable, str(ROOT / "server/main.py"), "--http", f"127.0.0.1:{port}"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd="/", env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot listen on")
    assert "hint:" in done.stderr


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, int]]:
    """The address of a server in this process."""
    settings = Settings()
    app = http_app(build_server(settings), settings, "127.0.0.1", SecretStr(TOKEN))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with anyio.create_task_group() as group:
            group.start_soon(http_server._serve, app, listening)
            yield listening.getsockname()
            group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_silent_connections_give_way_to_one_that_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "most_connections", lambda: 8)
    async with serving() as (host, port):
        silent = [await anyio.connect_tcp(host, port) for _ in range(40)]
        await silent[-1].send(b"POST /mcp HTTP/1.1\r\nHost: ")
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", headers=ACCEPT) as client:
            answer = await client.post("/mcp", json=INITIALIZE, headers=bearer(TOKEN))
        assert answer.status_code == 200
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await silent[0].receive()
        for each in silent:
            await each.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "sent", [b"", b"POST /mcp HTTP/1.1\r\nHost: x", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG"]
)
async def test_a_connection_that_sends_no_whole_head_in_time_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(http_connections, "HEADERS_S", 0.05)
    async with serving() as (host, port), await anyio.connect_tcp(host, port) as connection:
        if sent:
            await connection.send(sent)
        # Otherwise the test's own time-out ends this.
        with suppress(anyio.BrokenResourceError):
            async for _ in connection:
                pass


def test_the_bound_on_connections_leaves_descriptors_for_the_work() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert most_connections() + BACKLOG <= 128
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
