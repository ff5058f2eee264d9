"""The scout on repositories of several sizes: first answers, changes, memory, 100,000 files."""

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

from benchmarks.measure import Bench, Case
from benchmarks.start import environment
from benchmarks.trees import NEEDLES, tree
from explorer.repository.workspace import Workspace
from explorer.scout import Scout
from explorer.scout.index import RepositoryIndex
from explorer.scout.search import search

_ROOT = Path(__file__).parents[1]
_LIKE_REAL = (20, 40)
"""Functions of a file that make it 8 kB long, the mean of nine public repositories."""
_CHANGED = 2_000


def first_answer(bench: Bench) -> list[Case]:
    """The first question about a repository that was never indexed, as a whole command.

    A fresh process each time, with an empty cache directory, modules compiled and files in the
    page cache; files are of 8 kB. The baseline is the same command on a repository of one file;
    processor is the time of all cores, for where other work runs beside it.
    Equal work: answers that cite a file in which the name asked for stands. With
    FASTCONTEXT_BENCH_REPOSITORY that repository is asked about too.
    """
    one = tree(bench.folder, 1)
    cases = _commands(bench, "one file", one, 10)
    for files in (5_000, 20_000):
        bench.say(f"{files} files")
        root = tree(bench.folder, files, _LIKE_REAL)
        cases += _commands(bench, f"{files:,} files", root, 5, cases[0].name)
    if given := os.environ.get("FASTCONTEXT_BENCH_REPOSITORY"):
        cases += _commands(bench, "given repository", Path(given), 5, cases[0].name)
    return cases


def _commands(bench: Bench, name: str, root: Path, usual: int, against: str = "") -> list[Case]:
    samples, busy, hits = [], [], 0
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    count = bench.count(usual)
    for number in range(count + 1):
        env = environment(bench.folder) | {"XDG_CACHE_HOME": str(bench.folder / f"cache-{number}")}
        needle = NEEDLES[number % len(NEEDLES)]
        query = f"Where is the {needle.replace('_', ' ')} computed, question {number}?"
        begun, worked = time.perf_counter(), _processor_s(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "server", "explore", query, "--json"]
            + ["--repo", str(root), "--engine", "scout"],
            cwd=_ROOT,
            env=env,
            capture_output=True,
            check=True,
        )
        if number:
            samples.append(1e3 * (time.perf_counter() - begun))
            busy.append(1e3 * (_processor_s(resource.RUSAGE_CHILDREN) - worked))
            cited = [root / each["path"] for each in json.loads(done.stdout)["citations"]]
            hits += any(needle in path.read_text("utf-8", "replace") for path in cited)
        for kept in (bench.folder / f"cache-{number}").rglob("*.index"):
            kept.unlink()
    found = f"{hits}/{count} found in {size / 1e6:.0f} MB"
    processor = f"{against or name}, processor"
    return [
        Case(name, tuple(samples), "ms", against, found),
        Case(f"{name}, processor", tuple(busy), "ms", processor if against else ""),
    ]


def _processor_s(whose: int) -> float:
    """Seconds of all cores, which other work on the machine makes little longer."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def updates(bench: Bench) -> list[Case]:
    """What a question costs on 10,000 indexed files, and what is added by files that changed.

    Changed are one file, and 2,000 as by a switch of branches (with the index brought up to date
    in full, not behind the answer). Then the same index in the next process, and its memory as
    Python counts it, with the stamps and the paths: the share of the source's size in percent.
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
    needle = NEEDLES[number % len(NEEDLES)].replace("_", " ")
    begun = time.perf_counter()
    await scout.answer(f"Where is the {needle} computed, question {number}?", deadline_s=60.0)
    return 1e3 * (time.perf_counter() - begun)


def _append(root: Path, paths: tuple[str, ...], head: str) -> None:
    for path in paths:
        with (root / path).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{head}\n    return 1\n")


def _memory(workspace: Workspace, paths: tuple[str, ...]) -> tuple[float, str]:
    tracemalloc.start()
    index = RepositoryIndex(workspace)
    index.refresh(paths, lambda: False)
    until = time.monotonic() + 60
    search(index, "quokka ledger", paths, most=1, until=until, cancelled=lambda: False)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    source = int(index.rows.stamps[:, 1].sum())
    told = f"{held / 1e6:.1f} MB held, {peak / 1e6:.1f} MB at most, of {source / 1e6:.1f} MB"
    return 100 * held / source, told


def many_files(bench: Bench) -> list[Case]:
    """A repository of 100,000 files: the first answer, the index behind it, and warm questions.

    In a process of its own, so that the peak of its memory is its own; files are of 2 kB. Equal
    work: how many files the answer says were left out.
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


async def _many(root: str) -> dict[str, object]:
    def clock(begun: float) -> float:
        return 1e3 * (time.perf_counter() - begun)

    with Workspace.open(root) as workspace:
        scout = Scout(workspace)
        begun = time.perf_counter()
        answer = await scout.answer("Where is the quokka ledger computed?", deadline_s=45.0)
        first_ms = clock(begun)
        while scout.is_indexing:  # noqa: ASYNC110 - a thread, not a task
            await anyio.sleep(0.05)
        behind_ms = clock(begun) - first_ms
        warm_ms = []
        for needle in NEEDLES:
            begun = time.perf_counter()
            await scout.answer(f"Where is the {needle} computed?", deadline_s=45.0)
            warm_ms.append(clock(begun))
        scout.close()
    left_out = [note for note in answer.notes if "left out" in note]
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return {
        "first_ms": first_ms,
        "behind_ms": behind_ms,
        "warm_ms": warm_ms,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "note": left_out[0].partition(":")[0] if left_out else "nothing said",
    }


_MANY = "import sys; from benchmarks.scout_sizes import print_many; print_many(sys.argv[1])"


def print_many(root: str) -> None:
    """What one process measured, as JSON on stdout."""
    print(json.dumps(anyio.run(_many, root)))
