"""The course of one question: an explorer is chosen, asked, and its answer becomes a report.

The model answers if there is one, otherwise the scout. If the model fails in any way, the scout
answers in the time that was reserved for it. What the model had cited or read before it failed is
kept: its places come first, then those of the scout that do not overlap them.
"""

import dataclasses
import logging
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from explorer.answers.shown import linked, outlines, show
from explorer.engines.protocol import Engine
from explorer.errors import AnswerError, EngineError, ExplorerError
from explorer.events import Event, Listener, RunFinished
from explorer.limits import Deadline
from explorer.records import Exploration
from server.errors import ExplorationFailed, ServerError
from server.exploring.engines import ExplorerChoice
from server.exploring.open_repositories import OpenRepository
from server.exploring.progress import Narrator, Say, beside, following
from server.exploring.question import Question
from server.exploring.report import ExplorerName, Report, markdown

if TYPE_CHECKING:
    from explorer.answers.links import Locate
    from explorer.answers.shown import Choose
    from explorer.definitions import Definition
    from explorer.repository.workspace import Workspace
    from explorer.scout import ScoutAnswer
    from server.exploring.service import ExplorationService
from collections.abc import Iterable, Sequence

from explorer.records import Citation, Confidence, Span

logger = logging.getLogger(__name__)

SCOUT_RESERVE_S = 8.0
"""Time reserved for the scout; a quarter of the deadline if that is less."""
OPINION_S = 2.0
"""Maximum time for a second opinion from the scout, and to choose what of long places is shown.
The reader takes most of it."""
_GRACE_S = 0.5
"""How long after its deadline a part may end before it is cut off."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of asking the model."""

    run: Exploration | None = None
    """The answer, or what was read before the model failed."""
    problem: str = ""
    """Why there is no answer; empty if there is one."""


