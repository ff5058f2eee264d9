"""The few settings of git that decide what it ignores, read from its configuration without git.

The syntax is that of git-config(1). ``include.path`` and ``includeIf "gitdir:..."`` are followed,
up to a depth; other conditions count as not met.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.repository.bounded import NotReadError, read_of_user
from explorer.repository.ignore_rules import path_matches

MAX_CONFIG_BYTES = 1 << 18
_MAX_DEPTH = 10  # As git.
_MAX_INCLUDED = 20

_SECTION = re.compile(r'\[\s*([\w.-]+)\s*(?:"((?:[^"\\\n]|\\.)*)")?\s*\]')
_KEY = re.compile(r"([A-Za-z][\w-]*)[ \t]*(=?)[ \t]*")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}

Read = Callable[[], bytes | None]


@dataclass(slots=True)
class GitConfig:
    """Settings by ``section.key`` in lower case; later files and lines win."""

    git_directory: str
    """The real path of the repository's git directory, for conditional includes; or empty."""
    values: dict[str, str]
    _included: int = 0

    def is_true(self, key: str) -> bool:
        """Whether a setting is on, by git's words for that."""
        return self.values.get(key, "").casefold() in ("true", "yes", "on", "1")

    def add(self, data: bytes | None, place: Path, depth: int = 0) -> None:
        """Take in a file's settings; ``place`` is its path."""
        for section, key, value in _settings((data or b"").decode("utf-8", "surrogateescape")):
            self.values[f"{section}.{key}"] = value
            if key == "path" and value and self._is_met(section, place):
                self._include(expanded(value, place.parent), depth)

    def _include(self, path: Path, depth: int) -> None:
        if depth < _MAX_DEPTH and self._included < _MAX_INCLUDED:
            self._included += 1
            try:
                self.add(read_of_user(path, MAX_CONFIG_BYTES), path, depth + 1)
            except NotReadError:
                return

    def _is_met(self, section: str, place: Path) -> bool:
        kind, _, condition = section.partition(".")
        if kind != "includeif":
            return section == "include"
        keyword, _, pattern = condition.partition(":")
        if keyword.casefold() not in ("gitdir", "gitdir/i") or not self.git_directory:
            return False
        if pattern.startswith("./"):
            pattern = f"{place.parent}/{pattern[2:]}"
        elif pattern.startswith("~/"):
            pattern = str(expanded(pattern, place.parent)) + "/" * pattern.endswith("/")
        elif not pattern.startswith("/"):
            pattern = f"**/{pattern}"
        pattern += "**" * pattern.endswith("/")
        fold_case = keyword.casefold().endswith("/i")
        return path_matches(pattern, self.git_directory, fold_case=fold_case)


def expanded(value: str, directory: Path) -> Path:
    """The path that a setting names; a relative one starts at ``directory``."""
    return directory / os.path.expanduser(value)  # noqa: PTH111 - Path's raises for unknown users


def user_config_files() -> list[Path]:
    """The configuration of the system and the user, in git's order; they need not exist."""
    return [Path("/etc/gitconfig"), _user_directory() / "config", expanded("~/.gitconfig", Path())]


def default_excludes_file() -> Path:
    """The user's ignore file where ``core.excludesFile`` names none."""
    return _user_directory() / "ignore"


def _user_directory() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or expanded("~/.config", Path())) / "git"


def _settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Section, key and value of each setting, up to the first line that is no configuration."""
    at, section = 0, ""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    while at < len(text):
        if text[at] in " \t\n":
            at += 1
        elif text[at] in "#;":
            end = text.find("\n", at)
            at = end if end >= 0 else len(text)
        elif found := _SECTION.match(text, at):
            name = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else None
            section = found[1].lower() + ("" if name is None else f".{name}")
            at = found.end()
        elif found := _KEY.match(text, at):
            value, at = _value(text, found.end()) if found[2] else ("true", found.end())
            yield section, found[1].lower(), value
        else:
            return


def _value(text: str, at: int) -> tuple[str, int]:
    """A value without quotes and comments, and where its line ends."""
    out, quoted, kept = list[str](), False, 0
    while at < len(text) and text[at] != "\n":
        char = text[at]
        at += 1
        if char == '"':
            quoted = not quoted
        elif char == "\\" and at < len(text):
            at += 1
            if text[at - 1] != "\n":  # Behind a backslash, the next line goes on.
                out.append(_ESCAPES.get(text[at - 1], text[at - 1]))
        elif char in "#;" and not quoted:
            end = text.find("\n", at)
            at = end if end >= 0 else len(text)
            break
        else:
            out.append(char)
            if char in " \t" and not quoted:
                continue
        kept = len(out)
    return "".join(out[:kept]), at
