"""The scout: answers a question about a repository from its words alone, without a model."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from explorer.repository.workspace import Workspace
from explorer.scout.answer import ScoutAnswer

# numpy takes longer to import than a server may take to answer `initialize`.
if TYPE_CHECKING:
    from explorer.scout.index import RepositoryIndex

_JOIN_S = 5.0


class Scout:
    """Answers questions about one workspace; its index stays warm between them.

    It works on one question at a time, in a worker thread; others wait. Each question looks up
    which files have changed.
    """

    def __init__(self, workspace: Workspace, cache_dir: Path | None = None) -> None:
        """``cache_dir`` is where the index is kept between processes; None keeps it nowhere."""
        self._workspace = workspace
        self._cache_dir = cache_dir
        self._index: RepositoryIndex | None = None
        self._lock = threading.Lock()
        self._behind: _Behind | None = None

    @property
    def is_indexing(self) -> bool:
        """True while files are indexed behind an answer."""
        return self._behind is not None

    def close(self) -> None:
        """Stop indexing and keep what is indexed for the next process.

        Waits for the step under way, some 50 ms. To be called before the workspace is closed.
        """
        with self._lock:
            behind, self._behind = self._behind, None
        if behind is not None:
            behind.stop.set()
            behind.thread.join(_JOIN_S)
        with self._lock:
            if self._index is not None:
                self._index.save()

    async def index(self, deadline_s: float = 600.0) -> bool:
        """Bring the index up to date; True when all files are in it.

        Raises:
            WorkspaceError: the root is gone or cannot be listed.
            RipgrepError: rg is missing or does not start.
        """
        until = time.monotonic() + deadline_s
        cancelled = threading.Event()
        paths = await self._workspace.files()

        def work() -> bool:
            with self._lock:
                index = self._opened()
                index.refresh(paths, lambda: cancelled.is_set() or time.monotonic() > until)
                return not index.pending.paths

        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        finally:
            cancelled.set()

    async def answer(
        self, query: str, *, max_citations: int = 10, deadline_s: float = 10.0
    ) -> ScoutAnswer:
        """The places that resemble the query, within about ``deadline_s``.

        If much of the repository is not indexed, ripgrep looks first, and a thread of its own
        indexes behind the answer. What could not be read in time is left out, and the notes say
        so. Cancelling ends the work at its next step.

        Raises:
            WorkspaceError: the root is gone or cannot be listed.
            RipgrepError: rg is missing or does not start.
        """
        until = time.monotonic() + deadline_s
        cancelled = threading.Event()
        paths = await self._workspace.files()
        work = partial(self._answer, query, paths, max_citations, until, cancelled.is_set)
        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        finally:
            cancelled.set()

    def _answer(
        self,
        query: str,
        paths: tuple[str, ...],
        most: int,
        until: float,
        cancelled: Callable[[], bool],
    ) -> ScoutAnswer:
        from explorer.scout.search import search

        with self._lock:
            if cancelled():
                return ScoutAnswer((), "The search was cancelled.")
            index = self._opened()
            answer = search(
                index, query, paths, most=most, until=until, cancelled=cancelled, look_first=True
            )
            if index.pending.paths and self._behind is None:
                self._behind = _Behind(self._index_behind)
        return answer

    def _opened(self) -> "RepositoryIndex":
        from explorer.scout.index import RepositoryIndex

        if self._index is None:
            self._index = RepositoryIndex(self._workspace, self._cache_dir)
        return self._index

    def _index_behind(self, behind: "_Behind") -> None:
        """Index what is pending, a batch at a time, so that questions can come in between."""
        from explorer.scout.rows import build_rows, read_files

        index = self._opened()
        while not behind.stop.is_set():
            with self._lock:
                batch = index.next_batch()
                if not batch:
                    index.save()
                    if self._behind is behind:
                        self._behind = None
                    return
            try:
                rows = build_rows(read_files(self._workspace, batch, behind.stop.is_set))
            except RuntimeError:
                # The interpreter is shutting down and starts no more threads.
                return
            with self._lock:
                index.take_in(rows)


class _Behind:
    """A thread that indexes behind the answers."""

    def __init__(self, work: Callable[["_Behind"], None]) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=work, args=(self,), name="scout-behind", daemon=True)
        self.thread.start()
