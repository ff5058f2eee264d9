"""Whether the scout answers questions and issues that its authors did not write.

The floor and the peer of ``localisation`` are asked in the same run. A run can be interrupted: with
``--into`` the next one goes on where it stopped.
"""

import argparse
import ast
import importlib.util
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from benchmarks.checkouts import lay_out
from benchmarks.localisation import Semble, shown_ranges
from benchmarks.localisation_floor import Floor
from benchmarks.measure import RUNS, Bench, Case, conditions, machine, new_folder
from benchmarks.questions_report import (
    RANKED,
    Answers,
    Prediction,
    Task,
    key_of,
    report,
    same_file,
)
from explorer.definitions import outline
from explorer.repository.workspace import Workspace
from explorer.scout import Scout

_DEADLINE_S = 300.0
_DEFINES = (
    r"\b(?:class|def|defp|defmacro|defmodule|defprotocol|func|fun|fn|function|interface|trait|type"
    r"|struct|enum|union|object|protocol|module|namespace|actor|extension|typedef|macro_rules!"
    r"|const|let|var|val|using)\s+(?:\([^)]*\)\s*|\w+[.:])*{name}\b"
    r"|^\s*(?:#\s*define\s+|(?:local\s+)?(?:[\w.]+[.:])?){name}\s*(?:=|:=)"
    r"|^(?:[\w*&<>:,]+\s+)*\**{name}\s*\([^;]*$|^[}}\s]*\}}\s*{name}\s*;"
)
"""The lines that define a name, in the languages of the sets."""


def questions(bench: Bench) -> list[Case]:
    """Whether the scout finds the files that answer plain questions, compared as `localisation` is.

    About the folder that holds the sources, and about the whole checkout. Needs `python -m
    benchmarks questions --tasks FILE --mirror DIR --trees DIR`; `--help` lists more.
    """
    return _left_out(bench)


def issues(bench: Bench) -> list[Case]:
    """Whether the scout finds the files and functions that the fixes of reported issues changed.

    Needs `python -m benchmarks issues --tasks FILE --mirror DIR --trees DIR`.
    """
    return _left_out(bench)


def how(bench: Bench) -> list[Case]:
    """Whether the first places are the definitions that answer questions how something is done.

    Needs `python -m benchmarks how --tasks FILE`, for questions about repositories with `--mirror
    DIR --trees DIR` (those in `benchmarks/reader/asked/`), else about installed libraries.
    """
    return _left_out(bench)


def _left_out(bench: Bench) -> list[Case]:
    bench.say("left out: no --tasks")
    return []


def run(kind: str, args: Sequence[str] = ()) -> int:
    """Ask all explorers, keep their predictions and print the table; the exit status is 0."""
    options = _options(kind, args)
    tasks = [json.loads(line) for line in options.tasks.read_text().splitlines()]
    chosen = frozenset(options.only or ())
    tasks = [task for task in tasks if not chosen or _name(task) in chosen]
    tasks.sort(key=lambda task: (_name(task), task.get("date", "")))
    tasks = tasks[: options.limit]
    into = options.into or new_folder(options.runs, options.machine, f"{kind}-{options.tasks.stem}")
    into.mkdir(parents=True, exist_ok=True)
    scopes = ("root", "whole") if kind == "questions" else ("whole",)
    if options.scope:
        scopes = (options.scope,)
    if not options.score_only:
        anyio.run(_ask_all, kind, tasks, scopes, into, options)
    answers = {name: _read(into, name) for name in ("scout", "floor", "semble")}
    answers = {name: each for name, each in answers.items() if each}
    before = _read(options.against, "scout") if options.against else None
    text = report(kind, tasks, answers, scopes, before)
    (into / "conditions.json").write_text(json.dumps(conditions() | {"tasks": len(tasks)}) + "\n")
    (into / "table.txt").write_text(text + "\n")
    print(f"{text}\n\npredictions: {into}")
    return 0


