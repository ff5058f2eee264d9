"""Serves a client that asks for the newest protocol first and then falls back to an older one.

The SDK lets the first request decide and refuses the other handshake from then on. But a client
such as Copilot CLI sends ``initialize`` when ``server/discover`` was not answered within 10 s, so
behind a slow start both wait in the pipe.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest

Run = Callable[[Any, Any], Awaitable[None]]
"""Serves one connection on a stream of messages and one of answers, and closes both."""

_ANSWER_S = 1.0
"""How long the answer to the first handshake may take, which waits for nothing."""


class _Connection:
    """What is served of the client's messages until it falls back."""

    def __init__(self) -> None:
        self.messages, self._incoming = anyio.create_memory_object_stream[Any]()
        self._outgoing, self._answers = anyio.create_memory_object_stream[Any]()
        self.answered = anyio.Event()
        self.ended = anyio.Event()

    async def run(self, run: Run, write: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._pass_on, write)
            await run(self._incoming, self._outgoing)
        self.ended.set()

    async def _pass_on(self, write: Any) -> None:
        async for answer in self._answers:
            await write.send(answer)
            self.answered.set()


async def serve(run: Run, read: Any, write: Any) -> None:
    """Run ``run`` for the client's messages, and once more from where the client falls back."""
    asked_only = True
    asked = False
    async with write, anyio.create_task_group() as group:
        connection = _Connection()
        group.start_soon(connection.run, run, write)
        async for item in read:
            method = _method(item)
            if method == "initialize" and asked and asked_only:
                with anyio.move_on_after(_ANSWER_S):
                    await connection.answered.wait()
                connection.messages.close()
                await connection.ended.wait()
                connection = _Connection()
                group.start_soon(connection.run, run, write)
            if method:
                asked = True
                asked_only = asked_only and method == "server/discover"
            await connection.messages.send(item)
        connection.messages.close()


def _method(item: Any) -> str:
    """The method of a request; empty for everything else."""
    message = item.message if isinstance(item, SessionMessage) else None
    return message.method if isinstance(message, JSONRPCRequest) else ""
