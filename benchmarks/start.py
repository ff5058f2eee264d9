"""How soon a client can talk to the server."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Case

MAIN = Path(__file__).parents[1] / "server/main.py"
# It exits without finalizing the interpreter, which the server does not wait for either.
_SDK_ALONE = "import os, mcp.server; os._exit(0)"
_INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


def environment(folder: Path) -> dict[str, str]:
    """A child's environment: without the user's settings, with compiled modules in ``folder``."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }


class Server:
    """The server as a child over stdio. A context manager."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._number = 0

    def __enter__(self) -> "Server":
        self.process = subprocess.Popen(
            [sys.executable, str(MAIN)],
            env=dict(self._env),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, method: str, params: Any = None) -> Any:
        """The result of a request; progress messages before it are skipped.

        Raises:
            RuntimeError: the server refused it or went away.
        """
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}}
        self._send(message)
        while True:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"the server went away at {method!r}")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                break
        if "result" not in answer:
            raise RuntimeError(f"{method!r} was refused: {answer!r}")
        return answer["result"]

    def initialize(self) -> None:
        """Shake hands."""
        self.ask("initialize", _INITIALIZE)

    def initialized(self) -> None:
        """End the handshake."""
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _send(self, message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


def cold_start(bench: Bench) -> list[Case]:
    """From the start of the process to the answers to ``initialize`` and ``tools/list``.

    Modules are compiled and in the page cache, as at every start but the first. Compared with a
    process that only imports the SDK and then exits.
    """
    env = environment(bench.folder)
    importing, handshake, listing = [], [], []
    tools = 0
    for number in range(bench.count(20) + 1):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", _SDK_ALONE], env=env, check=True)
        imported = time.perf_counter()
        with Server(env) as server:
            server.initialize()
            shaken = time.perf_counter()
            server.initialized()
            tools = len(server.ask("tools/list")["tools"])
            listed = time.perf_counter()
        if number:  # The first one compiles.
            importing.append(1e3 * (imported - begun))
            handshake.append(1e3 * (shaken - imported))
            listing.append(1e3 * (listed - imported))
    sdk = "import mcp.server"
    return [
        Case(sdk, tuple(importing), "ms"),
        Case("initialize", tuple(handshake), "ms", sdk),
        Case("tools/list", tuple(listing), "ms", sdk, f"{tools} tools"),
    ]
