"""This machine's shared engine, as an explorer that a question may be given to.

``auto`` takes it if it runs, starts it in the background if this machine can run it, and says when
it will be ready. Nothing here waits for a model to load.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from launch.errors import EngineNotReady, LaunchError
from server.errors import ExplorationFailed
from server.exploring.engines import ExplorerChoice
from server.settings import Settings

if TYPE_CHECKING:
    from explorer.engines.http import HttpEngine
    from launch.keeper.client import Access
    from launch.plan.planner import Wanted

logger = logging.getLogger(__name__)

WAKE_S = 20.0
"""How long an exploration waits for an engine that sleeps: an H200 wakes within seconds."""
RETRY_AFTER_S = 60.0
"""After this machine was found unable to run an engine, until that is looked at again."""


class LocalEngine:
    """Attaches to the shared engine. For one event loop; ``close`` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wanted: Wanted | None = None
        self._lock = anyio.Lock()
        self._stack = AsyncExitStack()
        self._client: HttpEngine | None = None
        self._client_access: Access | None = None
        self._window: int | None = None
        self._refused: LaunchError | None = None
        self._refused_at = 0.0

    async def close(self) -> None:
        """Close the connections to the engine; the engine itself goes on."""
        await self._stack.aclose()

    async def choose(self, *, insisted: bool = False) -> ExplorerChoice:
        """``local`` where the engine runs, else ``scout`` with the reason.

        Where none runs it is started in the background, if the settings and this machine allow.

        Args:
            insisted: the engine was asked for by name, so no other will answer.

        Raises:
            ExplorationFailed: it was insisted on and it cannot answer.
        """
        try:
            return await self._choose(insisted)
        except LaunchError as error:
            if insisted:
                hint = error.hint or "`fastcontext engine status`"
                raise ExplorationFailed(str(error), hint) from error
            return _scout_because(str(error))

    async def look(self) -> ExplorerChoice:
        """As ``choose``, without starting anything."""
        try:
            status = await self.status()
            if status is None:
                return _scout_because(str(self._refused or self._not_running()))
            return _choice(status)
        except LaunchError as error:
            return _scout_because(str(error))

    async def describe(self) -> tuple[str, str]:
        """Name of the model that is served, and the engine's state in a sentence."""
        status = await self.status() or {}
        model, phase = str(status.get("model", "")), str(status.get("phase", "gone"))
        how = f"profile {status.get('profile')}, vLLM {status.get('version')}"
        return model, f"{phase}, {how}" if status else "not running"

    async def status(self) -> dict[str, Any] | None:
        """The keeper's status; None where no engine runs."""
        from launch.keeper import client

        places = self._places().places
        status = await client.ask(places, "status")
        if status is None:
            await to_thread.run_sync(client.clear_remains, places)
        return status

    @asynccontextmanager
    async def lease(
        self, *, wait_s: float = WAKE_S, wake: bool = True
    ) -> AsyncIterator[tuple["HttpEngine", int | None]]:
        """The engine and its context in tokens; it is awake and held until the end.

        Raises:
            EngineNotReady: it is not ready in time.
        """
        from launch.keeper import client

        async with client.use(self._places().places, wait_s=wait_s, wake=wake) as access:
            engine = await self._open(access)
            if self._window is None:
                state = await engine.probe()
                self._window = (state.context_tokens or 0) if state.ready else None
            yield engine, self._window

    async def _choose(self, insisted: bool) -> ExplorerChoice:
        status = await self.status()
        if status is None:
            if not (self._settings.engine_start or insisted):
                raise self._not_running()
            await self._start()
            status = await self.status()
            if status is None:
                raise EngineNotReady("this machine's engine has not started")
        return _choice(status)

    def _not_running(self) -> EngineNotReady:
        """That none runs, and why where the last one was given up."""
        from launch.state import last_failure

        problem, hint = last_failure(self._places().places)
        text = "this machine's engine is not running"
        return EngineNotReady(f"{text}; it was given up: {problem}" if problem else text, hint)

    async def _start(self) -> None:
        """Start the engine in the background.

        Raises:
            LaunchError: this machine cannot; the same answer is given for a while.
        """
        async with self._lock:
            recent = anyio.current_time() - self._refused_at < RETRY_AFTER_S
            if self._refused is not None and recent:
                raise self._refused
            try:
                await start_engine(self._settings)
            except LaunchError as error:
                self._refused, self._refused_at = error, anyio.current_time()
                raise
            self._refused = None

    async def _open(self, access: "Access") -> "HttpEngine":
        from pydantic import SecretStr

        from explorer.engines.http import HttpEngine

        async with self._lock:
            if self._client is None or access != self._client_access:
                # The engine's key and address change when its keeper does.
                await self._stack.aclose()
                endpoint = f"unix://{access.socket}" if access.socket else access.url
                engine = HttpEngine(endpoint, access.model, SecretStr(access.api_key))
                self._client = await self._stack.enter_async_context(engine)
                self._client_access, self._window = access, None
            return self._client

    def _places(self) -> "Wanted":
        if self._wanted is None:
            from server.exploring.engine_settings import wanted_engine

            self._wanted = wanted_engine(self._settings)
        return self._wanted


async def start_engine(settings: Settings) -> bool:
    """Start the engine's keeper; False where one is at work. Does not wait for the model.

    Raises:
        LaunchError: this machine cannot run it, with the reason and the next step.
    """
    from launch.keeper import client
    from launch.plan.planner import plan_here, spec_for
    from server.exploring.engine_settings import replan_command, wanted_engine
    from server.settings import user_file

    wanted = wanted_engine(settings)
    if await client.ask(wanted.places, "status") is not None:
        return False
    try:
        made = await to_thread.run_sync(plan_here, wanted)
    except LaunchError:
        # Somebody else's start may have taken the memory meanwhile.
        if await client.ask(wanted.places, "status") is not None:
            return False
        raise
    spec = spec_for(wanted, made, replan=replan_command(), config=user_file())
    started = await client.start(spec)
    if started:
        logger.info("started this machine's engine: %s", made.reason)
    return started


def _scout_because(problem: str) -> ExplorerChoice:
    return ExplorerChoice("scout", f"no endpoint is configured, and {problem.rstrip('.')}")


def _choice(status: dict[str, Any]) -> ExplorerChoice:
    """``local`` for an engine that can answer.

    Raises:
        EngineNotReady: it cannot yet.
    """
    if status["phase"] in ("ready", "falling asleep", "asleep", "waking"):
        return ExplorerChoice("local", f"this machine's engine serves {status['model']}")
    from launch.keeper.client import not_ready

    raise not_ready(status)
