"""Training of the scout's ranking models: features from tasks, cross-validation, weights.

``extract`` lays out each task's tree and keeps what the scout's own code says of its candidates, in
one file for each task. ``fit`` reads these, prints the results of cross-validation by repository,
and writes the weights of a fit on everything to ``explorer/scout/weights.npz`` and
``weights.json``. ``score`` prints the results of the shipped weights on tasks, which should be of
repositories that they never saw.

Files are ranked by networks that learn what sets the right file apart from the others of the same
query; a small logistic regression turns their scores into chances. Cells are ranked by networks
that learn, over the files sought, the chance that a line is sought.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import numpy as np
from numpy.typing import NDArray

from benchmarks.checkouts import lay_out
from benchmarks.scout_networks import Group, Training, arrays_of, listwise, rowwise, train
from explorer.repository.workspace import Workspace
from explorer.scout.candidates import candidates
from explorer.scout.cells import read_cells
from explorer.scout.index import RepositoryIndex
from explorer.scout.matches import Matches
from explorer.scout.networks import (
    FORMAT,
    LogisticModel,
    Network,
    Weights,
    calibration_features,
    choose_cells,
    file_chances,
    how_many_files,
    load_weights,
    score_all,
    sigmoid,
)
from explorer.scout.query import parse_query
from explorer.scout.scanned import scans_of

Matrix = NDArray[np.float64]

WEIGHTS: Final = Path(__file__).parents[1] / "explorer" / "scout" / "weights"
FILE_TRAINING: Final = Training(epochs=10, rate=3e-3, decay=3e-2, drop=0.2, batch=32)
CELL_TRAINING: Final = Training(
    epochs=6, rate=4e-3, decay=3e-2, drop=0.25, batch=32, hidden=48, sums=24, upper=64
)
FILE_NETWORKS: Final = 2
CELL_NETWORKS: Final = 1
PARTS: Final = 3
"""The parts of cross-validation; each consists of whole repositories."""
MOST_FILES: Final = 6
_CELL_FILES: Final = 4
"""How many files' cells are kept besides those sought: the likeliest by the shipped weights."""
_UNREAD_LINES: Final = 20
"""How many wrong lines count for a cited file whose cells were not kept."""
_USUAL_TASKS: Final = 60
"""If a repository has more tasks, each of them counts less."""
_HIGH_PRECISION, _MARGIN = 0.90, 0.01


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one candidate."""

    file: int
    table: NDArray[np.float32]
    matches: Matches
    lines: NDArray[np.int32]
    sought: NDArray[np.float32]
    """How many lines of each cell are sought."""


@dataclass(frozen=True, slots=True)
class Example:
    """One task's features."""

    task: dict[str, Any]
    table: NDArray[np.float32]
    matches: Matches
    right: NDArray[np.bool_]
    cells: tuple[Cells, ...]


