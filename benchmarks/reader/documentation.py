"""Definitions as questions: what their documentation says, and what they are called."""

import random
import re
from collections.abc import Sequence
from typing import Final

from explorer.definitions import Definition

_ASKS_NAME: Final = (
    "{}",
    "{}",
    "where is {} defined",
    "{} implementation",
    "What does {} do?",
    "how does {} work?",
    "{} definition",
)


def asked_name(each: Definition, chance: random.Random) -> str:
    """The definition's name, or its last two parts, as somebody asks for it."""
    name = ".".join(each.name.split(".")[-chance.choice((1, 1, 2)) :])
    return chance.choice(_ASKS_NAME).format(name)


_DOC_MARK: Final = re.compile(r"^\s*(?:///?!?|/\*\*?|\*/?|#+|--+|@doc|@moduledoc)\s?")
_MARKUP: Final = re.compile(
    r"@\w+.*|:param.*|:returns?.*|:rtype.*|>>>.*|<[^>]+>|\{@\w+ ([^}]*)\}|:\w+:(?=`)|[`*]"
)
_NOT_SAID: Final = re.compile(
    r"copyright|licen[cs]e|todo|fixme|eslint|noqa|pylint|http|deprecated|rubocop|clippy",
    re.IGNORECASE,
)


def documentation_of(lines: Sequence[str], each: Definition) -> tuple[str, frozenset[int]]:
    """The text of a definition's documentation, and its lines."""
    inside: list[int] = []
    begin = each.body
    quote = ""
    for number in range(begin, min(each.end, begin + 80) + 1):
        text = lines[number - 1].strip()
        if not inside:
            match = re.match(r"[rbuf]*(\"\"\"|''')", text)
            if not match:
                break
            quote = match[1]
            inside.append(number)
            if text.count(quote) > 1:
                break
        else:
            inside.append(number)
            if quote in text:
                break
    if inside:
        said = "\n".join(lines[n - 1] for n in inside).replace(quote, "")
        return re.sub(r"^\s*[rbuf]?(?=\S)", "", said), frozenset(inside)
    above = [
        n for n in range(each.start, each.head) if not re.match(r"\s*(?:@\w|\[|#\[)", lines[n - 1])
    ]
    said = "\n".join(_DOC_MARK.sub("", lines[n - 1]).rstrip("*/ ") for n in above)
    return said, frozenset(above)


def sentence(text: str) -> str | None:
    """The first sentences of a documentation; None if they say too little."""
    text = _MARKUP.sub(lambda match: match[1] or " ", text.strip())
    text = re.sub(r"\s+", " ", re.split(r"\n\s*\n", text.strip())[0]).strip()
    parts = re.split(r"(?<=[.!?])\s", text)
    first = parts[0] if len(parts[0]) > 60 or len(parts) < 2 else " ".join(parts[:2])
    first = first[:400]
    return first if len(first.split()) > 4 and not _NOT_SAID.search(first) else None


def asked(text: str, chance: random.Random) -> str:
    """The sentence as it is, or as somebody would ask who wants to find what it says."""
    body = text.rstrip(".")
    verb, _, rest = body.partition(" ")
    body = verb[:1].lower() + verb[1:] + " " + rest if verb[1:].islower() else body
    singular = re.match(r"([a-z]{3,}?)(es|s)$", verb[:1].lower() + verb[1:])
    form = chance.random()
    if form < 0.4:
        return text
    if singular and form < 0.7:
        plain = singular[1] + ("e" if singular[2] == "es" and singular[1][-1] in "vczgsr" else "")
        return chance.choice(("how does it {} {}?", "where does the code {} {}", "{} {}")).format(
            plain, rest
        )
    return chance.choice(
        ("where is the code that {}", "which part {}?", "how to {}", "{}", "code to {}")
    ).format(body)


def without_comments(text: str) -> str:
    """The passage without its documentation and lines of comments."""
    rows = text.split("\n")
    text = "\n".join(
        rows[:1]
        + [r for r in rows[1:] if not re.match(r"\s*(?://|/?\*|#(?!\[|include|define|if|end))", r)]
    )
    return re.sub(r"(\"\"\"|''').*?\1", "", text, flags=re.DOTALL)
