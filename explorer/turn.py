"""One turn: the model writes, and each call starts as soon as it is complete.

Calls that the server parsed and calls in hermes text are treated alike. Observations come back in
call order, in whatever order the tools end. A call that fails becomes an observation and does not
affect the others.
"""

import time
from dataclasses import dataclass, field

import anyio
import anyio.abc

from explorer import lenient_json, prompt
from explorer.answers.parse import IsFile, citations_outside, parse_answer
from explorer.answers.raw import ParsedAnswer
from explorer.calls import Calls, Observation, TurnCall
from explorer.engines.protocol import CallDelta, Engine, Finished, Request, TextDelta
from explorer.errors import EngineError, EngineRejected, ExplorerError
from explorer.events import (
    CallFinished,
    CallStarted,
    Listener,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from explorer.hermes.parser import (
    Call,
    FinalAnswer,
    HermesEvent,
    HermesParser,
    Malformed,
    Prose,
    Thought,
)
from explorer.hermes.untagged import holds_untagged_call, untagged_calls
from explorer.limits import Budget, Usage
from explorer.prompt import Transcript, assistant
from explorer.records import ToolCall, ToolResult

MAX_CALLS_PER_TURN = 32
"""Limits what a runaway message can start. In training, a message has 1 to 6 calls."""

TOO_MANY = f"Not run: one message can make at most {MAX_CALLS_PER_TURN} calls."


@dataclass(slots=True)
class Outcome:
    """What came of a turn."""

    text: str = ""
    """All content, verbatim with its hermes tags, but without the model's thinking."""
    prose: str = ""
    """The content outside calls, answers and thinking."""
    answer: FinalAnswer | None = None
    """The last answer block."""
    calls: list[TurnCall] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None
    first_token_s: float | None = None
    model_s: float = 0.0
    received: bool = False
    """Whether anything at all came before a failure."""
    reasoned: bool = False
    """Whether all of it came as reasoning, and was read there."""
    untagged: bool = False
    """Whether the prose holds a call without its tags that could not be run."""

    @property
    def parsed_calls(self) -> list[ToolCall]:
        """Calls that the server parsed; they are sent back as ``tool_calls``."""
        return [done.call for done in self.calls if done.parsed]

    def found_answer(self, is_file: IsFile) -> ParsedAnswer | None:
        """The last answer block, or else a complete list of citations without the tag.

        A block counts even if there are calls beside it; a list does not.
        """
        if self.answer is not None:
            inside = parse_answer(self._whole_lines(self.answer.text, self.answer.closed), is_file)
            explanation = " ".join(self.prose.split()) or inside.explanation
            return ParsedAnswer(explanation, inside.citations)
        if self.calls:
            return None
        found = citations_outside(self._whole_lines(self.prose, False), is_file)
        return ParsedAnswer("", found) if found else None

    def _whole_lines(self, text: str, closed: bool) -> str:
        """The text without a last line that the length limit cut, as its range may lack digits."""
        if closed or self.finish_reason != "length":
            return text
        return text.rstrip().rpartition("\n")[0] or text

    @property
    def is_empty(self) -> bool:
        """Whether the model wrote neither calls nor an answer nor prose."""
        return not (self.calls or self.answer or self.prose.strip())


class TurnReader:
    """Sends one request, reads the completion and starts its calls."""

    def __init__(
        self,
        number: int,
        calls: Calls,
        budget: Budget,
        transcript: Transcript,
        listener: Listener,
    ) -> None:
        self.outcome = Outcome()
        self._number = number
        self._calls = calls
        self._budget = budget
        self._transcript = transcript
        self._listener = listener
        self._allowed = True
        self._limiter = anyio.CapacityLimiter(calls.concurrency)
        self._parser = HermesParser()
        self._pending: dict[int, _Pending] = {}
        self._drafted: FinalAnswer | None = None
        """The answer written before the end of thinking that the chat template had opened."""
        self._failure: ExplorerError | None = None
        self._group: anyio.abc.TaskGroup | None = None

    async def run(self, engine: Engine, request: Request) -> Outcome:
        """The outcome, once the model has finished writing and every call has its observation.

        An answer block cancels the calls that are still running.

        Raises:
            EngineError: the completion failed; ``outcome`` has what came before.
            WorkspaceError: the repository is gone.
            RipgrepError: rg cannot be started.
        """
        self._allowed = request.tool_choice == "auto"
        new = self._transcript.newly_sent()
        self._listener(TurnStarted(self._number, new, final=not self._allowed))
        self._calls.begin_turn()
        started = time.monotonic()
        try:
            await self._read_and_call(engine, request)
        except EngineError as error:
            status = error.status if isinstance(error, EngineRejected) else None
            kind, received = type(error).__name__, self.outcome.received
            self._listener(TurnFailed(self._number, kind, str(error), status, received))
            raise
        self._calls.accepted()
        self._finished(time.monotonic() - started)
        return self.outcome

    def _finished(self, elapsed_s: float) -> None:
        outcome = self.outcome
        parsed = outcome.parsed_calls
        written = len(outcome.text) + sum(len(call.arguments) for call in parsed)
        usage = self._budget.record(outcome.usage, self._transcript.chars, written)
        self._listener(
            TurnFinished(
                self._number,
                assistant(outcome.text, parsed),
                outcome.finish_reason,
                usage,
                outcome.first_token_s,
                outcome.model_s,
                elapsed_s,
            )
        )

    async def _read_and_call(self, engine: Engine, request: Request) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                await self._read(engine, request)
            except EngineError as error:
                self._failure = error
                group.cancel_scope.cancel()
            if self.outcome.answer is not None:
                group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _read(self, engine: Engine, request: Request) -> None:
        started = time.monotonic()
        outcome = self.outcome
        prose: list[str] = []
        reasoning = ""
        try:
            async with engine.stream(request) as events:
                async for event in events:
                    if not outcome.received and not isinstance(event, Finished):
                        outcome.received = True
                        outcome.first_token_s = time.monotonic() - started
                    if isinstance(event, TextDelta):
                        self._take(self._parser.feed(event.text), prose)
                    elif isinstance(event, CallDelta):
                        self._take_delta(event)
                    else:
                        outcome.finish_reason, outcome.usage = event.reason, event.usage
                        reasoning = event.reasoning
            for pending in self._pending.values():
                self._start_pending(pending)
            self._take(self._parser.close(), prose)
            if reasoning.strip():
                self._read_reasoning(reasoning, prose)
            if not outcome.calls and outcome.answer is None:
                self._read_untagged(prose)
            if not (outcome.calls or "".join(prose).strip()):
                # A stray closing tag at the very end does not withdraw the answer.
                outcome.answer = outcome.answer or self._drafted
        finally:
            outcome.text, outcome.prose = self._parser.kept(), "".join(prose)
            outcome.model_s = time.monotonic() - started

    def _read_reasoning(self, text: str, prose: list[str]) -> None:
        """Take what came as reasoning for the message, if it holds calls or an answer.

        With a reasoning parser, and a model that does not think, servers send all of it so.
        """
        parser = HermesParser()
        events = [*parser.feed(text), *parser.close()]
        said = "".join(event.text for event in events if isinstance(event, Prose))
        if (
            any(isinstance(event, Call | Malformed | FinalAnswer) for event in events)
            or untagged_calls(said, self._calls.offers)
            or citations_outside(said)
        ):
            self.outcome.reasoned = self.outcome.received = True
            self._parser = parser
            prose.clear()
            self._take(events, prose)

    def _read_untagged(self, prose: list[str]) -> None:
        """Start the calls of a message that is nothing but calls, although it lacks the tags."""
        text = "".join(prose)
        cut = self.outcome.finish_reason == "length"
        calls = [] if cut else untagged_calls(text, self._calls.offers)
        if calls:
            prose.clear()
            self._take(list(calls), prose)
        else:
            self.outcome.untagged = holds_untagged_call(text, self._calls.offers)

    def _take(self, events: list[HermesEvent], prose: list[str]) -> None:
        for event in events:
            match event:
                case Prose(text):
                    prose.append(text)
                case Call(name, arguments):
                    self._start("", name, arguments, parsed=False)
                case Malformed(text, problem):
                    self._refuse(text, problem)
                case FinalAnswer(text):
                    # An empty block is not an answer; the calls beside it go on.
                    self.outcome.answer = event if text else self.outcome.answer
                case Thought():
                    prose.clear()
                    self._drafted, self.outcome.answer = self.outcome.answer, None

    def _take_delta(self, delta: CallDelta) -> None:
        """Add a piece to its call, and start, in order, the calls whose arguments are complete.

        Servers may interleave the pieces of several calls. A call that never becomes complete
        starts when the message ends, and so do all calls after it.
        """
        pending = self._pending.setdefault(delta.index, _Pending())
        pending.id = pending.id or delta.id or ""
        pending.name = pending.name or delta.name or ""
        pending.arguments += delta.arguments
        for pending in self._pending.values():
            if not pending.started and not pending.is_whole():
                break
            self._start_pending(pending)

    def _start_pending(self, pending: "_Pending") -> None:
        if not pending.started:
            pending.started = True
            self._start(pending.id, pending.name, pending.arguments or "{}", parsed=True)

    def _refuse(self, text: str, problem: str) -> None:
        """Record an observation for a call that cannot be read, in its place among the others."""
        call = ToolCall(self._new_id(""), "", text)
        refusal = Observation(ToolResult(prompt.malformed(problem), ok=False))
        self.outcome.calls.append(TurnCall(call, False, refusal, malformed=True))

    def _new_id(self, given: str) -> str:
        """The server's id, or a new one if it is missing or taken."""
        number = len(self.outcome.calls) + 1
        if not given or given in self._calls.ids:
            given = f"call_{self._number}_{number}"
        self._calls.ids.add(given)
        return given

    def _start(self, call_id: str, name: str, arguments: str, *, parsed: bool) -> None:
        done = TurnCall(ToolCall(self._new_id(call_id), name, arguments), parsed)
        self.outcome.calls.append(done)
        if not self._allowed or self.outcome.answer is not None or self._group is None:
            return
        if len(self.outcome.calls) > MAX_CALLS_PER_TURN:
            done.observation = Observation(ToolResult(TOO_MANY, ok=False))
            return
        self._group.start_soon(self._run_call, done)

    async def _run_call(self, done: TurnCall) -> None:
        async with self._limiter:
            started = time.monotonic()
            self._listener(CallStarted(self._number, done.call))
            try:
                made = await self._calls.observe(done.call, self._budget.result_chars())
            except ExplorerError as error:
                # Raised outside the task group, which would wrap it in a group.
                self._failure = self._failure or error
                if self._group is not None:
                    self._group.cancel_scope.cancel()
                return
            done.observation = made
            elapsed_s = time.monotonic() - started
            self._listener(
                CallFinished(self._number, done.call, made.result, elapsed_s, made.repeated)
            )


@dataclass(slots=True)
class _Pending:
    """A call that the server parsed, while its pieces arrive."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    started: bool = False

    def is_whole(self) -> bool:
        """Whether the arguments are one complete JSON object, so that nothing can follow."""
        if not self.name or not self.arguments.rstrip().endswith("}"):
            return False
        return lenient_json.is_whole(self.arguments, dict)
