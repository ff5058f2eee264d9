"""The paths of a repository: which names are hidden, and which path a text means.

Three things are hidden unless a workspace is opened with ``include_hidden``:

* dotfiles and all below dot directories: ``.git``, ``.env*``, ``.ssh``, ``.npmrc``, ``.github``;
* files whose name says that they hold a secret, as ``secrets`` lists them;
* what git ignores and does not track: ``explorer.repository.walk``. ``.ignore`` and ``.rgignore``
  are not consulted: their ``!`` lines could show what git ignores.

Names that cannot be written as one line of UTF-8 are always left out: a model could neither read
nor repeat them. So is ``.git`` itself: it holds no source, but credentials.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from explorer.repository.secrets import has_secret_name

RG_HIDING = ("--iglob=!.*",)
"""An rg option: overrides outrank every ignore rule, so no ``!`` line brings a dotfile back."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_hidden_name(path: str) -> bool:
    """True when a part of the relative path is a dotfile or has the name of a secret."""
    return path.startswith(".") or "/." in path or has_secret_name(path)


def is_git_store(path: str) -> bool:
    """True for ``.git``, as file or directory, and all below it, at any depth."""
    return ".git" in path.casefold().split("/")


def is_one_line(path: str) -> bool:
    """True when the path can be shown on one line of valid UTF-8 and typed back."""
    return _UNPRINTABLE.search(path) is None


def virtual_name(name: str) -> str:
    """The name, with dashes for everything that could break a ``path:line`` citation."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "repository"


MAX_PATH_CHARS = 4096  # Linux' PATH_MAX.
MAX_CANDIDATES = 10

Kind = Literal["file", "directory"]

_LINE_SUFFIX = re.compile(r"(?:#L?|:L?)\d+(?:(?:-|:|-L|:L)\d+)?$")
_PLAIN = re.compile(r"[\w./@+~-]+")
_WRAPPING = "\"'`<>"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Something that exists inside the root and may be shown."""

    path: str
    """Relative to the root; ``""`` is the root itself."""
    kind: Kind


class PathProblem(Exception):
    """A path that leads to nothing that may be shown. It is the model's fault: an observation."""

    def __init__(self, observation: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(observation)
        self.observation = observation
        """One plain sentence, with the candidates, if there are any, on the lines below it."""
        self.candidates = candidates
        """Relative paths that may have been meant, sorted, at most ``MAX_CANDIDATES``."""


def shown(text: str) -> str:
    """The text for use in a sentence: quoted, one line, at most 200 characters, valid UTF-8."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    if len(clean) > 200:
        clean = clean[:197] + "..."
    return repr(clean)


def as_word(path: str) -> str:
    """The path for use in a sentence, in quotes unless it is one plain word."""
    return path if _PLAIN.fullmatch(path) else shown(path)


def clean(text: str) -> str:
    """The text without what models wrap around paths: spaces, quotes, backticks, ``file://``.

    Raises:
        PathProblem: it cannot be a path.
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
    """The path in ``src/a.py:10-20``, ``src/a.py#L10-L20`` and the like; other texts unchanged."""
    return _LINE_SUFFIX.sub("", text)


def split(text: str) -> list[str] | None:
    """The parts, with ``.`` and ``..`` resolved; None when ``..`` climbs above the beginning."""
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
    """The paths that share the most last parts with ``parts``; sorted.

    A path that consists of these shared parts alone wins over the others: ``/other/src/a.py`` means
    ``src/a.py`` even where ``old/src/a.py`` exists.
    """
    if not parts:
        return ()
    ending = "/" + parts[-1]
    matches = [path for path in everything if path == parts[-1] or path.endswith(ending)]
    best: list[str] = []
    best_length = 0
    for path in matches:
        length = common_suffix(parts, path.split("/"))
        if length > best_length:
            best, best_length = [], length
        if length == best_length:
            best.append(path)
    exact = "/".join(parts[len(parts) - best_length :])
    return (exact,) if exact in best else tuple(sorted(best))


def common_suffix(left: list[str], right: list[str]) -> int:
    """How many last parts the two have in common."""
    length = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        length += 1
    return length


def similar(name: str, everything: Collection[str]) -> tuple[str, ...]:
    """A few paths whose last part equals ``name`` but for case and extension; sorted."""
    stem = _stem(name)
    found = sorted(path for path in everything if _stem(path.rpartition("/")[2]) == stem)
    return tuple(found[:MAX_CANDIDATES])


def _stem(name: str) -> str:
    lowered = name.casefold()
    return lowered.rpartition(".")[0] or lowered
