"""A recorded run once more: the model's messages and the observations come from the record."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import anyio.lowlevel

from explorer import errors
from explorer.engines.scripted import ParsedCall, ScriptedEngine, Turn
from explorer.errors import EngineError, EngineRejected
from explorer.events import (
    CallFinished,
    CallStarted,
    Listener,
    RunStarted,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    ignore,
)
from explorer.limits import Deadline, LoopSettings, Sampling, TokenLimits
from explorer.loop import explore_with_model
from explorer.records import Exploration, ToolCall, ToolResult
from explorer.repository.workspace import Workspace
from explorer.tools import canonical_key
from explorer.trajectory import TimedEvent, TrajectoryError, read


async def replay(
    path: Path,
    workspace: Workspace,
    *,
    settings: LoopSettings | None = None,
    listener: Listener = ignore,
) -> Exploration:
    """What the loop makes of the record today; citations are checked against ``workspace``.

    With the repository of then and the recorded settings, which are taken where none are given, it
    is what the run gave then, but for runs that time ended: no clock is replayed.

    Raises:
        TrajectoryError: the file is not a record of a run.
        ExplorerError: as ``explore_with_model``; ``EngineRejected`` where it asks for a turn that
            the record does not have.
    """
    events = read(path)
    if not events or not isinstance(events[0].event, RunStarted):
        raise TrajectoryError("the record does not begin with the start of a run")
    started = events[0].event
    tools = RecordedTools(started.tools, events)
    engine = ScriptedEngine(_turns(events, tools), model=started.model)
    return await explore_with_model(
        started.query,
        engine=engine,
        workspace=workspace,
        settings=settings or settings_from(started.settings),
        deadline=Deadline(float(started.settings["deadline_s"])),
        listener=listener,
        tools=tools,
    )


def settings_from(plain: Mapping[str, Any]) -> LoopSettings:
    """The settings that ``LoopSettings.plain`` gave; defaults for what is missing."""
    named = {each.name: plain[each.name] for each in fields(LoopSettings) if each.name in plain}
    sampling = {each.name: plain.get(each.name) for each in fields(Sampling)}
    limits = {
        each.name: plain[f"{each.name}_tokens"]
        for each in fields(TokenLimits)
        if f"{each.name}_tokens" in plain
    }
    return LoopSettings(**named, sampling=Sampling(**sampling), limits=TokenLimits(**limits))


class RecordedTools:
    """Tools that answer each call with what it was answered with then."""

    def __init__(self, schemas: Sequence[Any], events: Sequence[TimedEvent]) -> None:
        self.schemas = tuple(dict(schema) for schema in schemas)
        """The schemas that were sent."""
        self.runs = 0
        """Calls so far."""
        self._results: dict[Any, list[ToolResult]] = {}
        for timed in events:
            if isinstance(timed.event, CallFinished) and not timed.event.repeated:
                self._results.setdefault(_key(timed.event.call), []).append(timed.event.result)

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """The recorded observation, of several the next; one sentence if there is no such call."""
        self.runs += 1
        results = self._results.get(_key(call))
        if not results:
            return ToolResult("The record holds no such call.", ok=False)
        return results.pop(0) if len(results) > 1 else results[0]


def _key(call: ToolCall) -> Any:
    key = canonical_key(call)
    return (call.name, call.arguments) if key is None else key


def _turns(events: Sequence[TimedEvent], tools: RecordedTools) -> list[Turn]:
    started: dict[str, ToolCall] = {}
    """The calls of a turn, as they were written."""
    finished: set[str] = set()
    runs = 0
    turns: list[Turn] = []
    for timed in events:
        match timed.event:
            case TurnStarted():
                started = {}
                finished.clear()
            case CallStarted(call=call):
                started[call.id] = call
                runs += 1
            case CallFinished(call=call, repeated=repeated):
                # A second observation of a call is a second run of it.
                runs += (call.id in finished) - repeated
                finished.add(call.id)
            case TurnFinished():
                turns.append(_turn(timed.event, started))
            case TurnFailed():
                turns.append(_failed(timed.event, started.values(), tools, runs))
    return turns


def _turn(event: TurnFinished, started: Mapping[str, ToolCall]) -> Turn:
    parts: list[ParsedCall] = []
    for sent in event.message.get("tool_calls") or ():
        name, arguments = sent["function"]["name"], sent["function"]["arguments"]
        # What goes back to the server is repaired; what the tool was called with is verbatim.
        written = started.get(sent["id"], ToolCall("", name, arguments)).arguments
        parts.append(ParsedCall(name, written, sent["id"]))
    text = str(event.message.get("content") or "")
    return Turn(*([text] if text else []), *parts, usage=event.usage, reason=event.finish_reason)


def _failed(
    event: TurnFailed, started: Iterable[ToolCall], tools: RecordedTools, runs: int
) -> Turn:
    kind = getattr(errors, event.kind, EngineError)
    if kind is EngineRejected:
        error: EngineError = EngineRejected(event.text, status=event.status)
    else:
        error = kind(event.text)
    if not event.received:
        return Turn(error)

    async def ran() -> None:
        # The calls that had begun begin here too; the bound is for records that were edited.
        for _ in range(1_000):
            if tools.runs >= runs:
                return
            await anyio.lowlevel.checkpoint()

    calls = [ParsedCall(call.name, call.arguments, call.id) for call in started]
    # Text before the error: the loop repeats a request only when its answer had begun.
    return Turn(" ", *calls, ran, error)
