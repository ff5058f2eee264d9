"""Turns tool arguments as agents write them into what the tool takes.

A small model that gets one argument slightly wrong should get its answer, not a type error: other
names are accepted if they mean the same, numbers in strings are read, numbers out of range are
clamped, and arguments that mean nothing are dropped.
"""

from collections.abc import Mapping
from typing import Any

_SAME = {
    "query": ("question", "prompt", "task", "q", "text", "description"),
    "path": ("repo", "repository", "repo_path", "repository_path", "root", "directory", "dir"),
    "max_turns": ("maxturns", "turns"),
    "max_citations": ("maxcitations", "citations", "limit", "max_results"),
    "max_bytes": ("maxbytes",),
    "include_hidden": ("includehidden", "hidden"),
}
_NAMES = {other: name for name, others in _SAME.items() for other in (name, *others)}
_HIGHEST = {"max_turns": 64, "max_citations": 50, "max_bytes": 20_000}
_TRUE = ("true", "yes", "1", "on")


def tolerant(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``explore_repository`` with the right names and types.

    If an argument is given under several names, its exact name wins, then the first one given.
    """
    found: dict[str, Any] = {}
    for given in sorted(arguments, key=lambda name: name not in _SAME):
        name = _NAMES.get(given.lower().replace("-", "_"))
        if name is not None and name not in found and arguments[given] is not None:
            found[name] = arguments[given]
    taken: dict[str, Any] = {
        "query": _text(found.get("query", "")),
        "path": _text(found.get("path", "")),
        "include_hidden": _flag(found.get("include_hidden", False)),
    }
    for name, highest in _HIGHEST.items():
        taken[name] = _number(found.get(name, 0), highest)
    return taken


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(_text(item) for item in value)
    return value if isinstance(value, str) else str(value)


def _number(value: Any, highest: int) -> int:
    """A whole number from 0 to ``highest``; 0, the default, for what is not a number."""
    if isinstance(value, bool):
        return 0
    try:
        return int(min(float(highest), max(0.0, float(value))))
    except OverflowError:
        return highest if value > 0 else 0
    except (TypeError, ValueError):
        return 0


def _flag(value: Any) -> bool:
    return value.strip().lower() in _TRUE if isinstance(value, str) else bool(value)
