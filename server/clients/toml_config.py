"""The same two changes for Codex's TOML file, everything else left to the byte.

An entry with a header of its own is spliced into the text or cut out of it. What that gives is
read again and compared: where it is not what was meant, as with inline tables and dotted keys,
tomlkit makes the change.
"""

import re
import tomllib
from collections.abc import Mapping, MutableMapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, InlineTable

from server.clients import ConfigError
from server.clients.jsonc import line_end


def get(text: str, section: str, name: str) -> Any:
    """The entry as plain values, or None where it is not there.

    Raises:
        ConfigError: the text is not TOML.
    """
    servers = _plain(text).get(section)
    return servers.get(name) if isinstance(servers, dict) else None


def put(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """``text`` with the table ``[section.name]`` set to ``entry``.

    Raises:
        ConfigError: the text is not TOML, or the section is not a table.
    """
    wanted = _plain(text)
    servers = wanted.setdefault(section, {})
    if not isinstance(servers, dict):
        raise ConfigError(f"{section!r} is not a table")
    servers[name] = dict(entry)
    table = tomlkit.table(is_super_table=True)
    table.append(name, _filled(tomlkit.table(), entry))
    block = tomlkit.dumps({section: table}).strip() + "\n"

    def by_tomlkit(holder: MutableMapping[str, Any]) -> None:
        is_inline = isinstance(holder, InlineTable)
        holder[name] = _filled(tomlkit.inline_table() if is_inline else tomlkit.table(), entry)

    spliced = _spliced(text, section, name, block.replace("\n", line_end(text)))
    return _checked(text, spliced, wanted, section, by_tomlkit)


def remove(text: str, section: str, name: str) -> str:
    """``text`` without the table; the same text where it is not there.

    Raises:
        ConfigError: the text is not TOML.
    """
    wanted = _plain(text)
    servers = wanted.get(section)
    if not isinstance(servers, dict) or name not in servers:
        return text
    del servers[name]

    def by_tomlkit(holder: MutableMapping[str, Any]) -> None:
        del holder[name]

    return _checked(text, _spliced(text, section, name, ""), wanted, section, by_tomlkit)


def _plain(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}") from None


def _checked(text: str, spliced: str, wanted: dict[str, Any], section: str, by_tomlkit: Any) -> str:
    """``spliced`` if it says what is wanted, else ``text`` as tomlkit changes it."""
    if _says(spliced, wanted, section):
        return spliced
    try:
        document = tomlkit.parse(text)
        by_tomlkit(document[section])
        changed = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ConfigError(f"{section!r} cannot be changed: {error}") from None
    if not _says(changed, wanted, section):
        raise ConfigError(f"{section!r} is written in a way that cannot be changed")
    return changed


def _says(text: str, wanted: dict[str, Any], section: str) -> bool:
    """Whether the text holds these values; an empty section may be absent."""
    try:
        return {section: {}, **tomllib.loads(text)} == {section: {}, **wanted}
    except tomllib.TOMLDecodeError:
        return False


def _spliced(text: str, section: str, name: str, block: str) -> str:
    """``text`` with ``block`` in place of the entry's tables; at the end where there is none."""
    spans = _spans(text, section, name)
    if not spans:
        newline = line_end(text)
        gap = newline if text.strip() else ""
        return text + ("" if not text or text.endswith("\n") else newline) + gap + block
    for start, end in reversed(spans):
        before, after = text[:start], text[end:]
        if block and start == spans[0][0]:
            text = before + block + after
        # With a table goes the empty line that sets it off.
        elif after.strip():
            text = before + re.sub(r"\A\r?\n", "", after)
        else:
            text = re.sub(r"(\n)\r?\n\Z", r"\1", before) + after
    return text


def _spans(text: str, section: str, name: str) -> list[tuple[int, int]]:
    """Where the tables of the entry stand, from header to last value, ends exclusive.

    What follows the last value, empty lines and comments, belongs to the table after it.
    """
    keys = r"[ \t]*\.[ \t]*".join(
        f"(?:{key}|\"{key}\"|'{key}')" for key in map(re.escape, (section, name))
    )
    own = re.compile(rf"^[ \t]*\[[ \t]*{keys}[ \t]*[.\]]", re.MULTILINE)
    following = re.compile(r"^[ \t]*\[", re.MULTILINE)
    spans = []
    for header in own.finditer(text):
        next_header = following.search(text, header.end())
        body = text[header.start() : next_header.start() if next_header else len(text)]
        kept = re.sub(r"(?:^[ \t\r]*(?:#[^\n]*)?(?:\n|\Z))+\Z", "", body, flags=re.MULTILINE)
        spans.append((header.start(), header.start() + len(kept)))
    return spans


def _filled(table: AbstractTable, entry: Mapping[str, Any]) -> AbstractTable:
    """``table`` with the entry's values, and tables in it inline."""
    for key, value in entry.items():
        is_table = isinstance(value, Mapping)
        table.append(key, _filled(tomlkit.inline_table(), value) if is_table else value)
    return table
