"""Connections over HTTP that nobody can use up: each is short until it has sent a whole request.

uvicorn bounds neither the time until a request nor the number of connections. At the limit of the
system's descriptors, asyncio then logs a traceback for each connection that it cannot accept.
"""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEADERS_S = 10.0
"""How long a connection may take to send the head of its next request."""
BACKLOG = 32
"""How many connections the event loop accepts at a time, before it can close any."""
_MOST = 512


def most_connections() -> int:
    """How many connections may be open: half of the descriptors that this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(1, min(_MOST, soft // 2 - BACKLOG))


class Waiting:
    """The connections of one server that have sent no whole head of a request yet."""

    def __init__(self, most: int) -> None:
        """``most`` is how many connections may be open, whatever they do."""
        self.most = most
        self._timers: dict[BoundedConnection, asyncio.TimerHandle] = {}

    def add(self, connection: "BoundedConnection") -> None:
        """Close the connection unless a request comes in time; the oldest gives way to new ones."""
        loop = connection.loop
        self._timers[connection] = loop.call_later(HEADERS_S, self._close, connection)
        if len(connection.connections) > self.most:
            self._close(next(iter(self._timers)))

    def remove(self, connection: "BoundedConnection") -> None:
        """The connection has sent its request, or is gone."""
        timer = self._timers.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _close(self, connection: "BoundedConnection") -> None:
        self.remove(connection)
        connection.transport.abort()


class BoundedConnection(H11Protocol):
    """A connection that is closed when it keeps the server waiting."""

    def __init__(self, *args: Any, waiting: Waiting, **named: Any) -> None:
        super().__init__(*args, **named)
        self._waiting = waiting

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._waiting.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._waiting.remove(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what was received; a whole head ends the waiting."""
        super().handle_events()
        if not self._is_idle():
            self._waiting.remove(self)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self._is_idle() and not self.transport.is_closing():
            self._waiting.remove(self)
            self._waiting.add(self)

    def _is_idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete
