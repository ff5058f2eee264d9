"""Training of the scout's ranking models: features from tasks, cross-validation, weights.

``extract`` lays each task's tree out and keeps what the scout's own code says of its candidates,
one file a task. ``fit`` reads those, prints what leave-one-repository-out cross-validation gives,
and writes the weights of a fit on everything to ``explorer/scout/weights.json``.

Files are ranked by a conditional logit over each task's candidates, which learns what sets the
right file apart from the others of the same query; a small logistic regression turns its scores
into chances. Cells are ranked by a logistic regression over the lines of the files sought.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from benchmarks.checkouts import lay_out
from explorer.scout.engine import Engine
from explorer.scout.features import cell_features
from explorer.scout.model import (
    FORMAT,
    Linear,
    Weights,
    calibration_features,
    choose_cells,
    file_chances,
    how_many_files,
    sigmoid,
)
from explorer.scout.query import parse_query
from explorer.workspace import Workspace

Matrix = NDArray[np.float64]

WEIGHTS = Path(__file__).parents[1] / "explorer" / "scout" / "weights.json"
FILE_PENALTY = 0.03
CELL_PENALTY = 25.0
MOST_FILES = 6
_CELL_FILES = 8
_USUAL_TASKS = 60
"""Tasks of a repository from which on each of its further tasks counts less."""
_HIGH_PRECISION, _MARGIN = 0.90, 0.02


@dataclass(frozen=True, slots=True)
class Example:
    """One task's features."""

    task: dict[str, Any]
    files: NDArray[np.float32]
    right: NDArray[np.bool_]
    cells: NDArray[np.float32]
    cell_file: NDArray[np.int64]
    cell_lines: NDArray[np.int32]
    cell_sought: NDArray[np.float32]
    """Of each cell: how many of its lines are sought."""


