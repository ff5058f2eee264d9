"""What a run has found: its best answer, or else the places that it read."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

import anyio
import anyio.to_thread

from explorer.answers.citations import CheckedAnswer, Observed, check
from explorer.answers.parse import ParsedAnswer
from explorer.errors import AnswerError, EngineTimeout
from explorer.records import Citation, Exploration, Span, StopReason
from explorer.repository.documents import evidence_of
from explorer.repository.paths import PathProblem
from explorer.repository.workspace import Workspace

WINDOW_LINES = 40
"""Maximum length of a salvaged range: a whole file would tell the caller nothing."""

SALVAGE_S = 2.0
"""Maximum time to choose among what was read; it may extend beyond the deadline of the run."""

MAX_OF_ONE_FILE = 3
"""Maximum places in one file: otherwise the matches of one Grep could fill the answer."""

REASON = "read while exploring; the model did not get to cite it"

_WORD = re.compile(r"[A-Za-z][a-z]+|[A-Z]{2,}(?![a-z])|\d{2,}|[^\W\d_]{3,}")
_COMMON = frozenset(
    "the and for with from that this what where which when how does are was not have has can "
    "into its code file files function class method find used use get set".split()
)


class Findings:
    """The answers of one run, and the notes about them."""

    def __init__(self, query: str, workspace: Workspace, max_citations: int) -> None:
        self.best: CheckedAnswer | None = None
        """The answer with the most citations that hold; the last one if several have as many."""
        self.notes: list[str] = []
        self.query = query
        self._workspace = workspace
        self._max_citations = max_citations

    def consider(self, answer: ParsedAnswer | None, observed: Observed) -> CheckedAnswer | None:
        """The answer with its citations checked, None if there is none; keeps the best one.

        Reads files, blocking.
        """
        if answer is None:
            return None
        checked = check(answer, self._workspace, observed)
        if self.best is None or len(checked.citations) >= len(self.best.citations):
            self.best = checked
        return checked

    @property
    def has_citations(self) -> bool:
        """Whether any answer of the run has a citation that holds."""
        return self.best is not None and bool(self.best.citations)

    async def salvaged(self, read: Observed) -> CheckedAnswer:
        """The places among what was read that fit the question best; none after ``SALVAGE_S``."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(SALVAGE_S):
            work = partial(salvage, self.query, read, self._workspace, limit=self._max_citations)
            places = await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
            return CheckedAnswer(citations=places)
        return CheckedAnswer()

    def exploration(self, answer: CheckedAnswer, stop_reason: StopReason) -> Exploration:
        """The answer, cut to the number of places that was asked for, with the notes."""
        notes = [*self.notes, *answer.notes]
        if answer.problems:
            notes.append(f"{answer.failed} dropped.")
        further = len(answer.citations) - self._max_citations
        if further > 0:
            were = "citation was" if further == 1 else "citations were"
            notes.append(f"{further} further {were} left out.")
        return Exploration(
            self.query,
            "model",
            stop_reason,
            answer.explanation,
            answer.citations[: self._max_citations],
            notes=tuple(dict.fromkeys(notes)),
        )


def nothing_found(turns: int, deadline_s: float | None) -> AnswerError | EngineTimeout:
    """Why a run found nothing; ``deadline_s`` is given if the deadline ended the run."""
    if deadline_s is not None:
        return EngineTimeout(
            f"the model read nothing within {deadline_s:g} s; "
            "hint: allow more time or check the endpoint's speed"
        )
    return AnswerError(
        f"the model named no place that could be verified, in {turns} turns; "
        "hint: ask with names or messages that appear in the code"
    )


def salvage(
    query: str, observed: Observed, workspace: Workspace, *, limit: int
) -> tuple[Citation, ...]:
    """The parts of what was read that contain most of the query's words, best first.

    Empty if nothing was read. Reads files, blocking.
    """
    terms = _terms(query)
    ranked: list[tuple[int, int, Citation]] = []
    for order, span in enumerate(observed):
        try:
            lines = workspace.read(span.path).lines
        except PathProblem:
            continue
        end = min(span.end, len(lines))
        if span.start > end:
            continue
        score, start, stop = _best_window(lines, Span(span.path, span.start, end), terms)
        evidence = evidence_of(lines, start, stop)
        # Among equals, the one seen last comes first: explorations go from broad to narrow.
        ranked.append((-score, -order, Citation(span.path, start, stop, REASON, evidence)))
    ranked.sort(key=lambda row: row[:2])
    kept: list[Citation] = []
    of_file: Counter[str] = Counter()
    for _, _, citation in ranked:
        of_file[citation.path] += 1
        if of_file[citation.path] <= MAX_OF_ONE_FILE and len(kept) < limit:
            kept.append(citation)
    return tuple(kept)


def _terms(text: str) -> frozenset[str]:
    words = {word.casefold() for word in _WORD.findall(text[:10_000])}
    return frozenset(word for word in words if len(word) > 2) - _COMMON


def _best_window(lines: Sequence[str], span: Span, terms: frozenset[str]) -> tuple[int, int, int]:
    """The best window's score, mostly from its distinct terms, and its first and last line."""
    found = [_terms(lines[number - 1][:500]) & terms for number in range(span.start, span.end + 1)]
    best = (-1, span.start, min(span.end, span.start + WINDOW_LINES - 1))
    step = WINDOW_LINES // 4
    for offset in range(0, max(1, len(found) - WINDOW_LINES + step), step):
        window = found[offset : offset + WINDOW_LINES]
        score = 4 * len(frozenset().union(*window)) + sum(map(bool, window))
        if score > best[0]:
            start = span.start + offset
            best = (score, start, min(span.end, start + WINDOW_LINES - 1))
    return best
