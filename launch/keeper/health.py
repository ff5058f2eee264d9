"""vLLM's own routes, called with nothing but the standard library, so that the keeper stays small.

Each call blocks; the keeper makes it in a thread.
"""

import http.client
import json
import socket
from dataclasses import dataclass, field
from typing import Any

from launch.errors import EngineNotReady


@dataclass(frozen=True, slots=True)
class Api:
    """How to reach a vLLM server."""

    path: str = ""
    """Unix socket; empty: the port."""
    port: int = 0
    key: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Base URL up to /v1; over a socket its host is only a name."""
        return "http://localhost/v1" if self.path else f"http://127.0.0.1:{self.port}/v1"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(self._path)


def ask(api: Api, method: str, path: str, *, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """Status and body of one request.

    Raises:
        EngineNotReady: the server does not answer.
    """
    connection = (
        _UnixConnection(api.path, timeout_s)
        if api.path
        else http.client.HTTPConnection("127.0.0.1", api.port, timeout=timeout_s)
    )
    headers = {"Authorization": f"Bearer {api.key}"} if api.key else {}
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(4 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise EngineNotReady(f"the engine does not answer: {error}") from error
    finally:
        connection.close()


def served_models(api: Api) -> list[str]:
    """Names of the models that the server says it serves; empty while it cannot say.

    Raises:
        EngineNotReady: the server does not answer.
    """
    status, body = ask(api, "GET", "/v1/models")
    if status != 200:
        return []
    try:
        data: Any = json.loads(body)
        return [str(each["id"]) for each in data["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def is_healthy(api: Api, timeout_s: float = 5.0) -> bool:
    """Whether the server says that its engine is healthy."""
    try:
        return ask(api, "GET", "/health", timeout_s=timeout_s)[0] == 200
    except EngineNotReady:
        return False


def activity(api: Api) -> tuple[float, float]:
    """Requests in flight, and a number that grows with the work done so far.

    Raises:
        EngineNotReady: the server does not answer.
    """
    _, body = ask(api, "GET", "/metrics")
    return metric(body, "num_requests_running") + metric(body, "num_requests_waiting"), metric(
        body, "request_success_total"
    )


def metric(exposition: bytes, name: str) -> float:
    """The sum of a vLLM metric over its labels, read from Prometheus' text form; 0 if absent."""
    total = 0.0
    prefix = f"vllm:{name}"
    for line in exposition.decode("utf-8", "replace").splitlines():
        if line.startswith((prefix + "{", prefix + " ")):
            try:
                total += float(line.rpartition(" ")[2])
            except ValueError:
                continue
    return total


def sleep(api: Api, level: int = 1) -> bool:
    """Put the engine to sleep; whether it did. Level 1 moves the weights to host memory."""
    return ask(api, "POST", f"/sleep?level={level}", timeout_s=60.0)[0] == 200


def wake(api: Api) -> bool:
    """Wake the engine; whether it did."""
    return ask(api, "POST", "/wake_up", timeout_s=120.0)[0] == 200
