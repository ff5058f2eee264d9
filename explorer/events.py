"""The events that a run sends to its listeners.

Progress messages and the trajectory file are both made from them, so each event is complete.
A listener is called in the run's own task; it must neither block nor raise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.limits import Usage
from explorer.records import Exploration, OutlineEntry, ToolCall, ToolResult

Message = Mapping[str, Any]
"""One chat message exactly as it is sent to the engine."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event: the query and everything that the first request is made from."""

    query: str
    virtual_root: str
    model: str
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A model request is about to be sent."""

    turn: int
    appended: Sequence[Message]
    """The messages that were added since the previous request."""
    final: bool
    """True when tools are forbidden."""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A tool call is complete and its tool has started, perhaps while the model still writes."""

    turn: int
    call: ToolCall


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A tool call has its observation.

    A second event for the same call has the shorter observation that replaced the first one, which
    was too long for its turn.
    """

    turn: int
    call: ToolCall
    result: ToolResult
    elapsed_s: float
    repeated: bool = False
    """True when an identical call was made before, so that no tool ran."""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The model has finished writing and the calls of the turn have ended."""

    turn: int
    message: Message
    """The assistant's message as it is kept in the transcript."""
    finish_reason: str | None
    usage: Usage
    first_token_s: float | None
    model_s: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """A request failed: the connection broke, time ran out, or the server refused it."""

    turn: int
    kind: str
    """The error's class in ``explorer.errors``."""
    text: str
    status: int | None = None
    """The HTTP status, if that was the reason."""
    received: bool = False
    """Whether part of the answer had arrived."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something was corrected, dropped, cut or retried."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class LinesCited:
    """The lines of a cited place, as they were when the run ended."""

    path: str
    start: int
    lines: Sequence[str]
    """Beginning with line ``start``; long ranges and long lines are cut."""
    outline: Sequence[OutlineEntry] = ()
    """The definitions of the file; only with the first place in it."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event. If there are several, the last one says what the caller was given."""

    result: Exploration
    engine_reason: str = ""
    """Why this explorer answered, as part of a sentence; empty if there was no choice."""


Event = (
    RunStarted
    | TurnStarted
    | CallStarted
    | CallFinished
    | TurnFinished
    | TurnFailed
    | Note
    | LinesCited
    | RunFinished
)
Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Ignore an event."""
