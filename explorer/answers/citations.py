"""Which citations hold, and what a run has found: its best answer, or the places that it read.

A citation holds if its file exists and may be shown, and every line of its range is in the file and
in a tool result of this run. Up to three lines without a letter or a digit count as seen if the
lines around them were seen. A range beyond the end of the file is cut to the file. A range that was
seen in part is cut to the longest part that was seen, and a note says so; a range that was not seen
at all is dropped. So every cited line was read, and none was guessed.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio
import anyio.to_thread

from explorer.answers.parse import IsFile, ParsedAnswer, RawCitation
from explorer.errors import AnswerError, EngineTimeout
from explorer.records import Citation, Exploration, Span, StopReason
from explorer.repository.documents import Document, evidence_of
from explorer.repository.paths import PathProblem, shown
from explorer.repository.ripgrep import in_thread
from explorer.repository.workspace import Workspace

Range = tuple[int, int]


class Observed:
    """Ranges of lines by path, 1-based, both ends included, merged and sorted."""

    def __init__(self) -> None:
        self._ranges: dict[str, list[Range]] = {}

    def add(self, spans: Iterable[Span]) -> None:
        """Count these lines as seen."""
        for span in spans:
            if span.start <= span.end:
                ranges = self._ranges.setdefault(span.path, [])
                ranges.append((span.start, span.end))
                self._ranges[span.path] = _merged(ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __iter__(self) -> Iterator[Span]:
        """Every range, in the order in which the files were first seen."""
        for path, ranges in self._ranges.items():
            for start, end in ranges:
                yield Span(path, start, end)

    def of(self, path: str) -> tuple[Range, ...]:
        """The ranges seen of one file, sorted."""
        return tuple(self._ranges.get(path, ()))

    def within(self, path: str, start: int, end: int) -> tuple[Range, ...]:
        """The parts of a range that were seen."""
        ranges = self._ranges.get(path, [])
        first = max(0, bisect_right(ranges, (start, 0)) - 1)
        return tuple(
            (max(low, start), min(high, end))
            for low, high in ranges[first:]
            if low <= end and high >= start
        )


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


SMALL_GAP_LINES = 3
"""Unseen lines without a word that do not split a range: a blank line, a brace."""

_WORD = re.compile(r"\w")

MAX_RANGES_OF_A_BARE_PATH = 3
"""Longest seen ranges that are given for a file that was cited without a range."""


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer with the citations that hold."""

    explanation: str = ""
    """With paths as the caller knows them."""
    citations: tuple[Citation, ...] = ()
    """In the model's order, merged where they overlap."""
    problems: tuple[str, ...] = ()
    """One line per citation that could not be verified, with virtual paths, for the model."""
    notes: tuple[str, ...] = ()
    """What was corrected without asking the model, for the caller."""

    @property
    def failed(self) -> str:
        """The beginning of a sentence about the citations that do not hold."""
        count = len(self.problems)
        subject = "1 citation" if count == 1 else f"{count} citations"
        return f"{subject} could not be verified and {'was' if count == 1 else 'were'}"


def check(answer: ParsedAnswer, workspace: Workspace, observed: Observed) -> CheckedAnswer:
    """The citations that hold, and what is wrong with the others. Reads files, blocking."""
    citations: list[Citation] = []
    problems: list[str] = []
    notes: list[str] = []
    for written in answer.citations:
        citation = replace(written, reason=without_root(written.reason, workspace))
        try:
            found = _check_one(citation, workspace, observed)
        except _DoesNotHold as problem:
            problems.append(f"{shown(str(citation))[1:-1]}: {problem}")
            continue
        citations += found.citations
        notes += found.notes
    return CheckedAnswer(
        without_root(answer.explanation, workspace),
        merge_overlapping(citations),
        tuple(dict.fromkeys(problems)),
        tuple(dict.fromkeys(notes)),
    )


def merge_overlapping(citations: Iterable[Citation]) -> tuple[Citation, ...]:
    """The citations; those that overlap or touch in one file are joined in the first's place."""
    merged: list[Citation] = []
    for citation in citations:
        overlapping = [at for at, other in enumerate(merged) if _overlap(other, citation)]
        for at in reversed(overlapping[1:]):
            citation = _union(merged.pop(at), citation)
        if overlapping:
            merged[overlapping[0]] = _union(merged[overlapping[0]], citation)
        else:
            merged.append(citation)
    return tuple(merged)


def without_root(text: str, workspace: Workspace) -> str:
    """The model's text with virtual paths made relative: callers do not know the virtual root."""
    root = workspace.virtual_root
    if root not in text:
        return text
    text = re.sub(rf"{re.escape(root)}/+(?=\w|\.)", "", text)
    return re.sub(rf"{re.escape(root)}(?![\w-]|\.\w)/*", workspace.name, text)


@dataclass(frozen=True, slots=True)
class _Found:
    citations: list[Citation]
    notes: list[str]


class _DoesNotHold(Exception):
    """Why a citation does not hold, as the end of a sentence."""


