"""Does the scout find what a real fix changed? Quality beside a floor, with paired intervals."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from benchmarks.checkouts import lay_out
from benchmarks.localisation_floor import floor_citations
from benchmarks.localisation_scores import Score, paired_interval, score, table_head, table_row
from explorer.scout import Scout
from explorer.workspace import Workspace

Prediction = dict[str, Any]
LARGE_TREE_FILES = 4_500
_DEADLINE_S = 300.0


def run(args: Sequence[str] = ()) -> int:
    """Scout and floor on every task of a file, in one run on the same trees.

    The floor is BM25 over whole files with the path's words, one file and its best window: what
    two hours' work gives. Both see the query and the tree and nothing else. A question's seconds
    include bringing the index up to the task's commit. The weights that ship were trained on
    ``dev`` and ``train`` tasks too, so figures on those are optimistic: ``scout_training`` prints
    the cross-validated ones.
    """
    options = _options(args)
    tasks = [json.loads(line) for line in options.tasks.read_text().splitlines()]
    tasks.sort(key=lambda task: (task["repo"], task["date"]))
    tasks = tasks[: options.limit]
    if options.predictions:
        scout: dict[str, Prediction] = _read(options.predictions)
        floor: dict[str, Prediction] = {}
    else:
        floored = options.baseline is None and not options.no_floor
        scout, floor = anyio.run(_predict, tasks, options.mirror, options.trees, floored)
        folder = _keep(options.runs, {"scout": scout, "floor": floor}, options.tasks)
        print(f"predictions: {folder}\n")
    _report(tasks, scout, _read(options.baseline) if options.baseline else floor)
    return 0


def _options(args: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks localisation")

    def add(name: str, default: str | None, text: str) -> None:
        value = os.environ.get(f"FASTCONTEXT_BENCH_{name.upper()}", default)
        parser.add_argument(f"--{name}", type=Path, default=value and Path(value), help=text)

    add("tasks", None, "tasks, one JSON object a line")
    add("mirror", None, "folder of bare clones, <owner>+<name>/repo")
    add("trees", None, "folder where trees are laid out")
    add("runs", str(Path(__file__).parent / "runs"), "where predictions are kept")
    add("predictions", None, "score these predictions instead of asking")
    add("baseline", None, "predictions to compare with instead of the floor")
    parser.add_argument("--no-floor", action="store_true", help="leave the slow floor out")
    parser.add_argument("--limit", type=int, default=None, help="first so many tasks")
    options = parser.parse_args(list(args))
    for name in ("tasks",) if options.predictions else ("tasks", "mirror", "trees"):
        if getattr(options, name) is None:
            parser.error(f"--{name} or FASTCONTEXT_BENCH_{name.upper()} is needed")
    return options


async def _predict(
    tasks: list[dict[str, Any]], mirror: Path, trees: Path, floored: bool
) -> tuple[dict[str, Prediction], dict[str, Prediction]]:
    scout_answers: dict[str, Prediction] = {}
    floor_answers: dict[str, Prediction] = {}
    opened: tuple[Workspace, Scout] | None = None
    for task in tasks:
        tree = lay_out(task["repo"], task["base_commit"], mirror, trees)
        if opened is None or opened[0].root != tree.resolve():
            workspace = Workspace.open(tree)
            opened = workspace, Scout(workspace)
        workspace, scout = opened
        workspace.forget()
        begun = time.perf_counter()
        answer = await scout.answer(task["query"], deadline_s=_DEADLINE_S)
        cited = [
            {"path": each.path, "start": each.start, "end": each.end} for each in answer.citations
        ]
        scout_answers[task["id"]] = _prediction(task, cited, begun) | {
            "confidence": answer.confidence
        }
        if floored:
            begun = time.perf_counter()
            cited = floor_citations(workspace, await workspace.files(), task["query"])
            floor_answers[task["id"]] = _prediction(task, cited, begun)
    return scout_answers, floor_answers


def _prediction(task: dict[str, Any], citations: list[dict[str, Any]], begun: float) -> Prediction:
    seconds = round(time.perf_counter() - begun, 4)
    return {"id": task["id"], "citations": citations, "seconds": seconds}


def _read(path: Path) -> dict[str, Prediction]:
    return {each["id"]: each for each in map(json.loads, path.read_text().splitlines())}


def _keep(runs: Path, answers: dict[str, dict[str, Prediction]], tasks: Path) -> Path:
    """The folder in which this run's predictions were written; none is ever written over."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    folder = runs / f"{stamp}-{platform.machine()}-{os.cpu_count()}cpu"
    folder.mkdir(parents=True)
    for name, predictions in answers.items():
        if not predictions:
            continue
        lines = [json.dumps(each) for each in predictions.values()]
        (folder / f"localisation-{tasks.stem}-{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def _report(
    tasks: list[dict[str, Any]], scout: dict[str, Prediction], baseline: dict[str, Prediction]
) -> None:
    def scores(answers: dict[str, Prediction], chosen: Sequence[dict[str, Any]]) -> list[Score]:
        nothing: Prediction = {"citations": [], "seconds": 0.0}
        pairs = [(task, answers.get(task["id"], nothing)) for task in chosen]
        return [score(task, each["citations"], each.get("seconds", 0.0)) for task, each in pairs]

    print(table_head())
    if baseline:
        print(table_row("baseline", scores(baseline, tasks)))
    print(table_row("scout", scores(scout, tasks)))
    groupings: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("language", lambda task: str(task["language"])),
        ("size", lambda task: "large" if task["n_tree_files"] >= LARGE_TREE_FILES else "smaller"),
        ("name said", lambda task: str(task["stem_in_query"])),
        ("confidence", lambda task: str(scout.get(task["id"], {}).get("confidence", ""))),
    ]
    for title, key in groupings:
        for group in sorted({key(task) for task in tasks}):
            chosen = [task for task in tasks if key(task) == group]
            print(table_row(f"  {title}: {group}", scores(scout, chosen)))
    if baseline:
        print("\nscout minus baseline, percent, 95% paired bootstrap")
        for name, field in (("file F1", "file_f1"), ("line F1", "line_f1"), ("hit@1", "hit1")):
            mean, low, high = paired_interval(scores(scout, tasks), scores(baseline, tasks), field)
            print(f"  {name:8}{mean:+6.1f}  [{low:+.1f}, {high:+.1f}]")
