"""Sends the engine the prompts that questions will begin with, while nobody needs the engine.

One prompt is sent at a time, asking for one token only, and never while an exploration of any
process holds the engine. An exploration that begins meanwhile cancels the warm-up, which is tried
again later.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from explorer.errors import ExplorerError
from launch.errors import LaunchError
from server.exploring.local_engine import LocalEngine
from server.exploring.open_repositories import OpenRepository

if TYPE_CHECKING:
    from explorer.engines.protocol import Request

logger = logging.getLogger(__name__)

LOOK_S = 10.0
"""How often to check whether the engine is a new one."""
_LONGEST_PAUSE_S = 600.0
"""Maximum pause after a failed try; pauses begin at ``LOOK_S`` and double each time."""
_OTHERS_S = 0.1
"""How often to check whether somebody else needs the engine: others wait at most this long."""


@dataclass(frozen=True, slots=True)
class _Tried:
    wanted: tuple[Any, str]
    """Which engine was sent which system prompt."""
    pause_s: float = 0.0
    again_at: float = math.inf
    """When to try again; never if the prompt arrived."""


class PrefixWarmup:
    """Fills the engine's prefix cache for repositories until ``run`` is cancelled."""

    def __init__(
        self,
        local: LocalEngine,
        *,
        when_idle: Callable[[], Awaitable[None]],
        repositories: Callable[[], Iterable[OpenRepository]],
    ) -> None:
        """``when_idle`` returns once this process explores nothing."""
        self._local = local
        self._when_idle = when_idle
        self._repositories = repositories
        self._tried: dict[Path, _Tried] = {}
        self._under_way: anyio.CancelScope | None = None
        self._soon = anyio.Event()

    def soon(self) -> None:
        """Check now: a prompt may have changed."""
        self._soon.set()

    def give_way(self) -> None:
        """An exploration begins: cancel the warm-up that is running."""
        if self._under_way is not None:
            self._under_way.cancel()

    async def run(self) -> None:
        """Send each prompt that the engine has not had yet, until cancelled."""
        while True:
            with anyio.move_on_after(LOOK_S):
                await self._soon.wait()
            self._soon = anyio.Event()
            open_now = [opened for opened in self._repositories() if not opened.closed]
            roots = {opened.workspace.root for opened in open_now}
            self._tried = {root: each for root, each in self._tried.items() if root in roots}
            for opened in open_now:
                try:
                    if not await self._warm_up(opened):
                        break
                except (LaunchError, ExplorerError) as error:
                    logger.debug("no warm-up: %s", error)
                except Exception:
                    # Nothing that only saves time may end the server.
                    logger.exception("no warm-up on an internal error")

    async def _warm_up(self, opened: OpenRepository) -> bool:
        """Send the repository's prompt if the engine lacks it; False if the engine is not free."""
        await self._when_idle()
        status = await self._local.status()
        if status is None or status["phase"] != "ready" or status["users"]:
            return False
        request = await anyio.to_thread.run_sync(opening_request, opened)
        root = opened.workspace.root
        wanted = (status["guard_pid"], str(request.messages[0]["content"]))
        before = self._tried.get(root)
        pause_s = LOOK_S
        if before is not None and before.wanted == wanted:
            if anyio.current_time() < before.again_at:
                return True
            pause_s = min(2 * before.pause_s, _LONGEST_PAUSE_S)
        try:
            sent = await self._send(request)
        except Exception:
            self._tried[root] = _Tried(wanted, pause_s, anyio.current_time() + pause_s)
            raise
        if sent:
            self._tried[root] = _Tried(wanted)
        return sent

    async def _send(self, request: "Request") -> bool:
        """Whether the engine has read the whole prompt; False if the warm-up had to give way."""
        failure: Exception | None = None
        sent = False
        async with anyio.create_task_group() as group:
            self._under_way = group.cancel_scope
            try:
                async with (
                    self._local.lease(wait_s=0, wake=False) as (engine, _),
                    engine.stream(request) as events,
                ):
                    group.start_soon(_cancel_for_others, self._local, group.cancel_scope)
                    async for _event in events:
                        pass
                    sent = True
            except (LaunchError, ExplorerError) as error:
                failure = error
            group.cancel_scope.cancel()
        self._under_way = None
        if failure is not None:
            raise failure
        return sent


async def _cancel_for_others(local: LocalEngine, scope: anyio.CancelScope) -> None:
    """Cancel the warm-up as soon as anyone else holds the engine or waits for it."""
    while True:
        try:
            status = await local.status()
        except LaunchError:
            status = None
        if status is None or status["users"] > 1:
            scope.cancel()
        await anyio.sleep(_OTHERS_S)


def opening_request(opened: OpenRepository) -> "Request":
    """A request with the prompt that every exploration of the repository begins with."""
    from explorer import prompt
    from explorer.engines.protocol import Request
    from explorer.limits import Sampling
    from explorer.tools import ToolBox

    messages = prompt.opening("", opened.workspace)
    return Request(
        messages=messages,
        tools=ToolBox(opened.workspace).schemas,
        tool_choice="auto",
        max_tokens=1,
        sampling=Sampling(),
    )
