"""The table of the localisation benchmark: who found how much, how sure the difference is, where.

Scores are those of FastContext's benchmark, over sets of files and of (file, line) pairs: the lines
sought are the pre-image ranges of the fix's hunks with three lines of context; an answer without
citations scores 0; figures are means over tasks.
"""

from collections.abc import Callable, Mapping, Sequence
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
    shown: float = 0.0
    """The share of the hunks that the answer shows a line of."""


def score(
    task: Mapping[str, Any],
    citations: Sequence[Mapping[str, Any]],
    seconds: float,
    further: Sequence[str] = (),
    shown: Sequence[Mapping[str, Any]] = (),
) -> Score:
    """The score of ranked citations, each with ``path``, ``start`` and ``end``.

    ``further`` are files that the answer names after those it cites; they count only for hit@3 and
    for the recall at five files.
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
        shown=shown_share(task["files"], shown),
    )


def shown_share(files: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> float:
    """The share of the hunks of which a line stands in the code that the answer shows."""
    hunks = [(path, start, end) for path, ranges in files.items() for start, end in ranges]
    seen = [
        any(
            each["path"] == path and each["start"] <= end and start <= each["end"] for each in shown
        )
        for path, start, end in hunks
    ]
    return sum(seen) / len(hunks)


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
    ("shown", "shown"),
)


def table_row(name: str, scores: Sequence[Score]) -> str:
    """A line of the table: means in percent, files and lines cited, and the median of seconds."""
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


def bootstrap(differences: Any) -> tuple[float, float, float]:
    """The mean of the differences, one for each task, with its 95% bootstrap interval."""
    chance = np.random.default_rng(0)
    drawn = chance.integers(0, len(differences), (_SAMPLES, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


def paired_interval(
    ours: Sequence[Score], theirs: Sequence[Score], field: str
) -> tuple[float, float, float]:
    """The mean difference in percent, with its 95% bootstrap interval over the same tasks."""
    pairs = zip(ours, theirs, strict=True)
    return bootstrap(np.array([100 * (getattr(a, field) - getattr(b, field)) for a, b in pairs]))


Prediction = dict[str, Any]
"""``id``, ``citations`` in rank order, ``shown`` ranges, ``seconds`` of the query, ``index_s``."""
Answers = dict[str, Prediction]
"""Predictions by the task's id."""
Task = dict[str, Any]

LARGE_TREE_FILES = 4_500
_SAMPLES = 4_000
_NOTHING: Prediction = {"citations": [], "seconds": 0.0, "index_s": 0.0}
_COMPARED = [column for column in COLUMNS if column[0] in ("file F1", "line F1", "hit@1", "hit@3")]


def report(tasks: Sequence[Task], answers: dict[str, Answers]) -> str:
    """All explorers, the scout by groups of tasks, its margins, and how sure it was."""
    rows = {"scout": _scores(tasks, answers["scout"])}
    if "scout-first" in answers:
        rows["scout, no index yet"] = _scores(tasks, answers["scout-first"])
    if "floor" in answers:
        rows["floor: BM25, one file"] = _scores(tasks, answers["floor"])
    if "semble" in answers:
        rows["semble, no vectors, one file"] = _scores(tasks, _first_files(answers["semble"], 1))
        rows["semble, no vectors, five files"] = _scores(tasks, answers["semble"])
    lines = [table_head(), *(table_row(name, scores) for name, scores in rows.items())]
    lines += ["", "the scout by", *_groups(tasks, answers["scout"])]
    for name, scores in list(rows.items())[1:]:
        lines += ["", f"scout minus {name}, percent, 95% paired bootstrap interval"]
        for title, column in _COMPARED:
            mean, low, high = paired_interval(rows["scout"], scores, column)
            lines.append(f"  {title:8}{mean:+6.1f}  [{low:+.1f}, {high:+.1f}]")
    lines += ["", *(_seconds(name, answers[name]) for name in sorted(answers))]
    lines += ["", *_confidence(tasks, answers["scout"], rows["scout"])]
    return "\n".join(lines)


def _scores(tasks: Sequence[Task], answers: Answers) -> list[Score]:
    pairs = [(task, answers.get(task["id"], _NOTHING)) for task in tasks]
    return [
        score(
            task,
            each["citations"],
            each.get("seconds", 0.0),
            each.get("further", ()),
            each.get("shown", ()),
        )
        for task, each in pairs
    ]


def _first_files(answers: Answers, count: int) -> Answers:
    """The predictions, reduced to the first files."""
    result: Answers = {}
    for key, each in answers.items():
        files = list(dict.fromkeys(place["path"] for place in each["citations"]))[:count]
        cited = [place for place in each["citations"] if place["path"] in files]
        further = list(dict.fromkeys(place["path"] for place in each["citations"]))[count:]
        result[key] = each | {"citations": cited, "further": further}
    return result


def _groups(tasks: Sequence[Task], answers: Answers) -> list[str]:
    groupings: list[tuple[str, Callable[[Task], str]]] = [
        ("language", lambda task: str(task["language"])),
        ("size", lambda task: "large" if task["n_tree_files"] >= LARGE_TREE_FILES else "smaller"),
        ("file's name said", lambda task: "yes" if task["stem_in_query"] else "no"),
        ("confidence", lambda task: str(answers.get(task["id"], {}).get("confidence", ""))),
    ]
    lines = []
    for title, key in groupings:
        for group in sorted({key(task) for task in tasks}):
            chosen = [task for task in tasks if key(task) == group]
            lines.append(table_row(f"  {title}: {group}", _scores(chosen, answers)))
    return lines


def _seconds(name: str, answers: Answers) -> str:
    query = [each["seconds"] for each in answers.values()]
    index = [each.get("index_s", 0.0) for each in answers.values()]
    return (
        f"{name}: query {np.median(query):.3f} s median, {np.percentile(query, 95):.3f} s p95; "
        f"index to the task's commit {np.median(index):.2f} s median, {max(index):.2f} s most"
    )


def _confidence(tasks: Sequence[Task], answers: Answers, scores: Sequence[Score]) -> list[str]:
    """How often each confidence was given, and how often the first file was then right."""
    lines = []
    for level in ("high", "medium", "low"):
        right = [
            each.hit1
            for task, each in zip(tasks, scores, strict=True)
            if answers.get(task["id"], {}).get("confidence") == level
        ]
        given = 100 * len(right) / max(1, len(tasks))
        share = f"right in {100 * float(np.mean(right)):.0f}% of them" if right else "never"
        lines.append(f"confidence {level}: given in {given:.0f}% of {len(tasks)} tasks, {share}")
    return lines
