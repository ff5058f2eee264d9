"""Observations that fit their limits, with a note for what was cut."""

from collections.abc import Iterable
from dataclasses import dataclass

from explorer.records import Span, ToolResult


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """The limits of a single call; the loop may allow a call fewer characters."""

    max_chars: int = 24_000
    """Characters of an observation, about 6,000 tokens of code."""
    read_lines: int = 2_000
    """Lines of one Read, as in the model's training."""
    read_line_chars: int = 1_000
    """Longer lines are cut in a Read."""
    grep_line_chars: int = 400
    """Longer lines are cut in a Grep."""
    glob_paths: int = 100
    """Paths of one Glob."""
    timeout_s: float = 10.0
    """Time of one Grep; what was found until then is shown."""


MIN_CHARS = 200
"""An observation is never cut below this, so that it can always say what is wrong or missing."""

NOTE_CHARS = 160
"""Room kept for the line that says what was cut."""


class ObservationLines:
    """The lines of an observation, up to a number of characters."""

    def __init__(self, max_chars: int) -> None:
        self.lines: list[str] = []
        self._room = max(max_chars, MIN_CHARS)

    def add(self, line: str, *, reserve: int = NOTE_CHARS) -> bool:
        """Add the line; False when that would leave less than ``reserve`` characters."""
        if len(line) + 1 > self._room - reserve:
            return False
        self._room -= len(line) + 1
        self.lines.append(line)
        return True

    def text(self, *notes: str) -> str:
        """The lines, then each note that is not empty on a line of its own, cut to fit."""
        text = "\n".join([*self.lines, *(note for note in notes if note)])
        limit = self._room + sum(len(line) + 1 for line in self.lines)
        return cut(text, limit)


def cut(text: str, max_chars: int) -> str:
    """The text; a longer one is cut to the limit with ``...`` at its end."""
    limit = max(max_chars, MIN_CHARS)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def cut_line(line: str, max_chars: int) -> str:
    """The line; in a longer one ``...`` stands for what is beyond the limit."""
    return line if len(line) <= max_chars else line[:max_chars] + "..."


def problem(text: str, max_chars: int) -> ToolResult:
    """The observation that says what is wrong with a call."""
    return ToolResult(cut(text, max_chars), ok=False)


def spans(lines: Iterable[tuple[str, int]]) -> tuple[Span, ...]:
    """Ranges of consecutive lines, in the order given."""
    found: list[Span] = []
    for path, number in lines:
        last = found[-1] if found else None
        if last is not None and last.path == path and last.end + 1 == number:
            found[-1] = Span(path, last.start, number)
        else:
            found.append(Span(path, number, number))
    return tuple(found)
