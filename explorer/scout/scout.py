"""The scout: answers questions about a repository from its words alone, without a model."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Final

from explorer.definitions import Definition
from explorer.errors import ReaderError
from explorer.limits import Deadline
from explorer.reader.session import Reader, shared_reader
from explorer.repository.ripgrep import RgHandle, in_thread
from explorer.repository.workspace import Workspace
from explorer.scout.answer import ScoutAnswer
from explorer.scout.index import RepositoryIndex
from explorer.scout.reading import Desk, best_part
from explorer.scout.rows import IndexRows, build_rows, empty_rows, find, read_files
from explorer.scout.search import search
from explorer.scout.tokens import distinct, words_of


def locate(rows: IndexRows, names: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
    """For each name the files of ``rows`` that have it, and whether they define it."""
    terms: dict[str, int] = {}
    for name in names:
        words = words_of(name)
        if len(words) == 1:
            _, parts, whole = words[0]
            terms[name] = whole if len(parts) > 1 else (parts or [whole])[0]
    known = distinct(terms.values())
    found = find(rows, known)
    places: dict[int, list[tuple[str, bool]]] = {term: [] for term in known.tolist()}
    for file, term, symbol in zip(
        found.file.tolist(), found.term.tolist(), found.symbol.tolist(), strict=True
    ):
        places[int(known[term])].append((rows.paths[file], symbol > 0))
    return {name: places[term] for name, term in terms.items()}


_FINISH_BYTES = 16 << 20
_FINISH_S = 0.25
"""If at most so much is left, closing waits for the index: two cores read 60 MB a second."""
_KEPT_SHARE = 0.1
_KEPT_S = 1.0
"""While it is indexed, the index is kept after so long, or if keeping it took a tenth of that."""
_JOIN_S = 5.0
_LOCATE_S: Final = 0.2


class Scout:
    """Answers questions about one workspace; its index stays warm between them.

    It searches for one question at a time, in a worker thread; others wait. While it reads for one,
    it searches for the next. Each question looks up which files have changed.
    """

    def __init__(
        self,
        workspace: Workspace,
        cache_dir: Path | None = None,
        *,
        reader: Callable[[], Future[Reader]] | None = shared_reader,
        goes_on: bool = True,
    ) -> None:
        """``cache_dir`` is where the index is kept between processes; None keeps it nowhere.

        ``reader`` gets the reader and begins to load it; None searches by words alone. ``goes_on``:
        what an answer leaves is indexed behind it; else whoever closes this sees to it.
        """
        self._workspace = workspace
        self._cache_dir = cache_dir
        self._reader = reader
        self._goes_on = goes_on
        self._is_left = False
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

    def close(self) -> bool:
        """Stop indexing and keep what is indexed for the next process.

        True if files are left, and a process that indexes them finds here what was indexed. For a
        small rest that is indexed behind an answer it waits. To be called before the workspace is
        closed.
        """
        with self._lock:
            behind, self._behind = self._behind, None
            small = self._index is None or self._index.pending.source_bytes <= _FINISH_BYTES
        if behind is not None:
            behind.thread.join(_FINISH_S if small else 0.0)
            behind.stop.set()
            behind.thread.join(_JOIN_S)
        with self._lock:
            if self._index is None or not self._index.save():
                return False
            return self._is_left if behind is None else not behind.done

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
                self._opened().find_pending(paths)
            return self._index_rest(lambda: handle.killed or not deadline.left_s)

        return await in_thread(work)

    async def answer(
        self,
        query: str,
        *,
        max_citations: int = 10,
        deadline_s: float = 10.0,
        reads: bool = True,
    ) -> ScoutAnswer:
        """The places that resemble the query, within about ``deadline_s``.

        If much of the repository is not indexed, ripgrep looks first, and a thread of its own
        indexes behind the answer. What could not be read in time is left out, and the notes say
        so. Cancelling ends the work at its next step. Without ``reads`` the words alone decide.

        Raises:
            WorkspaceError: the root is gone or cannot be listed.
            RipgrepError: rg is missing or does not start.
        """
        deadline = Deadline(deadline_s)
        # The first time, it is loaded while the words are searched for.
        reader = self._reader() if self._reader is not None and reads else None
        paths = await self._workspace.files()
        work = partial(self._answer, query, paths, max_citations, deadline, reader)
        return await in_thread(work)

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

    def best_part(
        self,
        query: str,
        path: str,
        lines: Sequence[str],
        outline: Sequence[Definition],
        span: tuple[int, int],
        deadline: Deadline,
    ) -> tuple[tuple[int, int], ...]:
        """The lines in the span of a file that answer the query best; blocking.

        Empty without a reader, or without time.
        """
        if self._reader is None:
            return ()
        try:
            reader = self._reader().result(deadline.left_s)
            return best_part(reader, query, path, lines, outline, span, deadline)
        except (ReaderError, TimeoutError):
            return ()

    def _answer(
        self,
        query: str,
        paths: tuple[str, ...],
        most: int,
        deadline: Deadline,
        reader: Future[Reader] | None,
        handle: RgHandle,
    ) -> ScoutAnswer:
        with self._lock:
            if handle.killed:
                return ScoutAnswer((), "The search was cancelled.")
            index = self._opened()
            desk = None
            if reader is not None:
                desk = Desk(reader, deadline, lambda: handle.killed, aside=self._unlocked)
            answer = search(
                index,
                query,
                paths,
                most=most,
                deadline=deadline,
                cancelled=lambda: handle.killed,
                look_first=True,
                desk=desk,
            )
            self._is_left = bool(index.pending.paths) and not handle.killed
            if self._is_left and self._goes_on and self._behind is None:
                self._behind = _Behind(self._index_behind)
        return answer

    @contextlib.contextmanager
    def _unlocked(self) -> Iterator[None]:
        """Let others use the index for as long as this question does not."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    def _opened(self) -> RepositoryIndex:
        if self._index is None:
            self._index = RepositoryIndex(self._workspace, self._cache_dir)
        return self._index

    def _index_behind(self, behind: "_Behind") -> None:
        with contextlib.suppress(RuntimeError):
            # It is raised where the interpreter is shutting down and starts no more threads.
            self._index_rest(behind.stop.is_set, behind)

    def _index_rest(self, stopped: Callable[[], bool], behind: "_Behind | None" = None) -> bool:
        """Index what is pending; True when all is indexed.

        A batch at a time, so that questions can come in between. What is indexed is kept as it
        goes: whoever ends this process, the next one goes on from there.
        """
        index = self._opened()
        keep = Deadline(_KEPT_S)
        while not stopped():
            with self._lock:
                batch = index.next_batch()
                if not batch:
                    index.save()
                    if behind is not None:
                        behind.done = True
                        self._behind = None if self._behind is behind else self._behind
                    return True
            rows = build_rows(read_files(self._workspace, batch, stopped))
            with self._lock:
                index.take_in(rows)
                if not keep.left_s:
                    began = time.monotonic()
                    index.save()
                    keep = Deadline(max(_KEPT_S, (time.monotonic() - began) / _KEPT_SHARE))
        return False


class _Behind:
    """A thread that indexes behind the answers."""

    def __init__(self, work: Callable[["_Behind"], None]) -> None:
        self.stop = threading.Event()
        self.done = False
        self.thread = threading.Thread(target=work, args=(self,), name="scout-behind", daemon=True)
        self.thread.start()
