"""Real ``vllm serve`` processes on the CPU, as small and as quick to start as they get."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

MODEL = "tiny"
START_S = 420.0
"""13 s on an idle machine of 2 cores; minutes where it is loaded and nothing is compiled yet."""
PATIENCE_S = 60.0
POLL_S = 0.05
PARSER = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")

_FLAGS = (
    *("--served-model-name", MODEL, "--host", "127.0.0.1", "--dtype", "float32"),
    *("--max-model-len", "16384", "--max-num-seqs", "4", "--enforce-eager"),
    *("--kv-cache-memory-bytes", "64M", "--block-size", "32", "--enable-prompt-tokens-details"),
)
_METRIC = re.compile(r"^(vllm:\w+)(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class VllmServer:
    """A server that answers."""

    base: str
    """``http://127.0.0.1:PORT``"""

    @property
    def endpoint(self) -> str:
        """What ``FASTCONTEXT_ENDPOINT`` is set to."""
        return f"{self.base}/v1"

    def metric(self, name: str) -> float:
        """The sum of one of the server's own counts or gauges."""
        text = httpx.get(f"{self.base}/metrics", trust_env=False, timeout=PATIENCE_S).text
        values = [float(value) for found, value in _METRIC.findall(text) if found == name]
        assert values, f"no metric {name!r} in:\n{text}"
        return sum(values)

    def wait_until(self, name: str, right: Callable[[float], bool]) -> None:
        """Wait until a metric is right; fails if it takes too long."""
        until = time.monotonic() + PATIENCE_S
        while not right(value := self.metric(name)):
            assert time.monotonic() < until, f"{name} is still {value} after {PATIENCE_S} s"
            time.sleep(POLL_S)


@contextmanager
def vllm_serving(
    python: Path,
    checkpoint: Path,
    folder: Path,
    *extra: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[VllmServer]:
    """A server of the checkpoint; its whole process group is ended with the context.

    ``folder`` takes its log and its home, the folder around it what servers keep for each other.
    A failing start raises with the end of the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "vllm.log"
    port = _free_port()
    serve = [str(python.parent / "vllm"), "serve", str(checkpoint), "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*serve, *_FLAGS, *extra],
            env=_environment(python, folder) | dict(environment or {}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = VllmServer(f"http://127.0.0.1:{port}")
        _wait_for_health(server, process, log, serve)
        yield server
    finally:
        _end(process)


def cache_of(folder: Path) -> Path:
    """Where vLLM keeps what it learns of a model's class; without it each start takes 7 s more."""
    return folder.parent / "vllm-cache"


def _environment(python: Path, folder: Path) -> dict[str, str]:
    return {
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(folder),
        "VLLM_CACHE_ROOT": str(cache_of(folder)),
        "VLLM_CONFIG_ROOT": str(folder / "config"),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        # One process, half the memory; one thread, because two spin against each other.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_NUM_THREADS": "1",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait_for_health(
    server: VllmServer, process: "subprocess.Popen[bytes]", log: Path, command: Sequence[str]
) -> None:
    until = time.monotonic() + START_S
    while True:
        ended = process.poll()
        if ended is not None or time.monotonic() > until:
            state = "did not answer in time" if ended is None else f"ended with {ended}"
            tail = log.read_text(errors="replace")[-6_000:]
            raise AssertionError(f"{' '.join(command)} {state}; the end of its log:\n{tail}")
        try:
            health = httpx.get(f"{server.base}/health", trust_env=False, timeout=5.0)
        except httpx.TransportError:
            time.sleep(POLL_S)
            continue
        if health.status_code == 200:
            return


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop the process and all that it started: politely, then for good."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            continue