def main(args: Sequence[str] | None = None) -> int:
    """Run the step; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scout_training")
    parser.add_argument("step", choices=["extract", "fit", "score"])
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
    if options.step == "score":
        shipped = load_weights()
        report(shipped_rows(examples, shipped), shipped.high, shipped.medium)
        return 0
    scored = {task["id"] for task in _tasks(options.validate or options.tasks)}
    held = hold_out(examples, scored, FILE_NETWORKS, CELL_NETWORKS)
    rows = rows_of(held)
    high, medium = thresholds(rows)
    report(rows, high, medium)
    files, cells = fit(examples, FILE_NETWORKS, CELL_NETWORKS)
    arrays: dict[str, Any] = {**arrays_of("files", files), **arrays_of("cells", cells)}
    np.savez_compressed(WEIGHTS.with_suffix(".npz"), **arrays)
    calibration = fit_calibration(held)
    record = {
        "format": FORMAT,
        "calibration": {
            "weight": [round(float(x), 6) for x in calibration.weight],
            "bias": round(calibration.bias, 6),
        },
        "confidence": {"high": high, "medium": medium},
        "trained": {
            "tasks": len(examples),
            "repositories": dict(Counter(each.task["repo"] for each in examples)),
        },
    }
    WEIGHTS.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


def _tasks(files: Sequence[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def _extract(tasks: list[dict[str, Any]], mirror: Path, trees: Path, folder: Path) -> None:
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    opened: tuple[Workspace, RepositoryIndex] | None = None
    for task in sorted(tasks, key=lambda task: (task["repo"], task["date"])):
        tree = lay_out(task["repo"], task["base_commit"], mirror, trees)
        if opened is None or opened[0].root != tree.resolve():
            workspace = Workspace.open(tree)
            opened = workspace, RepositoryIndex(workspace)
        workspace, index = opened
        workspace.forget()
        index.refresh(await workspace.files(), lambda: False)
        arrays = features_of(index, task)
        if arrays is not None:
            np.savez(folder / f"{task['id']}.npz", **arrays)


def features_of(index: RepositoryIndex, task: dict[str, Any]) -> dict[str, Any] | None:
    """What ``load_examples`` reads about a task; None when the scout finds no candidate."""
    query = parse_query(task["query"])
    found = candidates(index, query, index.rows)
    if found is None:
        return None
    names = found.paths
    right = np.array([name in task["files"] for name in names], np.bool_)
    likely = np.argsort(-score_all(load_weights().files, found.features, found.matches))
    chosen = np.union1d(np.flatnonzero(right), likely[:_CELL_FILES]).tolist()
    texts = [found.texts[candidate] for candidate in chosen]
    field, known = read_cells(scans_of(texts), query, found.weight, found.described)
    shapes, sought = [], []
    for place, candidate in enumerate(chosen):
        begin, end = (int(each) for each in field.spans[place])
        first, last = field.first[begin:end], field.last[begin:end]
        hits = np.zeros(end - begin, np.float32)
        for low, high in task["files"].get(names[candidate], ()):
            hits += np.maximum(0, np.minimum(last, high) - np.maximum(first, low) + 1)
        shapes.append(np.maximum(1, last - first + 1))
        sought.append(hits)
    begins = np.cumsum([0] + [len(table) for table, _ in known[:-1]])
    owners = [each.owner + begin for (_, each), begin in zip(known, begins, strict=True)]
    sizes = [len(table) for table, _ in known]
    return {
        "table": found.features,
        "owner": found.matches.owner,
        "values": found.matches.values.astype(np.float16),
        "right": right,
        "cell_file": np.repeat(chosen, sizes).astype(np.int16),
        "cell_table": np.concatenate([table for table, _ in known]).astype(np.float16),
        "cell_owner": np.concatenate(owners).astype(np.int32),
        "cell_values": np.concatenate([each.values for _, each in known]).astype(np.float16),
        "cell_lines": np.concatenate(shapes).astype(np.int32),
        "cell_sought": np.concatenate(sought),
    }


def load_examples(tasks: Sequence[dict[str, Any]], folder: Path) -> list[Example]:
    """The examples of the tasks that have features."""
    examples = []
    for task in tasks:
        path = folder / f"{task['id']}.npz"
        if path.exists():
            with np.load(path) as kept:
                examples.append(_example(task, dict(kept)))
    return examples


def _example(task: dict[str, Any], kept: dict[str, NDArray[Any]]) -> Example:
    cells = []
    for file in np.unique(kept["cell_file"]).tolist():
        begin, end = np.searchsorted(kept["cell_file"], [file, file + 1])
        low, high = np.searchsorted(kept["cell_owner"], [begin, end])
        matches = Matches(kept["cell_owner"][low:high] - begin, kept["cell_values"][low:high])
        table = kept["cell_table"][begin:end]
        lines, sought = kept["cell_lines"][begin:end], kept["cell_sought"][begin:end]
        cells.append(Cells(file, table, matches, lines, sought))
    matches = Matches(kept["owner"], kept["values"])
    return Example(task, kept["table"], matches, kept["right"], tuple(cells))


def _importance(examples: Sequence[Example]) -> Matrix:
    counts = Counter(each.task["repo"] for each in examples)
    usual = [_USUAL_TASKS / max(_USUAL_TASKS // 2, counts[each.task["repo"]]) for each in examples]
    weights = np.sqrt(np.array(usual))
    return np.asarray(weights / weights.mean())


def file_groups(examples: Sequence[Example]) -> list[Group]:
    """What the networks of files are trained on: tasks with a right file among the candidates."""
    examples = [each for each in examples if each.right.any()]
    return [
        Group(
            each.table,
            each.matches,
            (each.right / each.right.sum()).astype(np.float32),
            float(importance),
        )
        for each, importance in zip(examples, _importance(examples), strict=True)
    ]


def cell_groups(examples: Sequence[Example]) -> list[Group]:
    """What the networks of cells are trained on: the files sought."""
    groups = []
    for each, importance in zip(examples, _importance(examples), strict=True):
        right = [cells for cells in each.cells if each.right[cells.file]]
        for cells in right:
            share = np.minimum(1, cells.sought / cells.lines).astype(np.float32)
            part = 1.3 * float(importance) / len(right)
            groups.append(Group(cells.table, cells.matches, share, part))
    return groups


def fit(
    examples: Sequence[Example], files: int, cells: int
) -> tuple[tuple[Network, ...], tuple[Network, ...]]:
    """So many networks of files and of cells."""
    groups = file_groups(examples)
    ranks = tuple(train(groups, FILE_TRAINING, listwise, seed) for seed in range(files))
    groups = cell_groups(examples)
    usual = float(np.concatenate([group.target for group in groups]).mean())
    bias = float(np.log(usual / (1 - usual)))
    lines = tuple(train(groups, CELL_TRAINING, rowwise, seed, bias) for seed in range(cells))
    return ranks, lines


def fit_logistic(features: Matrix, target: Matrix, penalty: float) -> LogisticModel:
    """A logistic regression by Newton's method."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    table = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    weight = np.zeros(table.shape[1])
    ridge = np.full(len(weight), penalty)
    ridge[-1] = 1e-9
    for _ in range(30):
        chance = sigmoid(table @ weight)
        gradient = table.T @ (chance - target) + ridge * weight
        curve = chance * (1 - chance)
        step = np.linalg.solve((table * curve[:, None]).T @ table + np.diag(ridge), gradient)
        weight -= step
        if np.abs(step).max() < 1e-6:
            break
    return LogisticModel(weight[:-1] / scale, float(weight[-1] - (mean / scale) @ weight[:-1]))


