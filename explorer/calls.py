"""The calls of a run: each answered once, none shown more than its turn has room for."""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import anyio

from explorer import prompt
from explorer.budget import fair_share
from explorer.errors import ExplorerError
from explorer.events import CallFinished, Listener
from explorer.records import Span, ToolCall, ToolResult
from explorer.tools import canonical_key
from explorer.turn import Answered, Done, Tools

MIN_RESULT_CHARS = 400
"""Less room than this shows nothing of use of a result."""


class Calls:
    """Runs calls and remembers which results stand in the transcript."""

    def __init__(self, tools: Tools, listener: Listener) -> None:
        self._tools = tools
        self._listener = listener
        self._shown: set[Hashable] = set()
        """Calls whose results the transcript holds."""
        self._of_this_turn: set[Hashable] = set()
        self.count = 0
        """Calls for which a tool ran."""
        self.found: list[Span] = []
        """Every line that any tool gave, whether the model came to see it or not."""

    def begin_turn(self) -> None:
        """Forget what a turn began whose results never came into the transcript."""
        self._of_this_turn.clear()

    async def answer(self, call: ToolCall, max_chars: int) -> Answered:
        """The observation of a call; a short notice if the transcript has it already.

        Raises:
            WorkspaceError: the repository is gone.
            RipgrepError: rg does not start.
        """
        key = canonical_key(call)
        if key is not None:
            if key in self._shown or key in self._of_this_turn:
                return Answered(ToolResult(prompt.REPEATED), repeated=True, key=key)
            self._of_this_turn.add(key)
        self.count += 1
        return Answered(await self._run(call, max_chars), key=key)

    async def fit(self, turn: int, calls: Sequence[Done], room: int, concurrency: int) -> None:
        """Bring the results of a turn into ``room`` characters together.

        Each may have the same share, and what short ones leave goes to the long ones. A result
        that is longer is asked for again, shorter, so that what it says of itself stays true.

        Raises:
            WorkspaceError: the repository is gone.
            RipgrepError: rg does not start.
        """
        share = fair_share([len(done.text) for done in calls], room)
        long = [done for done in calls if len(done.text) > max(share, MIN_RESULT_CHARS)]
        if share < MIN_RESULT_CHARS:
            for done in long:
                done.answered = Answered(ToolResult(prompt.TURN_IS_FULL, ok=False))
            return
        limiter = anyio.CapacityLimiter(concurrency)
        failures: list[ExplorerError] = []
        async with anyio.create_task_group() as group:

            async def again(done: Done) -> None:
                async with limiter:
                    try:
                        shorter = await self._run(done.call, share)
                    except ExplorerError as error:
                        # Kept instead of raised, so that it leaves the task group as itself.
                        failures.append(error)
                        group.cancel_scope.cancel()
                        return
                done.answered = Answered(shorter, key=done.answered.key if done.answered else None)
                self._listener(CallFinished(turn, done.call, shorter, 0.0))

            for done in long:
                group.start_soon(again, done)
        if failures:
            raise failures[0]

    def shown(self, done: Done) -> None:
        """Remember that the transcript holds this result."""
        if done.answered and done.answered.key is not None:
            self._shown.add(done.answered.key)

    async def _run(self, call: ToolCall, max_chars: int) -> ToolResult:
        result = await self._tools.run(call, max_chars=max_chars)
        self.found += result.observed
        text = prompt.harmless(result.text)
        return result if text is result.text else replace(result, text=text)
