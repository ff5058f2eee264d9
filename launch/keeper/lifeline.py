"""A plug-in for vLLM: each process of vLLM ends when its parent or the keeper has ended.

The guard ends an engine's processes when the keeper is killed, and the keeper does when the guard
is killed. When both are killed at the same moment, the system kills vLLM's first process, and this
plug-in ends the processes that it started. vLLM loads plug-ins into all its processes.

This file is copied and loaded by vLLM, so it imports only the standard library.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

NAME = "fastcontext_lifeline"
KEEPER = "FASTCONTEXT_KEEPER"
"""Variable that holds the keeper's number and birth, with a space between."""
LOOK_S = 0.5
"""How often a process checks that its parent still runs."""
_METADATA = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1\n"
# General plug-ins are loaded late: before that an engine core waits for its parent. Platform
# plug-ins are loaded while vLLM is imported; one that names no platform changes nothing.
_ENTRY = "".join(
    f"[vllm.{group}]\n{NAME} = {NAME}:register\n"
    for group in ("platform_plugins", "general_plugins")
)
_watching = 0
"""The process whose parent is watched; a forked process has to begin again."""


def register() -> None:
    """Watch this process's parent from now on, also in every process that this one forks."""
    if not _watching:
        # A forked engine core believes that the plug-ins are loaded, but it inherits no threads.
        os.register_at_fork(after_in_child=_watch)
    _watch()


def _watch() -> None:
    global _watching
    if _watching == os.getpid():
        return
    _watching = os.getpid()
    watched = (os.getppid(), os.environ.get(KEEPER, ""))
    threading.Thread(target=_end_with, args=watched, name=NAME, daemon=True).start()


def _end_with(parent: int, keeper: str) -> None:
    pid, _, born = keeper.partition(" ")
    # A process that was still starting when its parent died has another parent from the beginning.
    while os.getppid() == parent and (not born or birth(int(pid)) == born):
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)


def birth(pid: int) -> str:
    """When a process began, in ticks since boot; empty if it does not run. Linux only.

    As in ``launch.process``, which cannot be imported here.
    """
    try:
        # As bytes: a process forked while this thread decodes its first text may have a codec that
        # is half imported for ever.
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    fields = stat.rpartition(b")")[2].split()
    return "" if fields[0] in b"ZX" else fields[19].decode()


def install(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Write the plug-in into ``folder``; returns the variables that make vLLM load it.

    The keeper calls this. ``environment`` is vLLM's environment without the plug-in.

    Raises:
        OSError: the folder cannot be written.
    """
    info = folder / f"{NAME}-1.dist-info"
    info.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {
        folder / f"{NAME}.py": Path(__file__).read_text(encoding="utf-8"),
        info / "METADATA": _METADATA,
        info / "entry_points.txt": _ENTRY,
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    paths = [str(folder), environment.get("PYTHONPATH", "")]
    found = {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        KEEPER: f"{os.getpid()} {birth(os.getpid())}",
    }
    if environment.get("VLLM_PLUGINS"):
        # It lists all plug-ins that vLLM loads.
        found["VLLM_PLUGINS"] = f"{environment['VLLM_PLUGINS']},{NAME}"
    return found
