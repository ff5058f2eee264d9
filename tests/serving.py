"""A serving process to talk JSON-RPC with, and an endpoint that hangs."""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID

from tests.fakes.openai_server import chunk, hangs, serving

ROOT = Path(__file__).parents[1]
MAIN = str(ROOT / "server/main.py")
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
SHOWS_VIEWS = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})
"""Declared by a client that shows the view of an answer: it gets the answer as an object too."""
PATIENCE_S = 30.0
"""How long anything may take that should be quick; only a failing test waits so long."""


def bare_environment(home: Path, **settings: str) -> dict[str, str]:
    """What an SDK client passes on, and settings: no virtual environment, no user file."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")} | settings


class Served:
    """A server over stdio. Reads whole lines and keeps them all in ``lines``."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path | str) -> None:
        self.process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: list[bytes] = []
        self._rest = b""
        self._number = 0
        self._errors = b""
        # A full pipe would block the server, so stderr is read all the time.
        self._drain = threading.Thread(target=self._read_errors, daemon=True)
        self._drain.start()

    def send(self, method: str, params: Any = None, *, notify: bool = False) -> int:
        """The id of the request that was sent."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if not notify:
            self._number += 1
            message["id"] = self._number
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return self._number

    def receive(self) -> dict[str, Any]:
        """The next message; fails if the line is no JSON-RPC or none comes."""
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
            assert ready, f"no message within {PATIENCE_S} s; stderr: {self.errors()}"
            piece = os.read(self.process.stdout.fileno(), 65_536)
            assert piece, f"the server closed stdout; stderr: {self.errors()}"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        self.lines.append(line)
        message: dict[str, Any] = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    def answer(self, number: int) -> dict[str, Any]:
        """The answer to a request; notifications before it are passed over."""
        while True:
            message = self.receive()
            if message.get("id") == number and "method" not in message:
                return message

    def initialize(self, *, views: bool = False) -> dict[str, Any]:
        """The answer to the handshake. With ``views`` the client declares that it shows them."""
        declared = {SHOWS_VIEWS.identifier: SHOWS_VIEWS.settings()} if views else {}
        capabilities = {"extensions": declared}
        answer = self.answer(self.send("initialize", INITIALIZE | {"capabilities": capabilities}))
        self.send("notifications/initialized", notify=True)
        return answer

    def call(self, name: str, **arguments: Any) -> int:
        """The id of a tool call, with progress asked for."""
        params = {"name": name, "arguments": arguments, "_meta": {"progressToken": "p"}}
        return self.send("tools/call", params)

    def end_of_output(self) -> bytes:
        """What came on stdout after the last message that was read, up to its end."""
        assert self.process.stdout is not None
        self.process.wait(PATIENCE_S)
        return self._rest + self.process.stdout.read()

    def errors(self) -> str:
        """stderr so far."""
        return self._errors.decode("utf-8", "replace")

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        while piece := os.read(self.process.stderr.fileno(), 65_536):
            self._errors += piece


@contextmanager
def served(
    home: Path,
    *,
    command: Sequence[str] = (sys.executable, MAIN),
    cwd: Path | str = "/",
    **settings: str,
) -> Iterator[Served]:
    """A started server, killed at the end if it still runs."""
    server = Served(command, bare_environment(home, **settings), cwd)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait(PATIENCE_S)
        for pipe in (server.process.stdin, server.process.stdout):
            if pipe is not None:
                pipe.close()
        server._drain.join(PATIENCE_S)
        if server.process.stderr is not None:
            server.process.stderr.close()


@dataclass(frozen=True)
class Hanging:
    """An endpoint that begins an answer and then says nothing more."""

    url: str
    asked: threading.Event
    """Set when the first answer has begun."""
    closed: threading.Event
    """Set when the client has closed that request."""

    def wait(self, event: threading.Event) -> None:
        """Return when the event is set; fails if it is not in time."""
        assert event.wait(PATIENCE_S)


@contextmanager
def hanging() -> Iterator[Hanging]:
    """A running endpoint that hangs."""
    asked, closed = threading.Event(), threading.Event()

    async def hang() -> None:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            closed.set()

    with serving([hangs(chunk({"content": "I am "}), hang)]) as server:
        yield Hanging(server.url, asked, closed)
