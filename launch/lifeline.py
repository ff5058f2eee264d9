"""A plug-in for vLLM with which each of its processes ends when its parent has gone.

The guard ends an engine's processes when the keeper is killed, and the keeper when the guard is.
When both are killed at the same moment, the system ends vLLM's first process, and this ends those
that it started. vLLM loads plug-ins of the group ``vllm.general_plugins`` into all its processes.

This file is copied beside vLLM's modules, so it imports the standard library alone.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

NAME = "fastcontext_lifeline"
LOOK_S = 0.5
"""How often a process looks for its parent."""
_METADATA = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1\n"
_ENTRY = f"[vllm.general_plugins]\n{NAME} = {NAME}:register\n"


def register() -> None:
    """Watch this process's parent from now on, and in every process that it forks."""
    # A forked engine core inherits the knowledge that all plug-ins are loaded, but no threads.
    os.register_at_fork(after_in_child=_watch)
    _watch()


def _watch() -> None:
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), name=NAME, daemon=True).start()


def _end_with(parent: int) -> None:
    # Whose parent is the system's first process has lost its own already.
    while parent != 1 and os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)


def install(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Write the plug-in into ``folder``; the variables with which vLLM finds it.

    ``environment`` is what vLLM would have without it.

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
    found = {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    if environment.get("VLLM_PLUGINS"):
        # It names the only ones that are loaded.
        found["VLLM_PLUGINS"] = f"{environment['VLLM_PLUGINS']},{NAME}"
    return found
