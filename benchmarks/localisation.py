"""Whether the scout finds what a real fix changed, compared with a floor and a peer in one run."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from benchmarks.checkouts import lay_out
from benchmarks.localisation_floor import Floor
from benchmarks.localisation_report import Answers, Prediction, report
from benchmarks.measure import RUNS, Bench, Case, conditions, machine, new_folder
from explorer.repository.workspace import Workspace
from explorer.scout import Scout, ScoutAnswer
from server.exploring.course import exploration_of, with_code
from server.exploring.report import Report, for_client
from server.settings import Settings

_DEADLINE_S = 300.0
_MAX_BYTES: int = Settings.model_fields["answer_bytes"].default
_PEER = Path(__file__).with_name("localisation_semble.py")
_ENVIRONMENT = "FASTCONTEXT_BENCH_"


def localisation(bench: Bench) -> list[Case]:
    """Whether the scout finds what real bug fixes changed, compared with a floor and a peer.

    Tasks are commits that fix a bug: the query is the message without paths and hashes, the answer
    the lines that the fix touched, the tree that of its parent. Each explorer sees only the query
    and the tree, one after the other on the same tree. Needs FASTCONTEXT_BENCH_TASKS, _MIRROR and
    _TREES, or `python -m benchmarks localisation --tasks FILE --mirror DIR --trees DIR`; with
    --semble PYTHON, a Python that has `semble` installed, the peer is asked too. The shipped
    weights were trained on such tasks, so figures on those are optimistic: `scout_training` prints
    cross-validated ones.
    """
    missing = [
        name for name in ("TASKS", "MIRROR", "TREES") if _ENVIRONMENT + name not in os.environ
    ]
    if missing:
        bench.say(f"left out: {', '.join(_ENVIRONMENT + name for name in missing)} not set")
        return []
    run(["--limit", str(bench.samples)] if bench.samples else [])
    return []


def run(args: Sequence[str] = ()) -> int:
    """Ask all explorers, keep their predictions and print the table; the exit status is 0."""
    options = _options(args)
    tasks = [json.loads(line) for line in options.tasks.read_text().splitlines()]
    tasks.sort(key=lambda task: (task["repo"], task["date"]))
    tasks = tasks[: options.limit]
    if options.predictions:
        answers = {path.stem: _read(path) for path in sorted(options.predictions.glob("*.jsonl"))}
        print(report(tasks, answers))
        return 0
    answers = anyio.run(_ask_all, tasks, options)
    folder = new_folder(options.runs, options.machine, f"localisation-{options.tasks.stem}")
    for name, predictions in answers.items():
        lines = "".join(json.dumps(each) + "\n" for each in predictions.values())
        (folder / f"{name}.jsonl").write_text(lines)
    (folder / "conditions.json").write_text(json.dumps(conditions() | {"tasks": len(tasks)}) + "\n")
    print(f"predictions: {folder}\n")
    text = report(tasks, answers)
    (folder / "table.txt").write_text(text + "\n")
    print(text)
    return 0


def _options(args: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks localisation")

    def add(name: str, text: str, default: Path | None = None) -> None:
        value = os.environ.get(f"{_ENVIRONMENT}{name.upper()}")
        usual = Path(value) if value else default
        parser.add_argument(f"--{name}", type=Path, default=usual, help=text)

    add("tasks", "tasks, one JSON object a line")
    add("mirror", "folder of bare clones, <owner>+<name>/repo")
    add("trees", "folder where trees are laid out")
    add("semble", "a Python that has semble installed; without one the peer is left out")
    add("runs", "where predictions are kept", RUNS)
    add("predictions", "score the predictions of this folder instead of asking")
    parser.add_argument("--machine", default=machine(), help="its name in the folder of the run")
    parser.add_argument("--no-floor", action="store_true", help="leave the slow floor out")
    parser.add_argument(
        "--first",
        action="store_true",
        help="ask a scout that has no index, as a cold start does, too",
    )
    parser.add_argument("--limit", type=int, default=None, help="first so many tasks")
    options = parser.parse_args(list(args))
    for name in ("tasks",) if options.predictions else ("tasks", "mirror", "trees"):
        if getattr(options, name) is None:
            parser.error(f"--{name} or {_ENVIRONMENT}{name.upper()} is needed")
    return options


async def _ask_all(tasks: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Answers]:
    answers: dict[str, Answers] = {"scout": {}}
    counter = Floor()
    workspace: Workspace | None = None
    with ExitStack() as stack:
        peer = stack.enter_context(Semble(options.semble)) if options.semble else None
        for number, task in enumerate(tasks, 1):
            tree = lay_out(task["repo"], task["base_commit"], options.mirror, options.trees)
            if workspace is None or workspace.root != tree.resolve():
                workspace = Workspace.open(tree)
                scout = Scout(workspace)
                print(f"... {number}/{len(tasks)} {task['repo']}", file=sys.stderr, flush=True)
            workspace.forget()
            files = await workspace.files()
            task_id = task["id"]
            answers["scout"][task_id] = await _ask_scout(scout, workspace, task)
            if options.first:
                first = await _ask_scout(Scout(workspace), workspace, task, look_first=True)
                answers.setdefault("scout-first", {})[task_id] = first
            if not options.no_floor:
                floor = _ask_floor(counter, workspace, files, task)
                answers.setdefault("floor", {})[task_id] = floor
            if peer is not None:
                answers.setdefault("semble", {})[task_id] = peer.ask(task, tree)
    return answers


async def _ask_scout(
    scout: Scout, workspace: Workspace, task: dict[str, Any], *, look_first: bool = False
) -> Prediction:
    """The scout's answer, with the seconds of the query and those of updating the index."""
    begun = time.perf_counter()
    if not look_first:
        await scout.index()
    indexed = time.perf_counter()
    answer = await scout.answer(task["query"], deadline_s=_DEADLINE_S)
    answered = time.perf_counter()
    shown = await anyio.to_thread.run_sync(shown_ranges, scout, workspace, task["query"], answer)
    if look_first:
        scout.close()
    return {
        "id": task["id"],
        "citations": [
            {"path": each.path, "start": each.start, "end": each.end} for each in answer.citations
        ],
        "further": list(dict.fromkeys(each.path for each in answer.further)),
        "shown": shown,
        "seconds": round(answered - indexed, 4),
        "index_s": round(indexed - begun, 4),
        "confidence": answer.confidence,
    }