class Course:
    """One question on its way to a report; its deadline begins when the object is made."""

    def __init__(self, question: Question, service: "ExplorationService", say: Say) -> None:
        self.question = question
        self.deadline = Deadline(question.deadline_s)
        self.repository: OpenRepository
        """Set while ``run`` holds it open."""
        self._service = service
        self._say = say
        self._narrate = Narrator()
        self._listeners: list[Listener] = []

    async def run(self) -> Report:
        """The report, at the latest shortly after the deadline.

        Raises:
            ExplorationFailed: no explorer could answer, or only the scout, which was not allowed.
            UsageError: no endpoint is configured for it, or the record cannot be written.
        """
        question, service = self.question, self._service
        root = question.repository.root
        try:
            with ExitStack() as stack:
                if question.record_dir is not None:
                    from server.exploring.recording import open_record

                    self._listeners.append(stack.enter_context(open_record(question)))
                choice = await service.engines.choose(question.engine, fallback=question.fallback)
                if choice.explorer != "scout" and service.listener is not None:
                    self._listeners.append(service.listener)
                hidden = question.include_hidden
                async with service.repositories.opened(root, include_hidden=hidden) as opened:
                    self.repository = opened
                    service.watch(root, opened)
                    report = await self._shown(await self._report(choice))
                    await self._finish(report)
        except ExplorerError as error:
            raise ExplorationFailed(str(error), "see `fastcontext doctor`") from error
        return report

    def hear(self, event: Event) -> None:
        """Pass an event of the run to the listeners, and say what it means."""
        for listener in self._listeners:
            listener(event)
        if message := self._narrate(event):
            self._say(message)

    async def _report(self, choice: ExplorerChoice) -> Report:
        if choice.explorer == "scout":
            if self._listeners:
                from server.exploring.recording import begun_by_scout

                self.hear(begun_by_scout(self.question))
            run = await self._ask_scout(self.question.deadline_s)
            return self._reported("scout", choice.reason, run)
        attempt = await self._ask_model(choice)
        if not attempt.problem and attempt.run is not None:
            run = await self._seconded(attempt.run)
            return self._reported(choice.explorer, choice.reason, run)
        return await self._fall_back(choice, attempt)

    def _reported(self, explorer: ExplorerName, reason: str, run: Exploration) -> Report:
        from explorer.repository.mentions import hidden_mentions

        workspace = self.repository.workspace
        hidden = hidden_mentions(workspace, self.question.query)
        if hidden and explorer == "scout":
            # Whatever else shares words with the question, the file that it names was not read.
            sure: Confidence | None = "low" if run.citations else None
            run = dataclasses.replace(run, answer=f"{hidden[0]} {run.answer}", confidence=sure)
            hidden = hidden[1:]
        told = (note for note in workspace.listing.notes if note != run.answer)
        notes = (*self.question.notes, *hidden, *told, *run.notes)
        run = dataclasses.replace(run, notes=notes, elapsed_s=self.deadline.elapsed_s)
        return Report(self.question.repository.root, explorer, reason, run)

    async def _shown(self, report: Report) -> Report:
        """The report with what its places are called, what is near the first, and code.

        Where the model cited a whole file or a long range, the scout's reader chooses what of it is
        shown.
        """
        workspace, scout = self.repository.workspace, self.repository.scout
        query, time = self.question.query, Deadline(min(OPINION_S, self.deadline.left_s))

        def choose(
            path: str, lines: Sequence[str], found: "Sequence[Definition]", start: int, end: int
        ) -> Sequence[tuple[int, int]]:
            return scout.best_part(query, path, lines, found, (start, end), time)

        def work() -> Report:
            most = self.question.max_bytes if self.question.code else 0
            made = with_code(report, workspace, scout.locate, max_bytes=most, choose=choose)
            wanted = self.question.outlines or self.question.record_dir is not None
            found = outlines(made.exploration, workspace) if wanted else {}
            return dataclasses.replace(made, outlines=found)

        return await anyio.to_thread.run_sync(work)

    async def _finish(self, report: Report) -> None:
        """Record the cited code and what the caller is given, which the loop cannot know."""
        run = report.exploration
        if self.question.record_dir is not None:
            from server.exploring.recording import lines_cited

            workspace = self.repository.workspace
            cited = partial(lines_cited, run.citations, workspace, report.outlines)
            for each in await anyio.to_thread.run_sync(cited):
                self.hear(each)
        self.hear(RunFinished(run, report.engine_reason))

    async def _ask_model(self, choice: ExplorerChoice) -> _Attempt:
        question = self.question
        reserve_s = min(SCOUT_RESERVE_S, question.deadline_s / 4)
        deadline = self.deadline.earlier(reserve_s if question.fallback else _GRACE_S)
        attempt = _Attempt()
        with anyio.move_on_after(deadline.left_s + _GRACE_S) as scope:
            try:
                async with (
                    self._service.model_slot(self._say),
                    self._service.engines.opened(choice, deadline) as (engine, window),
                ):
                    attempt = await self._run_model(engine, window, deadline)
            except (EngineError, AnswerError) as error:
                attempt = _Attempt(error.partial, f"the model failed: {_sentence(error)}")
            except ServerError as error:
                attempt = _Attempt(problem=f"the model failed: {error}")
            except ExplorerError as error:
                if not question.fallback:
                    raise
                attempt = _Attempt(_partial(error), f"the model's run failed: {_sentence(error)}")
            except Exception as error:
                # The caller still gets an answer; the log gets the details.
                logger.exception("the exploration failed on an internal error")
                problem = "the model's run failed: internal error, see the log"
                attempt = _Attempt(_partial(error), problem)
        if scope.cancelled_caught:
            return _Attempt(problem=f"the model gave no answer within {deadline.total_s:.0f} s")
        return attempt

    async def _run_model(self, engine: Engine, window: int | None, deadline: Deadline) -> _Attempt:
        from explorer.loop import explore_with_model
        from server.exploring.question import loop_settings

        run = await explore_with_model(
            self.question.query,
            engine=engine,
            workspace=self.repository.workspace,
            settings=loop_settings(self._service.settings, self.question, engine.model, window),
            deadline=Deadline(round(deadline.left_s, 1)),
            listener=self.hear,
        )
        return _Attempt(run, "" if run.citations else "the model found no place")

    async def _seconded(self, run: Exploration) -> Exploration:
        """The model's answer with the scout's opinion of it; its places do not change."""
        left_s = min(OPINION_S, self.deadline.left_s)
        if not self.question.fallback or left_s <= 0:
            return with_opinion(run, None)
        try:
            scout = await self._ask_scout(left_s, quietly=True)
        except (ExplorationFailed, ExplorerError) as error:
            logger.info("no second opinion: %s", error)
            scout = None
        return with_opinion(run, scout)

    async def _fall_back(self, choice: ExplorerChoice, attempt: _Attempt) -> Report:
        """The scout's answer after what the model had cited, or that alone if the scout fails."""
        reason = attempt.problem
        if not self.question.fallback:
            hint = "check the endpoint with `fastcontext doctor`, or allow the scout to answer"
            raise ExplorationFailed(reason, hint)
        logger.info("the scout answers because %s", reason)
        try:
            scout = await self._ask_scout(max(1.0, self.deadline.left_s))
        except (ExplorationFailed, ExplorerError) as error:
            if attempt.run is None or not attempt.run.citations:
                raise
            notes = (*attempt.run.notes, f"the scout failed too: {error}")
            kept = dataclasses.replace(attempt.run, stop_reason="fallback", notes=notes)
            return self._reported(choice.explorer, f"{reason}; what it had read is kept", kept)
        run = with_scout_behind(attempt.run, scout, self.question.max_citations)
        return self._reported("scout", reason, run)

    async def _ask_scout(self, within_s: float, *, quietly: bool = False) -> Exploration:
        question, answered = self.question, None
        ask = partial(
            self.repository.scout.answer,
            question.query,
            max_citations=question.max_citations,
            deadline_s=within_s,
        )
        follow = partial(following, self._scouting, self._say)
        with anyio.move_on_after(within_s + _GRACE_S):
            async with self._service.scout_slots:
                answered = await (ask() if quietly else beside(follow, ask))
        if answered is None:
            raise ExplorationFailed(
                f"no answer within {question.deadline_s:.0f} s",
                "ask about a smaller directory, or allow more time",
            )
        return exploration_of(question.query, answered)

    def _scouting(self) -> str:
        left = self.repository.scout.to_index
        return f"the scout is indexing {left:,} files" if left else "the scout is searching"


