"""What the scout returns. It imports no numpy, so that a server can name it before it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from explorer.records import Citation, Confidence
from explorer.repository.paths import as_word


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
    is_read: bool = False
    """Whether the reader had a say."""


def sentence_of(citations: Sequence[Citation], *, is_read: bool = False) -> str:
    """What an answer with these citations says of itself."""
    if not citations:
        return "No file shares a telling word with the query; use words that the code would use."
    first = as_word(citations[0].path)
    if is_read:
        return (
            f"{first} fits the question best, by its words and a small reader, without reasoning."
        )
    return f"{first} fits the words of the question best; this is a word search, without reasoning."


_SUREST_FIRST: Final[tuple[Confidence, ...]] = ("high", "medium", "low")


def least_sure(*each: Confidence) -> Confidence:
    """The least sure of them."""
    return max(each, key=_SUREST_FIRST.index)
