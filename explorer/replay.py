"""A recorded run once more: the model's messages and the observations come from the record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.events import CallFinished, Listener, RunStarted, TurnFinished, ignore
from explorer.loop import explore_with_model
from explorer.loop_settings import LoopSettings
from explorer.records import Exploration, ToolCall, ToolResult
from explorer.scripted_engine import ParsedCall, ScriptedEngine, Turn
from explorer.tools import canonical_key
from explorer.trajectory import TimedEvent, TrajectoryError, read
from explorer.workspace import Workspace


async def replay(
    path: Path, workspace: Workspace, *, settings: LoopSettings, listener: Listener = ignore
) -> Exploration:
    """What the loop makes of the record today; citations are checked against ``workspace``.

    With the settings and the repository of then, it is what the run gave then.

    Raises:
        TrajectoryError: the file is not a record of a run.
        ExplorerError: as ``explore_with_model``; ``EngineRejected`` where it asks for a turn that
            the record does not have.
    """
    events = read(path)
    if not events or not isinstance(events[0].event, RunStarted):
        raise TrajectoryError("the record does not begin with the start of a run")
    started = events[0].event
    engine = ScriptedEngine(_turns(events), model=started.model)
    return await explore_with_model(
        started.query,
        engine=engine,
        workspace=workspace,
        settings=settings,
        listener=listener,
        tools=RecordedTools(started.tools, events),
    )


class RecordedTools:
    """Tools that answer each call with what it was answered with then."""

    def __init__(self, schemas: Sequence[Any], events: Sequence[TimedEvent]) -> None:
        self.schemas = tuple(dict(schema) for schema in schemas)
        """The schemas that were sent."""
        self._results: dict[Any, ToolResult] = {}
        for timed in events:
            if isinstance(timed.event, CallFinished) and not timed.event.repeated:
                self._results.setdefault(_key(timed.event.call), timed.event.result)

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """The recorded observation; one sentence if the record has no such call."""
        missing = ToolResult("The record holds no such call.", ok=False)
        return self._results.get(_key(call), missing)


def _key(call: ToolCall) -> Any:
    key = canonical_key(call)
    return (call.name, call.arguments) if key is None else key


def _turns(events: Sequence[TimedEvent]) -> list[Turn]:
    return [_turn(timed.event) for timed in events if isinstance(timed.event, TurnFinished)]


def _turn(event: TurnFinished) -> Turn:
    calls = [
        ParsedCall(call["function"]["name"], call["function"]["arguments"], call["id"])
        for call in event.message.get("tool_calls") or ()
    ]
    text = str(event.message.get("content") or "")
    return Turn(*([text] if text else []), *calls, usage=event.usage, reason=event.finish_reason)