def main(args: Sequence[str] | None = None) -> int:
    """The exit status: 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scout_training")
    parser.add_argument("step", choices=["extract", "fit"])
    parser.add_argument("--tasks", type=Path, nargs="+", required=True, help="files of tasks")
    parser.add_argument("--features", type=Path, required=True, help="folder of features")
    parser.add_argument("--validate", type=Path, nargs="*", help="fit: tasks that are scored")
    parser.add_argument("--mirror", type=Path, help="extract: folder of bare clones")
    parser.add_argument("--trees", type=Path, help="extract: folder for trees")
    options = parser.parse_args(args)
    tasks = _tasks(options.tasks)
    if options.step == "extract":
        anyio.run(_extract, tasks, options.mirror, options.trees, options.features)
        return 0
    examples = load_examples(tasks, options.features)
    scored = {task["id"] for task in _tasks(options.validate or options.tasks)}
    rows = cross_validate(examples, scored)
    high, medium = thresholds(rows)
    report(rows, high, medium)
    record = fit(examples) | {
        "confidence": {"high": high, "medium": medium},
        "trained": {
            "tasks": len(examples),
            "repositories": dict(Counter(each.task["repo"] for each in examples)),
        },
    }
    WEIGHTS.write_text(json.dumps({"format": FORMAT} | record, indent=1) + "\n")
    return 0


def _tasks(files: Sequence[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def _extract(tasks: list[dict[str, Any]], mirror: Path, trees: Path, folder: Path) -> None:
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    opened: tuple[Workspace, Engine] | None = None
    for task in sorted(tasks, key=lambda task: (task["repo"], task["date"])):
        tree = lay_out(task["repo"], task["base_commit"], mirror, trees)
        if opened is None or opened[0].root != tree.resolve():
            workspace = Workspace.open(tree)
            opened = workspace, Engine(workspace)
        workspace, engine = opened
        workspace.forget()
        engine.refresh(await workspace.files(), lambda: False)
        found = engine.candidates(parse_query(task["query"]))
        if found is None:
            continue
        names = [engine.path_of(row) for row in found.rows]
        right = np.array([name in task["files"] for name in names], np.bool_)
        cells, owner, shape, sought = [], [], [], []
        for index, name in enumerate(names):
            if not right[index] and index >= _CELL_FILES:
                continue
            begin, end = (int(each) for each in found.field.spans[index])
            first, last = found.field.first[begin:end], found.field.last[begin:end]
            hits = np.zeros(end - begin, np.float32)
            for low, high in task["files"].get(name, ()):
                hits += np.maximum(0, np.minimum(last, high) - np.maximum(first, low) + 1)
            cells.append(cell_features(found.field, index))
            owner.append(np.full(end - begin, index))
            shape.append(np.stack([first, last], axis=1))
            sought.append(hits)
        np.savez(
            folder / f"{task['id']}.npz",
            X=found.features,
            y=right,
            ntop=len(names),
            cx=np.concatenate(cells),
            cf=np.concatenate(owner),
            cs=np.concatenate(shape),
            cl=np.concatenate(sought),
        )


def load_examples(tasks: Sequence[dict[str, Any]], folder: Path) -> list[Example]:
    """The examples of the tasks that have features."""
    examples = []
    for task in tasks:
        path = folder / f"{task['id']}.npz"
        if not path.exists():
            continue
        with np.load(path) as kept:
            top, shape = int(kept["ntop"]), kept["cs"]
            lines = np.maximum(1, shape[:, 1] - shape[:, 0] + 1).astype(np.int32)
            part = (kept["X"][:top], kept["y"][:top], kept["cx"], kept["cf"], lines, kept["cl"])
        examples.append(Example(task, *part))
    return examples


def _importance(examples: Sequence[Example]) -> Matrix:
    counts = Counter(each.task["repo"] for each in examples)
    usual = [_USUAL_TASKS / max(_USUAL_TASKS // 2, counts[each.task["repo"]]) for each in examples]
    weights = np.sqrt(np.array(usual))
    return weights / weights.sum()


def fit_files(examples: Sequence[Example], penalty: float = FILE_PENALTY) -> Linear:
    """The conditional logit over each task's candidates, by Newton's method."""
    examples = [each for each in examples if each.right.any()]
    importance = _importance(examples)
    every = np.concatenate([each.files for each in examples]).astype(np.float64)
    mean, scale = every.mean(axis=0), every.std(axis=0) + 1e-6
    tables = [(each.files - mean) / scale for each in examples]
    targets = [each.right / each.right.sum() for each in examples]

    def loss(weight: Matrix) -> float:
        total = penalty * float(weight @ weight)
        for table, target, part in zip(tables, targets, importance, strict=True):
            total -= part * float(target @ _log_chances(table @ weight))
        return total

    def slopes(weight: Matrix) -> tuple[Matrix, Matrix]:
        gradient = 2 * penalty * weight
        hessian = 2 * penalty * np.eye(len(weight))
        for table, target, part in zip(tables, targets, importance, strict=True):
            chance = np.exp(_log_chances(table @ weight))
            gradient += part * (table.T @ (chance - target))
            centred = table - chance @ table
            hessian += part * (centred.T @ (centred * chance[:, None]))
        return gradient, hessian

    weight = np.zeros(every.shape[1])
    best = loss(weight)
    for _ in range(15):
        step = np.linalg.solve(*reversed(slopes(weight)))
        # Far from the optimum a full Newton step can overshoot, and then diverges.
        while (now := loss(weight - step)) > best and np.abs(step).max() > 1e-6:
            step = step / 2
        weight, gained, best = weight - step, best - now, min(best, now)
        if gained < 1e-6:
            break
    return Linear(weight / scale, float(-(mean / scale) @ weight))


def _log_chances(logits: Matrix) -> Matrix:
    logits = logits - logits.max()
    return np.asarray(logits - np.log(np.exp(logits).sum()), np.float64)


def fit_logistic(features: Matrix, target: Matrix, importance: Matrix, penalty: float) -> Linear:
    """A logistic regression on targets between 0 and 1, by Newton's method."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    table = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    weight = np.zeros(table.shape[1])
    ridge = np.full(len(weight), penalty)
    ridge[-1] = 1e-9
    for _ in range(30):
        chance = sigmoid(table @ weight)
        gradient = table.T @ (importance * (chance - target)) + ridge * weight
        curve = importance * chance * (1 - chance)
        step = np.linalg.solve((table * curve[:, None]).T @ table + np.diag(ridge), gradient)
        weight -= step
        if np.abs(step).max() < 1e-6:
            break
    return Linear(weight[:-1] / scale, float(weight[-1] - (mean / scale) @ weight[:-1]))


def fit_calibration(examples: Sequence[Example], files: Linear) -> Linear:
    """From scores to chances."""
    table = [calibration_features(files.logit(each.files)) for each in examples]
    right = np.concatenate([each.right for each in examples]).astype(np.float64)
    features = np.concatenate(table).astype(np.float64)
    return fit_logistic(features, right, np.ones(len(right)), 0.1)


def fit_cells(examples: Sequence[Example]) -> Linear:
    """The chance of a cell's lines to be sought, over the files sought."""
    tables, targets, importance = [], [], []
    for each in examples:
        mine = np.isin(each.cell_file, np.flatnonzero(each.right))
        if mine.any():
            tables.append(each.cells[mine])
            targets.append(np.minimum(1, each.cell_sought[mine] / each.cell_lines[mine]))
            importance.append(np.full(mine.sum(), 1.0 / max(60, mine.sum())))
    weights = np.concatenate(importance)
    return fit_logistic(
        np.concatenate(tables).astype(np.float64),
        np.concatenate(targets).astype(np.float64),
        weights / weights.mean(),
        CELL_PENALTY,
    )


