"""How much memory the server takes."""

import sys
from pathlib import Path

from benchmarks.measure import Bench, Case
from benchmarks.start import Server, environment
from benchmarks.trees import NEEDLES, tree

FILES = 10_000
QUESTIONS = 3
_MB = 1e6


def memory(bench: Bench) -> list[Case]:
    """The server's peak on 10,000 files after three questions to the scout, and before them.

    This is the peak resident memory that the kernel records; rg's processes, which live for
    milliseconds, are not counted.
    """
    if sys.platform != "linux":
        bench.say(
            "needs Linux: elsewhere the kernel gives the peak only of processes that have ended"
        )
        return []
    root = tree(bench.folder, FILES)
    env = environment(bench.folder)
    idle, peak, cited = [], [], 0
    for number in range(bench.count(3)):
        with Server(env) as server:
            server.initialize()
            server.initialized()
            server.ask("tools/list")
            idle.append(peak_bytes(server.process.pid) / _MB)
            for question in range(QUESTIONS):
                words = NEEDLES[(number + question) % len(NEEDLES)].replace("_", " ")
                arguments = {"query": f"Where is the {words} computed?", "path": str(root)}
                call = {"name": "explore_repository", "arguments": arguments}
                text = server.ask("tools/call", call)["content"][0]["text"]
                cited += "\n1. `" in text
            peak.append(peak_bytes(server.process.pid) / _MB)
    answered = f"{cited}/{QUESTIONS * len(peak)} answered"
    return [
        Case("tools listed", tuple(idle), "MB"),
        Case(f"{QUESTIONS} questions answered", tuple(peak), "MB", "tools listed", answered),
    ]


def peak_bytes(pid: int) -> int:
    """The most resident memory that a process has had, as Linux counts it."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"the kernel gives no peak for process {pid}")
