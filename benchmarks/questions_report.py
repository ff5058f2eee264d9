"""The tables of the benchmarks of questions, issues and how-questions.

All figures are macro means over tasks, in percent; a figure that does not apply to a task leaves
the task out. Paths match if they are equal or one ends with the other, as in semble's benchmark.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.localisation_report import bootstrap, shown_share

Task = Mapping[str, Any]
Prediction = dict[str, Any]
"""``id``, ``scope``, ``citations`` and ``further`` in rank order, ``shown`` ranges, ``seconds``,
``confidence``, and what the tree alone tells: ``functions``, ``modules``, ``defined``, ``gold``."""
Answers = dict[str, Prediction]
"""Predictions by ``key_of``."""
Figures = dict[str, float]
"""The figures of one task, between 0 and 1; one that does not apply is absent."""

RANKED = 10
"""How many files of an answer count: NDCG@10."""


def key_of(task_id: str, scope: str) -> str:
    """The key of an answer: each task is asked once in each scope."""
    return f"{task_id}@{scope}"


def ranked_files(answer: Prediction) -> list[str]:
    """The files in rank order, the cited ones first."""
    cited = [each["path"] for each in answer["citations"]]
    return list(dict.fromkeys([*cited, *answer.get("further", ())]))[:RANKED]


def same_file(one: str, other: str) -> bool:
    """Whether the paths name the same file, seen from roots of which one may hold the other."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def ndcg(targets: Sequence[str], ranked: Sequence[str]) -> float:
    """NDCG@10 with gain 1 for every target, at the rank of the first result that matches it."""
    gained = 0.0
    for target in targets:
        ranks = (place for place, path in enumerate(ranked, 1) if same_file(path, target))
        if place := next(ranks, 0):
            gained += 1 / math.log2(place + 1)
    return gained / sum(1 / math.log2(place + 1) for place in range(1, len(targets) + 1))


def f1(found: set[str], sought: set[str]) -> float:
    """F1 over sets of names."""
    both = len(found & sought)
    return 2 * both / (len(found) + len(sought)) if both else 0.0


def _files(targets: Sequence[str], answer: Prediction) -> Figures:
    ranked = ranked_files(answer)
    cited = list(dict.fromkeys(each["path"] for each in answer["citations"]))

    def found(paths: Iterable[str]) -> int:
        paths = list(paths)
        return sum(any(same_file(path, target) for path in paths) for target in targets)

    right = sum(any(same_file(path, target) for target in targets) for path in cited)
    total = right + found(cited)
    return {
        "hit@1": float(found(ranked[:1]) > 0),
        "hit@3": float(found(ranked[:3]) > 0),
        "R@5": found(ranked[:5]) / len(targets),
        "file F1": total / (len(cited) + len(targets)) if total else 0.0,
    }


def score_question(task: Task, answer: Prediction) -> Figures:
    """A plain question: the ranked files and, of a name, whether it is shown where it is defined.

    ``defined`` says whether the first range has the defining line; it is absent where the right
    file is not cited or no line of it could be found that defines the name.
    """
    targets = [each["path"] for each in (*task["relevant"], *task["secondary"])]
    figures = {"NDCG@10": ndcg(targets, ranked_files(answer)), **_files(targets, answer)}
    if answer.get("defined") is not None:
        figures["defined"] = float(answer["defined"])
    return figures


def score_issue(task: Task, answer: Prediction) -> Figures:
    """An issue: files, the innermost functions that cited lines lie in, and top-level names."""
    figures = _files(list(task["files"]), answer)
    for name, key in (("function F1", "functions"), ("module F1", "modules")):
        if task[key]:
            figures[name] = f1(set(answer.get(key, ())), set(task[key]))
    figures["shown"] = shown_share(task["files"], answer.get("shown", ()))
    return figures


def score_how(task: Task, answer: Prediction) -> Figures:
    """A how-question: whether the first places are, or lie in, a definition that answers it."""
    gold = answer["gold"]

    def inside(place: Mapping[str, Any]) -> bool:
        return any(
            place["path"] == each["path"]
            and each["start"] <= place["start"]
            and place["end"] <= each["end"]
            for each in gold
        )

    heads = [(each["path"], each["head"]) for each in gold]
    return {
        "first": float(any(map(inside, answer["citations"][:1]))),
        "first 3": float(any(map(inside, answer["citations"][:3]))),
        "shown": float(
            any(
                each["path"] == path and each["start"] <= line <= each["end"]
                for each in answer.get("shown", ())
                for path, line in heads
            )
        ),
    }


