"""One line of what ``fastcontext doctor`` finds."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "info", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    state: State
    """info: works without, but could be better."""
    what: str
    found: str
    next_step: str = ""

    def line(self) -> str:
        """The check as one line."""
        then = f"; next: {self.next_step}" if self.next_step else ""
        return f"{self.state:<5} {self.what}: {self.found}{then}"
