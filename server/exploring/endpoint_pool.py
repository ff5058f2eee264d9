"""Several endpoints as one engine: a prompt goes where its prefix went before, if that works."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from types import TracebackType
from typing import Self

from explorer.engines.endpoint_order import EndpointPool
from explorer.engines.http import EngineState, HttpEngine
from explorer.engines.protocol import EngineEvent, Request
from explorer.errors import EngineError, EngineTimeout, EngineUnreachable


class PooledEngine:
    """An ``Engine`` over several ``HttpEngine``s. An async context manager that owns them.

    A request goes to the next endpoint when one cannot be reached or does not begin to answer.
    Once an answer has begun, its failure is raised, because tools may already be running.
    """

    def __init__(self, engines: Mapping[str, HttpEngine]) -> None:
        self._engines = dict(engines)
        self._pool = EndpointPool(list(engines))
        self._stack = AsyncExitStack()
        self._last = next(iter(self._engines.values()))

    async def __aenter__(self) -> Self:
        for engine in self._engines.values():
            await self._stack.enter_async_context(engine)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def model(self) -> str:
        """The model of the endpoint that answered last."""
        return self._last.model

    async def probe(self, timeout_s: float = 5.0) -> EngineState:
        """The state of the first endpoint that is ready, or of the last one if none is."""
        state = EngineState(False, "", "no endpoint was asked")
        for engine in self._engines.values():
            state = await engine.probe(timeout_s / len(self._engines))
            if state.ready:
                self._last = engine
                return state
        return state

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """Events of one completion, from the first endpoint that begins to answer.

        Raises:
            EngineError: no endpoint does.
        """
        prefix = str(request.messages[0].get("content"))
        exploration = prefix + "\0" + str(request.messages[1:2])
        problem: EngineError | None = None
        for name in self._pool.order(prefix, exploration):
            engine = self._engines[name]
            self._pool.began(name, exploration)
            failed = True
            try:
                async with AsyncExitStack() as stack:
                    try:
                        events = await stack.enter_async_context(engine.stream(request))
                        first = await anext(events)
                    except (EngineUnreachable, EngineTimeout) as error:
                        problem = error
                        continue
                    failed = False
                    self._last = engine
                    joined = await stack.enter_async_context(aclosing(_joined(first, events)))
                    yield joined
                    return
            finally:
                self._pool.ended(name, failed=failed)
        raise problem or EngineUnreachable("no endpoint answered")


async def _joined(
    first: EngineEvent, rest: AsyncIterator[EngineEvent]
) -> AsyncGenerator[EngineEvent, None]:
    yield first
    async for event in rest:
        yield event
