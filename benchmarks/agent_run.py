"""A small main agent: it locates code with Read, Grep and Glob, and with an MCP server's tools.

It is no explorer of this project's: nothing corrects its citations or answers in its place, so
that what it costs and finds is its own. Both arms have the same words and limits. With the server
it has the server's tools and instructions on top, as agents have that run in a client.
"""

import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.types import Implementation, TextContent

from explorer import lenient_json, prompt
from explorer.answers.parse import RawCitation
from explorer.calls import Calls
from explorer.engines.protocol import Engine, Request
from explorer.errors import EngineRejected
from explorer.events import Listener, RunFinished, RunStarted
from explorer.limits import Budget, LoopSettings
from explorer.records import Citation, Exploration, StopReason, ToolCall, ToolResult
from explorer.repository.paths import PathProblem
from explorer.repository.workspace import Workspace
from explorer.tools import SCHEMAS, ToolBox
from explorer.tools.observation import cut, problem
from explorer.turn import TurnReader

_MAIN = Path(__file__).parents[1] / "server/main.py"
_PASSED_ON = ("FASTCONTEXT_", "XDG_", "HF_")
_OF_BENCHMARKS = "FASTCONTEXT_BENCH_"
_OF_THE_REQUEST = (400, 413, 422)
"""The HTTP statuses that blame the conversation, not the key, the address or the load."""

_SYSTEM = """\
You are a coding agent in the repository {root}. You are given a task: a bug report, a change that \
is wanted, or a question. Find the places in the code that have to change for it, or that answer \
it. Finding them is the whole task: nothing is to be changed.

Call tools to find them, several in one message where none depends on another. Call no more than \
you need to be sure. Then answer with the places, best first, one `path:start-end` per line, each \
no longer than what has to change or what answers:

<final_answer>
{root}/src/example.py:10-42
</final_answer>"""


class ServerTools:
    """The tools of an MCP server beside Read, Grep and Glob. Without a client these alone."""

    def __init__(self, workspace: Workspace) -> None:
        self.schemas: tuple[dict[str, Any], ...] = SCHEMAS
        self.instructions = ""
        self.asked = 0
        """How many calls the server was sent."""
        self.failed = 0
        """How many of these it answered with an error, or not at all."""
        self._box = ToolBox(workspace)
        self._client: Client | None = None
        self._names: frozenset[str] = frozenset()
        self._answers: dict[tuple[str, str], tuple[str, bool]] = {}

    async def connect(self, client: Client) -> None:
        """Offer the server's tools and instructions as they are served."""
        tools = (await client.list_tools()).tools
        self._client, self._names = client, frozenset(tool.name for tool in tools)
        for tool in tools:
            told = {"name": tool.name, "description": tool.description or ""}
            function = {**told, "parameters": tool.input_schema}
            self.schemas += ({"type": "function", "function": function},)
        if client.instructions:
            self.instructions = f"\n\n# Instructions of an MCP server\n\n{client.instructions}"

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """The observation of a call, at most ``max_chars`` long."""
        if call.name not in self._names:
            return await self._box.run(call, max_chars=max_chars)
        room = max_chars or self._box.limits.max_chars
        try:
            arguments = lenient_json.parse(call.arguments or "{}")
        except ValueError as error:
            return problem(f"{call.name}: the arguments are not valid JSON: {error}.", room)
        if not isinstance(arguments, dict):
            return problem(f"{call.name}: the arguments must be a JSON object.", room)
        # A result that is too long for its turn is asked for once more, for fewer characters.
        key = call.name, call.arguments
        if key not in self._answers:
            self._answers[key] = await self._ask(call.name, arguments)
        text, ok = self._answers[key]
        return ToolResult(cut(text, room), ok, truncated=len(text) > room)

    async def _ask(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        assert self._client is not None
        real, virtual = str(self._box.workspace.root), self._box.workspace.virtual_root
        # The agent knows the repository under its virtual name, the server under its real one.
        if isinstance(path := arguments.get("path"), str) and f"{path}/".startswith(f"{virtual}/"):
            arguments = arguments | {"path": real + path.removeprefix(virtual)}
        self.asked += 1
        try:
            result = await self._client.call_tool(name, arguments)
        except MCPError as error:
            self.failed += 1
            return f"{name}: {error}", False
        self.failed += bool(result.is_error)
        texts = [each.text for each in result.content if isinstance(each, TextContent)]
        return "\n".join(texts).replace(real, virtual), not result.is_error


@asynccontextmanager
async def served(root: Path, log: TextIO) -> AsyncIterator[Client]:
    """A client of this project's server, a process of its own that explores ``root``.

    It has the user's settings, except for the root, and no other part of the environment than the
    SDK passes on: in particular not the endpoint's key.
    """
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PASSED_ON) and not name.startswith(_OF_BENCHMARKS)
    }
    started = StdioServerParameters(
        command=sys.executable,
        args=[str(_MAIN)],
        env=settings | {"FASTCONTEXT_ROOTS": str(root)},
        cwd="/",
    )
    agent = Implementation(name="fastcontext-benchmarks", version="1")
    transport = stdio_client(started, log)
    async with Client(transport, mode="legacy", cache=None, client_info=agent) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Located:
    """What the agent answered, and what it read for it."""

    result: Exploration
    """``elapsed_s`` counts from the first request; the server has started by then."""
    output_bytes: int
    """UTF-8 bytes of all tool results in the conversation."""


