"""Answers questions about repositories: chooses the explorer, keeps time, falls back.

The model answers where an endpoint is configured, else the scout. When the model fails in any way,
the scout answers in the time that was kept back for it. What the model had read and cited before
it failed is kept: those places come first, then the scout's that do not overlap them.
"""

import dataclasses
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import anyio
import anyio.abc
import anyio.to_thread

from explorer.engines.protocol import Engine
from explorer.errors import AnswerError, EngineError, EngineUnreachable, ExplorerError
from explorer.events import Listener, RunFinished
from explorer.events import ignore as ignore_events
from explorer.records import Exploration
from server.errors import ExplorationFailed, ServerError
from server.exploring.explorer_choice import Choice, EngineStatus, choose_engine, http_engine
from server.exploring.open_repositories import Warm, WarmRepositories
from server.exploring.progress import Say, ignore
from server.exploring.question import Ask
from server.exploring.report import Answerer, Report
from server.exploring.second_opinion import LookedAt, with_opinion, with_scout_behind
from server.settings import EngineChoice, Settings, index_dir

if TYPE_CHECKING:
    from explorer.engines.http import EngineState
    from server.exploring.local_engine import LocalEngine
    from server.exploring.repository_watch import KeptWarm

logger = logging.getLogger(__name__)

SCOUT_RESERVE_S = 8.0
"""Kept back of a deadline for the scout; a quarter of it where that is less."""
OPINION_S = 2.0
"""Most that the scout's opinion of the model's answer may take; warm it takes some 0.05 s."""
_GRACE_S = 0.5
"""How much later than asked a part may end before it is cut off."""
_PROBE_S = 5.0
"""Longest wait for the endpoint to say which model it serves; a busy one takes a moment."""
_SCOUTS = 2
"""Scouts at work at one time: they are bound by the processor."""


@dataclass(slots=True)
class _Attempt:
    """What came of asking the model."""

    run: Exploration | None = None
    """The answer, or what was read before it failed."""
    problem: str = ""
    """Empty when the run is an answer."""


@runtime_checkable
class Probed(Protocol):
    """An engine that says whether it is ready, such as ``HttpEngine``."""

    async def probe(self, timeout_s: float) -> "EngineState":
        """Whether it answers, and with which model."""


