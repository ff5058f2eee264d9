"""What a run that ended without an answer has found all the same: the places that it read."""

import re
from collections import Counter
from collections.abc import Sequence

from explorer.answers.citations import Observed
from explorer.records import Citation, Span
from explorer.repository.documents import evidence_of
from explorer.repository.paths import PathProblem
from explorer.repository.workspace import Workspace

WINDOW_LINES = 40
"""Longest range that is given: a whole file that was read tells nothing."""

MAX_OF_ONE_FILE = 3
"""Places in one file: the matches of one Grep would otherwise take them all."""

REASON = "read while exploring; the model did not get to cite it"

_WORD = re.compile(r"[A-Za-z][a-z]+|[A-Z]{2,}(?![a-z])|\d{2,}|[^\W\d_]{3,}")
_COMMON = frozenset(
    "the and for with from that this what where which when how does are was not have has can "
    "into its code file files function class method find used use get set".split()
)


def salvage(
    query: str, observed: Observed, workspace: Workspace, *, limit: int
) -> tuple[Citation, ...]:
    """The windows of what was read that hold most of the query's words; best first.

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
        # Of equals the one seen last: explorations go from broad to narrow.
        ranked.append((-score, -order, Citation(span.path, start, stop, REASON, evidence, True)))
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
    """The distinct terms in the best window, and its first and last line."""
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