def fit(examples: Sequence[Example]) -> dict[str, Any]:
    """The three models, as the record that ``weights.json`` holds."""
    files = fit_files(examples)
    parts = {
        "files": files,
        "calibration": fit_calibration(examples, files),
        "cells": fit_cells(examples),
    }
    return {
        name: {"weight": [round(float(x), 6) for x in part.weight], "bias": round(part.bias, 6)}
        for name, part in parts.items()
    }


@dataclass(frozen=True, slots=True)
class Row:
    """What held-out models say of one task."""

    task: dict[str, Any]
    file_f1: float
    line_f1: float
    hit1: bool
    hit3: bool
    recall5: float
    files: int
    chance: float


def cross_validate(examples: Sequence[Example], scored: set[str]) -> list[Row]:
    """Each scored task's row, by models that saw nothing of its repository."""
    rows = []
    for repository in sorted({each.task["repo"] for each in examples if each.task["id"] in scored}):
        seen = [each for each in examples if each.task["repo"] != repository]
        files = fit_files(seen)
        weights = Weights(files, fit_calibration(seen, files), fit_cells(seen), 1.0, 1.0)
        held = [each for each in examples if each.task["repo"] == repository]
        rows += [_row(weights, each) for each in held if each.task["id"] in scored]
    return rows


def _row(weights: Weights, each: Example) -> Row:
    chances = file_chances(weights, each.files)
    order = np.argsort(-chances, kind="stable")
    count = how_many_files(chances, MOST_FILES)
    sought = len(each.task["files"])
    right = each.right[order]
    lines = sum(b - a + 1 for ranges in each.task["files"].values() for a, b in ranges)
    at = np.flatnonzero(np.isin(each.cell_file, order[:count]))
    found = taken = 0.0
    if len(at):
        cell = sigmoid(weights.cells.logit(each.cells[at])) * chances[each.cell_file[at]]
        picked = at[choose_cells(cell, each.cell_lines[at])]
        found, taken = float(each.cell_sought[picked].sum()), float(each.cell_lines[picked].sum())
    return Row(
        each.task,
        _f1(float(right[:count].sum()), count, sought),
        _f1(found, taken, lines),
        bool(right[:1].any()),
        bool(right[:3].any()),
        float(right[:5].sum()) / sought,
        count,
        float(chances[order[0]]),
    )


def _f1(both: float, found: float, sought: float) -> float:
    return 2 * both / (found + sought) if both else 0.0


def thresholds(rows: Sequence[Row]) -> tuple[float, float]:
    """The chances from which on confidence is high and medium.

    High is right in nine of ten held-out cases and a margin more, since a new repository may be
    less like those of the training than they are like one another; medium in two of three.
    """
    ordered = sorted(rows, key=lambda row: -row.chance)
    right = np.cumsum([row.hit1 for row in ordered]) / np.arange(1, len(ordered) + 1)

    def lowest(precision: float) -> float:
        enough = np.flatnonzero(right >= precision)
        return ordered[int(enough[-1])].chance if len(enough) else 1.0

    return round(lowest(_HIGH_PRECISION + _MARGIN), 3), 0.45


def report(rows: Sequence[Row], high: float, medium: float) -> None:
    """Print the cross-validated figures, of all and by repository."""

    def line(name: str, chosen: Sequence[Row]) -> None:
        figures = [
            f"{100 * np.mean([getattr(row, field) for row in chosen]):8.1f}"
            for field in ("file_f1", "line_f1", "hit1", "hit3", "recall5")
        ]
        files = np.mean([row.files for row in chosen])
        print(f"{name:28}{len(chosen):5}" + "".join(figures) + f"{files:7.2f}")

    print(f"{'held out':28}{'n':>5} file F1 line F1   hit@1   hit@3     R@5  files")
    line("all", rows)
    for repository in sorted({row.task["repo"] for row in rows}):
        line(repository, [row for row in rows if row.task["repo"] == repository])
    bands = (("high", high, 2.0), ("medium", medium, high), ("low", -1.0, medium))
    for name, low, below in bands:
        chosen = [row for row in rows if low <= row.chance < below]
        if chosen:
            print(f"{name}: {len(chosen) / len(rows):.0%}", end=" of answers, first file right in ")
            print(f"{np.mean([row.hit1 for row in chosen]):.1%}")


if __name__ == "__main__":
    raise SystemExit(main())