def exploration_of(query: str, answered: "ScoutAnswer") -> Exploration:
    """The scout's answer as the record of a run."""
    return Exploration(
        query=query,
        explorer="scout",
        stop_reason="answered",
        answer=answered.answer,
        citations=answered.citations,
        notes=answered.notes,
        confidence=answered.confidence if answered.citations else None,
        place_confidence=answered.place_confidence if answered.citations else None,
        further=answered.further,
    )


def with_code(
    report: Report,
    workspace: "Workspace",
    locate: "Locate",
    *,
    max_bytes: int,
    choose: "Choose | None" = None,
) -> Report:
    """The report with what its places are called, what is near the first, and code.

    The code takes the room that the rest of the report leaves of ``max_bytes``. Reads files,
    blocking.
    """
    run = linked(report.exploration, workspace, locate)
    rest = len(markdown(dataclasses.replace(report, exploration=run)).encode())
    run = show(run, workspace, max_bytes=max(0, max_bytes - rest), choose=choose)
    return dataclasses.replace(report, exploration=run)


def _partial(error: Exception) -> Exploration | None:
    """What the run had read when the error ended it; any exception may carry it."""
    partial: Exploration | None = getattr(error, "partial", None)
    return partial


def _sentence(error: Exception) -> str:
    """The error's text without its hint, which is for the engine's operator, and no full stop."""
    return str(error).partition("; hint: ")[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """How likely the model's answer is right, judged by the scout's."""

    confidence: Confidence
    """In the first file."""
    notes: tuple[str, ...]
    """At most one note, which names a strong match that the model never looked at."""


def second_opinion(
    model: Sequence[Citation],
    scout: Sequence[Citation],
    scout_confidence: Confidence,
    observed: Iterable[Span] = (),
) -> SecondOpinion:
    """The confidence in the model's citations in the light of the scout's.

    If both name the same file first, it is high, or medium if the scout's own confidence is low.
    If they share any file, it is medium. If they share no file, it is low, or medium if the scout's
    own confidence is low. A note names the scout's first file if the scout's confidence is high and
    the model neither cited nor read that file. ``observed`` is what the model read.
    """
    if not model or not scout:
        return SecondOpinion("medium" if model else scout_confidence, ())
    cited = {citation.path for citation in model}
    first = scout[0]
    if model[0].path == first.path:
        return SecondOpinion("medium" if scout_confidence == "low" else "high", ())
    shared = cited & {citation.path for citation in scout}
    confidence: Confidence = "medium" if shared or scout_confidence == "low" else "low"
    looked_at = cited | {span.path for span in observed}
    if scout_confidence != "high" or first.path in looked_at:
        return SecondOpinion(confidence, ())
    place = f"{first.path}:{first.start}-{first.end}"
    return SecondOpinion(
        confidence, (f"The best lexical match is {place}, which the model did not look at.",)
    )


def with_opinion(run: Exploration, scout: Exploration | None) -> Exploration:
    """The model's run with a confidence, and with a note if it overlooked a strong match.

    Its places are neither changed nor reordered. ``scout`` is None if the scout gave no answer.
    """
    found = scout.citations if scout is not None else ()
    sure = (scout.confidence if scout is not None else None) or "low"
    opinion = second_opinion(run.citations, found, sure, run.observed)
    return dataclasses.replace(
        run,
        confidence=opinion.confidence,
        place_confidence=place_opinion(run.citations, found, sure),
        notes=(*run.notes, *opinion.notes),
    )


def place_opinion(
    model: Sequence[Citation], scout: Sequence[Citation], scout_confidence: Confidence
) -> Confidence:
    """The confidence in the model's first place in the light of the scout's.

    High if it overlaps the scout's first place, and medium then if the scout's own confidence is
    low. Medium if it overlaps another of its places, or if both are in one file; else low.
    """
    if not model or not scout:
        return "low"
    if _overlaps_any(model[0], tuple(scout[:1])):
        return "medium" if scout_confidence == "low" else "high"
    near = _overlaps_any(model[0], tuple(scout)) or model[0].path == scout[0].path
    return "medium" if near else "low"


def with_scout_behind(partial: Exploration | None, scout: Exploration, limit: int) -> Exploration:
    """The fallback answer: what the model cited or read before it failed, then the scout's places.

    ``partial`` is None if the model had read nothing; ``limit`` is the maximum number of places.
    """
    if partial is None:
        return dataclasses.replace(scout, stop_reason="fallback")
    kept = partial.citations
    rest = tuple(each for each in scout.citations if not _overlaps_any(each, kept))
    notes = (*partial.notes, *scout.notes)
    confidence, place_confidence = scout.confidence, scout.place_confidence
    if kept:
        which = "first place was" if len(kept) == 1 else f"first {len(kept)} places were"
        notes = (f"the {which} read by the model before it failed", *notes)
        sure = scout.confidence or "low"
        confidence = second_opinion(kept, scout.citations, sure).confidence
        place_confidence = place_opinion(kept, scout.citations, sure)
    return dataclasses.replace(
        partial,
        explorer="scout",
        stop_reason="fallback",
        answer=scout.answer,
        citations=(*kept, *rest)[:limit],
        notes=notes,
        confidence=confidence,
        place_confidence=place_confidence,
        further=scout.further,
    )


def _overlaps_any(one: Citation, others: tuple[Citation, ...]) -> bool:
    return any(
        one.path == other.path and one.start <= other.end and other.start <= one.end
        for other in others
    )
