"""How long the scout takes: with and without an index, on repositories of several sizes."""

import json
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import anyio
import anyio.to_thread
import psutil

from benchmarks.measure import Bench, Case
from benchmarks.start import environment
from benchmarks.trees import NEEDLES, tree
from explorer.limits import Deadline
from explorer.repository.workspace import Workspace
from explorer.scout import Scout
from explorer.scout.index import RepositoryIndex
from explorer.scout.search import search

FILES = 5_000
_ROOT = Path(__file__).parents[1]
_LIKE_REAL = (20, 40)
"""How many functions make a file 8 kB long, the mean of nine public repositories."""
_CHANGED = 2_000


def _needle(number: int) -> str:
    return NEEDLES[number % len(NEEDLES)]


def _query(number: int) -> str:
    words = _needle(number).replace("_", " ")
    return f"Where is the {words} computed, question {number}?"


def scout(bench: Bench) -> list[Case]:
    """A question about 5,000 files: the whole command, one that first builds the index, warm ones.

    The baseline lists the files with rg and reads each once, which any answer from the working
    tree has to do. Equal work: the share of answers that cite a file with the name asked for.
    """
    root = tree(bench.folder, FILES)
    cases = anyio.run(_in_process, bench, root)
    bench.say("the whole command")
    name = "fastcontext explore --engine scout"
    took, _, found = _commands(bench, root, 5, cold=False)
    return [*cases, Case(name, took, "ms", cases[0].name, found)]


async def _in_process(bench: Bench, root: Path) -> list[Case]:
    baseline, cold, warm = [], [], []
    hits = asked = 0
    for number in range(bench.count(5) + 1):
        begun = time.perf_counter()
        with Workspace.open(root) as workspace:
            for path in await workspace.files():
                (root / path).read_bytes()
        read = time.perf_counter()
        with Workspace.open(root) as workspace:
            new = Scout(workspace)
            await new.index()
            took_s = [time.perf_counter() - read]
            for question in range(number, number + 5):
                before = time.perf_counter()
                answer = await new.answer(_query(question), deadline_s=60.0)
                took_s.append(time.perf_counter() - before)
                cited = [(root / each.path).read_text() for each in answer.citations]
                hits += any(_needle(question) in text for text in cited)
                asked += 1
            new.close()
        if number:  # The first round imports numpy and fills the page cache.
            baseline.append(1e3 * (read - begun))
            cold.append(1e3 * (took_s[0] + took_s[1]))
            warm += [1e3 * each for each in took_s[2:]]
    against = "list and read all files"
    found = f"{hits}/{asked} found"
    return [
        Case(against, tuple(baseline), "ms"),
        Case("scout, index to build", tuple(cold), "ms", against, found),
        Case("scout, warm", tuple(warm), "ms", against, found),
    ]


def first_answer(bench: Bench) -> list[Case]:
    """The first question about a repository that was never indexed, as a whole command.

    A fresh process each time, with an empty cache directory, modules compiled and files in the
    page cache; files are of 8 kB. The baseline is the same command on a repository of one file;
    "processor" is the time of all cores, in case other work runs on the machine. What a command
    leaves behind has ended before the next one begins. Equal work: answers that cite a file with
    the name asked for. If FASTCONTEXT_BENCH_REPOSITORY is set, that repository is asked about too.
    """
    roots = {"one file": (tree(bench.folder, 1), 10)}
    for files in (5_000, 20_000):
        roots[f"{files:,} files"] = tree(bench.folder, files, _LIKE_REAL), 5
    if given := os.environ.get("FASTCONTEXT_BENCH_REPOSITORY"):
        roots["given repository"] = Path(given), 5
    cases: list[Case] = []
    for name, (root, usual) in roots.items():
        bench.say(name)
        took, busy, found = _commands(bench, root, usual, cold=True)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        against = cases[0].name if cases else ""
        cases += [
            Case(name, took, "ms", against, f"{found} in {size / 1e6:.0f} MB"),
            Case(f"{name}, processor", busy, "ms", against and f"{against}, processor"),
        ]
    return cases