def _check_one(raw: RawCitation, workspace: Workspace, observed: Observed) -> _Found:
    try:
        resolved = workspace.resolve(raw.path)
        if resolved.kind == "directory":
            raise _DoesNotHold("is a directory, cite files")
        document = workspace.read(resolved.path)
    except PathProblem as problem:
        if problem.candidates:
            candidates = ", ".join(workspace.to_virtual(path) for path in problem.candidates)
            raise _DoesNotHold(f"does not name one file; perhaps {candidates}") from None
        raise _DoesNotHold("does not exist") from None
    if document.binary:
        raise _DoesNotHold("is a binary file")
    if raw.start is None:
        return _bare_path(raw, document, observed)
    return _ranged(raw, raw.start, document, observed)


def _bare_path(raw: RawCitation, document: Document, observed: Observed) -> _Found:
    total = _lines_of(document, observed)
    seen = sorted(observed.within(document.path, 1, total), key=lambda r: r[0] - r[1])
    if not seen:
        raise _DoesNotHold("was never read, and has no line range")
    chosen = sorted(seen[:MAX_RANGES_OF_A_BARE_PATH])
    return _Found([_citation(raw, document, *each) for each in chosen], [])


def _ranged(raw: RawCitation, start: int, document: Document, observed: Observed) -> _Found:
    total = _lines_of(document, observed)
    if start > total:
        lines = "1 line" if total == 1 else f"{total} lines"
        raise _DoesNotHold(f"lies past the end, the file has {lines}")
    first, last = max(1, start), total if raw.end is None else min(raw.end, total)
    seen = _closed_gaps(observed.within(document.path, first, last), document.lines)
    if not seen:
        raise _DoesNotHold("was never read")
    notes: list[str] = []
    low, high = max(seen, key=lambda r: (r[1] - r[0], -r[0]))
    if (low, high) != (first, last):
        name = f"{document.path}:{first}-{last}"
        notes.append(f"{name} was cut to lines {low}-{high}, which the model had read.")
    return _Found([_citation(raw, document, low, high)], notes)


def _lines_of(document: Document, observed: Observed) -> int:
    """The number of lines in the file, or the known part of it if the file is not kept whole."""
    if document.complete:
        return len(document.lines)
    return max([len(document.lines), *(end for _, end in observed.of(document.path))])


def _closed_gaps(ranges: Sequence[tuple[int, int]], lines: Sequence[str]) -> list[tuple[int, int]]:
    closed: list[tuple[int, int]] = []
    for low, high in ranges:
        gap = lines[closed[-1][1] : low - 1] if closed and low <= len(lines) else ("unknown",)
        if len(gap) <= SMALL_GAP_LINES and not any(map(_WORD.search, gap)):
            closed[-1] = (closed[-1][0], high)
        else:
            closed.append((low, high))
    return closed


def _citation(raw: RawCitation, document: Document, start: int, end: int) -> Citation:
    evidence = evidence_of(document.lines, start, end)
    return Citation(document.path, start, end, raw.reason, evidence)


def _overlap(one: Citation, other: Citation) -> bool:
    return one.path == other.path and one.start <= other.end + 1 and other.start <= one.end + 1


def _union(one: Citation, other: Citation) -> Citation:
    first = one if one.start <= other.start else other
    return replace(
        one,
        start=first.start,
        end=max(one.end, other.end),
        reason=one.reason or other.reason,
        evidence=first.evidence or one.evidence or other.evidence,
    )


WINDOW_LINES = 40
"""Maximum length of a salvaged range: a whole file would tell the caller nothing."""

SALVAGE_S = 2.0
"""Maximum time to choose among what was read; it may extend beyond the deadline of the run."""

MAX_OF_ONE_FILE = 3
"""Maximum places in one file: otherwise the matches of one Grep could fill the answer."""

REASON = "read while exploring; the model did not get to cite it"

_TERM = re.compile(r"[A-Za-z][a-z]+|[A-Z]{2,}(?![a-z])|\d{2,}|[^\W\d_]{3,}")
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

    async def consider(
        self, find: Callable[[IsFile], ParsedAnswer | None], observed: Observed
    ) -> CheckedAnswer | None:
        """The answer with its citations checked, None if there is none; keeps the best one.

        ``find`` gives the answer as the model wrote it, when told which paths are files.
        """
        return await anyio.to_thread.run_sync(self._consider, find, observed)

    def _consider(
        self, find: Callable[[IsFile], ParsedAnswer | None], observed: Observed
    ) -> CheckedAnswer | None:
        answer = find(self._workspace.is_file)
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

    async def exploration(self, read: Observed, stop_reason: StopReason) -> Exploration | None:
        """The best answer, or else the places among what was read that fit the question best.

        None if nothing was read, or if choosing takes longer than ``SALVAGE_S``.
        """
        if self.best is not None and self.has_citations:
            return self._of(self.best, stop_reason)
        salvaged: tuple[Citation, ...] = ()
        with anyio.CancelScope(shield=True), anyio.move_on_after(SALVAGE_S):
            work = partial(salvage, self.query, read, self._workspace, limit=self._max_citations)
            salvaged = await in_thread(lambda _: work())
        if not salvaged:
            return None
        return self._of(CheckedAnswer(citations=salvaged), stop_reason)

    def _of(self, answer: CheckedAnswer, stop_reason: StopReason) -> Exploration:
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
    words = {word.casefold() for word in _TERM.findall(text[:10_000])}
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
