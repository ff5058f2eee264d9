"""The inside of a ``<tool_call>``: where its JSON ends, and which calls it holds."""

import json
import re
from dataclasses import dataclass
from typing import Any

from explorer import lenient_json

_BETWEEN_VALUES = re.compile(r"[\s,;}\]]*")


@dataclass(frozen=True, slots=True)
class Call:
    """A complete tool call."""

    name: str
    arguments: str
    """The JSON text of the arguments: verbatim where the model's JSON was valid, otherwise written
    anew from what was read; ``{}`` when there were none."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A call that cannot be run."""

    text: str
    """What stood between the tags."""
    problem: str
    """One clause, such as ``the call was cut off``."""


class CallBody:
    """The inside of one ``<tool_call>`` as it grows, with just enough JSON state to find its end.

    Strings are tracked, because a tag or a brace inside one is text.
    """

    def __init__(self, opening_tag: str) -> None:
        self.opening_tag = opening_tag
        self.escaped = opening_tag.startswith("&")
        self.kind = "lead"
        """``lead`` while it is blank; the first character then makes it ``json`` or ``other``."""
        self.quote = ""
        """The quote that the current JSON string ends with; empty outside strings."""
        self.depth = 0
        self.spans: list[tuple[int, int]] = []
        """The start and end of each complete top-level value in the body."""
        self._parts: list[str] = []
        self._length = 0
        self._value_start = 0
        self._last = ""

    @property
    def text(self) -> str:
        """Everything between the tags so far."""
        return "".join(self._parts)

    @property
    def scan(self) -> str:
        """The key of the pattern that finds the next character that matters."""
        return (self.quote or "json") if self.kind == "json" else "text"

    def add(self, text: str) -> None:
        """Append text without marks; the first character that is not blank decides the kind."""
        if not text:
            return
        self._parts.append(text)
        self._length += len(text)
        if stripped := text.rstrip():
            self._last = stripped[-1]
            if self.kind == "lead":
                self.kind = "other"

    def mark(self, char: str) -> None:
        """Append a character that opens or closes a value or a string."""
        if self.quote:
            self.quote = "" if char == self.quote else self.quote
        elif char == '"' or (char == "'" and self._last in ("{", "[", ",", ":")):
            # An apostrophe anywhere else does not open a string: it follows an unescaped quote.
            self.quote = char
        elif char in "{[":
            self._value_start = self._value_start if self.depth else self._length
            self.depth += 1
        elif char in "}]" and self.depth:
            self.depth -= 1
            if not self.depth:
                self.spans.append((self._value_start, self._length + 1))
        self._parts.append(char)
        self._length += 1
        self._last = char

    @property
    def complete(self) -> bool:
        """Whether all values are closed, with nothing but separators around them.

        Prose may follow on a line of its own: then the closing tag was forgotten before it.
        """
        text = self.text
        ends = [0, *(end for _, end in self.spans)]
        starts = [start for start, _ in self.spans]
        return (
            bool(self.spans)
            and not self.depth
            and not self.quote
            and all(
                _BETWEEN_VALUES.fullmatch(text, *gap) for gap in zip(ends, starts, strict=False)
            )
            and bool(_BETWEEN_VALUES.fullmatch(text, ends[-1]) or self.prose_after)
        )

    @property
    def prose_after(self) -> str:
        """What the model went on to write after the last value, without closing the call."""
        rest = self.text[self.spans[-1][1] :] if self.spans else ""
        prose = rest.lstrip("}] \t\r\n")
        own_line = "\n" in rest[: len(rest) - len(prose)]
        return prose if own_line and prose[:1] not in tuple(",:;\"'{[") else ""

    def events(self) -> list[Call | Malformed]:
        """The calls, or what is wrong with them."""
        text = self.text
        if not text.strip():
            return [Malformed(text, "the call is empty")]
        if self.escaped:
            return read_calls(unescape(text))
        if self.complete:
            return [event for start, end in self.spans for event in read_calls(text[start:end])]
        return read_calls(text.strip())