async def locate(
    query: str,
    *,
    engine: Engine,
    workspace: Workspace,
    tools: ServerTools,
    settings: LoopSettings,
    listener: Listener,
) -> Located:
    """The agent's answer to one task, in a conversation of its own.

    A conversation that the endpoint refuses to go on with, such as a long one, has no answer.

    Raises:
        EngineError: the endpoint failed.
        WorkspaceError: the repository is gone.
        RipgrepError: rg cannot be started.
    """
    began = time.perf_counter()
    budget, calls = Budget(settings.limits), Calls(tools, listener, settings.concurrency)
    system = _SYSTEM.format(root=workspace.virtual_root) + tools.instructions
    opening = ({"role": "system", "content": prompt.harmless(system)}, prompt.user(query))
    transcript = prompt.Transcript(opening, tools.schemas)
    root, model = workspace.virtual_root, engine.model
    listener(RunStarted(query, root, model, opening, tools.schemas, settings.plain()))
    output_bytes = turns = 0
    stopped: StopReason = "malformed"
    answer = None
    while True:
        turns += 1
        last = turns >= settings.max_turns or budget.must_answer(transcript.chars)
        if last:
            stopped = "max_turns" if turns >= settings.max_turns else "token_budget"
            transcript.append(prompt.user(prompt.LAST_CALL))
        request = Request(
            messages=tuple(transcript.messages),
            tools=tools.schemas,
            tool_choice="none" if last else "auto",
            max_tokens=budget.answer_tokens(transcript.chars),
            sampling=settings.sampling,
        )
        try:
            turn = TurnReader(turns, calls, budget, transcript, listener)
            outcome = await turn.run(engine, request)
        except EngineRejected as error:
            if turns == 1 or error.status not in _OF_THE_REQUEST:
                raise
            break
        answer = outcome.found_answer(workspace.is_file)
        if last or answer is not None:
            break
        transcript.append(prompt.assistant(outcome.text, outcome.parsed_calls))
        if not outcome.calls:
            transcript.append(prompt.user(prompt.NUDGE))
        room = budget.turn_chars(transcript.chars)
        for message in await calls.observations(turns, outcome.calls, room):
            transcript.append(message)
            output_bytes += len(message["content"].encode("utf-8", "replace"))
    result = Exploration(
        query,
        "model",
        stopped if answer is None else "answered",
        answer.explanation if answer else "",
        _places(answer.citations if answer else (), workspace),
        turns=turns,
        tool_calls=calls.count,
        usage=budget.usage,
        elapsed_s=time.perf_counter() - began,
    )
    listener(RunFinished(result))
    return Located(result, output_bytes)


def _places(cited: Sequence[RawCitation], workspace: Workspace) -> tuple[Citation, ...]:
    """What is cited of the repository's files: ranges cut to the file, or else the whole file."""
    found: list[Citation] = []
    for each in cited:
        try:
            path = workspace.resolve(each.path).path
            lines = len(workspace.read(path).lines)
        except PathProblem:
            continue
        start = min(each.start or 1, lines)
        end = max(start, min(each.end or lines, lines))
        found.append(Citation(path, start, end, each.reason))
    return tuple(dict.fromkeys(found))
