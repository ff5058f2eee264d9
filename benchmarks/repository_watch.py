"""What watching a repository of 50,000 files costs, at rest and during a branch switch.

    python -m benchmarks.repository_watch [--files 50000] [--changed 2000]

Processor time is that of the whole process: the kernel's events, the new file list and the scout's
index. Its share is of the 10 seconds after the switch begins. Memory is what watching adds to an
open repository, and that of the whole process with the index. One run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

from server.exploring.open_repositories import OpenRepositories, RepositoryWatch


def make_tree(root: Path, files: int, changed: int) -> None:
    """A git repository with two branches that differ in ``changed`` files."""

    def git(*arguments: str) -> None:
        name = ("-c", "user.name=b", "-c", "user.email=b@localhost", "-c", "gc.auto=0")
        subprocess.run(["git", "-C", root, *name, *arguments], check=True, capture_output=True)

    for number in range(files):
        path = root / f"pkg{number // 500}" / f"mod{number // 20 % 25}" / f"file_{number}.py"
        if number % 20 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"def function_{number}(argument):\n    return argument + {number}\n")
    git("init", "-q", "-b", "one")
    git("add", ".")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "two")
    for number in range(0, files, files // changed):
        path = root / f"pkg{number // 500}" / f"mod{number // 20 % 25}" / f"file_{number}.py"
        path.write_text(f"def changed_{number}(argument):\n    return {number}\n")
    git("commit", "-qam", "two")
    git("checkout", "-q", "one")


def rss_mib() -> float:
    """Resident memory of this process."""
    text = Path("/proc/self/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def cpu_s() -> float:
    """Processor seconds of this process and its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def children_s() -> float:
    """Processor seconds of children that have ended."""
    return os.times().children_user + os.times().children_system


async def measure(root: Path, indexed: bool) -> dict[str, float]:
    """One row, with or without the scout's index."""
    repositories = OpenRepositories()
    row: dict[str, float] = {}
    async with (
        repositories.opened(root, include_hidden=False) as warm,
        anyio.create_task_group() as group,
    ):
        await warm.workspace.files()
        if indexed:
            await warm.scout.answer("function", max_citations=1, deadline_s=120)
        else:

            async def nothing(*_: object, **__: object) -> None:
                return

            warm.scout.answer = nothing  # type: ignore[method-assign, assignment]
        row["rss_before_mib"] = round(rss_mib(), 1)
        kept = RepositoryWatch(group, local=None, busy=lambda: False)
        warm.users = 0
        kept.watch(root, warm)
        await anyio.sleep(5)
        row["watch_adds_mib"] = round(rss_mib() - row["rss_before_mib"], 1)
        before = cpu_s()
        await anyio.sleep(10)
        row["rest_cpu_percent"] = round((cpu_s() - before) * 10, 2)
        before, began, children_before = cpu_s(), time.monotonic(), children_s()
        await anyio.run_process(["git", "-C", str(root), "checkout", "-q", "two"])
        row["switch_s"] = round(time.monotonic() - began, 2)
        # The new list is taken after the tree has settled, so until here only git was a child.
        git_s = children_s() - children_before
        await anyio.sleep(max(0.0, began + 10 - time.monotonic()))
        row["git_cpu_s"] = round(git_s, 3)
        row["switch_cpu_s"] = round(cpu_s() - before - git_s, 3)
        row["switch_cpu_percent_of_10_s"] = round((cpu_s() - before - git_s) * 10, 1)
        row["rss_after_mib"] = round(rss_mib(), 1)
        warm.users = 1
        group.cancel_scope.cancel()
    repositories.close()
    return row


def main() -> None:
    """Measure with and without index, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--changed", type=int, default=2_000)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--indexed", action="store_true")
    arguments = parser.parse_args()
    if arguments.root:
        print(json.dumps(anyio.run(measure, arguments.root, arguments.indexed)))
        return
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder) / "tree"
        root.mkdir()
        make_tree(root, arguments.files, arguments.changed)
        for options in ([], ["--indexed"]):
            command = [sys.executable, "-m", "benchmarks.repository_watch", "--root", str(root)]
            done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
            print("with the index" if options else "file list alone", done.stdout.strip())
            subprocess.run(["git", "-C", root, "checkout", "-q", "one"], check=True)


if __name__ == "__main__":
    main()
