"""The scout: answers a question about a repository from its words alone, without a model."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from explorer.records import Citation, Confidence
from explorer.repository.documents import evidence_of
from explorer.repository.workspace import Workspace

# numpy takes longer to import than a server may take to answer `initialize`.
if TYPE_CHECKING:
    from explorer.scout.answers import Answer
    from explorer.scout.engine import Engine

_JOIN_S = 5.0
_FILES = 6
"""Most files cited; more than a reader will open."""


@dataclass(frozen=True, slots=True)
class ScoutAnswer:
    """What the scout found."""

    citations: tuple[Citation, ...]
    """Best first. Empty when nothing in the repository resembles the query."""
    answer: str
    """One or two sentences."""
    notes: tuple[str, ...] = ()
    """What was left out, and which files come next, one plain sentence each."""
    confidence: Confidence = "low"
    """How likely the first file is right: "high" was so in nine of ten cases it was given."""
    further: tuple[str, ...] = ()
    """The files next in line, which are not cited."""


class Scout:
    """Answers questions about one workspace; its index stays warm between them.

    One question at a time is worked on, in a worker thread; others wait. Which files changed is
    looked up at every question.
    """

    def __init__(self, workspace: Workspace, cache_dir: Path | None = None) -> None:
        """``cache_dir`` is where the index is kept between processes; None keeps it nowhere."""
        self._workspace = workspace
        self._cache_dir = cache_dir
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._behind: _Behind | None = None

    @property
    def cache_dir(self) -> Path | None:
        """Where the index is kept between processes."""
        return self._cache_dir

    @property
    def is_indexing(self) -> bool:
        """True while files are indexed behind an answer."""
        return self._behind is not None

    def forget(self) -> None:
        """Drop the index; the next question builds it anew."""
        self._stop_behind()
        with self._lock:
            self._engine = None

    def close(self) -> None:
        """End the work behind and keep what is indexed for the next process.

        Waits for the step under way, some 50 ms. To be called before the workspace is closed.
        """
        self._stop_behind()
        with self._lock:
            if self._engine is not None:
                self._engine.save()

    def _stop_behind(self) -> None:
        with self._lock:
            behind, self._behind = self._behind, None
        if behind is not None:
            behind.stop.set()
            behind.thread.join(_JOIN_S)

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
                engine = self._opened()
                engine.refresh(paths, lambda: cancelled.is_set() or time.monotonic() > until)
                return not engine.next_batch()

        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        finally:
            cancelled.set()

    async def answer(
        self, query: str, *, max_citations: int = 10, deadline_s: float = 10.0
    ) -> ScoutAnswer:
        """The places that resemble the query, within about ``deadline_s``.

        In a repository of which much is not indexed ripgrep looks first, and a thread of its own
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
        with self._lock:
            if cancelled():
                return ScoutAnswer((), "The search was cancelled.")
            engine = self._opened()
            found = engine.search(
                query,
                paths,
                most=most,
                files=_FILES,
                until=until,
                cancelled=cancelled,
                look_first=True,
            )
            if engine.has_pending and self._behind is None:
                self._behind = _Behind(self._index_behind)
        return _told(found)

    def _opened(self) -> "Engine":
        from explorer.scout.engine import Engine

        if self._engine is None:
            self._engine = Engine(self._workspace, self._cache_dir)
        return self._engine

    def _index_behind(self, behind: "_Behind") -> None:
        """Index what is pending, a batch at a time, so that questions get their turn."""
        from explorer.scout.index import build_rows
        from explorer.scout.reading import read_files

        while not behind.stop.is_set():
            with self._lock:
                engine = self._engine
                batch = engine.next_batch() if engine is not None else []
                if engine is None or not batch:
                    if engine is not None:
                        engine.save()
                    if self._behind is behind:
                        self._behind = None
                    return
            try:
                rows = build_rows(read_files(self._workspace, batch, behind.stop.is_set))
            except RuntimeError:
                # The interpreter is going down and starts no threads any more.
                return
            with self._lock:
                if self._engine is engine:
                    engine.take_in(rows)


class _Behind:
    """A thread that indexes behind the answers."""

    def __init__(self, work: Callable[["_Behind"], None]) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=work, args=(self,), name="scout-behind", daemon=True)
        self.thread.start()


def _told(found: "Answer") -> ScoutAnswer:
    citations = tuple(
        Citation(
            path=place.path,
            start=place.start,
            end=place.end,
            reason=place.reason,
            evidence=evidence_of(place.lines, place.start, place.end),
        )
        for place in found.places
    )
    notes = found.notes
    if found.further and citations and found.confidence != "high":
        notes = (*notes, f"Next in line: {', '.join(found.further)}.")
    return ScoutAnswer(
        citations, _sentence(found, citations), notes, found.confidence, found.further
    )


def _sentence(found: "Answer", citations: tuple[Citation, ...]) -> str:
    if citations:
        files = len({citation.path for citation in citations})
        where = f"{citations[0].path} first of {files} files" if files > 1 else citations[0].path
        return (
            f"By its words the query points to {where}; this is a search, nothing was reasoned "
            "about."
        )
    if found.empty_query:
        return "The query has no words to search for; name what the code does or is called."
    return "No file shares a telling word with the query; use words that the code would use."
