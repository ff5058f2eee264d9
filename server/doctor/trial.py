"""A configured server tried out the way a client uses it: spawned bare, asked, and ended.

Its settings hold, but for what the trial itself needs: the tree that it makes may be explored,
nothing is recorded, no engine is started, and the scout answers when the model is slow.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from server.settings import hub_cache

_PASSED_ON = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""What MCP's own SDKs let a stdio server inherit on POSIX (Python SDK 2.3.0); nothing else."""
PROTOCOL = "2025-06-18"
_LONGEST_LINE = 1_000_000
_END_S = 1.0
_DEADLINE_S = "3"
"""For the answer: the whole of a doctor's work shall take 5 s."""

QUESTION = "Where is the delay between two attempts to send a letter computed?"
TREE = {
    ".git/HEAD": "ref: refs/heads/main\n",
    "README.md": "# Post office\n\nSends letters, and tries again when nobody is at home.\n",
    "post/delay.py": (
        '"""How long to wait between two attempts to send a letter."""\n\n'
        "FIRST_DELAY_S = 60.0\n\n\n"
        "def delay_before(attempt: int) -> float:\n"
        '    """Seconds to wait before the attempt; doubles every time."""\n'
        "    return FIRST_DELAY_S * 2.0**attempt\n"
    ),
    "post/stamps.py": "def price(grams: int) -> int:\n    return 85 if grams <= 20 else 100\n",
}
EXPECTED = "post/delay.py"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    tools: tuple[str, ...] = ()
    started_s: float = 0.0
    """From the spawn to the list of tools."""
    answered_s: float = 0.0
    """From the question to its answer."""
    answer: str = ""
    found: bool = False
    """Whether the answer names the right file."""
    unasked: str = ""
    """Why no question was asked; empty when one was."""
    problem: str = ""
    """Empty when everything worked."""
    hint: str = ""
    """The server's own words on what to do about the problem."""


class Talk(Protocol):
    """A connection to a server; errors are ``ValueError`` and those of a wrong answer's form."""

    async def send(self, message: dict[str, Any]) -> None:
        """Send a notification."""

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a request."""


async def greet(talk: Talk) -> tuple[str, ...]:
    """The names of the tools of a server that is met for the first time."""
    hello = {
        "protocolVersion": PROTOCOL,
        "capabilities": {},
        "clientInfo": {"name": "fastcontext-doctor", "version": "1"},
    }
    await talk.ask("initialize", hello)
    await talk.send({"method": "notifications/initialized"})
    listed = await talk.ask("tools/list", {})
    return tuple(str(tool["name"]) for tool in listed["tools"])


def try_server(command: Sequence[str], given: Mapping[str, str], *, timeout_s: float) -> Trial:
    """The outcome of starting ``command`` in ``/`` with next to no environment and asking it.

    ``given`` is the environment of the client's entry. The tree that is explored is made for it.
    """
    with _tree() as root:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # The index of a tree that is gone in a moment is not worth keeping; models are elsewhere.
        environment["XDG_CACHE_HOME"] = str(root.with_name("cache"))
        environment["HF_HUB_CACHE"] = str(hub_cache())
        environment |= given
        allowed = given.get("FASTCONTEXT_ROOTS")
        environment |= {
            "FASTCONTEXT_ROOTS": f"{allowed}{os.pathsep}{root}" if allowed else str(root),
            "FASTCONTEXT_RECORD_DIR": str(root.with_name("runs")),
            "FASTCONTEXT_DEADLINE_S": _DEADLINE_S,
            "FASTCONTEXT_ENGINE_START": "0",
        }
        words = [*command, *_flags(command, root)]
        return anyio.run(_within, words, environment, root, timeout_s)


def _flags(command: Sequence[str], root: Path) -> Iterator[str]:
    """The same as flags, where the command gives the flag: it would prevail over the variable."""
    flags = {"--root": root, "--record": root.with_name("runs"), "--deadline": _DEADLINE_S}
    for flag, value in flags.items():
        if any(word == flag or word.startswith(f"{flag}=") for word in command):
            yield from (flag, str(value))


async def _within(
    command: list[str], environment: Mapping[str, str], root: Path, timeout_s: float
) -> Trial:
    trial = Trial(problem=f"no answer within {timeout_s:g} s")
    try:
        process = await anyio.open_process(
            command,
            cwd="/",
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return Trial(problem=f"{command[0]!r} cannot be started: {error.strerror}")
    errors: list[bytes] = []
    try:
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as group:
                group.start_soon(_drain, process, errors)
                trial = await _converse(process, root)
                group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    said = b"".join(errors).decode("utf-8", "replace").strip().splitlines()
    if trial.problem and said:
        return replace(trial, problem=f"{trial.problem}; it said: {said[-1][:200]}")
    return trial


async def _converse(process: anyio.abc.Process, root: Path) -> Trial:
    assert process.stdin is not None
    assert process.stdout is not None
    talk = _Piped(process.stdin, BufferedByteReceiveStream(process.stdout))
    started = time.monotonic()
    try:
        tools = await greet(talk)
        ready = time.monotonic()
        arguments = {"query": QUESTION, "path": str(root)}
        called = {"name": "explore_repository", "arguments": arguments}
        result = await talk.ask("tools/call", called)
        text = str(result["content"][0]["text"])
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.IncompleteRead):
        return Trial(problem="it ended without an answer")
    except anyio.DelimiterNotFound:
        return Trial(problem="it sent no line")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return Trial(problem=f"its answer is no MCP: {error}")
    trial = Trial(tools, ready - started, time.monotonic() - ready, text, EXPECTED in text)
    if not result.get("isError"):
        return trial
    problem, _, hint = text.partition("\nhint: ")
    # It works, but has not, or may not look at, the tree: in a container, or fenced by a script.
    if repr(str(root)) in problem:
        return replace(trial, unasked=problem)
    return replace(trial, problem=problem.partition("\n")[0], hint=hint.partition("\n")[0])


@dataclass(slots=True)
class _Piped:
    """JSON-RPC by lines."""

    send_to: anyio.abc.ByteSendStream
    receive_from: BufferedByteReceiveStream
    number: int = 0

    async def send(self, message: dict[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}) + "\n"
        await self.send_to.send(line.encode())

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a request; notifications before it are passed over."""
        self.number += 1
        await self.send({"id": self.number, "method": method, "params": params})
        while True:
            message = json.loads(await self.receive_from.receive_until(b"\n", _LONGEST_LINE))
            if message.get("id") == self.number:
                if "error" in message:
                    raise ValueError(str(message["error"].get("message")))
                result: dict[str, Any] = message["result"]
                return result


async def _drain(process: anyio.abc.Process, errors: list[bytes]) -> None:
    assert process.stderr is not None
    while True:
        try:
            errors.append(await process.stderr.receive())
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return


async def _end(process: anyio.abc.Process) -> None:
    if process.stdin is not None:
        with suppress(OSError, anyio.BrokenResourceError):
            await process.stdin.aclose()
    with anyio.move_on_after(_END_S):
        await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    await process.aclose()


@contextmanager
def _tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fastcontext-doctor-") as folder:
        root = Path(folder).resolve() / "repository"
        for name, text in TREE.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield root
