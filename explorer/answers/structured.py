"""Citations that a model wrote as JSON objects or as attributes of XML elements.

A model that was trained on another contract answers ``{"file": ..., "lines": "4-6"}`` or
``<citation path="..." start="4" end="6"/>``, alone, in lists, or under any key.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from explorer import lenient_json
from explorer.answers.raw import RawCitation

MAX_CHARS = 100_000
"""A longer answer is read by its lines alone."""

_MAX_FAILED = 100
_MAX_REPAIRED = 5
_MOST_RANGES = 50
_MAX_DEPTH = 8

ReadLine = Callable[[str], Sequence[RawCitation]]
"""The citations of a line of text."""

_PATH = frozenset(
    "path file filepath filename absolutepath relativepath uri location source".split()
)
_START = frozenset(
    "start startline linestart from fromline begin first firstline line linenumber".split()
)
_END = frozenset("end endline lineend to toline last lastline stop".split())
_RANGE = frozenset("lines range ranges linerange lineranges linenumbers span spans".split())
_REASON = frozenset("reason description explanation why note comment summary".split())
_SPAN = re.compile(
    r"[Ll]?(\d{1,9})(?:\s*(?:-|:|,|~|\.{2,3}|\bto\b|[\u2010-\u2015\u2212])\s*[Ll]?(\d{1,9}))?"
)
_ONLY_SPANS = re.compile(
    rf"[\[(]?(?:lines?\s)?{_SPAN.pattern}(?:\s*[;,&]\s*{_SPAN.pattern}){{0,50}}[\])]?"
)
_OPENING = re.compile(r"[\[{<]")
_FENCE_END = re.compile(r"\s*```\s*$")
_ATTRIBUTE = re.compile(r"\s+([\w:-]{1,40})\s*=\s*(?:\"([^\"<>\n]{0,600})\"|'([^'<>\n]{0,600})')")
_ELEMENT = re.compile(
    rf"<(?P<tag>[A-Za-z][\w-]{{0,40}})(?P<attributes>(?:{_ATTRIBUTE.pattern}){{1,12}})\s*/?>"
    r"(?:(?P<text>[^<\n]{0,300})</(?P=tag)\s*>)?"
)
_CHILD = r"\s*<([A-Za-z][\w-]{0,40})>([^<]{0,600})</[\w-]{1,41}>"
_CHILDREN = re.compile(_CHILD)
_PARENT = re.compile(
    rf"<(?P<tag>[A-Za-z][\w-]{{0,40}})>(?P<children>(?:{_CHILD}){{1,12}})\s*</(?P=tag)>"
)


@dataclass(frozen=True, slots=True)
class Structured:
    """What was found in a text."""

    citations: tuple[RawCitation, ...]
    explanation: str
    """What the JSON says besides the citations."""
    rest: str
    """The text without what was read."""
    after: str
    """The text behind the last thing that was read."""


def read_structured(text: str, read_line: ReadLine) -> Structured:
    """The citations in JSON and XML, in their order. Never raises."""
    reader = _Reader(read_line)
    found: list[RawCitation] = []
    said: list[str] = []
    rest: list[str] = []
    read = at = failed = 0
    while len(text) <= MAX_CHARS and failed < _MAX_FAILED and (next_ := _OPENING.search(text, at)):
        start = next_.start()
        value, at = _value_at(text, start, repair=failed < _MAX_REPAIRED)
        citations = list(reader.citations(value))
        failed += not citations
        if citations:
            found += citations
            said += reader.explanations(value)
            rest.append(text[read:start])
            read = at
    return Structured(tuple(found), " ".join(said), "\n".join([*rest, text[read:]]), text[read:])


def _value_at(text: str, start: int, *, repair: bool) -> tuple[Any, int]:
    """The value that begins at a bracket, and where it ends; None if none does."""
    if text[start] == "<":
        element = _PARENT.match(text, start) or _ELEMENT.match(text, start)
        return (_attributes(element), element.end()) if element else (None, start + 1)
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except RecursionError:
        return None, len(text)
    except ValueError:
        pass
    if repair:
        with suppress(ValueError):
            # What is repaired may leave out its end, so it has to be all that follows.
            return lenient_json.parse(_FENCE_END.sub("", text[start:])), len(text)
    return None, start + 1


def _attributes(element: re.Match[str]) -> dict[str, str]:
    """What an element says, by the names of its attributes or children."""
    named = element.groupdict()
    if "children" in named:
        return {name: value.strip() for name, value in _CHILDREN.findall(named["children"])}
    found = {name: one or other for name, one, other in _ATTRIBUTE.findall(named["attributes"])}
    text = (named["text"] or "").strip()
    if text:
        found["path" if _path_of(_keyed(found)) is None else "reason"] = text
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    """Finds the citations in a value, wherever they are in it."""

    read_line: ReadLine

    def citations(self, value: Any, depth: int = 0) -> Iterator[RawCitation]:
        if depth > _MAX_DEPTH:
            return
        if isinstance(value, str):
            for line in value.splitlines():
                yield from self.read_line(line)
        elif isinstance(value, list):
            for item in value:
                yield from self.citations(item, depth + 1)
        elif isinstance(value, Mapping):
            yield from self._of_mapping(value, depth)

    def _of_mapping(self, value: Mapping[str, Any], depth: int) -> Iterator[RawCitation]:
        by_key = _keyed(value)
        if "arguments" in by_key or "parameters" in by_key:
            return  # A tool call.
        path = _path_of(by_key)
        if isinstance(path, str) and path.strip():
            yield from self._of_path(path, by_key)
            return
        for name, inner in value.items():
            ranges = _ranges(inner) if re.search(r"\w[./]\w", name) else []
            if ranges:
                yield from (RawCitation(name, *each) for each in ranges)
            elif not _REASON & _keyed({name: inner}).keys():
                yield from self.citations(inner, depth + 1)

    def _of_path(self, path: str, by_key: Mapping[str, Any]) -> Iterator[RawCitation]:
        reason = _first(by_key, _REASON)
        reason = " ".join(reason.split()) if isinstance(reason, str) else ""
        ranges = _ranges(_first(by_key, _RANGE))
        start, end = _number(_first(by_key, _START)), _number(_first(by_key, _END))
        if start is not None and not ranges:
            ranges = [_ordered(start, start if end is None else end)]
        if ranges:
            yield from (RawCitation(path.strip(), *each, reason=reason) for each in ranges)
        else:
            for each in self.read_line(path) or (RawCitation(path.strip()),):
                yield replace(each, reason=each.reason or reason)

    def explanations(self, value: Any) -> list[str]:
        """What the outermost object says beside its citations."""
        if not isinstance(value, Mapping) or _path_of(_keyed(value)):
            return []
        said = (inner for key, inner in _keyed(value).items() if key in _REASON)
        return [text.strip() for text in said if isinstance(text, str)]


def _keyed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value by its names without case and separators: ``startLine`` is ``start_line``."""
    return {re.sub(r"[^a-z]", "", name.casefold()): inner for name, inner in value.items()}