class ExplorationService:
    """Answers one question after another, several at a time. An async context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine_factory: Callable[[Settings], Engine] = http_engine,
        listener: Listener = ignore_events,
    ) -> None:
        """``listener`` hears the events of every run by the model."""
        self.settings = settings
        self._listener = listener
        self._engine_factory = engine_factory
        self._warm = WarmRepositories(index_dir())
        self._stack = AsyncExitStack()
        self._engine: Engine | None = None
        self._window: int | None = None
        self._local: LocalEngine | None = None
        self._kept_warm: KeptWarm | None = None

    async def __aenter__(self) -> Self:
        self._model_slots = anyio.CapacityLimiter(self.settings.max_concurrent)
        self._scout_slots = anyio.CapacityLimiter(_SCOUTS)
        self._engine_lock = anyio.Lock()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
            await self._stack.aclose()
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
            if self._local is not None:
                await self._local.close()
        self._warm.close()

    async def explore(self, ask: Ask, say: Say = ignore) -> Report:
        """The answer, within ``ask.deadline_s`` and a little.

        Raises:
            ExplorationFailed: nobody could answer, or nobody but the scout, which was forbidden.
        """
        from server.exploring.run_setup import recording

        started = anyio.current_time()
        choice = await self._choose(ask.engine, fallback=ask.fallback)
        root = ask.repository.root
        also = ignore_events if choice.engine == "scout" else self._listener
        try:
            with recording(ask, also) as record:
                async with self._warm.opened(root, include_hidden=ask.include_hidden) as warm:
                    if self._kept_warm is not None:
                        self._kept_warm.give_way()
                        self._kept_warm.watch(root, warm)
                    report = await self._answer(ask, warm, choice, say, started, record)
                    elapsed_s = anyio.current_time() - started
                    run = dataclasses.replace(report.exploration, elapsed_s=elapsed_s)
                    await self._record_end(ask, warm, run, report.engine_reason, record)
        except ExplorerError as error:
            raise ExplorationFailed(str(error), "see `fastcontext doctor`") from error
        return dataclasses.replace(report, exploration=run)

    def keep_warm(self, group: anyio.abc.TaskGroup) -> None:
        """Watch repositories from their first question on, in a task group that outlives it."""
        from server.exploring.repository_watch import KeptWarm

        if choose_engine(self.settings, self.settings.engine).engine == "local":
            self._local_engine()
        self._kept_warm = KeptWarm(group, local=lambda: self._local, busy=self._is_busy)

    def _is_busy(self) -> bool:
        return self._model_slots.borrowed_tokens > 0 or self._scout_slots.borrowed_tokens > 0

    async def _choose(self, wanted: EngineChoice, *, fallback: bool) -> Choice:
        choice = choose_engine(self.settings, wanted)
        if choice.engine != "local":
            return choice
        return await self._local_engine().choose(insisted=wanted == "local" and not fallback)

    def _local_engine(self) -> "LocalEngine":
        from server.exploring.local_engine import LocalEngine

        if self._local is None:
            self._local = LocalEngine(self.settings)
        return self._local

    async def status(self) -> EngineStatus:
        """Whether the chosen explorer is ready; asks the endpoint."""
        choice = choose_engine(self.settings, self.settings.engine)
        if choice.engine == "local":
            choice = await self._local_engine().look()
        slots = self._model_slots.statistics()
        ready, model, detail = True, "", "lexical search, needs nothing"
        if choice.engine == "endpoint":
            ready, model, detail = await self._probe()
        elif choice.engine == "local":
            model, detail = await self._local_engine().describe()
        return EngineStatus(
            choice, ready, model, detail, slots.borrowed_tokens, slots.tasks_waiting
        )

    async def _probe(self) -> tuple[bool, str, str]:
        detail = f"no answer within {_PROBE_S:g} s"
        with anyio.move_on_after(_PROBE_S + _GRACE_S):
            try:
                engine = await self._open_engine()
                if not isinstance(engine, Probed):
                    return True, engine.model, "answers without being asked"
                state = await engine.probe(_PROBE_S)
                return state.ready, state.model, state.detail
            except (ExplorerError, ServerError) as error:
                detail = str(error)
        return False, self.settings.model, detail

    async def _answer(
        self, ask: Ask, warm: Warm, choice: Choice, say: Say, started: float, record: Listener
    ) -> Report:
        from server.exploring.run_setup import begun_by_scout, telling

        if choice.engine == "scout":
            record(begun_by_scout(ask))
            run = await self._ask_scout(ask, warm, ask.deadline_s, say)
            return self._report(ask, "scout", choice.reason, run)
        looked = LookedAt(record)
        attempt = await self._ask_model(ask, warm, choice, telling(say, looked), say, started)
        if not attempt.problem and attempt.run is not None:
            run = await self._seconded(ask, warm, attempt.run, looked, started)
            return self._report(ask, choice.engine, choice.reason, run)
        return await self._fall_back(ask, warm, choice, attempt, say, started)

    async def _record_end(
        self, ask: Ask, warm: Warm, run: Exploration, reason: str, record: Listener
    ) -> None:
        """Record what the caller is given, which the loop cannot know, and the code it cites."""
        from server.exploring.run_setup import lines_cited

        if ask.record_dir is not None:
            read = await anyio.to_thread.run_sync(lines_cited, run.citations, warm.workspace)
            for each in read:
                record(each)
        record(RunFinished(run, reason))

    async def _seconded(
        self, ask: Ask, warm: Warm, run: Exploration, looked: LookedAt, started: float
    ) -> Exploration:
        """The model's answer with the scout's opinion of it; its places stay as they are."""
        left_s = min(OPINION_S, started + ask.deadline_s - anyio.current_time())
        if not ask.fallback or left_s <= 0:
            return with_opinion(run, None, looked.spans)
        try:
            scout = await self._ask_scout(ask, warm, left_s, ignore)
        except (ExplorationFailed, ExplorerError) as error:
            logger.info("no second opinion: %s", error)
            scout = None
        return with_opinion(run, scout, looked.spans)

    async def _ask_model(
        self, ask: Ask, warm: Warm, choice: Choice, listener: Listener, say: Say, started: float
    ) -> _Attempt:
        reserve_s = min(SCOUT_RESERVE_S, ask.deadline_s / 4) if ask.fallback else _GRACE_S
        until = started + ask.deadline_s - reserve_s
        attempt = _Attempt()
        with anyio.CancelScope(deadline=until + _GRACE_S) as scope:
            try:
                async with self._slot(say), self._engine_of(choice, until) as (engine, window):
                    attempt = await self._run_model(ask, warm, engine, window, listener, until)
            except (EngineError, AnswerError) as error:
                attempt = _Attempt(error.partial, f"the model failed: {_sentence(error)}")
            except ServerError as error:
                attempt = _Attempt(problem=f"the model failed: {error}")
            except ExplorerError as error:
                if not ask.fallback:
                    raise
                attempt = _Attempt(_partial(error), f"the model's run failed: {_sentence(error)}")
            except Exception as error:
                # The caller still gets an answer; the log gets the whole story.
                logger.exception("the exploration failed on an internal error")
                problem = "the model's run failed: internal error, see the log"
                attempt = _Attempt(_partial(error), problem)
        if scope.cancelled_caught:
            return _Attempt(problem=f"the model gave no answer within {until - started:.0f} s")
        return attempt

    async def _run_model(
        self,
        ask: Ask,
        warm: Warm,
        engine: Engine,
        window: int | None,
        listener: Listener,
        until: float,
    ) -> _Attempt:
        from explorer.loop import explore_with_model
        from server.exploring.run_setup import loop_settings

        left_s = round(until - anyio.current_time(), 1)
        run = await explore_with_model(
            ask.query,
            engine=engine,
            workspace=warm.workspace,
            settings=loop_settings(
                self.settings, ask, model=engine.model, window=window, deadline_s=left_s
            ),
            listener=listener,
        )
        return _Attempt(run, "" if run.citations else "the model found no place")

    async def _fall_back(
        self, ask: Ask, warm: Warm, choice: Choice, attempt: _Attempt, say: Say, started: float
    ) -> Report:
        """The scout's answer with what the model had cited, or that alone if the scout fails."""
        reason = attempt.problem
        if not ask.fallback:
            hint = "check the endpoint with `fastcontext doctor`, or allow the scout to answer"
            raise ExplorationFailed(reason, hint)
        logger.info("the scout answers because %s", reason)
        left_s = max(1.0, started + ask.deadline_s - anyio.current_time())
        try:
            run = await self._ask_scout(ask, warm, left_s, say)
        except (ExplorationFailed, ExplorerError) as error:
            if attempt.run is None or not attempt.run.citations:
                raise
            notes = (*attempt.run.notes, f"the scout failed too: {error}")
            kept = dataclasses.replace(attempt.run, stop_reason="fallback", notes=notes)
            return self._report(ask, choice.engine, f"{reason}; what it had read is kept", kept)
        return self._report(
            ask, "scout", reason, with_scout_behind(attempt.run, run, ask.max_citations)
        )

    async def _ask_scout(self, ask: Ask, warm: Warm, left_s: float, say: Say) -> Exploration:
        say("the scout is searching")
        answered = None
        with anyio.move_on_after(left_s + _GRACE_S):
            async with self._scout_slots:
                begun = anyio.current_time()
                answered = await warm.scout.answer(
                    ask.query, max_citations=ask.max_citations, deadline_s=left_s
                )
        if answered is None:
            raise ExplorationFailed(
                f"no answer within {ask.deadline_s:.0f} s",
                "ask about a smaller directory, or allow more time",
            )
        return Exploration(
            query=ask.query,
            explorer="scout",
            stop_reason="answered",
            answer=answered.answer,
            citations=answered.citations,
            notes=answered.notes,
            elapsed_s=anyio.current_time() - begun,
            confidence=answered.confidence if answered.citations else None,
        )

    @asynccontextmanager
    async def _slot(self, say: Say) -> AsyncIterator[None]:
        ahead = self._model_slots.statistics().tasks_waiting
        if self._model_slots.available_tokens < 1:
            say(f"waiting for {ahead + 1} other exploration(s)")
        async with self._model_slots:
            yield

    @asynccontextmanager
    async def _engine_of(
        self, choice: Choice, until: float
    ) -> AsyncIterator[tuple[Engine, int | None]]:
        """Engine and context for one exploration; this machine's is held while it lasts."""
        if choice.engine == "local":
            from launch.errors import LaunchError

            try:
                async with self._local_engine().lease() as leased:
                    yield leased
            except LaunchError as error:
                raise ExplorationFailed(str(error), error.hint) from error
        else:
            patience_s = round(min(_PROBE_S, (until - anyio.current_time()) / 3), 1)
            yield await self._ready_engine(patience_s)

    async def _ready_engine(self, timeout_s: float) -> tuple[Engine, int | None]:
        """The engine and its context in tokens, if it says that.

        Raises:
            EngineUnreachable: it does not say which model it serves, and none is set.
        """
        engine = await self._open_engine()
        async with self._engine_lock:
            if self._window is None and isinstance(engine, Probed):
                # Asked until it answers: sampling and limits depend on which model it is.
                state = await engine.probe(timeout_s)
                if not state.ready and not engine.model:
                    raise EngineUnreachable(state.detail)
                self._window = (state.context_tokens or 0) if state.ready else None
        return engine, self._window

    async def _open_engine(self) -> Engine:
        """The one engine of this service, opened at its first use."""
        async with self._engine_lock:
            if self._engine is None:
                engine = self._engine_factory(self.settings)
                if isinstance(engine, AbstractAsyncContextManager):
                    engine = await self._stack.enter_async_context(engine)
                self._engine = engine
            return self._engine

    def _report(self, ask: Ask, engine: Answerer, reason: str, run: Exploration) -> Report:
        run = dataclasses.replace(run, notes=(*ask.notes, *run.notes))
        return Report(ask.repository.root, engine, reason, run)


def _partial(error: Exception) -> Exploration | None:
    """What the loop had read when the error ended it, of whatever kind the error is."""
    partial: Exploration | None = getattr(error, "partial", None)
    return partial


def _sentence(error: Exception) -> str:
    """The error's text without its hint, which is for whoever runs the engine, or a full stop."""
    return str(error).partition("; hint: ")[0].rstrip(".")
