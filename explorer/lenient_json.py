r"""JSON as a 4B model writes it, read only where it can mean one thing.

Repaired are: braces and brackets missing or left over at the very end, a comma before a closing
brace, strings in single quotes, raw line breaks and tabs in strings, ``True``, ``False`` and
``None``, bare keys, a Markdown fence around the whole, backslashes that escape nothing (``\d`` in
a pattern that was not escaped for JSON), and JSON inside a JSON string.

Not repaired are: a string that never ends, a quote inside a string, a missing comma, a text that
stops after a comma or a colon. Each can be read in several ways, so the caller has to ask the
model; a library that repairs JSON would guess.
"""

import json
import re
from typing import Any, NoReturn

MAX_DEPTH = 64
"""The deepest nesting that is read. Tool arguments nest twice; this keeps the stack bounded."""

MAX_ENCODINGS = 3
"""How many layers of JSON are unpacked. In practice two were seen, never more than three."""

_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,307})(?:\.\d{1,307})?(?:[eE][+-]?\d{1,3})?(?![\w.])")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_FENCE = re.compile(r"```[A-Za-z]*(.*)```", re.DOTALL)
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_CLOSERS = {"{": "}", "[": "]"}


def parse(text: str) -> Any:
    """The value that the text stands for: read as strict JSON, else with this module's repairs.

    A JSON string that itself holds an object or a list is unpacked.

    Raises:
        ValueError: it can be read in no way, or in several; the message is one clause that can
            follow "the arguments are not valid JSON: ".
    """
    value = _parse_once(text)
    for _ in range(MAX_ENCODINGS - 1):
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
            return value
        try:
            value = _parse_once(value)
        except ValueError:
            return value  # A plain string that happens to start like JSON, such as a pattern.
    return value


def is_whole(text: str, kind: type = object) -> bool:
    """Whether the text is exactly one complete value of strict JSON, of this kind."""
    try:
        return isinstance(json.loads(text), kind)
    except (ValueError, RecursionError):
        return False


def _parse_once(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"it nests deeper than {MAX_DEPTH} levels") from None
    except ValueError:
        fenced = _FENCE.fullmatch(text.strip())
        return _Reader(fenced[1] if fenced else text).document()
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [item for item in level if isinstance(item, dict | list)]
        level = [
            child
            for item in nested
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


class _Reader:
    """A recursive-descent reader over one text. Positions in messages are 1-based characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Any:
        if not self._peek():
            raise ValueError("it is empty")
        opener = self._peek()
        value = self._value(0)
        rest = self._text[self._at :].strip()
        if rest.strip("}] \t\r\n") or (rest and opener not in _CLOSERS):
            self._fail(f"unexpected text {rest[:20]!r} after the value")
        return value

    def _peek(self) -> str:
        """The next character that is not white space, or ``""`` at the end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _fail(self, problem: str) -> NoReturn:
        raise ValueError(f"{problem} at character {self._at + 1}")

    def _value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
        char = self._peek()
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._list(depth)
        if char in ('"', "'"):
            return self._string(char)
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            return json.loads(number[0])
        word = _WORD.match(self._text, self._at)
        if word and word[0] in _WORDS:
            self._at = word.end()
            return _WORDS[word[0]]
        return self._fail("a value is missing" if char else "it ends where a value has to follow")

    def _object(self, depth: int) -> dict[str, Any]:
        self._at += 1
        members: dict[str, Any] = {}
        while (char := self._peek()) not in ("}", ""):
            key = self._key(char)
            if self._peek() != ":":
                self._fail(f"a colon is missing after the key {key[:40]!r}")
            self._at += 1
            members[key] = self._value(depth + 1)
            if self._take_end("}"):
                return members
        self._at += len(char)
        return members

    def _list(self, depth: int) -> list[Any]:
        self._at += 1
        items: list[Any] = []
        while (char := self._peek()) not in ("]", ""):
            items.append(self._value(depth + 1))
            if self._take_end("]"):
                return items
        self._at += len(char)
        return items

    def _take_end(self, closer: str) -> bool:
        """Pass the closer, or a comma; True when it was the closer.

        The end of the text closes what is open, but not after a comma: more was to follow.
        """
        char = self._peek()
        if char in (closer, ""):
            self._at += len(char)
            return True
        if char != ",":
            self._fail(f"a comma or {closer!r} is missing, or a quote inside a string not escaped,")
        self._at += 1
        if not self._peek():
            self._fail("it ends after a comma")
        return False

    def _key(self, char: str) -> str:
        if char in ('"', "'"):
            return self._string(char)
        if word := _WORD.match(self._text, self._at):
            self._at = word.end()
            return word[0]
        return self._fail("a key is missing")

    def _string(self, quote: str) -> str:
        start = self._at
        self._at += 1
        pieces: list[str] = []
        backspaces: list[int] = []
        literal = False
        while True:
            plain = _PLAIN[quote].match(self._text, self._at)
            if plain:
                pieces.append(plain[0])
                self._at = plain.end()
            mark = self._text[self._at : self._at + 2]
            if mark[:1] == quote:
                self._at += 1
                break
            if len(mark) < 2:
                raise ValueError(f"the string that starts at character {start + 1} never ends")
            piece = self._escape(mark[1])
            literal = literal or piece == mark
            if piece == "\b":
                backspaces.append(len(pieces))
            pieces.append(piece)
        if literal:
            # A model that writes \d unescaped means a word boundary by \b too, not a backspace.
            for index in backspaces:
                pieces[index] = r"\b"
        return "".join(pieces)

    def _escape(self, char: str) -> str:
        """What the escape stands for; the two characters themselves when JSON does not know it."""
        self._at += 2
        if char in _ESCAPES or char == "'":
            return _ESCAPES.get(char, char)
        if char == "u" and (digits := _HEX4.match(self._text, self._at)):
            self._at = digits.end()
            return self._surrogates(int(digits[0], 16))
        return "\\" + char

    def _surrogates(self, code: int) -> str:
        """The character of the code, joined with the low surrogate that follows a high one."""
        low = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})").match(self._text, self._at)
        if 0xD800 <= code < 0xDC00 and low:
            self._at = low.end()
            return chr(0x10000 + ((code - 0xD800) << 10) + (int(low[1], 16) - 0xDC00))
        return chr(code)