def unescape(text: str) -> str:
    """The text with one level of entities undone; those of quotes only where it has no real one."""
    if '"' not in text:
        text = text.replace("&quot;", '"').replace("&#34;", '"')
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
    return text.replace("&amp;", "&")


XML_CALL = re.compile(
    r"<(?:function|invoke)(?:=|\s+name=)[\"']?(?P<name>[\w.-]{1,100})[\"']?\s*>"
    r"(?P<body>.*?)(?:</(?:function|invoke)>|(?=<(?:function|invoke)[=\s])|\Z)",
    re.DOTALL,
)
"""A call as Qwen's coders write it; its end may be missing."""
_XML_PARAMETER = re.compile(
    r"<(?:parameter|param)(?:=|\s+name=)[\"']?(?P<name>[\w-]{1,100})[\"']?[^<>\n]{0,40}>\n?"
    r"(?P<value>.*?)\n?(?:</(?:parameter|param)>|(?=<(?:parameter|param)[=\s])|\Z)",
    re.DOTALL,
)


def read_xml_calls(text: str) -> list[Call | Malformed]:
    """The calls in a text of ``<function=NAME>`` elements; all their arguments are strings."""
    found: list[Call | Malformed] = []
    for call in XML_CALL.finditer(text):
        parameters = {each["name"]: each["value"] for each in _XML_PARAMETER.finditer(call["body"])}
        body = call["body"].strip()
        # Llama writes the arguments as one JSON object.
        found.append(Call(call["name"], body if body.startswith("{") else _dump(parameters)))
    return found


def read_calls(text: str) -> list[Call | Malformed]:
    """The calls in one text: a JSON object, a list of them, an object with a list, or XML."""
    if text.lstrip()[:1] == "<" and (found := read_xml_calls(text)):
        return found
    try:
        value = lenient_json.parse(text)
    except ValueError as error:
        return [Malformed(text, f"the call is not valid JSON: {error}")]
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    if not isinstance(value, list):
        return [_read_call(value, text)]
    if not value:
        return [Malformed(text, "the list of calls is empty")]
    return [_read_call(item, _dump(item)) for item in value]


_NAME_KEYS = ("name", "function", "tool", "tool_name")


def _read_call(value: Any, text: str) -> Call | Malformed:
    """The call that a JSON value stands for; ``text`` is the JSON that it was read from."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
        text = _dump(value)
    if not isinstance(value, dict):
        return Malformed(text, "the call is not a JSON object with a name and arguments")
    keys = [key for key in _NAME_KEYS if isinstance(value.get(key), str)]
    name = value[keys[0]].strip() if keys else ""
    if not name:
        return Malformed(text, "the call has no name")
    for key in ("arguments", "parameters"):
        if key in value:
            return Call(name, _arguments_text(value[key], key, text))
    # Without either key the arguments are the name's neighbours, or there are none.
    rest = {key: value[key] for key in value if key not in (keys[0], "type", "id")}
    return Call(name, _dump(rest))


def _arguments_text(arguments: Any, key: str, text: str) -> str:
    """The JSON text of the arguments, verbatim if it can be found in the call's text."""
    if arguments is None:
        return "{}"
    if isinstance(arguments, str):
        return arguments.strip() or "{}"
    return _verbatim(text, key) or _dump(arguments)


def _verbatim(text: str, key: str) -> str:
    """The text of the value under a key of a strict JSON object; ``""`` if it is not strict."""
    decoder = json.JSONDecoder()
    at = text.find("{") + 1
    try:
        while at:
            found, at = decoder.raw_decode(text, _skip(text, at))
            start = _skip(text, text.index(":", at) + 1)
            _, at = decoder.raw_decode(text, start)
            if found == key:
                return text[start:at]
            at = _skip(text, at)
            if text[at : at + 1] != ",":
                break
            at += 1
    except (ValueError, RecursionError):
        pass
    return ""


def _skip(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _dump(value: Any) -> str:
    """The value as JSON text that UTF-8 can carry: half a surrogate pair stays escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()
