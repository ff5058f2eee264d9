"""The lines that are shown of one place: all, or without documentation, or those that matter."""

import re
from collections.abc import Sequence
from typing import Final

from explorer.definitions import Definition
from explorer.records import Excerpt, Span
from explorer.repository.secrets import mask_secrets

LEAST_LINES: Final = 3
FENCE_BYTES: Final = 24
"""What a place's code costs besides its lines."""
_LEAST_PART: Final = 6
"""Fewer lines than this say nothing about a place that has more than twice as many. Of 128 issues
and 159 bug fixes 50.0% and 54.5% of the hunks are shown so, 51.2% and 53.5% with three lines."""
_HEAD_LINES: Final = 8
_AROUND: Final = 3
"""How many lines on either side of a part that matters are shown with it."""
_MOST_PARTS: Final = 4
"""The most parts that matter that are shown. Of 128 issues and 159 bug fixes 51.3% and 53.8% of
the hunks are shown with four, 50.9% and 53.0% with six."""
_SMALL_GAP: Final = 2
"""A gap of up to this size is shown: a line that says that it was left out takes as much room."""
_SUMMARY_LINES: Final = 3
"""The most lines of documentation that stay where the rest is left out."""
_DECORATORS: Final = 4
_MASKED_BEFORE: Final = 80
_MOST_MASKED: Final = 5_000
"""The most lines of a place that are looked at: it can be a whole file."""
_LINE_CHARS: Final = 160
_NUMBER_BYTES: Final = 6
"""What a line costs besides its text: number, blank and line end."""
_COMMENT: Final = re.compile(r"\s*(?://|/\*|\*|#(?![\[!])|--|<!--|;;|%|\"\"\"|''')")
_DOCSTRING: Final = re.compile(r"\s*[rRuUbB]{0,2}(\"\"\"|''')")


def excerpts_of(
    lines: Sequence[str],
    outline: Sequence[Definition],
    place: Span,
    focus: Sequence[Span],
    *,
    whole: int,
    most: int,
    max_bytes: int,
) -> tuple[Excerpt, ...]:
    """What is shown of a place of a file, secrets masked; empty if too little fits.

    All of it if it has at most ``whole`` lines; else all but its documentation, if that has; else
    ``most`` lines: its head and those around ``focus``, the part that matters most first.
    """
    start, end = place.start, min(place.end, place.start + _MOST_MASKED, len(lines))
    head, body = _head(outline, start, end)
    code = _code_lines(lines, start, end, head, body)
    masked = _masked(lines, start, end)
    while most >= LEAST_LINES:
        if end - start < whole:
            numbers = list(range(start, end + 1))
        elif len(code) <= whole:
            numbers = code
        else:
            numbers = _chosen_lines(code, head, body, focus, most)
        found = _excerpts(masked, numbers)
        if cost(found) <= max_bytes:
            count = sum(len(each.lines) for each in found)
            is_enough = numbers == code or count >= min(_LEAST_PART, (end - start) // 2)
            return found if is_enough else ()
        if whole <= most:
            most = min(most, len(numbers)) * 3 // 4
        whole = most
    return ()


def cost(code: Sequence[Excerpt]) -> int:
    """The bytes that the code of a place takes in an answer."""
    return FENCE_BYTES + sum(
        # With the line that separates two.
        _NUMBER_BYTES + sum(len(line.encode()) + _NUMBER_BYTES for line in each.lines)
        for each in code
    )


def _code_lines(lines: Sequence[str], start: int, end: int, head: int, body: int) -> list[int]:
    """The numbers of the lines of a range without the documentation of its definition.

    That is the comment above its ``head``, and what a docstring says behind its summary.
    """
    first = head
    while first > max(start, head - _DECORATORS) and _is_code(lines[first - 2]):
        first -= 1
    told = _docstring(lines, body, end)
    return [number for number in range(first, end + 1) if number not in told]


def _head(outline: Sequence[Definition], start: int, end: int) -> tuple[int, int]:
    """The lines at which the definition that a range is, and its body, begin."""
    found = start, start + 1
    for each in outline:
        if each.start <= start <= each.head and each.end >= end:
            found = max(start, each.head), each.body
    return found


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not _COMMENT.match(line)


def _docstring(lines: Sequence[str], body: int, end: int) -> range:
    """The lines of the docstring that a body begins with, behind its summary."""
    first = next((n for n in range(body, end + 1) if lines[n - 1].strip()), end + 1)
    opened = _DOCSTRING.match(lines[first - 1]) if first <= end else None
    if opened is None or opened[1] in lines[first - 1][opened.end() :]:
        return range(0)
    last = next((n for n in range(first + 1, end + 1) if opened[1] in lines[n - 1]), end)
    summary = first + 1
    while summary <= min(last, first + _SUMMARY_LINES - 1) and lines[summary - 1].strip():
        summary += 1
    return range(summary, last + 1)


def _chosen_lines(
    code: Sequence[int], head: int, body: int, focus: Sequence[Span], most: int
) -> list[int]:
    """At most ``most`` of the numbers ``code``: those of the head and of what matters.

    ``head`` and ``body`` are the lines at which the definition and its body begin.
    """
    allowed, last = set(code), code[-1]
    chosen = allowed & set(range(head, min(max(body, head + 1), head + _HEAD_LINES, last + 1)))
    parts = [each for each in focus if allowed & set(range(each.start, each.end + 1))]
    for reach in (0, _AROUND, 2 * _AROUND, most):
        for part in parts[:_MOST_PARTS] or (Span("", head, head),):
            wanted = allowed & set(range(part.start - reach, part.end + reach + 1))
            extra = sorted(wanted - chosen)
            chosen.update(extra[: max(0, most - len(chosen))])
    # With the lines that lie between two parts that are near.
    numbers = sorted(chosen)
    for one, other in zip(numbers, numbers[1:], strict=False):
        if 1 < other - one <= _SMALL_GAP + 1:
            chosen.update(range(one, other))
    return sorted(chosen)


def _masked(lines: Sequence[str], start: int, end: int) -> list[str]:
    """The lines of the file, those from ``start`` to ``end`` without secrets."""
    # A key may begin above: what stands there says whether the lines are its inside.
    low = max(0, start - 1 - _MASKED_BEFORE)
    return [*lines[:low], *mask_secrets("\n".join(lines[low:end])).split("\n")]


def _excerpts(lines: Sequence[str], numbers: Sequence[int]) -> tuple[Excerpt, ...]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    runs = [_without_blank_ends(run, lines) for run in runs]
    return tuple(Excerpt(run[0], tuple(_shown(lines[n - 1]) for n in run)) for run in runs if run)


def _without_blank_ends(run: list[int], lines: Sequence[str]) -> list[int]:
    while run and not lines[run[-1] - 1].strip():
        run = run[:-1]
    while run and not lines[run[0] - 1].strip():
        run = run[1:]
    return run


def _shown(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _LINE_CHARS else line[: _LINE_CHARS - 3].rstrip() + "..."
