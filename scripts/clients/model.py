"""A stand-in for a model, on loopback: it asks for one tool once and then says that it is done."""

import gzip
import json
import select
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripts.clients.dialects import SEARCHES, Dialect, Tool, dialect_of

TOOL = "explore_repository"
QUESTION = "how is the backoff between connection retries computed?"
SLOW = "/slow"
"""Below it, a model that never answers: what is asked ends when its caller goes away."""
_NEVER_S = 120.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the model."""

    dialect: Dialect
    body: Any

    @property
    def tools(self) -> list[Tool]:
        """The tools that the model may call."""
        return list(self.dialect.tools(self.body))

    @property
    def own_tools(self) -> list[Tool]:
        """Those of this project's server."""
        return [tool for tool in self.tools if tool.name.endswith((TOOL, "engine_status"))]

    @property
    def has_tool(self) -> bool:
        """Whether the model can call the explorer."""
        return any(tool.name.endswith(TOOL) for tool in self.tools)

    @property
    def observations(self) -> list[str]:
        """What the model reads back of its calls."""
        return list(self.dialect.observations(self.body))

    @property
    def was_answered(self) -> bool:
        """Whether the explorer's answer is among the observations, not only that of a search."""
        searches = [name for name in self.dialect.calls(self.body) if name in SEARCHES]
        return len(self.observations) > len(searches)


@dataclass(slots=True)
class StandIn:
    """The stand-in; a context manager that listens while it is open."""

    arguments: Mapping[str, Any] = field(default_factory=lambda: {"query": QUESTION})
    """Of the call that it makes."""
    asked: list[Asked] = field(default_factory=list)
    """The requests so far that hold tools, oldest first."""
    is_waiting: threading.Event = field(default_factory=threading.Event)
    """Set when somebody waits for the model that never answers."""
    was_left: threading.Event = field(default_factory=threading.Event)
    """Set when that caller has gone away."""
    url: str = ""
    """Where it listens, without a path."""
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> "StandIn":
        stand_in = self

        class Bound(_Handler):
            model = stand_in

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: StandIn

    def log_message(self, *_: Any) -> None:
        """Keep still: what is asked is recorded."""

    def handle(self) -> None:
        """Answer requests until the client goes away, which is no error."""
        with suppress(ConnectionError):
            super().handle()

    def do_HEAD(self) -> None:
        self._json({})

    def do_GET(self) -> None:
        named = {"id": "stand-in", "object": "model", "created": 1, "owned_by": "nobody"}
        is_list = self.path.partition("?")[0].endswith("/models")
        self._json({"object": "list", "data": [named], "models": []} if is_list else {})

    def do_POST(self) -> None:
        body = json.loads(self._read() or b"{}")
        if self.path.startswith(SLOW):
            self._wait()
            return
        dialect = dialect_of(self.path)
        if dialect is None:
            self._json({"input_tokens": 10, "totalTokens": 10})
            return
        asked = Asked(dialect, body)
        # Clients ask for titles and routes besides, without tools.
        if asked.tools:
            self.model.asked.append(asked)
        answer = dialect.answer(body, dialect.next_call(body, TOOL, self.model.arguments))
        if body.get("stream") or "stream" in self.path:
            self._events(dialect.stream(answer))
        else:
            self._json(answer)

    def _wait(self) -> None:
        """Wait until the caller goes away."""
        self.model.is_waiting.set()
        ready, _, _ = select.select([self.connection], [], [], _NEVER_S)
        with suppress(ConnectionError):
            if not ready or self.connection.recv(1, socket.MSG_PEEK):
                return
        self.model.was_left.set()
        self.close_connection = True

    def _read(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _json(self, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self._send("application/json", body if self.command != "HEAD" else b"")

    def _events(self, events: Sequence[tuple[str, Any]]) -> None:
        lines = []
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            dumped = data if isinstance(data, str) else json.dumps(data)
            lines.append(f"{head}data: {dumped}\n\n")
        self._send("text/event-stream", "".join(lines).encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
