"""Runs the model's tool calls, each only once, and fits their results into the turn."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import anyio

from explorer import prompt
from explorer.answers.citations import Observed
from explorer.errors import ExplorerError
from explorer.events import CallFinished, Listener, Message
from explorer.limits import fair_share
from explorer.prompt import observation
from explorer.records import Span, ToolCall, ToolResult
from explorer.tools import canonical_key, proper_name

MIN_RESULT_CHARS = 400
"""A result cut shorter than this is of no use to the model."""


class Tools(Protocol):
    """What the loop needs from the tools; ``ToolBox`` implements it."""

    @property
    def schemas(self) -> tuple[dict[str, Any], ...]:
        """The tools as OpenAI function definitions."""

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """The result of a call, its text at most ``max_chars`` long."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the model reads back from a call."""

    result: ToolResult
    repeated: bool = False
    """Whether an identical call was made before, so that no tool ran."""
    key: Hashable | None = None
    """Equal for identical calls; None if the call cannot be read."""


@dataclass(slots=True)
class TurnCall:
    """A call of a turn and, once it has ended, its observation."""

    call: ToolCall
    parsed: bool
    """Whether the server parsed it; otherwise it came as hermes text."""
    observation: Observation | None = None
    malformed: bool = False
    """Whether its text could not be read as a call, so that nothing ran."""

    @property
    def text(self) -> str:
        """The observation's text; ``CONTEXT_IS_FULL`` if the call never ran."""
        return self.observation.result.text if self.observation else prompt.CONTEXT_IS_FULL


class Calls:
    """Runs calls, and remembers which results and lines the model has seen."""

    def __init__(self, tools: Tools, listener: Listener, concurrency: int) -> None:
        self.schemas = tools.schemas
        self.concurrency = concurrency
        """Maximum number of tools running at once."""
        self.ids: set[str] = set()
        """The ids of all calls so far: a server that numbers each turn anew would repeat them."""
        self.count = 0
        """Number of calls for which a tool ran."""
        self.observed = Observed()
        """The lines that were shown to the model in requests that the server accepted."""
        self._tools = tools
        self._listener = listener
        self._unsent: list[Span] = []
        """Lines of observations that no accepted request has carried yet."""
        self._read: list[Span] = []
        """Every line that any tool returned, whether or not the model saw it."""
        self._shown: set[Hashable] = set()
        """Keys of the calls whose results are in the transcript."""
        self._of_this_turn: set[Hashable] = set()

    def offers(self, name: str) -> bool:
        """Whether the model was told of a tool that is called so, in some spelling."""
        proper = proper_name(name)
        return any(schema["function"]["name"] == proper for schema in self.schemas)

    def begin_turn(self) -> None:
        """Forget the previous turn's calls whose results never reached the transcript."""
        self._of_this_turn.clear()

    def accepted(self) -> None:
        """Count the lines in the last request as seen, because the server accepted it."""
        self.observed.add(self._unsent)
        self._unsent.clear()

    def forget_unsent(self) -> None:
        """Forget the lines of observations that the model never saw and that were taken back."""
        self._unsent.clear()

    def all_that_was_read(self) -> Observed:
        """Every line that any tool returned, in the order in which the files were first read."""
        read = Observed()
        read.add(self.observed)
        read.add(self._read)
        return read

    async def observe(self, call: ToolCall, max_chars: int) -> Observation:
        """The observation of a call; only a short notice if the same call was made before.

        Raises:
            WorkspaceError: the repository is gone.
            RipgrepError: rg cannot be started.
        """
        key = canonical_key(call)
        if key is not None:
            if key in self._shown or key in self._of_this_turn:
                return Observation(ToolResult(prompt.REPEATED), repeated=True, key=key)
            self._of_this_turn.add(key)
        self.count += 1
        return Observation(await self._run(call, max_chars), key=key)

    async def observations(
        self, turn: int, calls: Sequence[TurnCall], room: int
    ) -> tuple[Message, ...]:
        """The tool messages of a turn in call order, cut to ``room`` characters in all.

        Raises:
            WorkspaceError: the repository is gone.
            RipgrepError: rg cannot be started.
        """
        await self._fit(turn, calls, room)
        for each in calls:
            if each.observation is not None:
                self._unsent += each.observation.result.observed
                if each.observation.key is not None:
                    self._shown.add(each.observation.key)
        return tuple(observation(each.call.id, each.text) for each in calls)

    async def _fit(self, turn: int, calls: Sequence[TurnCall], room: int) -> None:
        """Shorten the results of a turn so that together they fit into ``room`` characters.

        All get the same share, and what short results leave over goes to the long ones. A call
        whose result exceeds its share runs again with that limit, so that what the result says
        about its own length stays true.
        """
        share = fair_share([len(each.text) for each in calls], room)
        long = [each for each in calls if len(each.text) > max(share, MIN_RESULT_CHARS)]
        if share < MIN_RESULT_CHARS:
            for each in long:
                each.observation = Observation(ToolResult(prompt.TURN_IS_FULL, ok=False))
            return
        limiter = anyio.CapacityLimiter(self.concurrency)
        failures: list[ExplorerError] = []
        async with anyio.create_task_group() as group:

            async def again(each: TurnCall) -> None:
                async with limiter:
                    try:
                        shorter = await self._run(each.call, share)
                    except ExplorerError as error:
                        # Raised outside the task group, which would wrap it in a group.
                        failures.append(error)
                        group.cancel_scope.cancel()
                        return
                each.observation = Observation(
                    shorter, key=each.observation.key if each.observation else None
                )
                self._listener(CallFinished(turn, each.call, shorter, 0.0))

            for each in long:
                group.start_soon(again, each)
        if failures:
            raise failures[0]

    async def _run(self, call: ToolCall, max_chars: int) -> ToolResult:
        result = await self._tools.run(call, max_chars=max_chars)
        self._read += result.observed
        text = prompt.harmless(result.text)
        return result if text is result.text else replace(result, text=text)
