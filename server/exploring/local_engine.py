"""This machine's shared engine, as one of the explorers.

With ``auto`` it answers if it is running. Otherwise it is started in the background if this machine
can run it, and the reason says when it will be ready. Nothing here waits for a model to load.
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
"""How long an exploration waits for a sleeping engine: on an H200 it wakes within seconds."""
RETRY_AFTER_S = 60.0
"""How long to wait before checking again whether a machine that could not run an engine can."""


class LocalEngine:
    """Attaches to the shared engine. Must be used from one event loop and closed at the end."""

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
        """Close the connections to the engine; the engine itself keeps running."""
        await self._stack.aclose()

    async def choose(self, *, insisted: bool = False) -> ExplorerChoice:
        """``local`` if the engine is running, otherwise ``scout`` with the reason.

        If no engine is running, it is started in the background, if settings and machine allow it.

        Args:
            insisted: the engine was asked for by name, and no other explorer may answer.

        Raises:
            ExplorationFailed: the engine was insisted on, and it cannot answer.
        """
        try:
            return await self._choose(insisted)
        except LaunchError as error:
            if insisted:
                hint = error.hint or "`fastcontext engine status`"
                raise ExplorationFailed(str(error), hint) from error
            return _scout_because(str(error))

    async def look(self) -> ExplorerChoice:
        """Like ``choose``, but without starting anything."""
        try:
            status = await self.status()
            if status is None:
                return _scout_because(str(self._refused or self._not_running()))
            return _choice(status)
        except LaunchError as error:
            return _scout_because(str(error))

    async def describe(self) -> tuple[str, str]:
        """The name of the model that is served, and the engine's state in words."""
        status = await self.status() or {}
        model, phase = str(status.get("model", "")), str(status.get("phase", "gone"))
        how = f"profile {status.get('profile')}, vLLM {status.get('version')}"
        return model, f"{phase}, {how}" if status else "not running"

    async def status(self) -> dict[str, Any] | None:
        """The keeper's status; None if no engine is running."""
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
        """The engine, awake and held until the end, and its context in tokens.

        Raises:
            EngineNotReady: the engine is not ready in time.
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
        """The error if no engine is running, with the reason if the last one had failed."""
        from launch.state import last_failure

        problem, hint = last_failure(self._places().places)
        text = "this machine's engine is not running"
        return EngineNotReady(f"{text}; it had failed: {problem}" if problem else text, hint)

    async def _start(self) -> None:
        """Start the engine in the background.

        Raises:
            LaunchError: this machine cannot run it, or could not less than ``RETRY_AFTER_S`` ago.
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
    """Start the engine's keeper; False if one is already running. Does not wait for the model.

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
        # Another process may have started the engine meanwhile, which took the memory.
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
    """``local`` if the engine can answer.

    Raises:
        EngineNotReady: it cannot answer yet.
    """
    if status["phase"] in ("ready", "falling asleep", "asleep", "waking"):
        return ExplorerChoice("local", f"this machine's engine serves {status['model']}")
    from launch.keeper.client import not_ready

    raise not_ready(status)
