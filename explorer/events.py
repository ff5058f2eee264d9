"""What a run tells its listeners while it goes on.

The same events drive progress messages and the trajectory file, so each holds all there is to say.
A listener is called in the run's own task, must not block, and must not raise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.records import Exploration, ToolCall, ToolResult, Usage

Message = Mapping[str, Any]
"""One chat message exactly as it is sent to the engine."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event: everything that the prompt was made from."""

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
    """The messages that this request has beyond those of the request before it."""
    final: bool
    """True when tools are forbidden."""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A tool call was complete and its tool has begun, perhaps while the model still writes."""

    turn: int
    call: ToolCall


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A tool call has its observation.

    A second one for the same call holds the observation that took the place of the first, which
    was too long beside the others of its turn.
    """

    turn: int
    call: ToolCall
    result: ToolResult
    elapsed_s: float
    repeated: bool = False
    """True when the record answered and no tool ran."""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The model has finished writing and every call of the turn has its observation."""

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
    """A request came to no end: the connection broke, or the server refused it."""

    turn: int
    kind: str
    """The error's class in ``explorer.errors``."""
    text: str
    status: int | None = None
    """The HTTP status, where one was the reason."""
    received: bool = False
    """Whether a part of the answer had come."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something was corrected, dropped, cut or retried."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class LinesCited:
    """The lines of a place that is cited, as they stood when the run ended."""

    path: str
    start: int
    lines: Sequence[str]
    """From line ``start`` on; a long range and long lines are cut."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event. Of several the last holds: it says what the caller was given."""

    result: Exploration
    engine_reason: str = ""
    """Why this explorer answered, as part of a sentence; empty where nobody chose one."""


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
    """Listen to nothing."""
