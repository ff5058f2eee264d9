"""The floor of the benchmarks: the best files by BM25, and the best window of the first."""

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


class Floor:
    """BM25 over files. The words of a text are kept, for the next question about it."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Counter[str]]] = {}

    def cite(
        self, workspace: Workspace, files: tuple[str, ...], query: str, most: int = 1
    ) -> list[dict[str, Any]]:
        """The best files, the first with its best window; none when no word of the query occurs."""
        wanted = Counter(_words(query))
        counts: dict[str, Counter[str]] = {}
        sizes: dict[str, int] = {}
        for path in files:
            if _CODE.search(path) and not _TEST.search(path):
                words = self._counted(workspace, path)
                sizes[path] = words.total()
                counts[path] = Counter({word: words[word] for word in wanted if word in words})
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
                wanted[word] * rarity[word] * n * (_K1 + 1) / (n + norm)
                for word, n in found.items()
            )

        def window(text: tuple[str, ...], start: int) -> float:
            words = _words("\n".join(text[start : start + _WINDOW_LINES]))
            return bm25(Counter(word for word in words if word in rarity), 1.0)

        score = {path: bm25(counts[path], sizes[path] / mean) for path in counts if counts[path]}
        cited = []
        for path in sorted(score, key=lambda each: -score[each])[:most]:
            text = _lines(workspace, path)
            starts = range(0, max(1, len(text) - _WINDOW_LINES // 2), _WINDOW_LINES // 2)
            start = max(starts, key=lambda at: window(text, at)) if not cited else 0
            end = min(len(text), start + _WINDOW_LINES)
            cited.append({"path": path, "start": start + 1, "end": end})
        return cited

    def _counted(self, workspace: Workspace, path: str) -> Counter[str]:
        text = "\n".join(_lines(workspace, path))
        digest = hash(text)
        if path not in self._kept or self._kept[path][0] != digest:
            self._kept[path] = digest, Counter(_words(text) + 5 * _words(path))
        return self._kept[path][1]


def _lines(workspace: Workspace, path: str) -> tuple[str, ...]:
    try:
        document = workspace.read(path)
    except PathProblem:
        return ()
    return () if document.binary or document.size > _MAX_BYTES else document.lines
