"""Chooses the explorer that answers a question, and keeps the engines open that it uses."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import anyio

from explorer.engines.endpoint import parse_endpoint
from explorer.engines.protocol import Engine
from explorer.errors import EngineUnreachable, ExplorerError
from explorer.limits import Deadline
from server.errors import ExplorationFailed, ServerError, UsageError
from server.exploring.report import ExplorerName
from server.settings import EngineChoice, Settings

if TYPE_CHECKING:
    from explorer.engines.http import EngineState, HttpEngine
    from server.exploring.endpoint_pool import PooledEngine
    from server.exploring.local_engine import LocalEngine

_PROBE_S = 5.0
"""Maximum wait for the endpoint to say which model it serves; a busy one takes a moment."""
_GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class ExplorerChoice:
    """The explorer that is to answer, and why, as part of a sentence."""

    explorer: ExplorerName
    reason: str


@runtime_checkable
class Probed(Protocol):
    """An engine that says whether it is ready, such as ``HttpEngine``."""

    async def probe(self, timeout_s: float) -> "EngineState":
        """Whether it answers, and with which model."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the next exploration can count on."""

    choice: ExplorerChoice
    ready: bool
    model: str
    detail: str
    running: int
    """Number of explorations that the model is working on."""
    waiting: int
    """Number of explorations that wait for the model."""

    def text(self) -> str:
        """The status for a reader."""
        is_scout = self.choice.explorer == "scout"
        who = "the scout" if is_scout else "the model"
        state = "ready" if self.ready else "not ready; the scout answers instead"
        lines = [
            f"The next answer comes from {who}: {self.choice.reason}.",
            f"State: {state}. {self.detail}",
        ]
        if self.model:
            lines.append(f"Model: {self.model}")
        if not is_scout:
            lines.append(f"Explorations: {self.running} running, {self.waiting} waiting.")
        return "\n".join(lines)


class Engines:
    """The endpoint's client and this machine's engine, each opened when it is first used."""

    def __init__(self, settings: Settings, factory: Callable[[Settings], Engine]) -> None:
        """``factory`` makes the client of the configured endpoint."""
        self._settings = settings
        self._factory = factory
        self._stack = AsyncExitStack()
        self._lock = anyio.Lock()
        self._endpoint: Engine | None = None
        self._window: int | None = None
        self._local: LocalEngine | None = None

    async def close(self) -> None:
        """Close every connection, within 2 s; this machine's engine keeps running."""
        for close in (self._stack.aclose, self._local.close if self._local else None):
            if close is not None:
                with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
                    await close()

    def expected_local(self) -> "LocalEngine | None":
        """This machine's engine if the settings send questions to it, else None."""
        choice = choose_explorer(self._settings, self._settings.engine)
        return self._local_engine() if choice.explorer == "local" else None

    async def choose(self, wanted: EngineChoice, *, fallback: bool) -> ExplorerChoice:
        """The explorer for a question; starts this machine's engine if that should answer.

        Raises:
            UsageError: the endpoint was asked for, but none is configured.
            ExplorationFailed: only this machine's engine may answer, and it cannot.
        """
        choice = choose_explorer(self._settings, wanted)
        if choice.explorer != "local":
            return choice
        return await self._local_engine().choose(insisted=wanted == "local" and not fallback)

    @asynccontextmanager
    async def opened(
        self, choice: ExplorerChoice, deadline: Deadline
    ) -> AsyncIterator[tuple[Engine, int | None]]:
        """The engine for one exploration and its context in tokens.

        This machine's engine is held until the end, so that it neither sleeps nor stops.

        Raises:
            ExplorationFailed: this machine's engine is not ready.
            EngineUnreachable: the endpoint does not say which model it serves, and none is set.
        """
        if choice.explorer == "local":
            from launch.errors import LaunchError

            try:
                async with self._local_engine().lease() as leased:
                    yield leased
            except LaunchError as error:
                raise ExplorationFailed(str(error), error.hint) from error
        else:
            yield await self._ready_endpoint(round(min(_PROBE_S, deadline.left_s / 3), 1))

    async def status(self, running: int, waiting: int) -> EngineStatus:
        """Whether the explorer that the settings choose is ready; asks the endpoint."""
        choice = choose_explorer(self._settings, self._settings.engine)
        if choice.explorer == "local":
            choice = await self._local_engine().look()
        ready, model, detail = True, "", "It searches by words and needs no model."
        if choice.explorer == "endpoint":
            ready, model, detail = await self._probe()
        elif choice.explorer == "local":
            model, detail = await self._local_engine().describe()
        return EngineStatus(choice, ready, model, detail, running, waiting)

    def _local_engine(self) -> "LocalEngine":
        from server.exploring.local_engine import LocalEngine

        if self._local is None:
            self._local = LocalEngine(self._settings)
        return self._local

    async def _probe(self) -> tuple[bool, str, str]:
        detail = f"no answer within {_PROBE_S:g} s"
        with anyio.move_on_after(_PROBE_S + _GRACE_S):
            try:
                engine = await self._open_endpoint()
                if not isinstance(engine, Probed):
                    return True, engine.model, "this engine cannot be probed"
                state = await engine.probe(_PROBE_S)
                return state.ready, state.model, state.detail
            except (ExplorerError, ServerError) as error:
                detail = str(error)
        return False, self._settings.model, detail

    async def _ready_endpoint(self, timeout_s: float) -> tuple[Engine, int | None]:
        engine = await self._open_endpoint()
        async with self._lock:
            if self._window is None and isinstance(engine, Probed):
                # Probed until it answers: sampling and limits depend on which model it is.
                state = await engine.probe(timeout_s)
                if not state.ready and not engine.model:
                    raise EngineUnreachable(state.detail)
                self._window = (state.context_tokens or 0) if state.ready else None
        return engine, self._window

    async def _open_endpoint(self) -> Engine:
        async with self._lock:
            if self._endpoint is None:
                engine = self._factory(self._settings)
                if isinstance(engine, AbstractAsyncContextManager):
                    engine = await self._stack.enter_async_context(engine)
                self._endpoint = engine
            return self._endpoint


