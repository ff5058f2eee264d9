"""Repositories kept open between questions and followed, so that the next question finds all ready.

A repository that was asked about is watched from then on. When its files have settled after a
change, the scout's index is brought up to date. When the system prompt, which lists the root, has
changed, or the engine is a new one, the engine is sent the prompt once
(``server.exploring.prefix_warmup``). All of this gives way to explorations, and no question relies
on it: each one checks for itself.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.errors import WorkspaceError

# numpy and the tools take longer to import than `initialize` may take.
if TYPE_CHECKING:
    from explorer.repository.workspace import Workspace
    from explorer.scout import Scout
import logging
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from explorer.errors import ExplorerError
from explorer.repository.paths import is_hidden_name

if TYPE_CHECKING:
    from explorer.repository.workspace import Workspace
    from server.exploring.local_engine import LocalEngine
    from server.exploring.prefix_warmup import PrefixWarmup

WARM_ROOTS = 4
"""Maximum repositories kept open; the index of 10,000 files takes some tens of MB."""


@dataclass(slots=True)
class OpenRepository:
    """One open repository with its index."""

    workspace: "Workspace"
    scout: "Scout"
    users: int = 0
    closed: bool = False

    def close(self) -> bool:
        """Save the index and close the repository; whoever watches it sees ``closed``.

        True if what is saved is a part of the index.
        """
        self.closed = True
        is_part = self.scout.close()
        self.workspace.close()
        return is_part


class OpenRepositories:
    """The last repositories used. Must be used from one event loop and closed at the end."""

    def __init__(
        self, index_dir: Path | None = None, *, once: bool = False, reader: bool = True
    ) -> None:
        """``index_dir`` is where indexes are kept between processes; None if they are not.

        ``once``: this process ends after one question, and another goes on with the index.
        ``reader`` says whether the scouts have one.
        """
        self._index_dir = index_dir
        self._once = once
        self._reader = reader
        self._kept: OrderedDict[tuple[Path, bool], OpenRepository] = OrderedDict()

    @asynccontextmanager
    async def opened(self, root: Path, *, include_hidden: bool) -> AsyncIterator[OpenRepository]:
        """The repository at a real path.

        Its file list is no older than this call, or than the oldest question still using it.

        Raises:
            WorkspaceError: it cannot be opened.
        """
        opened = self._take((root, include_hidden))
        opened.users += 1
        try:
            yield opened
        finally:
            opened.users -= 1
            self._evict()

    def close(self) -> None:
        """Close all of them."""
        for (root, include_hidden), opened in self._kept.items():
            if opened.close() and self._once and self._index_dir is not None:
                from server.exploring import index_rest

                index_rest.start(root, self._index_dir, include_hidden=include_hidden)
        self._kept.clear()

    def _take(self, key: tuple[Path, bool]) -> OpenRepository:
        opened = self._kept.get(key)
        if opened is not None:
            try:
                opened.workspace.check()
            except WorkspaceError:
                # A different directory is at this path now, such as a fresh clone.
                del self._kept[key]
                if not opened.users:
                    opened.close()
                opened = None
        if opened is None:
            opened = self._kept[key] = self._open(*key)
        elif not opened.users:
            opened.workspace.forget()
        self._kept.move_to_end(key)
        return opened

    def _evict(self) -> None:
        idle = [key for key, opened in self._kept.items() if not opened.users]
        for key in idle[: max(0, len(self._kept) - WARM_ROOTS)]:
            self._kept.pop(key).close()

    def _open(self, root: Path, include_hidden: bool) -> OpenRepository:
        from explorer.reader.session import shared_reader
        from explorer.repository.workspace import Workspace
        from explorer.scout import Scout

        workspace = Workspace.open(root, include_hidden=include_hidden)
        index_dir = self._index_dir
        if index_dir is not None and index_dir.is_relative_to(workspace.root):
            # Nothing is ever written below an explored root.
            index_dir = None
        reader = shared_reader if self._reader else None
        scout = Scout(workspace, index_dir, reader=reader, goes_on=not self._once)
        return OpenRepository(workspace, scout)


logger = logging.getLogger(__name__)

_PAUSE_S = 0.5
"""How often to check whether the explorations have ended that all of this gives way to."""
_INDEX_S = 30.0
"""Maximum time to bring an index up to date."""
_REWATCH_S = 1.0
"""Pause before watching again what could not be watched."""
_RULES = ".gitignore"
"""Name of the files that decide what is listed."""
_MAX_BARE = 1_000
"""Maximum directories without files that are followed below one directory."""


@dataclass(slots=True)
class _Watched:
    opened: OpenRepository
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ignored: set[str] = field(default_factory=set)
    """Files that turned out to be ignored, so that their changes cost nothing."""
    bare: set[str] = field(default_factory=set)
    """New directories without files, which are not listed: their first file may have to be."""


class RepositoryWatch:
    """Watches repositories in its owner's task group until that is cancelled."""

    def __init__(
        self,
        group: anyio.abc.TaskGroup,
        *,
        local: "LocalEngine | None",
        busy: Callable[[], bool],
    ) -> None:
        """``local`` is this machine's engine if questions may go to it, else None."""
        self._group = group
        self._busy = busy
        self._watched: dict[Path, _Watched] = {}
        self._warmup: PrefixWarmup | None = None
        if local is not None:
            from server.exploring import prefix_warmup

            self._warmup = prefix_warmup.PrefixWarmup(
                local,
                when_idle=self._when_idle,
                repositories=lambda: [each.opened for each in self._watched.values()],
            )
            group.start_soon(self._warmup.run)

    def watch(self, root: Path, opened: OpenRepository) -> None:
        """Follow a repository's changes, unless it is followed already."""
        for each in self._watched.values():
            if each.opened.closed:
                each.scope.cancel()
        known = self._watched.get(root)
        if known is not None and known.opened is opened:
            return
        if known is not None:
            known.scope.cancel()
        self._watched[root] = watched = _Watched(opened)
        self._group.start_soon(self._follow, root, watched)

    def give_way(self) -> None:
        """An exploration begins: cancel the warm-up that is running."""
        if self._warmup is not None:
            self._warmup.give_way()

    def _prompt_may_differ(self) -> None:
        if self._warmup is not None:
            self._warmup.soon()

    async def _follow(self, root: Path, watched: _Watched) -> None:
        with watched.scope:
            try:
                while await self._follow_once(root, watched):
                    self._prompt_may_differ()
                    if not watched.opened.users:
                        # A change since the last listing may have gone unnoticed.
                        watched.opened.workspace.forget()
            except (ExplorerError, OSError, UnicodeError) as error:
                # The repository was removed, replaced or closed, and the next question opens what
                # is there then; or a name is not UTF-8 and cannot be watched, and each question
                # lists the files anew.
                logger.info("no longer watching %r: %s", str(root), error)
            except Exception:
                # Nothing that only saves time may end the server.
                logger.exception("no longer watching %r on an internal error", str(root))
        if self._watched.get(root) is watched:
            del self._watched[root]

    async def _follow_once(self, root: Path, watched: _Watched) -> bool:
        """Follow until the set of directories changes; False if watching is of no use."""
        from launch import watch

        workspace = watched.opened.workspace
        if watched.opened.closed:
            return False
        await workspace.files()
        directories = workspace.listing.directories | watched.bare
        if len(directories) > watch.MAX_DIRECTORIES:
            logger.info("not watching %s: it has %d directories", root, len(directories))
            return False
        async for paths in watch.batches([root / name for name in sorted(directories)]):
            if _is_closed(watched):
                return False
            workspace.check()
            if await self._refresh(watched, {_relative(path, root) for path in paths}):
                self._prompt_may_differ()
            if workspace.listing.directories | watched.bare != directories:
                return True
        # A directory went away before it was watched, or the system refuses to watch them.
        await anyio.sleep(_REWATCH_S)
        workspace.check()
        if not watched.opened.users:
            workspace.forget()
            await workspace.files()
        watched.bare = await anyio.to_thread.run_sync(_bare, workspace, watched.bare)
        return workspace.listing.directories | watched.bare != directories

    async def _refresh(self, watched: _Watched, changed: set[str]) -> bool:
        """Bring the file list and the index up to date; whether a listed file has changed."""
        await self._when_idle(watched.opened)
        workspace = watched.opened.workspace
        rules = {name for name in changed if name.rpartition("/")[2] == _RULES}
        if rules:
            watched.ignored.clear()
        changed -= watched.ignored
        before = workspace.listing
        there = await anyio.to_thread.run_sync(_existing, workspace, changed)
        listed = before.file_set, before.directories, watched.bare
        known = {name for name in changed if any(name in each for each in listed)}
        # What came and went between two looks needs no refresh.
        if not rules and not known and not there:
            return False
        if not rules and changed <= (known & there):
            # No file came or went, so the list of files is still right.
            await self._index(watched)
            return True
        if not watched.opened.users:
            # An exploration that is running keeps the list that it began with.
            workspace.forget()
        await workspace.files()
        after = workspace.listing
        if not watched.opened.users:
            await anyio.to_thread.run_sync(_sort_out, watched, there - rules, before.directories)
        shown = any(name in before.file_set or name in after.file_set for name in changed)
        if not (shown or before.file_set != after.file_set):
            return False
        await self._index(watched)
        return True

    async def _index(self, watched: _Watched) -> None:
        await self._when_idle()
        await watched.opened.scout.answer(
            "index", max_citations=1, deadline_s=_INDEX_S, reads=False
        )

    async def _when_idle(self, opened: OpenRepository | None = None) -> None:
        while self._busy() or (opened is not None and opened.users):  # noqa: ASYNC110 - no event for it
            await anyio.sleep(_PAUSE_S)


