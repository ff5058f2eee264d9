"""How much one tool call may take and give."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """Bounds of a single call; the loop may ask for fewer characters call by call."""

    max_chars: int = 24_000
    """Characters of an observation, about 6,000 tokens of code."""
    read_lines: int = 2_000
    """Lines of one Read: what the model was trained on."""
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