def choose_explorer(settings: Settings, wanted: EngineChoice) -> ExplorerChoice:
    """The explorer for a question: the one asked for, the endpoint, or this machine's engine.

    ``local`` only means that this machine's engine is to be tried: its keeper knows if it runs.

    Raises:
        UsageError: the endpoint was asked for, but none is configured.
    """
    if wanted == "scout":
        return ExplorerChoice("scout", "the scout was asked for")
    if wanted == "local":
        return ExplorerChoice("local", "this machine's engine was asked for")
    if settings.endpoint:
        name = public_url(settings.endpoint)
        return ExplorerChoice("endpoint", f"the endpoint {name} is configured")
    if wanted == "endpoint":
        hint = "set FASTCONTEXT_ENDPOINT to the URL of an OpenAI-compatible API, up to /v1"
        raise UsageError("engine 'endpoint' needs an endpoint, but none is set", hint)
    return ExplorerChoice("local", "no endpoint is configured")


def endpoint_client(settings: Settings) -> "HttpEngine | PooledEngine":
    """The client of the configured endpoint or endpoints, not yet connected.

    Raises:
        ExplorationFailed: the key cannot be sent in a header.
    """
    from explorer.engines.http import HttpEngine
    from explorer.engines.http_client import Timeouts

    timeouts = Timeouts(
        connect_s=settings.connect_timeout_s,
        first_s=settings.first_token_timeout_s,
        read_s=settings.read_timeout_s,
    )
    try:
        engines = {
            url: HttpEngine(url, settings.model, settings.api_key, timeouts=timeouts)
            for url in settings.endpoint.split(",")
        }
    except ValueError as error:
        message, _, hint = str(error).partition("; hint: ")
        raise ExplorationFailed(message, hint or "correct FASTCONTEXT_API_KEY") from None
    if len(engines) == 1:
        return next(iter(engines.values()))
    from server.exploring.endpoint_pool import PooledEngine

    return PooledEngine(engines)


def public_url(endpoint: str) -> str:
    """The endpoint as messages name it, without secrets."""
    return ", ".join(parse_endpoint(url).shown for url in endpoint.split(","))
