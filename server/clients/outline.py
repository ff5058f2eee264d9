"""Where the values of a JSON file stand, comments and trailing commas allowed.

Plain JSON, which programs write, is read by the standard library: json-five is written in Python
and takes seconds for each megabyte, which a ``~/.claude.json`` can have several of. It reads what
else people write.
"""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.clients import ConfigError
from server.errors import UsageError

if TYPE_CHECKING:
    from json5.model import JSONObject

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_BLANK = "\ufeff \t\r\n"
_DEPTH = 2
"""Levels of objects that are outlined: the document's, and the sections in it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A name with its value; offsets are of characters in the text."""

    name: str
    key_at: int
    start: int
    """Where the value begins."""
    end: int
    """Behind the value."""
    held: "Outline | None"
    """The value if it is a section: an object directly in the document's."""


@dataclass(frozen=True, slots=True)
class Outline:
    """An object in the text, from its brace up to behind the closing one."""

    start: int
    end: int
    pairs: tuple[Pair, ...]
    trailing_comma: bool = False

    def find(self, name: str) -> Pair | None:
        """The last pair of that name: the one that every reader goes by."""
        return next((pair for pair in reversed(self.pairs) if pair.name == name), None)


def read(text: str) -> tuple[dict[str, Any], Outline] | None:
    """The document's object and where it stands; None for a file of white space only.

    Raises:
        ConfigError: the text is no JSON object.
        UsageError: json-five is needed and another distribution has taken its place.
    """
    if not text.strip(_BLANK):
        return None
    try:
        try:
            value = json.loads(text.removeprefix("\ufeff"))
        except ValueError:
            return _by_json_five(text)
        if isinstance(value, dict):
            return value, _scanned(text, text.index("{"), _DEPTH)
    except RecursionError:
        raise ConfigError("nested too deeply") from None
    raise ConfigError("not a JSON object")


def _scanned(text: str, start: int, depth: int) -> Outline:
    """The object that begins at ``start`` of text that is known to be plain JSON."""
    pairs = []
    at = _behind_space(text, start + 1)
    while text[at] != "}":
        name, behind = _DECODER.raw_decode(text, at)
        colon = _behind_space(text, behind)
        value_at = _behind_space(text, colon + 1)
        held = None
        if text[value_at] == "{" and depth > 1:
            held = _scanned(text, value_at, depth - 1)
        end = held.end if held else _DECODER.raw_decode(text, value_at)[1]
        pairs.append(Pair(name, at, value_at, end, held))
        at = _behind_space(text, end)
        if text[at] == ",":
            at = _behind_space(text, at + 1)
    return Outline(start, at + 1, tuple(pairs))


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _by_json_five(text: str) -> tuple[dict[str, Any], Outline]:
    """As ``read``, from the slow parser.

    Raises:
        ConfigError: the text is no JSON object.
        UsageError: another distribution has taken json-five's place.
    """
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
    masked, hidden = _masked(text)
    try:
        model = loads(masked, loader=ModelLoader()).value
        if isinstance(model, JSONObject):
            return _unmasked(loads(masked), hidden), _from_model(model, hidden, _DEPTH)
    except JSON5DecodeError as error:
        place = re.search(r"line \d+ column \d+", str(error))
        where = f" ({place[0]})" if place else ""
        raise ConfigError(f"not valid JSON{where}") from None
    raise ConfigError("not a JSON object")


def _from_model(node: "JSONObject", hidden: dict[str, str], depth: int) -> Outline:
    from json5.model import JSONObject

    pairs = []
    for pair in node.key_value_pairs:
        written = getattr(pair.key, "characters", None) or getattr(pair.key, "name", "")
        name = str(_unmasked(written, hidden))
        held = None
        if isinstance(pair.value, JSONObject) and depth > 1:
            held = _from_model(pair.value, hidden, depth - 1)
        pairs.append(Pair(name, _extent(pair.key)[0], *_extent(pair.value), held))
    return Outline(*_extent(node), tuple(pairs), node.trailing_comma is not None)


def _extent(node: Any) -> tuple[int, int]:
    """Character offsets of a node, the end exclusive."""
    return node._tok.index, node._end_tok.end


def _masked(text: str) -> tuple[str, dict[str, str]]:
    r"""The text as json-five takes it, and what stands for what: characters that are not in it.

    It reads the ``\\x`` and ``\\u`` of a Windows path as the escapes ``\x`` and ``\u``, and
    refuses the line separators U+2028 and U+2029. Every character stays where it stands.
    """
    free = (each for each in map(chr, range(0xE000, 0xF900)) if each not in text)
    hidden = {next(free) * 2: "\\", next(free): "\u2028", next(free): "\u2029"}
    pair, line, paragraph = hidden
    masked = re.sub(
        r"\\(.)", lambda found: pair if found[1] == "\\" else found[0], text, flags=re.DOTALL
    )
    return masked.replace("\u2028", line).replace("\u2029", paragraph), hidden


def _unmasked(value: Any, hidden: dict[str, str]) -> Any:
    if isinstance(value, str):
        for mark, meant in hidden.items():
            value = value.replace(mark, meant)
        # It reads the two escapes of a character beyond U+FFFF as two characters.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, list):
        return [_unmasked(each, hidden) for each in value]
    if isinstance(value, dict):
        return {_unmasked(key, hidden): _unmasked(each, hidden) for key, each in value.items()}
    return value
