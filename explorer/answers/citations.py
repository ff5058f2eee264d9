"""Checks what the model cited against the files and against what the run has read.

A citation holds if its file exists and may be shown, and every line of its range is in the file and
in a tool result of this run. Up to three lines without a letter or a digit count as seen if the
lines around them were seen. A range beyond the end of the file is cut to the file. A range that was
seen in part is cut to the longest part that was seen, and a note says so; a range that was not seen
at all is dropped. So every cited line was read, and none was guessed.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from explorer.answers.parse import ParsedAnswer, RawCitation
from explorer.records import Citation, Span
from explorer.repository.documents import Document, evidence_of
from explorer.repository.paths import PathProblem, shown
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
