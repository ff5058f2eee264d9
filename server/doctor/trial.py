"""A configured server tried out the way a client uses it.

One that a client starts is started with next to no environment, asked a question about a tree that
is made for it, and ended. Its settings hold, except where the trial needs others: the tree may be
explored, nothing is recorded, no engine is started, and the scout answers when the model is slow.
One that a client reaches by its URL is greeted and asked nothing: it sees other repositories.
"""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED, Implementation, TextContent

from explorer.engines.endpoint import is_loopback
from server import version
from server.settings import hub_cache

_DEADLINE_S = "3"
"""For the answer: all of a doctor's work is to take 5 s."""

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
    """What a server did."""

    tools: tuple[str, ...] = ()
    started_s: float = 0.0
    """From the start to the list of tools."""
    answered_s: float = 0.0
    """From the question to its answer."""
    answer_is_right: bool = False
    """Whether the answer names the right file."""
    unasked: str = ""
    """Why no question was asked; empty when one was."""
    problem: str = ""
    """Empty when everything worked."""
    hint: str = ""
    """What the server itself says to do about the problem."""


def try_server(command: Sequence[str], given: Mapping[str, str], *, timeout_s: float) -> Trial:
    """The outcome of starting ``command`` in ``/`` with next to no environment and asking it.

    ``given`` is the environment of the client's entry. The tree that is explored is made for it.
    """
    with _tree() as root, tempfile.TemporaryFile("w+", errors="replace") as stderr:
        environment = {
            # The index of a tree that is soon gone is not worth keeping; models are elsewhere.
            "XDG_CACHE_HOME": str(root.with_name("cache")),
            "HF_HUB_CACHE": str(hub_cache()),
            **given,
            "FASTCONTEXT_ROOTS": os.pathsep.join(
                each for each in (given.get("FASTCONTEXT_ROOTS"), str(root)) if each
            ),
            "FASTCONTEXT_RECORD_DIR": str(root.with_name("runs")),
            "FASTCONTEXT_DEADLINE_S": _DEADLINE_S,
            "FASTCONTEXT_ENGINE_START": "0",
        }
        program, *arguments = [*command, *_flags(command, root)]
        started = StdioServerParameters(command=program, args=arguments, env=environment, cwd="/")
        trial = anyio.run(_in_time, stdio_client(started, stderr), root, timeout_s)
        stderr.seek(0)
        said = stderr.read().strip().splitlines()
    if trial.problem and said:
        return replace(trial, problem=f"{trial.problem}; it said: {said[-1][:200]}")
    return trial


def _flags(command: Sequence[str], root: Path) -> Iterator[str]:
    """The same settings as flags, where the command gives the flag, which wins over a variable."""
    flags = {"--root": root, "--record": root.with_name("runs"), "--deadline": _DEADLINE_S}
    for flag, value in flags.items():
        if any(word == flag or word.startswith(f"{flag}=") for word in command):
            yield from (flag, str(value))


def try_url(url: str, headers: Mapping[str, str], *, timeout_s: float) -> Trial:
    """The outcome of greeting the server at ``url``."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return Trial(problem="its URL cannot be read")

    async def greet() -> Trial:
        async with httpx2.AsyncClient(
            headers=headers,
            # A proxy that the environment names is for other machines.
            trust_env=not is_loopback(host),
            # One limit holds for the whole conversation, not one for each request.
            timeout=None,
            event_hooks={"response": [_raise_for_failure]},
        ) as client:
            return await _in_time(streamable_http_client(url, http_client=client), None, timeout_s)

    try:
        return anyio.run(greet)
    except UnicodeEncodeError as error:
        return _failed(error)


async def _raise_for_failure(response: httpx2.Response) -> None:
    # The SDK's own error says that the server failed, without the status.
    if response.is_error:
        response.raise_for_status()


async def _in_time(transport: Transport, root: Path | None, timeout_s: float) -> Trial:
    """What the server did within the limit; it is asked a question where there is a ``root``."""
    # What the SDK logs about failures, the trial tells.
    logging.getLogger("mcp.client").setLevel(logging.CRITICAL)
    trial = Trial(problem=f"no answer within {timeout_s:g} s")

    async def hear(message: object) -> None:
        nonlocal trial
        # The SDK passes over lines that it cannot read, which other clients need not do.
        if isinstance(message, Exception):
            trial = Trial(problem="its answer is no MCP: a line that is no JSON-RPC message")
            limit.cancel()

    with anyio.move_on_after(timeout_s) as limit:
        try:
            doctor = Implementation(name="fastcontext-doctor", version=version())
            started = time.monotonic()
            async with Client(
                transport, mode="legacy", cache=None, client_info=doctor, message_handler=hear
            ) as client:
                tools = tuple(tool.name for tool in (await client.list_tools()).tools)
                greeted = Trial(tools, time.monotonic() - started)
                if root is None:
                    trial = replace(greeted, unasked="it is reached by its URL")
                else:
                    trial = await _asked(client, root, greeted)
        except Exception as error:
            # Not what went wrong while it was ended.
            if not (trial.tools or limit.cancel_called):
                trial = _failed(error)
    return trial


async def _asked(client: Client, root: Path, greeted: Trial) -> Trial:
    started = time.monotonic()
    arguments = {"query": QUESTION, "path": str(root)}
    result = await client.call_tool("explore_repository", arguments)
    answered_s = time.monotonic() - started
    text = "".join(each.text for each in result.content if isinstance(each, TextContent))
    if not result.is_error:
        return replace(greeted, answered_s=answered_s, answer_is_right=EXPECTED in text)
    problem, _, hint = text.partition("\nhint: ")
    # It works, but has not, or may not look at, the tree: in a container, or fenced by a script.
    if repr(str(root)) in problem:
        return replace(greeted, unasked=problem)
    return Trial(problem=problem.partition("\n")[0], hint=hint.partition("\n")[0])


def _failed(error: Exception) -> Trial:
    """The trial that ended with ``error``."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    match error:
        case httpx2.HTTPStatusError(response=response):
            said = f"HTTP {response.status_code} {response.reason_phrase}".strip()
            unauthorized = response.status_code in (401, 403)
            hint = (
                "correct the Authorization header in the client's file; mcp-remote calls it an "
                "error of OAuth"
            )
            return Trial(problem=said, hint=hint if unauthorized else "")
        case httpx2.LocalProtocolError() | UnicodeEncodeError():
            # The error's own text may hold the header, which may be a secret.
            return Trial(problem="a header of its entry cannot be sent")
        case httpx2.HTTPError() | httpx2.InvalidURL():
            return Trial(problem=str(error) or type(error).__name__)
        case MCPError(code=code) if code == CONNECTION_CLOSED:
            return Trial(problem="it ended without an answer")
        case OSError():
            return Trial(problem=f"{error.filename!r} cannot be started: {error.strerror}")
        case _:
            first_line = str(error).partition("\n")[0]
            return Trial(problem=f"its answer is no MCP: {first_line}")


@contextmanager
def _tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fastcontext-doctor-") as folder:
        root = Path(folder).resolve() / "repository"
        for name, text in TREE.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield root
