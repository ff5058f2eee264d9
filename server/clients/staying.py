"""A copy of this program that stays, for an entry that was asked for by ``uvx``.

What ``uvx`` runs lies in uv's cache, which may be emptied at any time, so no client's entry may
name it. ``uv tool install`` puts the same package where it stays.
"""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import server
from server.clients.locations import UserEnvironment
from server.errors import UsageError

_IN_CACHE = ("archive-v", "builds-v", "environments-v")
"""What the folders of uv's cache that hold environments are called, before their number."""
_INSTALL_TIMEOUT_S = 600
"""Of a download of all that the package needs, over a slow line."""


def is_passing() -> bool:
    """Whether this interpreter lies in an environment that uv made for one command."""
    return any(part.startswith(_IN_CACHE) for part in Path(sys.prefix).parts)


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy that stays, whether it is there yet or not."""

    uv: str
    requirement: str
    """The package from where this one came: the index, a git repository, a folder or a file."""
    python: Path
    """Its interpreter, by its absolute path."""

    @property
    def command(self) -> list[str]:
        """The command that installs it, without the program's folder."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return ["uv", "tool", "install", "--python", version, self.requirement]

    def install(self) -> None:
        """Install it; nothing changes where the same is installed.

        Raises:
            UsageError: uv could not install it.
        """
        done = _run([self.uv, *self.command[1:]])
        if done.returncode or not self.python.exists():
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            hint = "install it by hand, then: fastcontext install"
            raise UsageError(f"{' '.join(self.command)!r} failed: {' '.join(lines)}", hint)


def copy() -> Copy | None:
    """The copy that stays of what is running; None where there is no uv to make one."""
    user = UserEnvironment.this()
    # uv tells what it runs where it is itself.
    uv = user.variables.get("UV") or shutil.which("uv", path=user.variables.get("PATH", ""))
    folder = _run([uv, "tool", "dir"]).stdout.strip() if uv else ""
    if not uv or not folder:
        return None
    return Copy(uv, _requirement(), Path(folder) / "fastcontext-mcp" / "bin" / "python")


def _requirement() -> str:
    """What to ask uv for, to get what is running."""
    name = "fastcontext-mcp"
    text = importlib.metadata.distribution(name).read_text("direct_url.json")
    if text is None:
        return f"{name}=={server.version()}"
    origin = json.loads(text)
    if "vcs_info" not in origin:
        return f"{name} @ {origin['url']}"
    asked = origin["vcs_info"].get("requested_revision")
    return f"{name} @ git+{origin['url']}" + (f"@{asked}" if asked else "")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_TIMEOUT_S,
        check=False,
    )
