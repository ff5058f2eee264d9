"""Keeps repositories open between questions, so that the next question finds a warm index."""

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

WARM_ROOTS = 4
"""Maximum repositories kept open; the index of 10,000 files takes some tens of MB."""


@dataclass(slots=True)
class OpenRepository:
    """One open repository with its index."""

    workspace: "Workspace"
    scout: "Scout"
    users: int = 0
    closed: bool = False

    def close(self) -> None:
        """Save the index and close the repository; whoever watches it sees ``closed``."""
        self.closed = True
        self.scout.close()
        self.workspace.close()


class OpenRepositories:
    """The last repositories used. Must be used from one event loop and closed at the end."""

    def __init__(self, index_dir: Path | None = None) -> None:
        """``index_dir`` is where indexes are kept between processes; None if they are not."""
        self._index_dir = index_dir
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
        for opened in self._kept.values():
            opened.close()
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
            opened = self._kept[key] = _open(*key, self._index_dir)
        elif not opened.users:
            opened.workspace.forget()
        self._kept.move_to_end(key)
        return opened

    def _evict(self) -> None:
        idle = [key for key, opened in self._kept.items() if not opened.users]
        for key in idle[: max(0, len(self._kept) - WARM_ROOTS)]:
            self._kept.pop(key).close()


def _open(root: Path, include_hidden: bool, index_dir: Path | None) -> OpenRepository:
    from explorer.repository.workspace import Workspace
    from explorer.scout import Scout

    workspace = Workspace.open(root, include_hidden=include_hidden)
    if index_dir is not None and index_dir.is_relative_to(workspace.root):
        # Nothing is ever written below an explored root.
        index_dir = None
    return OpenRepository(workspace, Scout(workspace, index_dir))