def _options(kind: str, args: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {kind}", description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True, help="tasks, one JSON object a line")
    of_clones = kind != "how"
    parser.add_argument("--mirror", type=Path, required=of_clones, help="folder of bare clones")
    parser.add_argument("--trees", type=Path, required=of_clones, help="folder for their trees")
    parser.add_argument("--semble", type=Path, help="a Python that has semble installed")
    parser.add_argument("--no-floor", action="store_true", help="leave the floor out")
    parser.add_argument("--only", nargs="+", help="ask about these repositories alone")
    parser.add_argument("--limit", type=int, help="ask so many tasks")
    parser.add_argument("--scope", choices=["root", "whole"], help="ask about one of them alone")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where predictions are kept")
    parser.add_argument("--machine", default=machine(), help="its name in the folder of the run")
    parser.add_argument("--into", type=Path, help="keep them here; what is here is not asked again")
    parser.add_argument("--against", type=Path, help="predictions of another run to compare with")
    parser.add_argument("--score-only", action="store_true", help="ask nothing")
    return parser.parse_args(list(args))


def _name(task: Task) -> str:
    return str(task.get("slug") or task.get("repo") or task["package"])


async def _ask_all(
    kind: str, tasks: list[Task], scopes: Sequence[str], into: Path, options: argparse.Namespace
) -> None:
    done = {name: _read(into, name) for name in ("scout", "floor", "semble")}
    floor = Floor()
    opened: dict[str, tuple[Workspace, Scout]] = {}
    said = ""
    with ExitStack() as stack:
        peer = stack.enter_context(Semble(options.semble)) if options.semble else None
        wanted = ["scout", *([] if options.no_floor else ["floor"]), *(["semble"] if peer else [])]
        for number, task in enumerate(tasks, 1):
            for scope in scopes:
                key = key_of(task["id"], scope)
                lacking = [name for name in wanted if key not in done[name]]
                if not lacking:
                    continue
                if said != _name(task):
                    said, opened = _name(task), {}
                    print(f"... {number}/{len(tasks)} {said}", file=sys.stderr, flush=True)
                root = root_of(task, scope, options.mirror, options.trees)
                if scope not in opened:
                    workspace = Workspace.open(root)
                    opened[scope] = workspace, Scout(workspace)
                workspace, scout = opened[scope]
                workspace.forget()
                files = await workspace.files()
                for name in lacking:
                    if name == "scout":
                        answer = await _ask_scout(scout, workspace, task)
                    elif name == "floor":
                        answer = _ask_floor(floor, workspace, files, task)
                    else:
                        assert peer is not None
                        answer = peer.ask(dict(task), root, RANKED)
                    answer |= {"scope": scope} | _seen(kind, task, root, answer["citations"])
                    with (into / f"{name}.jsonl").open("a", encoding="utf-8") as file:
                        file.write(json.dumps(answer) + "\n")


def _package_folder(package: str) -> Path:
    """Where an installed package lies."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"error: package {package!r} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def root_of(task: Task, scope: str, mirror: Path | None, trees: Path | None) -> Path:
    """The folder that the task is asked about: a package, or a tree of a bare clone.

    ``scope`` is ``root`` for the folder of sources that a task names, ``whole`` for all.
    """
    if "package" in task:
        return _package_folder(task["package"])
    if mirror is None or trees is None:
        raise SystemExit("error: tasks of repositories need --mirror and --trees")
    commit = task.get("revision") or task["base_commit"]
    tree = lay_out(_name(task), commit, mirror, trees)
    return tree / task["root"] if scope == "root" and "root" in task else tree


async def _ask_scout(scout: Scout, workspace: Workspace, task: Task) -> Prediction:
    await scout.index()
    begun = time.perf_counter()
    answer = await scout.answer(task["query"], deadline_s=_DEADLINE_S)
    took_s = time.perf_counter() - begun
    shown = await anyio.to_thread.run_sync(shown_ranges, scout, workspace, task["query"], answer)
    return {
        "id": task["id"],
        "citations": [
            {"path": each.path, "start": each.start, "end": each.end} for each in answer.citations
        ],
        "further": list(dict.fromkeys(each.path for each in answer.further)),
        "shown": shown,
        "seconds": round(took_s, 4),
        "confidence": answer.confidence,
        "place_confidence": answer.place_confidence,
    }


def _ask_floor(
    floor: Floor, workspace: Workspace, files: tuple[str, ...], task: Task
) -> Prediction:
    begun = time.perf_counter()
    first, *rest = floor.cite(workspace, files, task["query"], RANKED) or [None]
    return {
        "id": task["id"],
        "citations": [first] if first else [],
        "further": [each["path"] for each in rest],
        "seconds": round(time.perf_counter() - begun, 4),
    }


def _seen(kind: str, task: Task, root: Path, cited: Sequence[Prediction]) -> dict[str, Any]:
    """What the tree says about the cited ranges, which scoring needs."""
    if kind == "how":
        named = [found for gold in task.get("gold", ()) for found in _found(root, gold)]
        ranges = task.get("files", {}).items()
        return {"gold": named + [_whole(root, path, *each) for path, of in ranges for each in of]}
    if kind == "issues":
        functions, modules = names_of(root, cited)
        return {"functions": functions, "modules": modules}
    if task["kind"] != "symbol":
        return {}
    targets = [each["path"] for each in task["relevant"]]
    name = re.split(r"::|[.#/\\]", task["query"].strip("`() "))[-1]
    pattern = re.compile(_DEFINES.format(name=re.escape(name)))
    places = [each for each in cited if any(same_file(each["path"], path) for path in targets)]
    for path in dict.fromkeys(each["path"] for each in places):
        lines = (root / path).read_text("utf-8", "replace").splitlines()
        defining = [number for number, line in enumerate(lines, 1) if pattern.search(line)]
        if defining:
            first = cited[0]
            within = any(first["start"] <= number <= first["end"] for number in defining)
            return {"defined": first["path"] == path and within}
    return {}


def _found(root: Path, gold: Prediction) -> list[Prediction]:
    """Where a definition is in the version that is installed, with what stands above its head."""
    found = []
    for name, node in _definitions(root / gold["path"]):
        if name == gold["name"] or name.endswith(f".{gold['name']}"):
            lines = (root / gold["path"]).read_text("utf-8").splitlines()
            start = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            while start > 1 and lines[start - 2].lstrip().startswith("#"):
                start -= 1
            place = {"path": gold["path"], "start": start, "end": node.end_lineno}
            found.append(place | {"head": node.lineno})
    return found


def _whole(root: Path, path: str, start: int, end: int) -> Prediction:
    """The definition in these lines, with its head and what stands above that."""
    place = {"path": path, "start": start, "end": end, "head": start}
    for each in outline(path, (root / path).read_bytes()):
        if start <= each.head <= end:
            first, last = min(start, each.start), max(end, each.end)
            return place | {"start": first, "end": last, "head": each.head}
    return place


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions(path: Path) -> Iterator[tuple[str, _Definition]]:
    """The definitions of a Python file with their qualified names; none if it does not parse."""
    try:
        tree = ast.parse(path.read_text("utf-8", "replace"))
    except (OSError, SyntaxError, ValueError):
        return
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, _Definition):
                name = f"{prefix}.{child.name}" if prefix else child.name
                yield name, child
            waiting.append((name, child))


def names_of(root: Path, places: Sequence[Prediction]) -> tuple[list[str], list[str]]:
    """The innermost functions that the places lie in, and the top-level names: ``path:Name``."""
    functions, modules = set[str](), set[str]()
    for each in places:
        inner, outer = names_at(root / each["path"], each["start"], each["end"])
        functions |= {f"{each['path']}:{name}" for name in inner}
        modules |= {f"{each['path']}:{name}" for name in outer}
    return sorted(functions), sorted(modules)


def names_at(path: Path, start: int, end: int) -> tuple[set[str], set[str]]:
    """The innermost functions that the lines lie in, and the top-level names around them."""
    functions: dict[int, str] = {}
    depths: dict[int, int] = {}
    outer: set[str] = set()
    for name, node in _definitions(path):
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        low, high = max(start, first), min(end, node.end_lineno or first)
        if low > high:
            continue
        if "." not in name:
            outer.add(name)
        depth = name.count(".")
        for line in range(low, high + 1):
            if depth >= depths.get(line, -1):
                depths[line] = depth
                if isinstance(node, ast.ClassDef):
                    functions.pop(line, None)
                else:
                    functions[line] = name
    return set(functions.values()), outer


def _read(folder: Path, name: str) -> Answers:
    path = folder / f"{name}.jsonl"
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {key_of(each["id"], each["scope"]): each for each in rows}
