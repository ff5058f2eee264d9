"""The protocol between the loop and whatever runs the model.

``http.HttpEngine`` asks a server, ``scripted.ScriptedEngine`` replays a script.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from explorer.events import Message
from explorer.limits import Sampling, Usage


@dataclass(frozen=True, slots=True)
class Request:
    """One chat completion to be streamed."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]]
    tool_choice: Literal["auto", "none"]
    """``none`` forbids calls; the schemas are still sent, so that the prefix stays the same."""
    max_tokens: int
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the content that the model writes; hermes tags in it may be cut anywhere."""

    text: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a call that the server parsed; the argument texts of one index are joined."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The stream's last event. ``usage`` is None when the server sent none."""

    reason: str | None
    usage: Usage | None
    reasoning: str = ""
    """What the server sent as reasoning, if it sent nothing else."""


EngineEvent = TextDelta | CallDelta | Finished


class Engine(Protocol):
    """Anything that streams chat completions."""

    @property
    def model(self) -> str:
        """The name under which the model is served."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """Events of one completion, ending with exactly one ``Finished``.

        Leaving the context closes the request, so that the server stops generating.

        Raises:
            EngineError: from entering or iterating; no exception of the transport leaves it.
        """
