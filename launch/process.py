"""Processes: who they are although numbers are reused, whom they started, how they all end.

Linux offers what the rest here needs: a signal when the parent dies, orphans handed to the nearest
subreaper, /proc. Elsewhere (macOS) process groups do most of the work.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LINUX = sys.platform.startswith("linux")
TAG = "FASTCONTEXT_ENGINE_TAG"
"""Variable in the environment of everything that an engine starts; its value names the engine."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the system send this process a signal when its parent dies. Linux only."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent dies. Linux only."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def birth(pid: int) -> str:
    """What tells a process from a later one with its number; empty where there is none now."""
    if LINUX:
        stat = _stat(pid)
        # Field 22, ticks since boot; a zombie is no process any more.
        return "" if stat is None or stat[0] in "ZX" else stat[19]
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def is_alive(pid: int, born: str) -> bool:
    """Whether that very process is still there."""
    return pid > 0 and bool(born) and birth(pid) == born


def descendants(pid: int) -> list[int]:
    """Living children of a process, their children and so on, parents first. Linux only."""
    children: dict[int, list[int]] = {}
    for entry in _pids():
        stat = _stat(entry)
        if stat is not None and stat[0] not in "ZX":
            children.setdefault(int(stat[1]), []).append(entry)
    found: list[int] = []
    todo = [pid]
    while todo:
        mine = children.get(todo.pop(), [])
        found += mine
        todo += mine
    return found


def tagged(tag: str) -> list[int]:
    """This user's living processes that carry an engine's tag. Linux only."""
    wanted = f"{TAG}={tag}".encode()
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and birth(pid):
                found.append(pid)
    return found


def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_leftovers(tag: str, timeout_s: float = 5.0) -> list[int]:
    """Kill what carries an engine's tag until nothing does; which processes these were."""
    ended: list[int] = []
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        left = [pid for pid in tagged(tag) if pid != os.getpid()]
        if not left:
            break
        kill(left)
        ended += [pid for pid in left if pid not in ended]
        time.sleep(0.02)
    return ended


def _pids() -> list[int]:
    if not LINUX:
        return []
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on: state, parent, and so on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The second field is the name in brackets and may hold spaces and brackets.
    return text.rpartition(")")[2].split()
