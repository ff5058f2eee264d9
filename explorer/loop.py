"""The exploration by a model: turns of calls, then an answer whose citations are checked.

Limits are results, not errors: whatever ends a run, what was read is kept. In the table of
failures (README of the model's harness) each row has its place here: empty answers are asked for
again at another seed, a missing answer block is nudged once, wrong citations are sent back twice,
tools called after the last turn are refused once, and then what was read is salvaged.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import anyio
import anyio.to_thread

from explorer import prompt
from explorer.answers.citations import Observed, check, without_root
from explorer.answers.parse import ParsedAnswer
from explorer.answers.salvage import salvage
from explorer.budget import Budget
from explorer.calls import Calls
from explorer.clock import Clock
from explorer.engines.protocol import Engine, Request
from explorer.errors import (
    AnswerError,
    EngineError,
    EngineRejected,
    EngineTimeout,
    EngineUnreachable,
    ExplorerError,
    is_overflow,
)
from explorer.events import (
    Listener,
    Note,
    RunFinished,
    RunStarted,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    ignore,
)
from explorer.loop_settings import LoopSettings
from explorer.records import Citation, Exploration, Span, StopReason, ToolCall
from explorer.repository.workspace import Workspace
from explorer.tools import ToolBox
from explorer.transcript import Transcript, assistant, observation, size_of, user
from explorer.turn import Answered, Outcome, Tools, TurnReader

__all__ = ["LoopSettings", "explore_with_model"]

Step = Literal["turn", "final", "stop"]
"""How a run goes on: with another turn, with the last request, or not."""

_RETRY_TEMPERATURE = 0.7
"""At least: near zero another seed changes nothing."""
_LAST_REQUESTS = (user(prompt.LAST_CALL), user(prompt.ONCE_MORE))


async def explore_with_model(
    query: str,
    *,
    engine: Engine,
    workspace: Workspace,
    settings: LoopSettings,
    listener: Listener = ignore,
    tools: Tools | None = None,
) -> Exploration:
    """What the model found, every citation checked; never later than the deadline.

    Whatever exception leaves it, ``partial`` of it is an ``Exploration`` of what was read, or None.

    Raises:
        EngineError: the engine failed.
        AnswerError: the model named no place that could be verified, at other seeds neither.
        WorkspaceError: the repository is gone.
        RipgrepError: rg does not start.
    """
    run = _Run(query, engine, workspace, settings, listener, tools or ToolBox(workspace))
    try:
        result = await run.result()
    except Exception as error:
        # A defect of ours must not throw away what was read either.
        with suppress(ExplorerError):
            error.partial = await run.partial()  # type: ignore[attr-defined]
        raise
    listener(RunFinished(result))
    return result


@dataclass(frozen=True, slots=True)
class _Answer:
    """A message's citations, and whether all that it cited could be verified."""

    explanation: str
    citations: tuple[Citation, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


class _Run:
    """The state of one exploration."""

    def __init__(
        self,
        query: str,
        engine: Engine,
        workspace: Workspace,
        settings: LoopSettings,
        listener: Listener,
        tools: Tools,
    ) -> None:
        self.query = query
        self.engine = engine
        self.workspace = workspace
        self.settings = settings
        self.listener = listener
        self.tools = tools
        self.calls = Calls(tools, listener)
        self.ids: set[str] = set()
        """Of all calls so far: a server that counts anew each turn would repeat them."""
        self.budget = Budget(settings.limits)
        self.observed = Observed()
        self.unseen: list[Span] = []
        """Lines in observations that no accepted request has carried yet."""
        self.notes: list[str] = []
        self.turns = 0
        self.clock = Clock(settings.deadline_s)
        self.ended_by: StopReason = "malformed"
        self.given_up = False
        """Whether asking again at other seeds came to nothing, so that the run has no answer."""
        self.seed_shift = 0
        self.corrections = settings.corrections
        self.nudges = settings.nudges
        self.retries = settings.retries
        self.reconnects = 1
        self.refusals = 1
        self.best: _Answer | None = None
        self.transcript = Transcript(())
        self._schema_chars = sum(size_of(schema) for schema in tools.schemas)

    # The whole.

    async def result(self) -> Exploration:
        with anyio.move_on_after(self.settings.deadline_s) as scope:
            await self._begin()
            answer = await self._explore()
            if answer is not None:
                return self._exploration("answered", answer)
        if scope.cancelled_caught:
            self.ended_by = "deadline"
            self._note(f"The deadline of {self.settings.deadline_s:g} s ended the exploration.")
        return await self._without_answer()

    async def _begin(self) -> None:
        await self.workspace.files()
        opening = await anyio.to_thread.run_sync(prompt.opening, self.query, self.workspace)
        self.transcript = Transcript(opening)
        self.listener(
            RunStarted(
                self.query,
                self.workspace.virtual_root,
                self.engine.model,
                opening,
                self.tools.schemas,
                self.settings.plain(),
            )
        )

    async def _explore(self) -> _Answer | None:
        """The answer, or None when turns, tokens or patience ran out."""
        final = False
        while True:
            final = final or self._must_answer()
            if final and self.transcript.messages[-1] not in _LAST_REQUESTS:
                self.transcript.append(user(prompt.LAST_CALL))
            outcome = await self._turn(final)
            if outcome is None:
                final = True
                continue
            step = await self._judge(outcome, final)
            if isinstance(step, _Answer):
                return step
            if step == "stop":
                return None
            final = final or step == "final"

    async def _judge(self, outcome: Outcome, final: bool) -> _Answer | Step:
        """An answer to end with, or how to go on."""
        parsed = await anyio.to_thread.run_sync(outcome.found_answer, self.workspace.is_file)
        if parsed is not None:
            return await self._answered(parsed, outcome, final)
        if outcome.is_empty:
            return self._retry("The model wrote nothing")
        if not final and outcome.calls:
            await self._observe(outcome)
            return "turn"
        if final:
            return self._refuse(outcome)
        if self.nudges > 0:
            self.nudges -= 1
            self._keep(outcome)
            self.transcript.append(user(prompt.NUDGE))
            self._note("The model was asked for its answer, which was missing.")
            return "turn"
        self.ended_by = "malformed"
        return "stop"

    def _refuse(self, outcome: Outcome) -> Step:
        """Ask once more for the answer of the last call, then give up."""
        if not self.refusals:
            return "stop"
        self.refusals -= 1
        self._keep(outcome)
        for done in outcome.calls:
            if done.parsed:
                self.transcript.append(observation(done.call.id, prompt.ONCE_MORE))
        self.transcript.append(user(prompt.ONCE_MORE))
        self._note("The model gave no answer in its last turn and was asked once more.")
        return "final"

    def _retry(self, why: str) -> Step:
        """Send the same request again at another seed, if that is still allowed."""
        if not self.retries or self.clock.is_short:
            self.given_up = True
            return "stop"
        self.retries -= 1
        self.seed_shift += 1
        self._note(f"{why}; it was asked again.")
        return "turn"

    # Answers.

    async def _answered(
        self, parsed: ParsedAnswer, outcome: Outcome, final: bool
    ) -> _Answer | Step:
        checked = await anyio.to_thread.run_sync(
            check, parsed.citations, self.workspace, self.observed
        )
        explanation = without_root(parsed.explanation, self.workspace)
        answer = _Answer(explanation, checked.verified, checked.problems, checked.notes)
        if self.best is None or len(answer.citations) >= len(self.best.citations):
            self.best = answer
        if answer.problems and self.corrections and not final:
            self.corrections -= 1
            self.transcript.append(assistant(outcome.text, ()))
            self.transcript.append(user(prompt.correction(answer.problems)))
            self._note(f"{_unverified(answer)} sent back to the model.")
            return "turn"
        if answer.citations:
            return answer
        if self.best.citations:
            return self.best
        why = "No citation could be verified" if parsed.citations else "The answer cited nothing"
        return self._retry(why)

    async def partial(self) -> Exploration | None:
        """What there is to keep of a run that failed."""
        if self.best is not None and self.best.citations:
            return self._exploration("fallback", self.best)
        found = await self._salvaged()
        return self._exploration("fallback", _Answer("", found, (), ())) if found else None

    async def _without_answer(self) -> Exploration:
        if self.best is not None and self.best.citations:
            return self._exploration(self.ended_by, self.best)
        found = () if self.given_up else await self._salvaged()
        if found:
            self._note("The model gave no usable answer; these are the places that it read.")
            return self._exploration(self.ended_by, _Answer("", found, (), ()))
        if self.ended_by == "deadline" and not self.given_up:
            raise EngineTimeout(
                f"the model read nothing within {self.settings.deadline_s:g} s; "
                "hint: allow more time or check the endpoint's speed"
            )
        raise AnswerError(
            f"the model named no place that could be verified, in {self.turns} turns; "
            "hint: ask with names or messages that stand in the code"
        )

    async def _salvaged(self) -> tuple[Citation, ...]:
        # What the last turn read counts here, although the model did not get to see it.
        self.observed.add(self.calls.found)
        if not self.observed:
            return ()
        limit = self.settings.max_citations
        with anyio.CancelScope(shield=True), anyio.move_on_after(2.0):
            return await anyio.to_thread.run_sync(
                lambda: salvage(self.query, self.observed, self.workspace, limit=limit),
                abandon_on_cancel=True,
            )
        return ()

    def _exploration(self, stop_reason: StopReason, answer: _Answer) -> Exploration:
        limit = self.settings.max_citations
        notes = [*self.notes, *answer.notes]
        if answer.problems:
            notes.append(f"{_unverified(answer)} dropped.")
        if len(answer.citations) > limit:
            notes.append(f"{len(answer.citations) - limit} further citations were left out.")
        return Exploration(
            query=self.query,
            explorer="model",
            stop_reason=stop_reason,
            answer=answer.explanation,
            citations=answer.citations[:limit],
            turns=self.turns,
            tool_calls=self.calls.count,
            usage=self.budget.usage,
            notes=tuple(dict.fromkeys(notes)),
            elapsed_s=self.clock.elapsed_s,
        )

    # Turns.

    async def _turn(self, final: bool) -> Outcome | None:
        """The outcome of one request; None when the server refused it for its length."""
        self.turns += 1
        number = self.turns
        transcript = self.transcript
        sent_chars = transcript.chars + self._schema_chars
        self.listener(TurnStarted(number, transcript.newly_sent(), final))
        self.calls.begin_turn()
        reader = TurnReader(
            number,
            self._answer_call,
            concurrency=self.settings.concurrency,
            allowed=not final,
            listener=self.listener,
            taken_ids=self.ids,
        )
        started = time.monotonic()
        try:
            outcome = await reader.run(self.engine, self._request(final, sent_chars))
        except EngineError as error:
            status = error.status if isinstance(error, EngineRejected) else None
            received = reader.outcome.received
            self.listener(TurnFailed(number, type(error).__name__, str(error), status, received))
            return await self._after_failure(error, received, final)
        self.observed.add(self.unseen)
        self.unseen.clear()
        elapsed_s = time.monotonic() - started
        self.clock.took(elapsed_s)
        written = len(outcome.text) + sum(len(call.arguments) for call in outcome.parsed_calls)
        usage = self.budget.record(outcome.usage, sent_chars, written)
        self.listener(
            TurnFinished(
                number,
                assistant(outcome.text, outcome.parsed_calls),
                outcome.finish_reason,
                usage,
                outcome.first_token_s,
                outcome.model_s,
                elapsed_s,
            )
        )
        return outcome

    async def _after_failure(
        self, error: EngineError, received: bool, final: bool
    ) -> Outcome | None:
        """The outcome of the repeated turn, None after taking results back, or the error."""
        if isinstance(error, EngineRejected) and self._take_back(error):
            return None
        if not (isinstance(error, EngineUnreachable) and self.reconnects and received):
            raise error
        self.reconnects -= 1
        self._note("The connection broke while the model wrote; the turn was repeated.")
        return await self._turn(final)

    def _request(self, final: bool, sent_chars: int) -> Request:
        sampling = self.settings.sampling
        if self.seed_shift:
            sampling = replace(sampling, seed=(sampling.seed or 0) + self.seed_shift)
            if sampling.temperature is not None:
                warmer = max(sampling.temperature, _RETRY_TEMPERATURE)
                sampling = replace(sampling, temperature=warmer)
        return Request(
            tuple(self.transcript.messages),
            self.tools.schemas,
            "none" if final else "auto",
            self.budget.answer_tokens(sent_chars),
            sampling,
        )

    async def _answer_call(self, call: ToolCall) -> Answered:
        return await self.calls.answer(call, self.budget.result_chars())

    def _keep(self, outcome: Outcome) -> None:
        self.transcript.append(assistant(outcome.text, outcome.parsed_calls))

    async def _observe(self, outcome: Outcome) -> None:
        """Append the message and the observations of its calls, in call order, within budget."""
        self._keep(outcome)
        room = self.budget.turn_chars(self.transcript.chars + self._schema_chars)
        await self.calls.fit(self.turns, outcome.calls, room, self.settings.concurrency)
        for done in outcome.calls:
            self.calls.shown(done)
            self.unseen += done.answered.result.observed if done.answered else ()
            self.transcript.append(observation(done.call.id, done.text))
            if done.malformed:
                self._note("A tool call that could not be read was sent back.")

    def _take_back(self, error: EngineRejected) -> bool:
        """Whether the request was too long and its last observations could be taken back."""
        messages = self.transcript.messages
        if not is_overflow(error) or self.turns < 2:
            return False
        length = len(messages)
        while length and messages[length - 1]["role"] != "assistant":
            length -= 1
        removed = self.transcript.take_back(length)
        self.unseen.clear()
        shown = [message for message in removed if message["role"] == "tool"]
        if not length or not shown or all(m["content"] == prompt.CONTEXT_IS_FULL for m in shown):
            return False
        for message in shown:
            self.transcript.append(observation(message["tool_call_id"], prompt.CONTEXT_IS_FULL))
        self.ended_by = "token_budget"
        self._note("The model's context was full; the last results were taken back.")
        return True

    # Limits.

    def _must_answer(self) -> bool:
        """Whether the next request is the last, by turns, tokens or time."""
        if self.turns >= self.settings.max_turns - 1:
            self.ended_by = "max_turns"
            return True
        if self.budget.must_answer(self.transcript.chars + self._schema_chars):
            self.ended_by = "token_budget"
            return True
        if self.turns and self.clock.is_short:
            self.ended_by = "deadline"
            return True
        return False

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
        self.listener(Note(self.turns, text))


def _unverified(answer: _Answer) -> str:
    """The beginning of a sentence about the citations that do not hold."""
    count = len(answer.problems)
    subject = "1 citation" if count == 1 else f"{count} citations"
    return f"{subject} could not be verified and {'was' if count == 1 else 'were'}"