def _commands(
    bench: Bench, root: Path, usual: int, *, cold: bool
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Milliseconds of whole commands, those of all cores, and how many found what was asked for.

    ``cold`` ones keep no index for the next.
    """
    took, busy, hits = [], [], 0
    count = bench.count(usual)
    env = environment(bench.folder)
    for number in range(count + 1):
        if cold:
            env["XDG_CACHE_HOME"] = str(bench.folder / f"cache-{number}")
        begun, worked = time.perf_counter(), _processor_s(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "server", "explore", _query(number), "--json"]
            + ["--repo", str(root), "--engine", "scout"],
            cwd=_ROOT,
            env=env,
            capture_output=True,
            check=True,
        )
        if number:  # The first one compiles.
            took.append(1e3 * (time.perf_counter() - begun))
            busy.append(1e3 * (_processor_s(resource.RUSAGE_CHILDREN) - worked))
            cited = [root / each["path"] for each in json.loads(done.stdout)["citations"]]
            hits += any(_needle(number) in path.read_text("utf-8", "replace") for path in cited)
        _wait_for_the_rest(root)
        if cold:
            for kept in (bench.folder / f"cache-{number}").rglob("*.index"):
                kept.unlink()
    return tuple(took), tuple(busy), f"{hits}/{count} found"


def _wait_for_the_rest(root: Path) -> None:
    """Wait until the process that a command left to index the rest has ended."""
    while left := [
        each
        for each in psutil.process_iter(["cmdline"])
        if str(root) in (each.info["cmdline"] or ()) and each.pid != os.getpid()
    ]:
        psutil.wait_procs(left, timeout=1.0)


def _processor_s(whose: int) -> float:
    """Seconds of all cores, which other work on the machine hardly changes."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def updates(bench: Bench) -> list[Case]:
    """What a question costs on 10,000 indexed files, and what changed files add to it.

    First one file changes, then 2,000, as when a branch is switched (with the index brought fully
    up to date, not behind the answer). Then the same index in the next process, and its memory as
    Python counts it, with stamps and paths, in percent of the source's size.
    """
    root = tree(bench.folder, 10_000)
    return anyio.run(_updates, bench, root)


async def _updates(bench: Bench, root: Path) -> list[Case]:
    cache = bench.folder / "kept"
    warm, busy, one, many, loaded = [], [], [], [], []
    with Workspace.open(root) as workspace:
        scout = Scout(workspace, cache)
        await scout.index()
        paths = await workspace.files()
        await _question(scout, 0)
        for number in range(bench.count(20)):
            worked = _processor_s(resource.RUSAGE_SELF)
            warm.append(await _question(scout, number))
            busy.append(1e3 * (_processor_s(resource.RUSAGE_SELF) - worked))
            _append(root, paths[number : number + 1], f"def added_{number}():")
            one.append(await _question(scout, number))
        for number in range(bench.count(5)):
            _append(root, paths[:_CHANGED], f"def more_{number}():")
            begun = time.perf_counter()
            await scout.index()
            many.append(1e3 * (time.perf_counter() - begun) + await _question(scout, number))
        scout.close()
        for number in range(bench.count(5)):
            fresh = Scout(workspace, cache)
            loaded.append(await _question(fresh, number))
            fresh.close()
        share, of_source = await anyio.to_thread.run_sync(_memory, workspace, paths)
    more = tuple(max(0.0, after - before) for before, after in zip(warm, one, strict=True))
    return [
        Case("warm question", tuple(warm), "ms"),
        Case("warm question, processor", tuple(busy), "ms", "warm question"),
        Case("question after one changed file", tuple(one), "ms", "warm question"),
        Case("what the changed file adds", more, "ms", "warm question"),
        Case("question after 2,000 changed files", tuple(many), "ms", "warm question"),
        Case("first question of the next process", tuple(loaded), "ms", "warm question"),
        Case("index in memory", (share,), "%", "", of_source),
    ]


async def _question(scout: Scout, number: int) -> float:
    """Milliseconds of an answer."""
    begun = time.perf_counter()
    await scout.answer(_query(number), deadline_s=60.0)
    return 1e3 * (time.perf_counter() - begun)


def _append(root: Path, paths: tuple[str, ...], head: str) -> None:
    for path in paths:
        with (root / path).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{head}\n    return 1\n")


def _memory(workspace: Workspace, paths: tuple[str, ...]) -> tuple[float, str]:
    tracemalloc.start()
    index = RepositoryIndex(workspace)
    index.refresh(paths, lambda: False)
    deadline = Deadline(60.0)
    search(index, "quokka ledger", paths, most=1, deadline=deadline, cancelled=lambda: False)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    source = int(index.rows.stamps[:, 1].sum())
    told = f"{held / 1e6:.1f} MB held, {peak / 1e6:.1f} MB at most, of {source / 1e6:.1f} MB"
    return 100 * held / source, told


def many_files(bench: Bench) -> list[Case]:
    """A repository of 100,000 files: the first answer, the index behind it, and warm questions.

    In a process of its own, so that the peak memory is its own; files are of 2 kB. Equal work: how
    many files the answer says were left out.
    """
    root = tree(bench.folder, 100_000)
    first, behind, warm, peak, left_out = [], [], [], [], ""
    for _ in range(bench.count(3)):
        done = subprocess.run(
            [sys.executable, "-c", _MANY, str(root)],
            cwd=_ROOT,
            env=environment(bench.folder),
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        first.append(found["first_ms"])
        behind.append(found["behind_ms"])
        warm += found["warm_ms"]
        peak.append(found["peak_mb"])
        left_out = found["note"]
    return [
        Case("first answer", tuple(first), "ms", "", left_out),
        Case("index built behind it", tuple(behind), "ms", "first answer"),
        Case("warm question", tuple(warm), "ms", "first answer"),
        Case("peak of the process", tuple(peak), "MB"),
    ]


_MANY = "import sys; from benchmarks.scouting import print_many; print_many(sys.argv[1])"


def print_many(root: str) -> None:
    """Print what one process measures, as JSON."""
    print(json.dumps(anyio.run(_many, root)))


async def _many(root: str) -> dict[str, object]:
    with Workspace.open(root) as workspace:
        scout = Scout(workspace)
        begun = time.perf_counter()
        answer = await scout.answer(_query(0), deadline_s=45.0)
        answered = time.perf_counter()
        while scout.is_indexing:  # noqa: ASYNC110 - a thread, not a task
            await anyio.sleep(0.05)
        behind_s = time.perf_counter() - answered
        warm_ms = [await _question(scout, number) for number in range(len(NEEDLES))]
        scout.close()
    left_out = [note for note in answer.notes if "left out" in note]
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return {
        "first_ms": 1e3 * (answered - begun),
        "behind_ms": 1e3 * behind_s,
        "warm_ms": warm_ms,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "note": left_out[0].partition(":")[0] if left_out else "nothing said",
    }