@dataclass(frozen=True, slots=True)
class Held:
    """What networks that saw nothing of a task's repository say about the task."""

    example: Example
    part: int
    raw: Matrix
    """The score of each candidate."""
    cells: tuple[Matrix, ...]
    """The scores of the cells of each of the example's files."""


@dataclass(frozen=True, slots=True)
class Row:
    """How well a held-out task was answered."""

    task: dict[str, Any]
    file_f1: float
    line_f1: float
    hit1: bool
    hit3: bool
    recall5: float
    files: int
    chance: float


def hold_out(examples: Sequence[Example], scored: set[str], files: int, cells: int) -> list[Held]:
    """Each scored task, judged by networks that saw nothing of its repository.

    The repositories of the scored tasks are dealt into ``PARTS``; for each part networks are
    trained on the other parts and on all repositories that are not scored.
    """
    names = sorted({each.task["repo"] for each in examples if each.task["id"] in scored})
    held = []
    for part in range(PARTS):
        out = set(names[part::PARTS])
        seen = [each for each in examples if each.task["repo"] not in out]
        networks = fit(seen, files, cells)
        for each in examples:
            if each.task["repo"] in out and each.task["id"] in scored:
                raw = _scored(networks[0], each.table, each.matches)
                lines = tuple(_scored(networks[1], c.table, c.matches) for c in each.cells)
                held.append(Held(each, part, raw, lines))
    return held


def shipped_rows(examples: Sequence[Example], shipped: Weights) -> list[Row]:
    """Each task's row, by the given weights."""
    rows = []
    for each in examples:
        raw = _scored(shipped.files, each.table, each.matches)
        lines = tuple(_scored(shipped.cells, c.table, c.matches) for c in each.cells)
        rows.append(_row(shipped.calibration, Held(each, 0, raw, lines)))
    return rows


def _scored(networks: tuple[Network, ...], table: NDArray[np.floating], matches: Matches) -> Matrix:
    values = Matches(matches.owner, matches.values.astype(np.float32))
    return score_all(networks, table.astype(np.float32), values).astype(np.float64)


def fit_calibration(held: Sequence[Held]) -> LogisticModel:
    """What turns scores, of tasks that the networks did not see, into chances."""
    features = np.concatenate([calibration_features(each.raw) for each in held])
    right = np.concatenate([each.example.right for each in held])
    return fit_logistic(features.astype(np.float64), right.astype(np.float64), 0.1)


def rows_of(held: Sequence[Held]) -> list[Row]:
    """Each task's row, calibrated on the other parts."""
    rows = []
    for part in sorted({each.part for each in held}):
        calibration = fit_calibration([each for each in held if each.part != part])
        rows += [_row(calibration, each) for each in held if each.part == part]
    return rows


def _row(calibration: LogisticModel, held: Held) -> Row:
    each = held.example
    chances = file_chances(calibration, held.raw)
    order = np.argsort(-chances, kind="stable")
    count = how_many_files(chances, MOST_FILES)
    sought = len(each.task["files"])
    right = each.right[order]
    lines = sum(b - a + 1 for ranges in each.task["files"].values() for a, b in ranges)
    cited = order[:count].tolist()
    parts = [
        (sigmoid(raw) * chances[cells.file], cells)
        for raw, cells in zip(held.cells, each.cells, strict=True)
        if cells.file in cited
    ]
    found, taken = 0.0, float(_UNREAD_LINES * (count - len(parts)))
    if parts:
        size = np.concatenate([cells.lines for _, cells in parts])
        picked = choose_cells(np.concatenate([chance for chance, _ in parts]), size)
        found = float(np.concatenate([cells.sought for _, cells in parts])[picked].sum())
        taken += float(size[picked].sum())
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
    """The chances from which on the confidence is high and medium.

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