SCORERS: dict[str, Callable[[Task, Prediction], Figures]] = {
    "questions": score_question,
    "issues": score_issue,
    "how": score_how,
}
RIGHT = {"questions": "hit@1", "issues": "hit@1", "how": "first"}
"""The figure that a confidence is about."""


def paired(ours: Sequence[Figures], theirs: Sequence[Figures], name: str) -> tuple[float, ...]:
    """Mean difference in percent and its 95% bootstrap interval, over tasks that have both."""
    pairs = [
        (a[name], b[name]) for a, b in zip(ours, theirs, strict=True) if name in a and name in b
    ]
    if not pairs:
        return 0.0, 0.0, 0.0
    return bootstrap(np.array([100 * (a - b) for a, b in pairs]))


def report(
    kind: str,
    tasks: Sequence[Task],
    answers: Mapping[str, Answers],
    scopes: Sequence[str],
    before: Answers | None = None,
) -> str:
    """All explorers in all scopes, the scout by groups, and its margins.

    ``before`` are the scout's answers of another run, which these are compared with.
    """
    lines: list[str] = []
    for scope in scopes:
        rows = {name: _figures(kind, tasks, given, scope) for name, given in answers.items()}
        if before is not None:
            rows["scout before"] = _figures(kind, tasks, before, scope)
        names = list(dict.fromkeys(name for each in rows.values() for row in each for name in row))
        lines += ["", f"{scope:24}{'n':>5}" + "".join(f"{name:>13}" for name in names)]
        lines += [_row(name, each, names) for name, each in rows.items()]
        for group in sorted({_group(task) for task in tasks}):
            chosen = [
                row for task, row in zip(tasks, rows["scout"], strict=True) if _group(task) == group
            ]
            lines.append(_row(f"  scout: {group}", chosen, names))
        for other in list(rows)[1:]:
            lines.append(f"scout minus {other}, percent, 95% paired bootstrap interval")
            for name in names:
                mean, low, high = paired(rows["scout"], rows[other], name)
                lines.append(f"  {name:12}{mean:+6.1f}  [{low:+.1f}, {high:+.1f}]")
        lines += _confidence(kind, tasks, answers["scout"], rows["scout"], scope)
        lines += [_seconds(name, given, scope) for name, given in answers.items()]
    return "\n".join(lines).strip()


def _figures(kind: str, tasks: Sequence[Task], answers: Answers, scope: str) -> list[Figures]:
    given = [answers.get(key_of(task["id"], scope)) for task in tasks]
    return [
        SCORERS[kind](task, answer) if answer is not None else {}
        for task, answer in zip(tasks, given, strict=True)
    ]


def _group(task: Task) -> str:
    return str(task.get("kind") or task.get("repo") or task["package"])


def _row(title: str, figures: Sequence[Figures], names: Sequence[str]) -> str:
    cells = []
    for name in names:
        values = [row[name] for row in figures if name in row]
        cells.append(f"{100 * float(np.mean(values)):13.1f}" if values else f"{'':13}")
    return f"{title[:24]:24}{sum(map(bool, figures)):5}" + "".join(cells)


def _confidence(
    kind: str, tasks: Sequence[Task], answers: Answers, figures: Sequence[Figures], scope: str
) -> list[str]:
    """How often each confidence was given, and how often the first was then right."""
    lines = []
    for level in ("high", "medium", "low"):
        right = [
            row[RIGHT[kind]]
            for task, row in zip(tasks, figures, strict=True)
            if row and answers[key_of(task["id"], scope)].get("confidence") == level
        ]
        share = f"right in {100 * float(np.mean(right)):.1f}% of them" if right else "never"
        given = 100 * len(right) / max(1, sum(map(bool, figures)))
        lines.append(f"confidence {level}: given in {given:.0f}%, {share}")
    return lines


def _seconds(name: str, answers: Answers, scope: str) -> str:
    took = [each["seconds"] for each in answers.values() if each["scope"] == scope]
    middle, most = np.percentile(took or [0.0], [50, 95])
    return f"{name}: {middle:.3f} s median, {most:.3f} s p95 a question"
