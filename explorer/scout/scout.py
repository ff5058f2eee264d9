"""The scout: answers a question about a repository from its words alone, without a model."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from explorer.evidence import evidence_of
from explorer.records import Citation
from explorer.workspace import Workspace

# numpy takes longer to import than a server may take to answer `initialize`.
if TYPE_CHECKING:
    from explorer.scout.engine import Answer, Engine

_FILES = 6
"""Most files cited; more than a reader will open."""


@dataclass(frozen=True, slots=True)
class ScoutAnswer:
    """What the scout found."""

    citations: tuple[Citation, ...]
    """Best first, all verified. Empty when nothing in the repository resembles the query."""
    answer: str
    """One sentence."""
    notes: tuple[str, ...] = ()
    """What was left out, one plain sentence each."""


class Scout:
    """Answers questions about one workspace; its index stays warm between them.

    One question at a time is worked on, in a worker thread; others wait. Which files changed is
    looked up at every question.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Drop the index; the next question builds it anew."""
        with self._lock:
            self._engine = None

    async def answer(
        self, query: str, *, max_citations: int = 10, deadline_s: float = 10.0
    ) -> ScoutAnswer:
        """The places that resemble the query, within about ``deadline_s``.

        What could not be read in that time is left out, and the notes say so. Cancelling ends the
        work at its next step.

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
        from explorer.scout.engine import Engine

        with self._lock:
            if cancelled():
                return ScoutAnswer((), "The search was cancelled.")
            if self._engine is None:
                self._engine = Engine(self._workspace)
            found = self._engine.search(
                query, paths, most=most, files=_FILES, until=until, cancelled=cancelled
            )
        return _told(found)


def _told(found: "Answer") -> ScoutAnswer:
    citations = tuple(
        Citation(
            path=place.path,
            start=place.start,
            end=place.end,
            reason=place.reason,
            evidence=evidence_of(place.lines, place.start, place.end),
            verified=True,
        )
        for place in found.places
    )
    return ScoutAnswer(citations, _sentence(found, citations), found.notes)


def _sentence(found: "Answer", citations: tuple[Citation, ...]) -> str:
    if citations:
        files = len({citation.path for citation in citations})
        where = f"{files} files" if files > 1 else citations[0].path
        return f"By its words the query points to {where}; nothing was reasoned about."
    if found.empty_query:
        return "The query has no words to search for; name what the code does or is called."
    return "No file shares a telling word with the query; use words that the code would use."
