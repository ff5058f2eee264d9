"""Keeps what the next question needs: indexes follow the tree, prompts stay in the engine's cache.

A repository that was asked about is watched from then on. When its files have settled after a
change, the scout's index is brought up to date; when the system prompt has become another (it lists
the root), or the engine is a fresh one, the engine is sent the prompt once, with nothing to write.
All of it gives way to explorations.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from explorer.errors import ExplorerError
from server.local_engine import LocalEngine
from server.warm import Warm

if TYPE_CHECKING:
    from explorer.engine import Request

logger = logging.getLogger(__name__)

LOOK_S = 10.0
"""How often it is asked whether the engine is a fresh one."""
_PAUSE_S = 0.5
"""Between looks whether explorations are over that a warm-up gives way to."""
_INDEX_S = 30.0
_REWATCH_S = 1.0
"""Before watching again what could not be watched."""


@dataclass(slots=True)
class _Watched:
    warm: Warm
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    primed: tuple[Any, str] | None = None
    """Which engine was sent which system prompt."""
    ignored: set[str] = field(default_factory=set)
    """Names that turned out to be ignored, so that their changes cost nothing."""


class KeptWarm:
    """Watches repositories in a task group of its owner's, until that is cancelled."""

    def __init__(
        self,
        group: anyio.abc.TaskGroup,
        *,
        local: Callable[[], LocalEngine | None],
        busy: Callable[[], bool],
    ) -> None:
        self._group = group
        self._local = local
        self._busy = busy
        self._watched: dict[Path, _Watched] = {}
        self._priming: anyio.CancelScope | None = None
        self._looking = False

    def watch(self, root: Path, warm: Warm) -> None:
        """Follow a repository's changes; one that is followed already goes on."""
        for each in self._watched.values():
            if each.warm.closed:
                each.scope.cancel()
        known = self._watched.get(root)
        if known is not None and known.warm is warm:
            return
        if known is not None:
            known.scope.cancel()
        self._watched[root] = watched = _Watched(warm)
        self._group.start_soon(self._follow, root, watched)
        if not self._looking:
            self._looking = True
            self._group.start_soon(self._look_after_engine)

    def give_way(self) -> None:
        """An exploration begins: end the warm-up that is under way."""
        if self._priming is not None:
            self._priming.cancel()

    async def _follow(self, root: Path, watched: _Watched) -> None:
        with watched.scope:
            try:
                while await self._follow_once(root, watched):  # noqa: ASYNC110
                    await anyio.sleep(_REWATCH_S)
            except (ExplorerError, OSError, UnicodeError) as error:
                # Removed, replaced or closed: the next question opens what is there then. Or a
                # name that is not UTF-8, which cannot be watched; each question lists anew.
                logger.info("no longer watching %r: %s", str(root), error)
            except Exception:
                # Nothing that only saves time may end the server.
                logger.exception("no longer watching %r on an internal error", str(root))
        if self._watched.get(root) is watched:
            del self._watched[root]

    async def _follow_once(self, root: Path, watched: _Watched) -> bool:
        """Follow until the set of directories changes; False when watching is of no use."""
        from launch import watch

        workspace = watched.warm.workspace
        if watched.warm.closed:
            return False
        await workspace.files()
        directories = workspace.listing.directories
        if not directories or len(directories) > watch.MAX_DIRECTORIES:
            return False
        async for paths in watch.batches([root / name for name in sorted(directories)]):
            if _is_closed(watched):
                return False
            workspace.check()
            changed = {_relative(path, root) for path in paths} - watched.ignored
            if not changed:
                continue
            if await self._refresh(watched, changed):
                await self._prime(watched)
            if workspace.listing.directories != directories:
                return True
        workspace.check()
        return True

    async def _refresh(self, watched: _Watched, changed: set[str]) -> bool:
        """Bring file list and index up to date; whether anything that is shown has changed."""
        workspace = watched.warm.workspace
        before = workspace.listing
        if await anyio.to_thread.run_sync(_only_contents, watched, changed):
            await self._index(watched)
            return True
        if not watched.warm.users:
            # An exploration under way keeps the list that it began with.
            workspace.forget()
        await workspace.files()
        after = workspace.listing
        shown = {name for name in changed if name in before.file_set or name in after.file_set}
        inside = {name for name in changed if name in before.directories | after.directories}
        if not watched.warm.users:
            watched.ignored |= changed - shown - inside
        if len(watched.ignored) > 10_000:
            watched.ignored.clear()
        if not (shown or before.file_set != after.file_set):
            return False
        await self._index(watched)
        return True

    async def _index(self, watched: _Watched) -> None:
        await self._when_idle()
        await watched.warm.scout.answer("index", max_citations=1, deadline_s=_INDEX_S)

    async def _look_after_engine(self) -> None:
        while True:
            await anyio.sleep(LOOK_S)
            for watched in list(self._watched.values()):
                if not watched.warm.closed:
                    await self._try_to_prime(watched)

    async def _try_to_prime(self, watched: _Watched) -> None:
        try:
            await self._prime(watched)
        except Exception:
            logger.exception("no warm-up on an internal error")

    async def _prime(self, watched: _Watched) -> None:
        """Send the engine this repository's prompt if it has not had it."""
        from launch.errors import LaunchError

        local = self._local()
        if local is None:
            return
        try:
            status = await local.status()
            if status is None or status["phase"] != "ready":
                return
            request = await anyio.to_thread.run_sync(_opening, watched.warm)
            wanted = (status["guard_pid"], str(request.messages[0]["content"]))
            if watched.primed == wanted:
                return
            await self._when_idle()
            with anyio.CancelScope() as scope:
                self._priming = scope
                async with (
                    local.lease(wait_s=0, wake=False) as (engine, _),
                    engine.stream(request) as events,
                ):
                    async for _event in events:
                        pass
                watched.primed = wanted
        except (LaunchError, ExplorerError) as error:
            logger.debug("no warm-up: %s", error)
        finally:
            self._priming = None

    async def _when_idle(self) -> None:
        while self._busy():  # noqa: ASYNC110 - explorations have no common event
            await anyio.sleep(_PAUSE_S)


def _opening(warm: Warm) -> "Request":
    """A request whose prompt is what every exploration of a repository begins with."""
    from explorer import prompt
    from explorer.engine import Request, Sampling
    from explorer.tools import ToolBox

    messages = prompt.opening("", warm.workspace)
    return Request(
        messages=messages,
        tools=ToolBox(warm.workspace).schemas,
        tool_choice="auto",
        max_tokens=1,
        sampling=Sampling(),
    )


def _only_contents(watched: _Watched, changed: set[str]) -> bool:
    """Whether nothing came or went: then the list of files is as it was, and need not be taken.

    Files that decide what is ignored are hidden themselves, so a change of theirs counts.
    """
    listing, root = watched.warm.workspace.listing, watched.warm.workspace.root
    known = all(name in listing.file_set or name in listing.directories for name in changed)
    return known and all(os.path.lexists(root / name) for name in changed)


def _is_closed(watched: _Watched) -> bool:
    return watched.warm.closed


def _relative(path: str, root: Path) -> str:
    return path.removeprefix(f"{root}/") if path != str(root) else ""
