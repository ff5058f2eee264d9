"""The parts of a question that asks for several things, such as "where is X, and how is Y?"."""

import re
from typing import Final

MOST_PARTS: Final = 4
_LONGEST: Final = 800
"""A longer text is a report about one thing, however many questions it asks."""
_MOST_OF: Final = 0.7
"""How much of the text its parts have to be: a message that has a list is no list of questions."""
_LEAST_WORDS: Final = 2
_ASKS: Final = r"(?:how|where|what|which|when|why|who)\b"
_ITEM: Final = re.compile(r"^\s*(?:\(?\d{1,2}[.)]|[-*•]|\(?[a-d][.)])\s+(.+)$", re.MULTILINE)
_INLINE_ITEM: Final = re.compile(r"(?:^|\s)\(?[1-9][.)]\s+")
_SENTENCE: Final = re.compile(r"[^?]+\?")
_CONJUNCTION: Final = re.compile(
    r"\s*(?:[,;]\s*(?:and|or|then|also|as well as)?|\s(?:and|as well as))\s+(?:also\s+)?"
    rf"(?={_ASKS})",
    re.IGNORECASE,
)
_BEGINS: Final = re.compile(
    rf"\s*(?:{_ASKS}|find\b|show\b|explain\b|tell\b|locate\b)", re.IGNORECASE
)
_REFERS: Final = re.compile(r"\b(?:it|its|they|them|their|this|that|those|these)\b", re.IGNORECASE)


def parts_of(question: str) -> tuple[str, ...]:
    """The parts, at least two, in their order; empty for a question that is one.

    Parts are the items of a list, sentences that end in a question mark, or what follows "and" and
    a question word.
    """
    text = question.strip()
    if len(text) > _LONGEST or "```" in text or "Traceback" in text:
        return ()
    parts = [each.strip() for each in _ITEM.findall(text)]
    if len(parts) < 2:
        parts = _INLINE_ITEM.split(text)[1:] if len(_INLINE_ITEM.findall(text)) > 1 else []
    if len(parts) < 2:
        parts = _SENTENCE.findall(text)
    if len(parts) < 2 and "\n" not in text and _BEGINS.match(text):
        parts = _CONJUNCTION.split(text)
    parts = [" ".join(each.split()).strip(" ,;") for each in parts]
    if not 2 <= len(parts) <= MOST_PARTS or sum(map(len, parts)) < _MOST_OF * len(text):
        return ()
    return tuple(parts) if all(len(each.split()) >= _LEAST_WORDS for each in parts) else ()


def in_context(part: str, first: str) -> str:
    """The part as a question of its own: with the words of the first if it refers to something."""
    return f"{part}\n{first}" if part != first and _REFERS.search(part) else part
