"""An answer as the model wrote it, unchecked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawCitation:
    """A citation as the model wrote it, unchecked."""

    path: str
    start: int | None = None
    """None when only a path was given."""
    end: int | None = None
    """None with a start: to the end of the file."""
    reason: str = ""

    def __str__(self) -> str:
        lines = "" if self.start is None else f":{self.start}-{self.end or 'end'}"
        return self.path + lines


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """The explanation and the citations of an answer."""

    explanation: str
    citations: tuple[RawCitation, ...]
