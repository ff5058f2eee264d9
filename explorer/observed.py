"""Which lines of which files the model has seen in its tool results."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from explorer.records import Span

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
        """What was seen of a range, cut to it."""
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