def _sort_out(watched: _Watched, names: set[str], once: frozenset[str]) -> None:
    """Remember which unlisted names are ignored files, and which directories have no files.

    Directories are never remembered as ignored: one that is empty now may have source code later.
    ``once`` has the directories of the previous list.
    """
    workspace = watched.opened.workspace
    listing = workspace.listing
    unlisted = {name for name in names if name not in listing.file_set | listing.directories}
    folders = {name for name in unlisted if _is_directory(workspace.root / name)}
    watched.ignored |= {
        name for name in unlisted - folders if os.path.lexists(workspace.root / name)
    }
    if len(watched.ignored) > 10_000:
        watched.ignored.clear()
    watched.bare = _bare(workspace, folders | watched.bare | (once - listing.directories))


def _bare(workspace: "Workspace", names: Iterable[str]) -> set[str]:
    """The unlisted directories without files at any depth, and all directories below them.

    An ignored directory that has files is not among them, so that a build folder costs nothing.
    """
    found: set[str] = set()
    for name in names:
        if name not in workspace.listing.directories and name not in found:
            found |= _below(workspace, name)
    return found


def _below(workspace: "Workspace", name: str) -> set[str]:
    found: set[str] = set()
    left = [name]
    while left:
        folder = left.pop()
        if is_hidden_name(folder) and not workspace.include_hidden:
            continue
        try:
            with os.scandir(workspace.root / folder) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        return set()
                    left.append(f"{folder}/{entry.name}")
        except OSError:
            continue
        found.add(folder)
        if len(found) > _MAX_BARE:
            return set()
    return found


def _existing(workspace: "Workspace", names: set[str]) -> set[str]:
    return {name for name in names if os.path.lexists(workspace.root / name)}


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_closed(watched: _Watched) -> bool:
    # A function, because mypy takes a field to be what it was when last checked.
    return watched.opened.closed


def _relative(path: str, root: Path) -> str:
    return path.removeprefix(f"{root}/") if path != str(root) else ""
