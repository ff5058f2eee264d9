"""The calls of a run: each answered once, none shown more than its turn has room for."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import anyio

from explorer import prompt
from explorer.answers.citations import Observed
from explorer.errors import ExplorerError
from explorer.events import CallFinished, Listener, Message
from explorer.records import Span, ToolCall, ToolResult
from explorer.tools import canonical_key
from explorer.transcript import fair_share, observation

MIN_RESULT_CHARS = 400
"""Less room than this shows nothing of use of a result."""


class Tools(Protocol):
    """What the loop needs of the tools; ``ToolBox`` is one."""

    @property
    def schemas(self) -> tuple[dict[str, Any], ...]:
        """The tools as OpenAI function tools."""

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """The observation of a call, at most ``max_chars`` long."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the model reads back from a call."""

    result: ToolResult
    repeated: bool = False
    """Whether the transcript holds the result already, so that no tool ran."""
    key: Hashable | None = None
    """What an identical call has in common with this one; None when it cannot be read."""


@dataclass(slots=True)
class TurnCall:
    """A call of a turn and, once it has ended, its observation."""

    call: ToolCall
    parsed: bool
    """Whether the server had parsed it."""
    observation: Observation | None = None
    malformed: bool = False
    """Whether its text could not be read as a call, so that nothing was run."""

    @property
    def text(self) -> str:
        """The observation; a refusal if the call was never run."""
        return self.observation.result.text if self.observation else prompt.CONTEXT_IS_FULL


class Calls:
    """Runs calls, and remembers which results and lines the model has seen."""

    def __init__(self, tools: Tools, listener: Listener, concurrency: int) -> None:
        self.schemas = tools.schemas
        self.concurrency = concurrency
        """Tools at work at one time."""
        self.ids: set[str] = set()
        """Of all calls so far: a server that counts anew each turn would repeat them."""
        self.count = 0
        """Calls for which a tool ran."""
        self.observed = Observed()
        """The lines in the observations of every request that the server accepted."""
        self._tools = tools
        self._listener = listener
        self._unsent: list[Span] = []
        """Lines in observations that no accepted request has carried yet."""
        self._read: list[Span] = []
        """Every line that any tool gave, whether the model came to see it or not."""
        self._shown: set[Hashable] = set()
        """Calls whose results the transcript holds."""
        self._of_this_turn: set[Hashable] = set()

    def begin_turn(self) -> None:
        """Forget what a turn began whose results never came into the transcript."""
        self._of_this_turn.clear()

    def accepted(self) -> None:
        """Count the lines that the request carried as seen: the server took it."""
        self.observed.add(self._unsent)
        self._unsent.clear()

    def forget_unsent(self) -> None:
        """Forget the lines of observations that were taken back before a request carried them."""
        self._unsent.clear()

    def all_that_was_read(self) -> Observed:
        """Every line that any tool gave, in the order in which the files were first read."""
        read = Observed()
        read.add(self.observed)
        read.add(self._read)
        return read

    async def observe(self, call: ToolCall, max_chars: int) -> Observation:
        """The observation of a call; a short notice if the transcript has it already.

        Raises:
            WorkspaceError: the repository is gone.
            RipgrepError: rg does not start.
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
        """The tool messages of a turn, in call order, of at most ``room`` characters together.

        Raises:
            WorkspaceError: the repository is gone.
            RipgrepError: rg does not start.
        """
        await self._fit(turn, calls, room)
        for each in calls:
            if each.observation is not None:
                self._unsent += each.observation.result.observed
                if each.observation.key is not None:
                    self._shown.add(each.observation.key)
        return tuple(observation(each.call.id, each.text) for each in calls)

    async def _fit(self, turn: int, calls: Sequence[TurnCall], room: int) -> None:
        """Bring the results of a turn into the room.

        Each may have the same share, and what short ones leave goes to the long ones. A result
        that is longer is asked for again, shorter, so that what it says of itself stays true.
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
                        # Kept instead of raised, so that it leaves the task group as itself.
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
