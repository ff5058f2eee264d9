"""One entry set in or taken out of a JSON file that people edit, everything else left to the byte.

json-five parses the file, comments and trailing commas allowed, and says where each value stands;
the change is spliced into the text. Nothing is reformatted.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import UsageError

try:
    from json5.loader import ModelLoader, loads
    from json5.model import JSONObject
    from json5.utils import JSON5DecodeError
except ImportError as error:
    # The distribution "json5" has a package of the same name, and replaces this one's files.
    raise UsageError(
        f"the installed package json5 is not json-five's: {error}",
        "install this program in a virtual environment of its own, "
        "or: pip uninstall json5; pip install --force-reinstall json-five",
    ) from None


class ConfigError(ValueError):
    """The file is not what the client expects; the text says where."""


def get(text: str, path: Sequence[str]) -> Any:
    """The value at ``path``, or None where it is not there.

    Raises:
        ConfigError: the text is no JSON object, or something on the way is none.
    """
    masked, mark = _masked(text)
    value = _unmasked(loads(masked), mark) if _root(text) is not None else None
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
    root = _root(text)
    if root is None:
        return json.dumps({section: {name: entry}}, indent=2, ensure_ascii=False) + "\n"
    unit = _indent_unit(text, root)
    found = _pair(root, section)
    if found is None:
        body = _dump({name: entry}, unit, 1)
        return _insert(text, root, f"{json.dumps(section)}: {body}", unit, 1)
    servers = found[1]
    if not isinstance(servers, JSONObject):
        raise ConfigError(f"{section!r} is not an object")
    old = _pair(servers, name)
    body = _dump(entry, unit, 2)
    if old is not None:
        start, end = _extent(old[1])
        return text[:start] + body.replace("\n", _line_end(text)) + text[end:]
    return _insert(text, servers, f"{json.dumps(name)}: {body}", unit, 2)


def remove(text: str, section: str, name: str) -> str:
    """``text`` without ``section.name``; the same text where it is not there.

    Raises:
        ConfigError: the text is no JSON object.
    """
    root = _root(text)
    found = _pair(root, section) if root is not None else None
    if found is None or not isinstance(found[1], JSONObject):
        return text
    servers = found[1]
    pairs = servers.key_value_pairs
    keys = [_name_of(pair.key) for pair in pairs]
    if name not in keys:
        return text
    at = keys.index(name)
    if at + 1 < len(pairs):
        return text[: _extent(pairs[at].key)[0]] + text[_extent(pairs[at + 1].key)[0] :]
    end = _extent(pairs[at].value)[1]
    if servers.trailing_comma is not None:
        end = text.index(",", end) + 1
    start = _extent(pairs[at - 1].value)[1] if at else _extent(servers)[0] + 1
    between = text[start : _extent(pairs[at].key)[0]]
    kept = between.replace(",", "", 1) if at else between
    return text[:start] + kept.rstrip() + text[end:]


def _root(text: str) -> JSONObject | None:
    """The document's object; None for a file of white space only."""
    if not text.strip("\ufeff \t\r\n"):
        return None
    try:
        value = loads(_masked(text)[0], loader=ModelLoader()).value
    except RecursionError:
        raise ConfigError("nested too deeply") from None
    except JSON5DecodeError as error:
        place = re.search(r"line \d+ column \d+", str(error))
        where = f" ({place[0]})" if place else ""
        raise ConfigError(f"not valid JSON{where}") from None
    if not isinstance(value, JSONObject):
        raise ConfigError("not a JSON object")
    return value


def _masked(text: str) -> tuple[str, str]:
    r"""The text with each escaped backslash as two marks, and the mark: a character not in it.

    json-five reads the ``\\x`` and ``\\u`` of a Windows path as the escapes ``\x`` and ``\u``.
    Every character stays where it stands.
    """
    mark = next(each for each in map(chr, range(0xE000, 0xF900)) if each not in text)
    masked = re.sub(
        r"\\(.)", lambda pair: mark * 2 if pair[1] == "\\" else pair[0], text, flags=re.DOTALL
    )
    return masked, mark


def _unmasked(value: Any, mark: str) -> Any:
    if isinstance(value, str):
        return value.replace(mark * 2, "\\")
    if isinstance(value, list):
        return [_unmasked(each, mark) for each in value]
    if isinstance(value, dict):
        return {_unmasked(key, mark): _unmasked(each, mark) for key, each in value.items()}
    return value


def _name_of(key: Any) -> str:
    return str(getattr(key, "characters", None) or getattr(key, "name", ""))


def _pair(holder: JSONObject, name: str) -> tuple[Any, Any] | None:
    """The last pair of that name: the one that every reader goes by."""
    for pair in reversed(holder.key_value_pairs):
        if _name_of(pair.key) == name:
            return pair.key, pair.value
    return None


def _extent(node: Any) -> tuple[int, int]:
    """Character offsets of a node, the end exclusive."""
    return node._tok.index, node._end_tok.end


def _indent_unit(text: str, root: JSONObject) -> str:
    """What one level is indented by in this file; two spaces where it does not show."""
    if root.key_value_pairs:
        at = _extent(root.key_value_pairs[0].key)[0]
        line = text[text.rfind("\n", 0, at) + 1 : at]
        if line and not line.strip():
            return line
    return "  "


def _dump(value: Any, unit: str, depth: int) -> str:
    dumped = json.dumps(value, indent=unit, ensure_ascii=False)
    return dumped.replace("\n", "\n" + unit * depth)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _insert(text: str, holder: JSONObject, pair: str, unit: str, depth: int) -> str:
    """``text`` with ``pair`` as the last one of ``holder``, on lines of its own."""
    close = _extent(holder)[1] - 1
    newline = _line_end(text)
    pairs = holder.key_value_pairs
    comma_at = _extent(pairs[-1].value)[1] if pairs else None
    head = text[:close].rstrip(" \t\r\n")
    if comma_at is not None and holder.trailing_comma is None:
        head = head[:comma_at] + "," + head[comma_at:]
    pair = pair.replace("\n", newline)
    return f"{head}{newline}{unit * depth}{pair}{newline}{unit * (depth - 1)}{text[close:]}"
