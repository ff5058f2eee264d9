"""The lines that read a setting: a key of a configuration, a variable of the environment.

Whoever asks for a key wants to know what it does. Its definition says what it may be; what it does
is where the code reads it: as an argument, a subscript or a member, in the spelling of its
language.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from explorer.scout.names import MOST_CHARS, MOST_OCCURRENCES, Name, is_comment, is_word

_ARGUMENT: Final = re.compile(rb"[\w\])]\s*(?:\[|\(|\([^()]*,)\s*(?:[\"'](?:[\w-]+\.)*|:)$")
_AFTER_ARGUMENT: Final = re.compile(rb"[\"']?\s*(?:[\]),](?!\s*=[^=~>])|[\"']?$)")
_MEMBER: Final = re.compile(rb"[\w)\]?&]\s*(?:\.|->|::)$|@$")
_NO_MEMBER: Final = re.compile(rb"\s*(?:(?:[-+*|?]|\|\||&&)?=(?![=>~])|:=|\()")
_CONDITION: Final = re.compile(
    rb"\b(?:if|unless|elif|while|return|case|when|match|switch|and|or|not)\b|&&|\|\||\s\?\s|!\w"
)
_IN_CONDITION: Final = re.compile(rb"(?:\b(?:if|unless|elif|while|and|or|not)\b|&&|\|\||!)[\s(!]*$")
_ARGUED, _ASKED = 1.0, 0.8
"""How plainly a line reads a setting: as an argument, a subscript or a member, or bare."""
_DECIDING, _PASSING, _ELSEWHERE = 0.3, 0.6, 0.5
"""How much more it counts that something depends on it; how much less that it is only handed on
under its name, and that one of a single word is of something else than what is named before it."""


def spellings(name: str) -> tuple[bytes, ...]:
    """The name as programs spell it in configuration and code, the given spelling first."""
    parts = _parts(name)
    if name.isupper() or not parts:
        return (name.encode("utf-8", "replace"),)
    lower = [part.lower() for part in parts]
    pascal = "".join(part[:1].upper() + part[1:] for part in parts)
    camel = lower[0] + "".join(part[:1].upper() + part[1:] for part in parts[1:])
    spelled = dict.fromkeys([name, "_".join(lower), camel, pascal, "-".join(lower)])
    return tuple(each.encode("utf-8", "replace") for each in spelled)


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[_.-]|(?<=[a-z\d])(?=[A-Z])", name) if part]


def reading_lines(text: bytes, name: Name, *, in_strings: bool) -> list[tuple[float, int]]:
    """How plainly lines read a setting of that name, and these, 1-based, the plainest first.

    ``in_strings``: only where it is an argument or a subscript, as of a name that is a function's.
    """
    spelled = spellings(name.last)
    scope = name.scope[-1].lower().encode("utf-8", "replace") if name.scope else b""
    is_common = len(_parts(name.last)) == 1
    found: dict[int, float] = {}
    for begin, at, end in _occurrences(text, spelled):
        stop = text.find(b"\n", end)
        if not text[begin:at].strip(b"\"' \t"):
            # An argument on a line of its own belongs to the call above it.
            begin = text.rfind(b"\n", 0, max(0, begin - 1)) + 1
        before, after = text[begin:at], text[end : stop if stop >= 0 else len(text)]
        level = 0.0 if is_comment(before) else _reads(before, after, in_strings=in_strings)
        if not level:
            continue
        level += _DECIDING * bool(_CONDITION.search(before + after))
        level -= _PASSING * (level < _ARGUED and _is_handed(before, spelled))
        level -= _ELSEWHERE * (is_common and scope not in before.lower())
        line = text.count(b"\n", 0, at) + 1
        found[line] = max(level, found.get(line, 0.0))
    return sorted(
        ((level, line) for line, level in found.items()), key=lambda each: (-each[0], each[1])
    )


def _occurrences(text: bytes, spelled: Iterable[bytes]) -> Iterator[tuple[int, int, int]]:
    """Where each spelling stands as a word of its own: of its line, of it, and its end."""
    for each in spelled:
        at = text.find(each)
        for _ in range(MOST_OCCURRENCES):
            if at < 0:
                break
            end = at + len(each)
            begin = text.rfind(b"\n", 0, at) + 1
            is_alone = not (is_word(text[at - 1 : at]) or is_word(text[end : end + 1]))
            if is_alone and at - begin <= MOST_CHARS:
                yield begin, at, end
            at = text.find(each, end)


def _reads(before: bytes, after: bytes, *, in_strings: bool) -> float:
    """How plainly a name between the two reads a setting; 0 if it does not."""
    if _ARGUMENT.search(before) and _AFTER_ARGUMENT.match(after):
        return _ARGUED
    if in_strings or _NO_MEMBER.match(after):
        return 0.0
    if _MEMBER.search(before):
        return _ARGUED
    return _ASKED if _IN_CONDITION.search(before) else 0.0


def _is_handed(before: bytes, spelled: Iterable[bytes]) -> bool:
    """Whether a line gives the setting to something of the same name, by what is before it."""
    return any(
        re.match(rb"[\"'\s]*(?::|=(?!=))", before[before.find(each) + len(each) :])
        for each in spelled
        if each in before
    )
