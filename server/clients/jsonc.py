"""One entry set in or taken out of a JSON file that people edit, everything else left to the byte.

The change is spliced into the text where the outline says. Nothing is reformatted.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from server.clients import ConfigError
from server.clients.outline import Outline, read


def get(text: str, path: Sequence[str]) -> Any:
    """The value at ``path``, or None where it is not there.

    Raises:
        ConfigError: the text is no JSON object, or something on the way is none.
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
    servers = found.held
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
    servers = found.held if found else None
    own = servers.find(name) if servers else None
    if servers is None or own is None:
        return text
    pairs = servers.pairs
    at = pairs.index(own)
    if at + 1 < len(pairs):
        shorter = text[: own.key_at] + text[pairs[at + 1].key_at :]
    else:
        end = text.index(",", own.end) + 1 if servers.trailing_comma else own.end
        start = pairs[at - 1].end if at else servers.start + 1
        between = text[start : own.key_at]
        kept = between.replace(",", "", 1) if at else between
        shorter = text[:start] + kept.rstrip() + text[end:]
    # A name may stand more than once; then the one before would come into force.
    return remove(shorter, section, name)


def line_end(text: str) -> str:
    """How lines end in the text."""
    return "\r\n" if "\r\n" in text else "\n"


def _indent_unit(text: str, root: Outline) -> str:
    """What one level is indented by in this file; two spaces where it does not show."""
    if root.pairs:
        at = root.pairs[0].key_at
        line = text[text.rfind("\n", 0, at) + 1 : at]
        if line and not line.strip():
            return line
    return "  "


def _dump(value: Any, unit: str, depth: int) -> str:
    dumped = json.dumps(value, indent=unit, ensure_ascii=False)
    return dumped.replace("\n", "\n" + unit * depth)


def _insert(text: str, holder: Outline, pair: str, unit: str, depth: int) -> str:
    """``text`` with ``pair`` as the last one of ``holder``, on lines of its own."""
    close = holder.end - 1
    newline = line_end(text)
    comma_at = holder.pairs[-1].end if holder.pairs else None
    head = text[:close].rstrip(" \t\r\n")
    if comma_at is not None and not holder.trailing_comma:
        head = head[:comma_at] + "," + head[comma_at:]
    pair = pair.replace("\n", newline)
    return f"{head}{newline}{unit * depth}{pair}{newline}{unit * (depth - 1)}{text[close:]}"
