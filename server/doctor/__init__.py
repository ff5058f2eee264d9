"""``fastcontext doctor``: checks of what an exploration needs.

It looks and tries; it repairs nothing and changes no file.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    state: Literal["ok", "info", "fail"]
    """info: an exploration works without it, but could be better."""
    what: str
    found: str
    next_step: str = ""

    def line(self) -> str:
        """The finding without its state."""
        then = f"; next: {self.next_step}" if self.next_step else ""
        return f"{self.what}: {self.found}{then}"
