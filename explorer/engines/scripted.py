"""An engine that replays a script: for tests, demonstrations and measurements of the loop alone.

Nothing is random and nothing sleeps. A turn streams its parts in order; a part that is a function
is awaited when its turn comes, so a test can hold the stream until a tool has started::

    started = anyio.Event()
    engine = ScriptedEngine([Turn("<tool_call>...</tool_call>", started.wait, "more"), "answer"])
"""

import copy
import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import anyio.lowlevel

from explorer.engines.protocol import CallDelta, EngineEvent, Finished, Request, TextDelta
from explorer.errors import EngineError, EngineRejected
from explorer.limits import Usage

CHARS_PER_TOKEN = 4
"""The rule of thumb behind estimated usage."""


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """A call as a server's own parser would send it: streamed as ``CallDelta`` pieces."""

    name: str | None
    arguments: str = "{}"
    id: str | None = None
    index: int | None = None
    """``None`` counts the parsed calls of the turn from 0."""


Part = str | ParsedCall | EngineError | Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, init=False)
class Turn:
    """The answer to one request.

    Of its parts, text is streamed as content in chunks, and a ``ParsedCall`` as deltas; a function
    is called and awaited; an ``EngineError`` is raised, by entering the stream if it comes first.
    """

    parts: tuple[Part, ...]
    usage: Usage | None | Literal["estimated"]
    """``None`` acts as a server that sends no usage."""
    reason: str | None
    """The finish reason; by default ``tool_calls`` after a parsed call, otherwise ``stop``."""
    chunk_chars: int | None
    """Characters in a chunk; ``None`` takes the engine's."""

    def __init__(
        self,
        *parts: Part,
        usage: Usage | None | Literal["estimated"] = "estimated",
        reason: str | None = "",
        chunk_chars: int | None = None,
    ) -> None:
        parsed = any(isinstance(part, ParsedCall) for part in parts)
        default = "tool_calls" if parsed else "stop"
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "usage", usage)
        object.__setattr__(self, "reason", default if reason == "" else reason)
        object.__setattr__(self, "chunk_chars", chunk_chars)


Scripted = str | Turn | EngineError
Step = Scripted | Callable[[Request], Scripted]


class ScriptedEngine:
    """Replays one step of the script for each request, in order.

    A step is a ``Turn``, a turn's text, an error to raise, or a function that is given the request
    and returns one of these. The script may be an endless iterator.
    """

    def __init__(
        self, script: Iterable[Step], *, model: str = "scripted", chunk_chars: int = 16
    ) -> None:
        if chunk_chars < 1:
            raise ValueError(f"chunk_chars is {chunk_chars!r}; hint: at least 1")
        self._script = iter(script)
        self._model = model
        self._chunk_chars = chunk_chars
        self._sent = ""
        self.requests: list[Request] = []
        """Every request so far, as it was when it came."""
        self.abandoned = 0
        """How many streams were left before their ``Finished``."""

    @property
    def model(self) -> str:
        """The name given to the constructor."""
        return self._model

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """Events of the script's next step.

        Raises:
            EngineError: as scripted; ``EngineRejected`` when the script has ended.
        """
        recorded = replace(
            request,
            messages=copy.deepcopy(list(request.messages)),
            tools=copy.deepcopy(list(request.tools)),
        )
        self.requests.append(recorded)
        turn = self._next_turn(recorded)
        if turn.parts and isinstance(turn.parts[0], EngineError):
            raise turn.parts[0]
        finished = _Flag()
        events = self._events(turn, self._usage(turn, recorded), finished)
        try:
            yield events
        finally:
            await events.aclose()
            self.abandoned += not finished.set

    def _next_turn(self, request: Request) -> Turn:
        try:
            step = next(self._script)
        except StopIteration:
            raise EngineRejected(
                f"the script has no turn for request {len(self.requests)}; "
                "hint: script one more turn"
            ) from None
        answer = step if isinstance(step, str | Turn | EngineError) else step(request)
        return answer if isinstance(answer, Turn) else Turn(answer)

    async def _events(
        self, turn: Turn, usage: Usage | None, finished: "_Flag"
    ) -> AsyncGenerator[EngineEvent, None]:
        size = turn.chunk_chars or self._chunk_chars
        calls = 0
        for part in turn.parts:
            if isinstance(part, str):
                for piece in _pieces(part, size):
                    await anyio.lowlevel.checkpoint()
                    yield TextDelta(piece)
            elif isinstance(part, ParsedCall):
                for delta in _deltas(part, calls if part.index is None else part.index, size):
                    await anyio.lowlevel.checkpoint()
                    yield delta
                calls += 1
            elif isinstance(part, EngineError):
                raise part
            else:
                await part()
        finished.set = True
        yield Finished(turn.reason, usage)

    def _usage(self, turn: Turn, request: Request) -> Usage | None:
        """The scripted counts; or estimates, in which the shared beginning counts as cached."""
        if turn.usage != "estimated":
            return turn.usage
        sent = _sent_text(request.messages, request.tools)
        shared = _common_prefix(self._sent, sent)
        self._sent = sent
        written = sum(len(part) for part in turn.parts if isinstance(part, str))
        written += sum(len(part.arguments) for part in turn.parts if isinstance(part, ParsedCall))
        return Usage(
            prompt_tokens=_tokens(len(sent)),
            cached_tokens=shared // CHARS_PER_TOKEN,
            completion_tokens=_tokens(written),
            requests=1,
            estimated=True,
        )


class _Flag:
    """Set when the stream came to its end."""

    set = False


def _tokens(chars: int) -> int:
    return -(-chars // CHARS_PER_TOKEN)


def _pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def _deltas(call: ParsedCall, index: int, size: int) -> Iterator[CallDelta]:
    """The head of a call, then its arguments in pieces, as vLLM sends them."""
    yield CallDelta(index, call.id, call.name)
    for piece in _pieces(call.arguments, size):
        yield CallDelta(index, arguments=piece)


def _sent_text(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
    """The request as one text, the tools first as in chat templates."""
    parts = [*tools, *messages]
    return "\n".join(json.dumps(part, ensure_ascii=False, default=str) for part in parts)


def _common_prefix(one: str, other: str) -> int:
    """The number of characters that two texts share from their start."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