def shown_ranges(
    scout: Scout, workspace: Workspace, query: str, answer: ScoutAnswer
) -> list[dict[str, Any]]:
    """The lines that an answer of the usual size shows."""
    run = exploration_of(query, answer)
    report = Report(workspace.root, "scout", "no endpoint is configured", run)
    report = with_code(report, workspace, scout.locate, max_bytes=_MAX_BYTES)
    text, facts = for_client(report, _MAX_BYTES)
    assert len(text.encode()) <= _MAX_BYTES
    return [
        {
            "path": each["path"],
            "start": part["start"],
            "end": part["start"] + len(part["lines"]) - 1,
        }
        for each in (*facts["citations"], *facts["further"])
        for part in each["code"]
    ]


def _ask_floor(
    floor: Floor, workspace: Workspace, files: tuple[str, ...], task: dict[str, Any]
) -> Prediction:
    begun = time.perf_counter()
    cited = floor.cite(workspace, files, task["query"])
    seconds = round(time.perf_counter() - begun, 4)
    return {"id": task["id"], "citations": cited, "seconds": seconds, "index_s": 0.0}


class Semble(AbstractContextManager["Semble"]):
    """The peer, as a child process with a home of its own."""

    def __init__(self, python: Path) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="fastcontext-semble-")
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": self._home.name,
            "XDG_CACHE_HOME": self._home.name,
            "HF_HUB_OFFLINE": "1",
        }
        self._process = subprocess.Popen(
            [str(python), str(_PEER)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._home.cleanup()

    def ask(self, task: dict[str, Any], tree: Path, files: int = 5) -> Prediction:
        """Its answer, with the best place of each of so many files.

        Raises:
            RuntimeError: it went away.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"root": str(tree.resolve()), "query": task["query"], "files": files}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("semble went away; hint: ask it by hand, its errors are on stderr")
        answer = json.loads(line)
        return {
            "id": task["id"],
            "citations": answer["citations"],
            "seconds": round(answer["query_s"], 4),
            "index_s": round(answer["index_s"], 4),
        }


def _read(path: Path) -> Answers:
    return {each["id"]: each for each in map(json.loads, path.read_text().splitlines())}