def _path_of(by_key: Mapping[str, Any]) -> Any:
    """What stands under a path's key; a name counts if it looks like a path."""
    name = str(by_key.get("name", ""))
    return _first(by_key, _PATH) or (name if re.search(r"[./]\w", name) else None)


def _first(by_key: Mapping[str, Any], names: frozenset[str]) -> Any:
    return next((inner for key, inner in by_key.items() if key in names), None)


def _ranges(value: Any) -> list[tuple[int, int]]:
    """The ranges of lines that a value stands for; none if it is anything else."""
    if isinstance(value, str):
        spans = _SPAN.findall(value) if _ONLY_SPANS.fullmatch(value.strip()) else ()
        return [_ordered(int(first), int(last or first)) for first, last in spans]
    if isinstance(value, Mapping):
        by_key = _keyed(value)
        value = [_first(by_key, _START), _first(by_key, _END)]
    if not isinstance(value, list):
        number = _number(value)
        return [] if number is None else [(number, number)]
    numbers = [_number(item) for item in value]
    if len(value) == 2 and numbers[0] is not None and numbers[1] is not None:
        return [_ordered(numbers[0], numbers[1])]
    return [each for item in value[:_MOST_RANGES] for each in _ranges(item)]


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip().lstrip("Ll")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _ordered(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)
