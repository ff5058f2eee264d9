"""The same two changes for Codex's TOML file; tomlkit keeps comments and layout."""

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from server.clients.jsonc import ConfigError


def get(text: str, section: str, name: str) -> Any:
    """The entry as plain values, or None where it is not there.

    Raises:
        ConfigError: the text is not TOML.
    """
    servers = _document(text).unwrap().get(section)
    return servers.get(name) if isinstance(servers, dict) else None


def put(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """``text`` with the table ``[section.name]`` set to ``entry``.

    Raises:
        ConfigError: the text is not TOML, or the section is not a table.
    """
    document = _document(text)
    servers = document.get(section)
    if servers is None:
        servers = tomlkit.table(is_super_table=True)
        document.append(section, servers)
    elif not hasattr(servers, "append"):
        raise ConfigError(f"{section!r} is not a table")
    table = _table(entry)
    if name in servers:
        servers[name] = table
    else:
        servers.append(name, table)
    return tomlkit.dumps(document)


def remove(text: str, section: str, name: str) -> str:
    """``text`` without the table; the same text where it is not there.

    Raises:
        ConfigError: the text is not TOML.
    """
    document = _document(text)
    servers = document.get(section)
    if servers is None or name not in servers:
        return text
    del servers[name]
    if not servers:
        del document[section]
    return tomlkit.dumps(document)


def _document(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"not valid TOML: {error}") from None


def _table(entry: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in entry.items():
        if isinstance(value, Mapping):
            inline = tomlkit.inline_table()
            inline.update(value)
            table.append(key, inline)
        else:
            table.append(key, value)
    return table
