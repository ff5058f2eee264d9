"""The floor of the localisation benchmark: the best file by BM25, and its best window."""

import math
import re
from collections import Counter
from typing import Any

from explorer.repository.paths import PathProblem
from explorer.repository.workspace import Workspace

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d{2,}")
_WINDOW_LINES = 40
_MAX_BYTES = 400_000
_K1, _B = 1.2, 0.75
_CODE = re.compile(
    r"\.(?:py|rs|go|c|h|cc|cpp|hpp|java|kt|scala|js|jsx|ts|tsx|vue|rb|php|cs|ex|exs|erl|swift)$"
)
_TEST = re.compile(r"(?:^|/)(?:tests?|spec|__tests__)/|(?:_test|\.spec|\.test|Test)\.\w+$")


def _words(text: str) -> list[str]:
    """The parts of names, without endings; names of several parts also as a whole."""
    found: list[str] = []
    for name in _NAME.findall(text):
        parts = [part.lower() for part in _WORD.findall(name) if len(part) > 2]
        found += [_stem(part) for part in parts]
        if len(parts) > 1:
            found.append(name.lower().replace("_", ""))
    return found


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word


def floor_citations(
    workspace: Workspace, files: tuple[str, ...], query: str
) -> list[dict[str, Any]]:
    """One citation: the best window of the best file; none when no word occurs."""
    wanted = Counter(_words(query))
    counts: dict[str, Counter[str]] = {}
    sizes: dict[str, int] = {}
    for path in files:
        if not _CODE.search(path) or _TEST.search(path):
            continue
        words = _words("\n".join(_lines(workspace, path))) + 5 * _words(path)
        sizes[path] = len(words)
        counts[path] = Counter(word for word in words if word in wanted)
    if not counts:
        return []
    mean = max(1.0, sum(sizes.values()) / len(sizes))
    present = Counter(word for found in counts.values() for word in found)
    files_count = len(counts)
    rarity = {
        word: math.log(1 + (files_count - number + 0.5) / (number + 0.5))
        for word, number in present.items()
    }

    def bm25(found: Counter[str], size: float) -> float:
        norm = _K1 * (1 - _B + _B * size)
        return sum(
            wanted[word] * rarity[word] * n * (_K1 + 1) / (n + norm) for word, n in found.items()
        )

    best = max(counts, key=lambda path: bm25(counts[path], sizes[path] / mean))
    if not counts[best]:
        return []
    text = _lines(workspace, best)
    starts = range(0, max(1, len(text) - _WINDOW_LINES // 2), _WINDOW_LINES // 2)

    def window(start: int) -> float:
        words = _words("\n".join(text[start : start + _WINDOW_LINES]))
        return bm25(Counter(word for word in words if word in rarity), 1.0)

    start = max(starts, key=window)
    return [{"path": best, "start": start + 1, "end": min(len(text), start + _WINDOW_LINES)}]


def _lines(workspace: Workspace, path: str) -> tuple[str, ...]:
    try:
        document = workspace.read(path)
    except PathProblem:
        return ()
    return () if document.binary or document.size > _MAX_BYTES else document.lines
