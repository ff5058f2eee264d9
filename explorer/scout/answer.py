"""What the scout returns. It imports no numpy, so that a server can name it before it answers."""

from dataclasses import dataclass
from typing import Final

from explorer.records import Citation, Confidence


@dataclass(frozen=True, slots=True)
class ScoutAnswer:
    """What the scout found."""

    citations: tuple[Citation, ...]
    """Best first, all verified. Empty when nothing in the repository resembles the query."""
    answer: str
    """One or two sentences."""
    notes: tuple[str, ...] = ()
    """What was left out, one plain sentence each."""
    confidence: Confidence = "low"
    """How likely the first file is right: of those given as "high", nine in ten were."""
    place_confidence: Confidence = "low"
    """How likely the first place is right, in the same way."""
    further: tuple[Citation, ...] = ()
    """Less likely places: other members of the files cited, then the best of each next file."""


_SUREST_FIRST: Final[tuple[Confidence, ...]] = ("high", "medium", "low")


def least_sure(*each: Confidence) -> Confidence:
    """The least sure of them."""
    return max(each, key=_SUREST_FIRST.index)
