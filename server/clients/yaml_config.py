"""The same two changes for YAML files, everything else left to the byte.

The parser says where each value stands; the entry is spliced into the text or cut out of it. What
that gives is read again and compared: where it is not what was meant, as with aliases and with
collections in brackets, the file is left alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from server.clients import ConfigError
from server.clients.jsonc import line_end


@dataclass(frozen=True, slots=True)
class Section:
    """Where the section that holds the servers stands; offsets are of characters in the text."""

    start: int
    """Behind the colon."""
    end: int
    """Behind the value."""
    column: int
    """Of its entries."""
    spans: tuple[tuple[str | None, int, int], ...]
    """Name, start and end of each entry, in whole lines."""


def get(text: str, section: str, name: str) -> Any:
    """The entry as plain values, in a list without its name; None where it is not there.

    Raises:
        ConfigError: the text is not YAML.
    """
    servers = _plain(text).get(section)
    if isinstance(servers, list):
        named = (each for each in servers if isinstance(each, dict) and each.get("name") == name)
        return next(({k: v for k, v in each.items() if k != "name"} for each in named), None)
    return servers.get(name) if isinstance(servers, dict) else None


def put(
    text: str, section: str, name: str, entry: Mapping[str, Any], *, is_list: bool = False
) -> str:
    """``text`` with ``entry`` in the section: under its name, or in a list with its name.

    Raises:
        ConfigError: the text is not YAML, or the section is written in a way that cannot be
            changed.
    """
    wanted = _plain(text)
    servers = wanted.get(section) or ([] if is_list else {})
    wanted[section] = _with(servers, name, dict(entry))
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    newline = line_end(text)

    def block(column: int) -> str:
        pad = " " * column
        if isinstance(servers, list):
            written = [f"{pad}- name: {name}", *(f"{pad}  {line}" for line in lines)]
        else:
            written = [f"{pad}{name}:", *(f"{pad}  {line}" for line in lines)]
        return "".join(line + newline for line in written)

    at = _find(text, section)
    if at is None:
        gap = newline if text and not text.endswith("\n") else ""
        changed = f"{text}{gap}{section}:{newline}{block(2)}"
    elif not at.spans:
        rest = _line_end(text, at.end)
        comment = text[at.end : rest].rstrip()
        changed = f"{text[: at.start]}{comment}{newline}{block(at.column)}{text[rest:]}"
    else:
        last = at.spans[-1][2]
        start, end = next(((a, b) for key, a, b in at.spans if key == name), (last, last))
        gap = newline if not text[:start].endswith("\n") else ""
        changed = text[:start] + gap + block(at.column) + text[end:]
    return _checked(changed, wanted, section)


def remove(text: str, section: str, name: str) -> str:
    """``text`` without the entry; the same text where it is not there.

    Raises:
        ConfigError: the text is not YAML, or the section is written in a way that cannot be
            changed.
    """
    wanted = _plain(text)
    at = _find(text, section)
    if at is None or get(text, section, name) is None:
        return text
    servers = wanted[section]
    wanted[section] = _with(servers, name, None)
    own = [(start, end) for key, start, end in at.spans if key == name]
    if len(own) == len(at.spans):
        empty = " []" if isinstance(servers, list) else " {}"
        # What is left of the section are comments.
        head = text[at.start : own[0][0]]
        changed = text[: at.start] + empty + head + text[own[-1][1] :]
    else:
        changed = text
        for start, end in reversed(own):
            changed = changed[:start] + changed[end:]
    return _checked(changed, wanted, section)


def _with(servers: Any, name: str, entry: dict[str, Any] | None) -> Any:
    """The section's value with that entry, or without one where it is None."""
    if isinstance(servers, dict):
        kept = {key: value for key, value in servers.items() if key != name}
        return kept if entry is None else {**kept, name: entry}
    named = None if entry is None else {"name": name, **entry}
    items = [named if isinstance(e, dict) and e.get("name") == name else e for e in servers]
    if named is not None and named not in items:
        items.append(named)
    return [each for each in items if each is not None]


def _plain(text: str) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise ConfigError(f"not valid YAML: {told}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("not a YAML mapping")
    return document


def _find(text: str, section: str) -> Section | None:
    """Where the section stands, or None where it is not there.

    Raises:
        ConfigError: it is neither empty nor a block of entries.
    """
    import yaml

    root = yaml.compose(text, yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for key, node in pairs:
        if key.value != section:
            continue
        start = text.index(":", key.end_mark.index) + 1
        is_collection = isinstance(node, yaml.CollectionNode)
        if node.value in ("", "null", "~", [], ()):
            return Section(start, node.end_mark.index, key.start_mark.column + 2, ())
        if not is_collection or node.flow_style:
            raise ConfigError(f"{section!r} is written in a way that cannot be changed")
        spans = tuple(_spans(text, node.value))
        return Section(start, spans[-1][2], node.start_mark.column, spans)
    return None


def _spans(text: str, entries: Any) -> Iterator[tuple[str | None, int, int]]:
    for entry in entries:
        if isinstance(entry, tuple):
            first, last = entry
            name = first.value
        else:
            first = last = entry
            keys = entry.value if isinstance(entry.value, list) else []
            named = (value for key, value in filter(_is_pair, keys) if key.value == "name")
            name = next((value.value for value in named), None)
        start = text.rfind("\n", 0, first.start_mark.index) + 1
        yield name, start, _line_end(text, _end(last))


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple)


def _end(node: Any) -> int:
    """Behind the last value in the node; comments behind it belong to what follows."""
    while isinstance(node.value, list) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.index)


def _line_end(text: str, at: int) -> int:
    """Behind the line end at or behind ``at``; ``at`` itself where a line begins."""
    if text[:at].endswith("\n"):
        return at
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _checked(changed: str, wanted: dict[str, Any], section: str) -> str:
    try:
        if _plain(changed) == wanted:
            return changed
    except ConfigError:
        pass
    raise ConfigError(f"{section!r} is written in a way that cannot be changed")
