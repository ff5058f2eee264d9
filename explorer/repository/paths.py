"""From what a model wrote to parts of a relative path, and from there to what exists.

Pure functions: nothing here touches a disk.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

MAX_PATH_CHARS = 4096  # Linux' PATH_MAX.
MAX_CANDIDATES = 10

Kind = Literal["file", "directory"]

_LINE_SUFFIX = re.compile(r"(?:#L?|:L?)\d+(?:(?:-|:|-L|:L)\d+)?$")
_WRAPPING = "\"'`<>"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Something that exists inside the root and may be shown."""

    path: str
    """Relative to the root; ``""`` is the root itself."""
    kind: Kind


class PathProblem(Exception):
    """A path that leads to nothing that may be shown. The model's fault, so an observation."""

    def __init__(self, observation: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(observation)
        self.observation = observation
        """One plain sentence, with the candidates on lines of their own below it if there are."""
        self.candidates = candidates
        """Relative paths that were perhaps meant, sorted, at most ``MAX_CANDIDATES``."""


def shown(text: str) -> str:
    """The text fit for a sentence: quoted, one line, at most 200 characters, valid UTF-8."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    if len(clean) > 200:
        clean = clean[:197] + "..."
    return repr(clean)


def clean(text: str) -> str:
    """The text without what models wrap around paths: spaces, quotes, backticks, ``file://``.

    Raises:
        PathProblem: no path can look like this.
    """
    stripped = text.strip().strip(_WRAPPING).strip().removeprefix("file://")
    if len(stripped) > MAX_PATH_CHARS:
        raise PathProblem(f"The path {shown(stripped)} is too long.")
    if "\0" in stripped:
        raise PathProblem(f"The path {shown(stripped)} contains a NUL character.")
    if any("\ud800" <= char <= "\udfff" for char in stripped):
        raise PathProblem(f"The path {shown(stripped)} is not valid Unicode.")
    if "\\" in stripped and "/" not in stripped:
        stripped = stripped.replace("\\", "/")
    return stripped


def without_line_suffix(text: str) -> str:
    """The path in ``src/a.py:10-20``, ``src/a.py#L10-L20`` and the like; else the text itself."""
    return _LINE_SUFFIX.sub("", text)


def split(text: str) -> list[str] | None:
    """Parts without ``.``, ``..`` and empty ones; None when ``..`` climbs above the beginning."""
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def longest_suffix(parts: list[str], everything: Iterable[str]) -> tuple[str, ...]:
    """Paths that end with the longest run of the last ``parts`` that any path ends with; sorted.

    A path that is nothing but the run itself stands for all: ``/other/src/a.py`` means ``src/a.py``
    even where ``old/src/a.py`` exists.
    """
    if not parts:
        return ()
    ending = "/" + parts[-1]
    matches = [path for path in everything if path == parts[-1] or path.endswith(ending)]
    best: list[str] = []
    best_length = 0
    for path in matches:
        length = _common_suffix(parts, path.split("/"))
        if length > best_length:
            best, best_length = [], length
        if length == best_length:
            best.append(path)
    exact = "/".join(parts[len(parts) - best_length :])
    return (exact,) if exact in best else tuple(sorted(best))


def _common_suffix(left: list[str], right: list[str]) -> int:
    length = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        length += 1
    return length


def similar(name: str, everything: Collection[str]) -> tuple[str, ...]:
    """Paths whose last part equals ``name`` but for case and extension; sorted, few."""
    stem = _stem(name)
    found = sorted(path for path in everything if _stem(path.rpartition("/")[2]) == stem)
    return tuple(found[:MAX_CANDIDATES])


def _stem(name: str) -> str:
    lowered = name.casefold()
    return lowered.rpartition(".")[0] or lowered
