"""A model hub on the loopback that huggingface_hub and the launcher can fetch a tiny model from."""

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHA = "a" * 40
WEIGHTS = "model.safetensors"
_SHAPE = {
    "num_attention_heads": 4,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "vocab_size": 600,
}


@dataclass
class Hub:
    """What is served and how; what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(
        default_factory=lambda: {
            "config.json": json.dumps(_SHAPE).encode(),
            "tokenizer.json": b"{}",
            WEIGHTS: random.Random(1).randbytes(5 << 20),
            "README.md": b"of no use to an engine",
        }
    )
    refused: tuple[int, str] = (0, "")
    """Status and error code of every answer; 0: none is refused."""
    breaks_after: int = 0
    """Bytes of the weights' content after which a connection is closed; 0: none is."""
    stalls: bool = False
    """Whether a connection is kept open then."""
    knows_ranges: bool = True
    sends: bytes = b""
    """What comes in place of the weights."""
    ranges: list[str] = field(default_factory=list)
    """The range of each request for the weights' content."""
    fetched: list[str] = field(default_factory=list)
    """Names of the files whose content was asked for."""
    stalled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub that serves the model ``org/tiny`` until the end."""
    hub = Hub()

    class Handler(_Handler):
        serves = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    serves: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.serves
        status, code = hub.refused
        if status:
            self._answer(status, b"{}", {"X-Error-Code": code})
        elif self.path.startswith("/api/models/"):
            self._answer(200, json.dumps(self._about()).encode(), {})
        elif (name := self.path.rpartition("/")[2]) in hub.files:
            self._file(name)
        else:
            self._answer(404, b"{}", {})

    def _about(self) -> object:
        files = self.serves.files
        if "/tree/" in self.path:
            return [
                {"type": "file", "path": name, "size": len(body), "oid": _name(body)}
                for name, body in files.items()
            ]
        return {"id": "org/tiny", "sha": SHA, "siblings": [{"rfilename": name} for name in files]}

    def _file(self, name: str) -> None:
        hub = self.serves
        body = hub.files[name]
        headers = {"ETag": f'"{_name(body)}"', "X-Repo-Commit": SHA}
        if self.command == "HEAD":
            self._answer(200, body, headers)
            return
        hub.fetched.append(name)
        asked = self.headers.get("Range", "")
        if name == WEIGHTS:
            hub.ranges.append(asked)
            body = hub.sends or body
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub.knows_ranges else 0
        if asked and hub.knows_ranges:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        piece = body[start:]
        limit = hub.breaks_after if name == WEIGHTS else 0
        self._answer(206 if asked and hub.knows_ranges else 200, piece, headers, limit)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], limit: int = 0) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:limit] if limit else body)
        if 0 < limit < len(body):
            self.close_connection = True
            if self.serves.stalls:
                self.serves.stalled.set()
                self.serves.over.wait()


def _name(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
