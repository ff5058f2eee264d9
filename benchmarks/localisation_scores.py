"""Scores of citations against the lines that a fix touched, as FastContext's benchmark has them.

Sets of files and of (file, line) pairs; the lines sought are the pre-image ranges of the fix's
hunks with three lines of context; an answer without citations scores 0; means over tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Score:
    """One task's figures, each between 0 and 1 unless its name says otherwise."""

    file_precision: float
    file_recall: float
    file_f1: float
    line_precision: float
    line_recall: float
    line_f1: float
    hit1: float
    hit3: float
    recall5: float
    files: int
    lines: int
    seconds: float


def score(
    task: Mapping[str, Any],
    citations: Sequence[Mapping[str, Any]],
    seconds: float,
    further: Sequence[str] = (),
) -> Score:
    """The score of ranked citations, each with ``path``, ``start`` and ``end``.

    ``further`` are files that the answer names behind those it cites; they count for hit@3 and the
    recall at five files alone.
    """
    ranked = list(dict.fromkeys(each["path"] for each in citations))
    named = list(dict.fromkeys([*ranked, *further]))
    sought = set(task["files"])
    sought_lines = {
        (path, line)
        for path, ranges in task["files"].items()
        for start, end in ranges
        for line in range(start, end + 1)
    }
    cited_lines = {
        (each["path"], line) for each in citations for line in range(each["start"], each["end"] + 1)
    }
    files = _overlap(sought, set(ranked))
    lines = _overlap(sought_lines, cited_lines)
    return Score(
        *files,
        *lines,
        hit1=float(bool(sought & set(named[:1]))),
        hit3=float(bool(sought & set(named[:3]))),
        recall5=len(sought & set(named[:5])) / len(sought),
        files=len(ranked),
        lines=len(cited_lines),
        seconds=seconds,
    )


def _overlap(sought: set[Any], found: set[Any]) -> tuple[float, float, float]:
    both = len(sought & found)
    precision = both / len(found) if found else 0.0
    recall = both / len(sought) if sought else 0.0
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


COLUMNS = (
    ("file P", "file_precision"),
    ("file R", "file_recall"),
    ("file F1", "file_f1"),
    ("line P", "line_precision"),
    ("line R", "line_recall"),
    ("line F1", "line_f1"),
    ("hit@1", "hit1"),
    ("hit@3", "hit3"),
    ("R@5", "recall5"),
)


def table_row(name: str, scores: Sequence[Score]) -> str:
    """One line of the table: means in percent, files and lines cited, and the median of seconds."""
    cells = [f"{100 * _mean(scores, field):8.1f}" for _, field in COLUMNS]
    cells += [f"{_mean(scores, 'files'):8.1f}", f"{_mean(scores, 'lines'):8.0f}"]
    cells.append(f"{float(np.median([each.seconds for each in scores])):8.2f}")
    return f"{name[:30]:30}{len(scores):5}" + "".join(cells)


def table_head() -> str:
    """The head of the table."""
    names = [name for name, _ in COLUMNS] + ["files", "lines", "s"]
    return f"{'set':30}{'n':>5}" + "".join(f"{name:>8}" for name in names)


def _mean(scores: Sequence[Score], field: str) -> float:
    return float(np.mean([getattr(each, field) for each in scores]))


def paired_interval(
    ours: Sequence[Score], theirs: Sequence[Score], field: str, samples: int = 4_000
) -> tuple[float, float, float]:
    """Mean difference in percent with its 95% bootstrap interval over the same tasks."""
    difference = np.array(
        [getattr(a, field) - getattr(b, field) for a, b in zip(ours, theirs, strict=True)]
    )
    chance = np.random.default_rng(0)
    means = difference[chance.integers(0, len(difference), (samples, len(difference)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(difference.mean()), 100 * float(low), 100 * float(high)
