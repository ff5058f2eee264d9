"""Processes: starting them, telling them apart although numbers are reused, ending all of them.

Linux has what is needed here: a signal when the parent dies, orphans that go to the nearest
subreaper, and /proc. Elsewhere (macOS) process groups do most of the work.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
PACKAGE_ROOT = Path(__file__).resolve().parents[1]
# Isolated (-I): neither the working directory nor PYTHONPATH can shadow a module.
_BOOT = (
    "import os, sys; sys.path += sys.argv[1].split(os.pathsep); from {0} import main; "
    "main(sys.argv[2:])"
)


def boot(module: str, *arguments: str, site: bool = True) -> list[str]:
    """The command that runs ``main`` of one of this package's modules, from any directory."""
    options = ["-I"] if site else ["-I", "-S"]
    places = _places() if site else str(PACKAGE_ROOT)
    return [sys.executable, *options, "-c", _BOOT.format(module), places, *arguments]


def _places() -> str:
    """Directories of this package and of the packages it imports, wherever they are installed."""
    found = [PACKAGE_ROOT]
    for name in ("anyio", "watchfiles"):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).resolve().parent.parent)
    return os.pathsep.join(str(path) for path in dict.fromkeys(found))


def die_with_parent() -> None:
    """Have the system kill this process when its parent dies. Linux only."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent dies. Linux only."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def birth(pid: int) -> str:
    """What tells a process from a later one with the same number; empty if no such process runs."""
    if LINUX:
        stat = _stat(pid)
        # Field 22, ticks since boot. A zombie does not count.
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
    """Whether the process of that number and birth still runs."""
    return pid > 0 and bool(born) and birth(pid) == born


def descendants(pid: int) -> list[int]:
    """Living children of a process, their children and so on, parents first. Linux only."""
    children: dict[int, list[int]] = {}
    for each, stat in _living():
        children.setdefault(int(stat[1]), []).append(each)
    found: list[int] = []
    todo = [pid]
    while todo:
        mine = children.get(todo.pop(), [])
        found += mine
        todo += mine
    return found


def session(leader: int) -> list[int]:
    """Living processes of the session that a process leads, itself included. Linux only.

    vLLM's processes stay in the session of their guard, whoever becomes their parent. (An
    environment variable cannot mark them: vLLM's engine core overwrites it with its title.)
    """
    return [pid for pid, stat in _living() if int(stat[3]) == leader]


def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each process that still runs."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_session(leader: int, born: str, timeout_s: float = 5.0) -> list[int]:
    """Kill the processes of a session until none is left; returns those that were killed.

    The system gives a number to no other process while a session of that number has members. So
    if the leader's number belongs to a process of another birth, the session is gone.
    """
    ended: list[int] = []
    until = time.monotonic() + timeout_s
    while leader > 0 and birth(leader) in ("", born) and time.monotonic() < until:
        left = session(leader)
        if not left:
            break
        kill(left)
        ended += [pid for pid in left if pid not in ended]
        time.sleep(0.02)
    return ended


def _living() -> Iterator[tuple[int, list[str]]]:
    """Numbers of the processes that run, with their fields as in ``_stat``."""
    for name in os.listdir("/proc") if LINUX else ():  # noqa: PTH208
        if name.isdigit() and (stat := _stat(int(name))) is not None and stat[0] not in "ZX":
            yield int(name), stat


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on: state, parent, and so on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The second field is the name in brackets and may hold spaces and brackets.
    return text.rpartition(")")[2].split()
