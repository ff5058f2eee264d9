"""Exploration by a model: ask, observe and judge until there is an answer or a limit is reached.

Limits are results, not errors: whatever ends a run, what was read is kept. The table in
``explorer.recovery`` says how a run goes on after each fault of the model or its server.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace

import anyio

from explorer import prompt
from explorer.answers.citations import Findings, nothing_found
from explorer.calls import Calls, Tools
from explorer.engines.protocol import Engine, Request
from explorer.errors import EngineError, ExplorerError
from explorer.events import Listener, Note, RunFinished, RunStarted, ignore
from explorer.limits import Budget, Deadline, LoopSettings, Pace
from explorer.prompt import Transcript, assistant, user
from explorer.records import Exploration, StopReason
from explorer.recovery import Situation, at_another_seed, recovery_for
from explorer.repository.ripgrep import in_thread
from explorer.repository.workspace import Workspace
from explorer.tools import ToolBox
from explorer.turn import Outcome, TurnReader

_LAST_REQUESTS = (user(prompt.LAST_CALL), user(prompt.ONCE_MORE))


async def explore_with_model(
    query: str,
    *,
    engine: Engine,
    workspace: Workspace,
    settings: LoopSettings,
    deadline: Deadline,
    listener: Listener = ignore,
    tools: Tools | None = None,
) -> Exploration:
    """What the model found, with every citation checked.

    The model and its tools stop at the deadline; choosing among what they read may take up to
    ``SALVAGE_S`` longer. An exception that is raised carries ``partial``, the ``Exploration`` of
    what was read, or None.

    Raises:
        EngineError: the engine failed.
        AnswerError: the model named no place that could be verified, even at other seeds.
        WorkspaceError: the repository is gone.
        RipgrepError: rg cannot be started.
    """
    calls = Calls(tools or ToolBox(workspace), listener, settings.concurrency)
    findings = Findings(query, workspace, settings.max_citations)
    pace = Pace(settings, deadline, Budget(settings.limits))
    run = _Run(engine, workspace, settings, listener, calls, findings, pace)
    try:
        result = await run.result()
    except Exception as error:
        # Even a bug in the loop must not throw away what was read.
        with suppress(ExplorerError):
            error.partial = await run.kept("fallback")  # type: ignore[attr-defined]
        raise
    listener(RunFinished(result))
    return result


@dataclass
class _Run:
    """The state of one exploration."""

    engine: Engine
    workspace: Workspace
    settings: LoopSettings
    listener: Listener
    calls: Calls
    findings: Findings
    pace: Pace
    transcript: Transcript = field(default_factory=Transcript)
    recovered: Counter[str] = field(default_factory=Counter)
    """How often each fault has been recovered from."""
    seed_shift: int = 0
    gave_up: bool = False
    """Whether the model cited nothing that holds, however often it was asked."""
    stopped_by: StopReason | None = None
    """What ended the run, or the limit that makes the next request the last."""

    async def result(self) -> Exploration:
        with anyio.move_on_after(self.pace.deadline.left_s) as scope:
            await self._open()
            while await self._judge(await self._ask()):
                pass
        if scope.cancelled_caught:
            self.stopped_by = "deadline"
            self._note(f"The deadline of {self.pace.deadline.total_s:g} s ended the exploration.")
        stop_reason = self.stopped_by or "malformed"
        if not self.gave_up and (result := await self.kept(stop_reason)):
            return result
        is_late = stop_reason == "deadline" and not self.gave_up
        raise nothing_found(self.pace.turns, self.pace.deadline.total_s if is_late else None)

    async def _ask(self) -> Situation:
        """Send the next request and return what came of it."""
        request = self._next_request()
        pace = self.pace
        pace.turns += 1
        began_s = pace.deadline.elapsed_s
        turn = TurnReader(pace.turns, self.calls, pace.budget, self.transcript, self.listener)
        error = answer = None
        try:
            outcome = await turn.run(self.engine, request)
        except EngineError as failure:
            outcome, error = turn.outcome, failure
        else:
            pace.turn_took(pace.deadline.elapsed_s - began_s)
            answer = await self.findings.consider(outcome.found_answer, self.calls.observed)
        return Situation(
            outcome,
            answer,
            error,
            has_citations=self.findings.has_citations,
            is_last=self.stopped_by is not None,
            is_late=pace.is_late,
            transcript=self.transcript,
            calls=self.calls,
        )

    async def _judge(self, seen: Situation) -> bool:
        """Prepare the next request; False if the run ends here."""
        row = recovery_for(seen, self.settings, self.recovered)
        if row is not None:
            self.recovered[row.fault] += 1
            self._note(row.note(seen))
            row.say(seen)
            self.seed_shift += row.other_seed
            self.stopped_by = row.stop or self.stopped_by
            return True
        if seen.error is not None:
            raise seen.error
        if seen.answer is None and seen.outcome.calls and not seen.is_last:
            await self._observe(seen.outcome)
            return True
        self.gave_up = seen.cites_nothing and not seen.has_citations
        if seen.answer is not None and not self.gave_up:
            self.findings.best = seen.answer if seen.answer.citations else self.findings.best
            self.stopped_by = "answered"
        return False

    async def _observe(self, outcome: Outcome) -> None:
        """Append the message and the observations of its calls, in call order, within budget."""
        self.transcript.append(assistant(outcome.text, outcome.parsed_calls))
        room = self.pace.budget.turn_chars(self.transcript.chars)
        for message in await self.calls.observations(self.pace.turns, outcome.calls, room):
            self.transcript.append(message)
        if any(call.malformed for call in outcome.calls):
            self._note("A tool call could not be read and was sent back to the model.")

    async def _open(self) -> None:
        await self.workspace.files()
        query, schemas = self.findings.query, self.calls.schemas
        opening = await in_thread(lambda _: prompt.opening(query, self.workspace))
        self.transcript = Transcript(opening, schemas)
        settings = {**self.settings.plain(), "deadline_s": self.pace.deadline.total_s}
        root, model = self.workspace.virtual_root, self.engine.model
        self.listener(RunStarted(query, root, model, opening, schemas, settings))

    def _next_request(self) -> Request:
        """The next request; the last one forbids tools and asks for the answer."""
        self.stopped_by = self.stopped_by or self.pace.limit(self.transcript.chars)
        if self.stopped_by and self.transcript.messages[-1] not in _LAST_REQUESTS:
            self.transcript.append(user(prompt.LAST_CALL))
        return Request(
            messages=tuple(self.transcript.messages),
            tools=self.calls.schemas,
            tool_choice="none" if self.stopped_by else "auto",
            max_tokens=self.pace.budget.answer_tokens(self.transcript.chars),
            sampling=at_another_seed(self.settings.sampling, self.seed_shift),
        )

    async def kept(self, stop_reason: StopReason) -> Exploration | None:
        """The best answer, or else the places that were read; None if nothing was read."""
        # What the last turn read counts too, although the model never saw it.
        read = self.calls.all_that_was_read()
        if read and not self.findings.has_citations and stop_reason != "fallback":
            self._note("The model gave no usable answer; these are the places that it read.")
        result = await self.findings.exploration(read, stop_reason)
        return result and replace(
            result,
            turns=self.pace.turns,
            tool_calls=self.calls.count,
            usage=self.pace.budget.usage,
            elapsed_s=self.pace.deadline.elapsed_s,
            observed=tuple(self.calls.observed),
        )

    def _note(self, text: str) -> None:
        if text not in self.findings.notes:
            self.findings.notes.append(text)
        self.listener(Note(self.pace.turns, text))
