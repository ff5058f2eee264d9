"""How long the scout takes, with an index to build and without."""

import json
import subprocess
import sys
import time
from pathlib import Path

import anyio

from benchmarks.measure import Bench, Case
from benchmarks.start import environment
from benchmarks.trees import NEEDLES, tree
from explorer.repository.workspace import Workspace
from explorer.scout import Scout

FILES = 5_000
_ROOT = Path(__file__).parents[1]


def scout(bench: Bench) -> list[Case]:
    """A question about 5,000 files: the whole command, one behind a new index, and warm ones.

    The baseline lists the files with rg and reads each once, which any answer from the working
    tree has to do. Equal work: the share of answers that cite a file in which the name asked for
    stands.
    """
    root = tree(bench.folder, FILES)
    cases = anyio.run(_in_process, bench, root)
    bench.say("the whole command")
    return [*cases, _command(bench, root, cases[0].name)]


def _query(number: int) -> str:
    words = NEEDLES[number % len(NEEDLES)].replace("_", " ")
    return f"Where is the {words} computed, question {number}?"


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
            for question in range(5):
                before = time.perf_counter()
                answer = await new.answer(_query(question + number), deadline_s=60.0)
                took_s.append(time.perf_counter() - before)
                needle = NEEDLES[(question + number) % len(NEEDLES)]
                cited = [(root / each.path).read_text() for each in answer.citations]
                hits += any(needle in text for text in cited)
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


def _command(bench: Bench, root: Path, against: str) -> Case:
    env = environment(bench.folder)
    samples, hits = [], 0
    count = bench.count(5)
    for number in range(count + 1):
        command = [sys.executable, "-m", "server", "explore", _query(number), "--json"]
        begun = time.perf_counter()
        done = subprocess.run(
            [*command, "--repo", str(root), "--engine", "scout"],
            cwd=_ROOT,
            env=env,
            capture_output=True,
            check=True,
        )
        if number:
            samples.append(1e3 * (time.perf_counter() - begun))
            cited = [root / each["path"] for each in json.loads(done.stdout)["citations"]]
            needle = NEEDLES[number % len(NEEDLES)]
            hits += any(needle in path.read_text() for path in cited)
    found = f"{hits}/{count} found"
    return Case("fastcontext explore --engine scout", tuple(samples), "ms", against, found)
