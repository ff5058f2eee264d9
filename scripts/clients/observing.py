"""What a real client does: what it shows its model, how it cancels, and what it leaves behind."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil

from scripts.clients import wire
from scripts.clients.model import SLOW, Asked, StandIn
from scripts.clients.real import SERVER, Library, NpmClient, Ready

PATIENCE_S = 90.0
"""How long a client may take for anything; only a failing run waits so long."""
_WIRE = wire.__name__


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client showed its model in one run."""

    asked: Sequence[Asked]
    wire: Sequence[Any]
    """The messages between the client and the server, as ``scripts.clients.wire`` keeps them."""

    @property
    def has_tool_at_once(self) -> bool:
        """Whether the tool is in the first request."""
        return bool(self.asked) and self.asked[0].has_tool

    @property
    def observation(self) -> str:
        """What the model read back of its call.

        Raises:
            RuntimeError: there is none.
        """
        for asked in self.asked:
            if asked.was_answered:
                return asked.observations[-1]
        raise RuntimeError(f"the model was shown no answer in {len(self.asked)} requests")

    @property
    def answer(self) -> str:
        """The text of the server's answer to the call that the client made."""
        call = self._sent("tools/call")
        # Two servers that are started one after the other count from the same number.
        answers = (each.get("server", {}) for each in self.wire)
        own = (each.get("result", {}) for each in answers if each.get("id") == call["id"])
        content = next(result["content"] for result in own if "content" in result)
        return "".join(block["text"] for block in content)

    @property
    def asked_for_progress(self) -> bool:
        """Whether the call brought a progress token."""
        return "progressToken" in self._sent("tools/call")["params"].get("_meta", {})

    @property
    def gave_roots(self) -> bool:
        """Whether the client told the server the roots of its project."""
        answers = (each.get("client", {}).get("result") for each in self.wire)
        return any(isinstance(each, dict) and each.get("roots") for each in answers)

    def _sent(self, method: str) -> Any:
        said = (each["client"] for each in self.wire if "client" in each)
        return next(each for each in said if each.get("method") == method)


@contextmanager
def started(ready: Ready) -> Iterator[subprocess.Popen[bytes]]:
    """The client in a session of its own; what still runs in its home is ended at the end."""
    with (ready.home / "output.log").open("ab") as output:
        process = subprocess.Popen(
            ready.command,
            cwd=ready.repository,
            env=ready.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for each in _living(ready):
            with suppress(psutil.Error):
                each.kill()
        process.wait()


def _living(ready: Ready) -> list[psutil.Process]:
    """The processes whose home is the client's."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("HOME") == str(ready.home):
                found.append(process)
    return found


def _is_server(process: psutil.Process) -> bool:
    """Whether the client has started it; False too where that cannot be said."""
    with suppress(psutil.Error):
        is_over = process.status() == psutil.STATUS_ZOMBIE
        words = process.cmdline()
        # Not the program of a library, which has these words among its arguments.
        flags = list(takewhile(lambda word: word.startswith("-"), words[1:]))
        is_own = flags[-1:] == ["-m"] and words[len(flags) + 1] in (SERVER, _WIRE)
        return is_own and not is_over
    return False


def until(condition: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> bool:
    """Whether the condition came to hold before the process ended and patience was lost."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if condition():
            return True
        if process and process.poll() is not None:
            return bool(condition())
        time.sleep(0.02)
    return False


def _kept(home: Path) -> list[Any]:
    log = home / wire.LOG
    return list(map(json.loads, log.read_text("utf-8").splitlines())) if log.exists() else []


def ask(
    client: NpmClient | Library, installed: Path, *, server: str = _WIRE, only_first: bool = False
) -> Seen:
    """What the client showed its model in one run, in which the tool is called once.

    Raises:
        RuntimeError: it asked its model nothing; the text holds what it printed last.
    """
    with tempfile.TemporaryDirectory(prefix="fastcontext-clients-") as folder, StandIn() as model:
        ready = client.ready(installed, Path(folder), model.url, server, "")
        with started(ready) as process:
            until(lambda: any(only_first or a.was_answered for a in model.asked), process)
        if not model.asked:
            said = (ready.home / "output.log").read_text("utf-8", "replace")[-600:]
            raise RuntimeError(f"{client.title} asked nothing; it said: {said}")
        return Seen(model.asked, _kept(ready.home))


@contextmanager
def _waiting(
    client: NpmClient | Library, installed: Path, server: str
) -> Iterator[tuple[Ready, subprocess.Popen[bytes], StandIn]]:
    """The client while its call waits for a model that never answers.

    Raises:
        RuntimeError: it never came to that.
    """
    with tempfile.TemporaryDirectory(prefix="fastcontext-clients-") as folder, StandIn() as model:
        endpoint = f"{model.url}{SLOW}/v1"
        ready = client.ready(installed, Path(folder), model.url, server, endpoint)
        with started(ready) as process:
            if not until(model.is_waiting.is_set, process):
                raise RuntimeError(f"{client.title} made no call")
            yield ready, process, model


def interrupt(client: NpmClient | Library, installed: Path) -> str:
    """What an interrupt during a call brings the server, and how soon its model is left."""
    with _waiting(client, installed, _WIRE) as (ready, _, model):
        before = len(_kept(ready.home))
        begun = time.monotonic()
        # As a terminal does, but for the server, which is to hear of it from the client.
        for each in _living(ready):
            with suppress(psutil.Error):
                if not _is_server(each):
                    each.send_signal(signal.SIGINT)
        left = model.was_left.wait(PATIENCE_S / 3)
        took_s = time.monotonic() - begun
        if not left:
            return "goes on until its deadline"
        until(lambda: any(map(_end, _kept(ready.home)[before:])))
        ends = filter(None, map(_end, _kept(ready.home)[before:]))
        return f"{next(ends, 'killed')}, {took_s:.1f} s"


def _end(event: Any) -> str:
    """What a line of the wire says about the end of a call; empty where nothing."""
    if event.get("client", {}).get("method") == "notifications/cancelled":
        return "cancels the call"
    if event.get("closed"):
        return "closes stdin"
    return f"sends {event['signal']}" if "signal" in event else ""


def kill(client: NpmClient | Library, installed: Path) -> str:
    """How soon the server is gone when the client is killed during a call."""
    with _waiting(client, installed, SERVER) as (ready, _, model):
        servers = list(filter(_is_server, _living(ready)))
        if not servers:
            raise RuntimeError(f"{client.title} has no server to be seen")
        parents = {process.ppid() for process in servers} - {process.pid for process in servers}
        begun = time.monotonic()
        for parent in parents:
            os.kill(parent, signal.SIGKILL)
        gone = until(lambda: not any(map(_is_server, servers)))
        took_s = time.monotonic() - begun
        return f"gone after {took_s:.1f} s" if gone and model.was_left.wait(5) else "stays"
