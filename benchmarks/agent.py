"""Whether the tool pays: a small agent locates code with it and without, and both are counted.

Every task is run in both arms, and each run is a new conversation with a new server. The arms take
turns in going first: whatever the endpoint or the machine keeps from the run before helps half of
the tasks in one arm and half in the other.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
from mcp import MCPError
from pydantic import SecretStr

from benchmarks.agent_report import ARMS, report
from benchmarks.agent_run import ServerTools, locate, served
from benchmarks.checkouts import lay_out
from benchmarks.measure import RUNS, Bench, Case, conditions, machine, new_folder
from benchmarks.questions import names_of
from explorer.engines.http import HttpEngine
from explorer.errors import ExplorerError
from explorer.limits import LoopSettings, TokenLimits, defaults_for
from explorer.repository.workspace import Workspace
from explorer.trajectory import TrajectoryError, TrajectoryWriter

KEY = "BENCHMARK_API_KEY"
_ANSWER_TOKENS = 4_096
_RESULTS = "results.jsonl"
Task = dict[str, Any]


def agent(bench: Bench) -> list[Case]:
    """What an agent that locates code costs and finds, with the tool and without.

    Needs `python -m benchmarks agent --endpoint URL --model NAME --tasks FILE`; docs/measuring.md
    says how to measure it on a repository of your own.
    """
    bench.say("left out: no --endpoint")
    return []


def run(args: Sequence[str]) -> int:
    """Run what is not yet kept, and print the table; the exit status is 0, or 1 after a failure."""
    options = _options(args)
    tasks = options.tasks
    into: Path = options.into or new_folder(options.runs, options.machine, options.name)
    into.mkdir(parents=True, exist_ok=True)
    failures: list[BaseException] = []
    try:
        anyio.run(_run_all, tasks, into, options)
    except* (ExplorerError, TrajectoryError, MCPError, subprocess.CalledProcessError) as group:
        failures = _flat(group)
    known = {task["id"] for task in tasks}
    text = report([row for row in _kept(into) if row["id"] in known])
    print(f"{text}\n\nresults and transcripts: {into}")
    if failures:
        print(f"error: {failures[0]}", file=sys.stderr)
        print(f"hint: to go on, repeat the command with --into {into}", file=sys.stderr)
        return 1
    (into / "table.txt").write_text(text + "\n")
    return 0


def _flat(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _flat(each)]
    return [error]


def _options(args: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks agent",
        description=__doc__,
        epilog=f"The endpoint's API key is read from the environment variable {KEY}.",
    )
    add = parser.add_argument
    add("--endpoint", required=True, help="an OpenAI-compatible URL, up to and including /v1")
    add("--model", required=True, help="the name of the agent's model there")
    add("--tasks", type=Path, required=True, help="tasks, one JSON object a line")
    add("--mirror", type=Path, help="folder of bare clones, <owner>+<name>/repo")
    add("--trees", type=Path, help="folder where their trees are laid out")
    add("--limit", type=int, help="first so many tasks")
    add("--max-turns", type=int, default=20, help="requests of one run (%(default)s)")
    add("--context", type=int, default=65_536, help="tokens of one request (%(default)s)")
    add("--into", type=Path, help="keep the runs here; runs that are here are not repeated")
    add("--runs", type=Path, default=RUNS, help="where runs are kept without --into")
    add("--machine", default=machine(), help="its name in the folder of the run")
    options = parser.parse_args(list(args))
    options.name = f"agent-{options.tasks.stem}"
    try:
        options.tasks = _read_tasks(options.tasks)[: options.limit]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    key = os.environ.get(KEY)
    try:
        options.engine = HttpEngine(
            options.endpoint, options.model, SecretStr(key) if key else None, thinking=None
        )
    except ValueError as error:
        parser.error(str(error))
    kept = _kept(options.into) if options.into else []
    if others := {row["model"] for row in kept} - {options.model}:
        parser.error(f"--into holds runs of another model, {min(others)!r}")
    if any("repo" in task for task in options.tasks) and not (options.mirror and options.trees):
        parser.error('tasks with "repo" need --mirror and --trees')
    return options


def _read_tasks(file: Path) -> list[Task]:
    """The tasks; each has an id afterwards, and a directory given as ``path`` is absolute.

    Raises:
        ValueError: a line is no task.
    """
    tasks: dict[str, Task] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number} of {file.name!r}"
        try:
            task = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where} is no JSON: {error}") from None
        if not isinstance(task, dict) or not isinstance(task.get("query"), str):
            raise ValueError(f'{where} has no "query"; hint: the task, bug report or question')
        if "path" in task:
            task["path"] = (file.parent / Path(task["path"]).expanduser()).resolve()
            task.pop("repo", None)
            if not task["path"].is_dir():
                raise ValueError(f'"path" in {where} is no directory: {str(task["path"])!r}')
        elif not {"repo", "base_commit"} <= task.keys():
            raise ValueError(f'{where} has neither "path" nor "repo" with "base_commit"')
        task_id = task["id"] = str(task.get("id", number))
        if task_id in tasks:
            raise ValueError(f"{where} repeats the id {task_id!r}")
        tasks[task_id] = task
    if not tasks:
        raise ValueError(f"{file.name!r} has no task")
    return list(tasks.values())


def _kept(into: Path) -> list[dict[str, Any]]:
    path = into / _RESULTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def _run_all(tasks: Sequence[Task], into: Path, options: argparse.Namespace) -> None:
    done = {(row["id"], row["arm"]) for row in _kept(into)}
    (into / "conditions.json").write_text(json.dumps(conditions() | {"tasks": len(tasks)}) + "\n")
    async with options.engine as engine:
        for number, task in enumerate(tasks):
            # The crossing: every other task begins in the other arm.
            for arm in ARMS if number % 2 else reversed(ARMS):
                if (task["id"], arm) in done:
                    continue
                print(f"... {number + 1}/{len(tasks)} {task['id']} {arm}", file=sys.stderr)
                row = await _run_one(task, arm, engine, into, options)
                with (into / _RESULTS).open("a") as file:
                    file.write(json.dumps(row) + "\n")


async def _run_one(
    task: Task, arm: str, engine: HttpEngine, into: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """One run, as a row of the results; its transcript is kept beside them."""
    root = task.get("path") or lay_out(
        task["repo"], task["base_commit"], options.mirror, options.trees
    )
    record = into / "transcripts" / f"{quote(task['id'], safe='')}.{arm}.jsonl"
    record.unlink(missing_ok=True)  # Of a run that was cut off.
    async with AsyncExitStack() as stack:
        workspace = stack.enter_context(Workspace.open(root))
        listener = stack.enter_context(TrajectoryWriter(record, repository=workspace.root))
        tools = ServerTools(workspace)
        if arm == "with":
            log = stack.enter_context((into / "server.log").open("a"))
            await tools.connect(await stack.enter_async_context(served(workspace.root, log)))
        settings = LoopSettings(
            max_turns=options.max_turns,
            sampling=defaults_for(options.model).sampling,
            limits=TokenLimits(context=options.context, answer=_ANSWER_TOKENS),
        )
        located = await locate(
            task["query"],
            engine=engine,
            workspace=workspace,
            tools=tools,
            settings=settings,
            listener=listener,
        )
    result = located.result
    cited = [{"path": c.path, "start": c.start, "end": c.end} for c in result.citations]
    return {
        "id": task["id"],
        "arm": arm,
        "model": options.model,
        "stop_reason": result.stop_reason,
        "requests": result.usage.requests,
        "prompt_tokens": result.usage.prompt_tokens,
        "cached_tokens": result.usage.cached_tokens,
        "completion_tokens": result.usage.completion_tokens,
        "estimated": result.usage.estimated,
        "seconds": round(result.elapsed_s, 3),
        "tool_calls": result.tool_calls,
        "output_bytes": located.output_bytes,
        "asked": tools.asked,
        "failed": tools.failed,
        "citations": cited,
        "functions": names_of(root, cited)[0],
        "sought_files": sorted(task.get("files", ())),
        "sought_functions": _sought_functions(root, task),
    }


def _sought_functions(root: Path, task: Task) -> list[str]:
    """Those that the task names, or else those around the lines that it names."""
    if "functions" in task:
        return sorted(task["functions"])
    files = task.get("files_exact") or task.get("files") or {}
    if not isinstance(files, dict):
        return []
    places = [
        {"path": path, "start": start, "end": end}
        for path, ranges in files.items()
        for start, end in ranges
    ]
    return names_of(root, places)[0]
