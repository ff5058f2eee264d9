"""One entry set in or taken out of a JSON file that people edit, everything else left to the byte.

Comments and trailing commas are allowed: they are blanked out for the standard library's parser,
and every character stays where it stands. The change is spliced into the text; nothing is
reformatted.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.clients import ConfigError

_DECODER = json.JSONDecoder()
_BLANK = "\ufeff \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_COMMENT = re.compile(rf"{_STRING}|(//[^\r\n]*|/\*.*?\*/)", re.DOTALL)
# A comma behind no value is an error, which the parser is left to find.
_TRAILING_COMMA = re.compile(rf"{_STRING}|[\[{{:,][ \t\r\n]*,|(,)(?=[ \t\r\n]*[\]}}])", re.DOTALL)
_DEPTH = 2
"""Levels of objects whose places are noted: the document's, and the sections in it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A name with its value; offsets are of characters in the text."""

    name: str
    key_at: int
    start: int
    """Where the value begins."""
    end: int
    """Behind the value."""
    comma_at: int | None
    """The comma behind the value, unless there is none."""
    section: "JsonObject | None"
    """The value if it is an object directly in the document's."""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object in the text, from its brace up to behind the closing one."""

    start: int
    end: int
    members: tuple[Member, ...]

    def find(self, name: str) -> Member | None:
        """The last member of that name: the one that every reader goes by."""
        return next((each for each in reversed(self.members) if each.name == name), None)


def read(text: str) -> tuple[dict[str, Any], JsonObject] | None:
    """The document's object and where it stands; None for a file of white space only.

    Raises:
        ConfigError: the text is no JSON object.
    """
    if not text.strip(_BLANK):
        return None
    uncommented = plain = text.replace("\ufeff", " ", 1) if text.startswith("\ufeff") else text
    try:
        try:
            value = json.loads(plain)
        except ValueError:
            uncommented = _COMMENT.sub(_blanked, plain)
            plain = _TRAILING_COMMA.sub(_blanked, uncommented)
            value = json.loads(plain)
        if isinstance(value, dict):
            return value, _scanned(uncommented, plain, plain.index("{"), _DEPTH)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ConfigError(f"not valid JSON ({place})") from None
    except RecursionError:
        raise ConfigError("nested too deeply") from None
    raise ConfigError("not a JSON object")


def _blanked(found: re.Match[str]) -> str:
    """Blanks for the group, whose line ends stay; what else was found as it is."""
    return re.sub(r"[^\r\n]", " ", found[0]) if found[1] else found[0]


def _scanned(uncommented: str, plain: str, start: int, depth: int) -> JsonObject:
    """The object that begins at ``start`` of a text that is known to be valid.

    Only ``uncommented`` holds the trailing commas, and only ``plain`` can be parsed.
    """
    members = []
    at = _behind_space(plain, start + 1)
    while plain[at] != "}":
        name, behind = _DECODER.raw_decode(plain, at)
        colon = _behind_space(plain, behind)
        value_at = _behind_space(plain, colon + 1)
        section = None
        if plain[value_at] == "{" and depth > 1:
            section = _scanned(uncommented, plain, value_at, depth - 1)
        end = section.end if section else _DECODER.raw_decode(plain, value_at)[1]
        next_at = _behind_space(uncommented, end)
        comma_at = next_at if uncommented[next_at] == "," else None
        members.append(Member(name, at, value_at, end, comma_at, section))
        at = _behind_space(plain, next_at if comma_at is None else comma_at + 1)
    return JsonObject(start, at + 1, tuple(members))


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def get(text: str, path: Sequence[str]) -> Any:
    """The value at ``path``, or None where it is not there.

    Raises:
        ConfigError: the text is no JSON object.
    """
    document = read(text)
    value: Any = document[0] if document else None
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def put(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """``text`` with ``section.name`` set to ``entry``.

    Raises:
        ConfigError: the text is no JSON object, or the section is not an object.
    """
    document = read(text)
    if document is None:
        return json.dumps({section: {name: entry}}, indent=2, ensure_ascii=False) + "\n"
    root = document[1]
    unit = _indent_unit(text, root)
    found = root.find(section)
    if found is None:
        body = _dump({name: entry}, unit, 1)
        return _insert(text, root, f"{json.dumps(section)}: {body}", unit, 1)
    servers = found.section
    if servers is None:
        raise ConfigError(f"{section!r} is not an object")
    old = servers.find(name)
    body = _dump(entry, unit, 2)
    if old is not None:
        return text[: old.start] + body.replace("\n", line_end(text)) + text[old.end :]
    return _insert(text, servers, f"{json.dumps(name)}: {body}", unit, 2)


def remove(text: str, section: str, name: str) -> str:
    """``text`` without ``section.name``; the same text where it is not there.

    Raises:
        ConfigError: the text is no JSON object.
    """
    document = read(text)
    found = document[1].find(section) if document else None
    servers = found.section if found else None
    own = servers.find(name) if servers else None
    if servers is None or own is None:
        return text
    at = servers.members.index(own)
    if at + 1 < len(servers.members):
        shorter = text[: own.key_at] + text[servers.members[at + 1].key_at :]
    else:
        before = servers.members[at - 1] if at else None
        start = before.end if before else servers.start + 1
        kept = text[start : own.key_at]
        if before and before.comma_at is not None:
            kept = text[start : before.comma_at] + text[before.comma_at + 1 : own.key_at]
        end = own.end if own.comma_at is None else own.comma_at + 1
        kept, after = kept.rstrip(), text[end:]
        if "//" in kept and not after.lstrip(" \t").startswith(("\r", "\n")):
            # Else it would become a part of the comment.
            after = line_end(text) + after
        shorter = text[:start] + kept + after
    # A name may stand more than once; then the one before would come into force.
    return remove(shorter, section, name)


def line_end(text: str) -> str:
    """How lines end in the text."""
    return "\r\n" if "\r\n" in text else "\n"


def _indent_unit(text: str, root: JsonObject) -> str:
    """What one level is indented by in this file; two spaces where it does not show."""
    if root.members:
        at = root.members[0].key_at
        line = text[text.rfind("\n", 0, at) + 1 : at]
        if line and not line.strip():
            return line
    return "  "


def _dump(value: Any, unit: str, depth: int) -> str:
    dumped = json.dumps(value, indent=unit, ensure_ascii=False)
    return dumped.replace("\n", "\n" + unit * depth)


def _insert(text: str, holder: JsonObject, member: str, unit: str, depth: int) -> str:
    """``text`` with ``member`` as the last one of ``holder``, on lines of its own."""
    close = holder.end - 1
    newline = line_end(text)
    head = text[:close].rstrip(" \t\r\n")
    if holder.members and holder.members[-1].comma_at is None:
        comma_at = holder.members[-1].end
        head = head[:comma_at] + "," + head[comma_at:]
    member = member.replace("\n", newline)
    return f"{head}{newline}{unit * depth}{member}{newline}{unit * (depth - 1)}{text[close:]}"
