"""A serving process to talk JSON-RPC with, and endpoints that answer, misbehave or hang."""

import json
import os
import select
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
MAIN = str(ROOT / "server/main.py")
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
PATIENCE_S = 30.0
"""How long anything may take that should be quick; only a failing test waits so long."""

Behaviour = Literal["answers", "html", "hangs", "hangs_midway", "breaks", "refuses"]


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

    def initialize(self) -> dict[str, Any]:
        """The answer to the handshake."""
        answer = self.answer(self.send("initialize", INITIALIZE))
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


class Endpoint:
    """An OpenAI-compatible endpoint on the loopback interface with one behaviour."""

    def __init__(self, behaviour: Behaviour, turns: Sequence[str] = ()) -> None:
        self.behaviour = behaviour
        self.turns = list(turns)
        self.bodies: list[dict[str, Any]] = []
        """Every completion request."""
        self.asked = threading.Event()
        """Set when the first completion request is in."""
        self.closed = threading.Event()
        """Set when the client has closed a request that hangs."""
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def wait(self, event: threading.Event) -> None:
        """Return when the event is set; fails if it is not in time."""
        assert event.wait(PATIENCE_S)


@contextmanager
def endpoint(behaviour: Behaviour, turns: Sequence[str] = ()) -> Iterator[Endpoint]:
    """A running endpoint."""
    state = Endpoint(behaviour, turns)

    class Handler(_Handler):
        endpoint = state

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)


class _Handler(BaseHTTPRequestHandler):
    endpoint: Endpoint
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.endpoint.behaviour == "html":
            self._send(200, "text/html", b"<html><body>Hello</body></html>")
        elif self.endpoint.behaviour == "hangs":
            self._hang()
        else:
            models = {"object": "list", "data": [{"id": "fake-model", "object": "model"}]}
            self._send(200, "application/json", json.dumps(models).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.endpoint.bodies.append(json.loads(body))
        self.endpoint.headers.append(dict(self.headers))
        self.endpoint.asked.set()
        match self.endpoint.behaviour:
            case "html":
                self._send(200, "text/html", b"<html><body>Hello</body></html>")
            case "hangs":
                self._hang()
            case "refuses":
                self._send(401, "application/json", b'{"error": {"message": "bad key"}}')
            case _:
                self._stream()

    def _stream(self) -> None:
        number = len(self.endpoint.bodies) - 1
        over = number >= len(self.endpoint.turns)
        if over and self.endpoint.behaviour == "breaks":
            self._send(500, "application/json", b'{"error": {"message": "out of memory"}}')
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if over:
            self._chunk({"role": "assistant", "content": "I am "}, None)
            self._hang()
            return
        self._chunk({"role": "assistant", "content": self.endpoint.turns[number]}, None)
        self._chunk({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def _chunk(self, delta: dict[str, Any], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _hang(self) -> None:
        """Nothing more until the client closes."""
        self.endpoint.asked.set()
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            ready, _, _ = select.select([self.connection], [], [], 0.5)
            if ready and not self.connection.recv(65_536):
                self.endpoint.closed.set()
                break
        self.close_connection = True

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
