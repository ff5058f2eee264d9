"""The scout: answers questions about a repository from its words alone, without a model."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from explorer.limits import Deadline
from explorer.repository.ripgrep import RgHandle, in_thread
from explorer.repository.workspace import Workspace
from explorer.scout.answer import ScoutAnswer
from explorer.scout.index import RepositoryIndex
from explorer.scout.rows import IndexRows, build_rows, empty_rows, find, read_files
from explorer.scout.search import search
from explorer.scout.tokens import words_of


def locate(rows: IndexRows, names: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
    """For each name the files of ``rows`` that have it, and whether they define it."""
    terms: dict[str, int] = {}
    for name in names:
        words = words_of(name)
        if len(words) == 1:
            _, parts, whole = words[0]
            terms[name] = whole if len(parts) > 1 else (parts or [whole])[0]
    known = np.unique(np.array(list(terms.values()), np.uint32))
    found = find(rows, known)
    places: dict[int, list[tuple[str, bool]]] = {term: [] for term in known.tolist()}
    for file, term, symbol in zip(
        found.file.tolist(), found.term.tolist(), found.symbol.tolist(), strict=True
    ):
        places[int(known[term])].append((rows.paths[file], symbol > 0))
    return {name: places[term] for name, term in terms.items()}


_FINISH_S = 0.25
"""How long closing waits for the index: as much as a command may take longer for it."""
_JOIN_S = 5.0
_LOCATE_S: Final = 0.2


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

    @property
    def to_index(self) -> int:
        """How many files are known to be new or changed since they were indexed."""
        # Without the lock, which whoever indexes holds.
        return len(self._index.pending.paths) if self._index is not None else 0

    def close(self) -> None:
        """Stop indexing and keep what is indexed for the next process.

        Waits for what can be indexed in ``_FINISH_S``: a command that answers one question leaves
        a small repository indexed as a whole, and of a larger one more with every question. To be
        called before the workspace is closed.
        """
        with self._lock:
            behind, self._behind = self._behind, None
        if behind is not None:
            behind.thread.join(_FINISH_S)
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
        deadline = Deadline(deadline_s)
        paths = await self._workspace.files()

        def work(handle: RgHandle) -> bool:
            with self._lock:
                index = self._opened()
                index.refresh(paths, lambda: handle.killed or not deadline.left_s)
                return not index.pending.paths

        return await in_thread(work)

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
        deadline = Deadline(deadline_s)
        paths = await self._workspace.files()
        return await in_thread(partial(self._answer, query, paths, max_citations, deadline))

    def locate(self, names: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
        """For each name the indexed files that have it, and whether they define it.

        A file may be among them that has only a word of the same stem. Empty while others ask.
        """
        if not self._lock.acquire(timeout=_LOCATE_S):
            return {}
        try:
            rows = self._index.rows if self._index is not None else empty_rows()
            return locate(rows, names)
        finally:
            self._lock.release()

    def _answer(
        self,
        query: str,
        paths: tuple[str, ...],
        most: int,
        deadline: Deadline,
        handle: RgHandle,
    ) -> ScoutAnswer:
        with self._lock:
            if handle.killed:
                return ScoutAnswer((), "The search was cancelled.")
            index = self._opened()
            answer = search(
                index,
                query,
                paths,
                most=most,
                deadline=deadline,
                cancelled=lambda: handle.killed,
                look_first=True,
            )
            if index.pending.paths and self._behind is None:
                self._behind = _Behind(self._index_behind)
        return answer

    def _opened(self) -> RepositoryIndex:

        if self._index is None:
            self._index = RepositoryIndex(self._workspace, self._cache_dir)
        return self._index

    def _index_behind(self, behind: "_Behind") -> None:
        """Index what is pending, a batch at a time, so that questions can come in between."""
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
