"""Where an engine keeps its lock, state, sockets and logs."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from launch.errors import LaunchError

_LONGEST_SOCKET = 100
"""Linux allows 107 bytes in a Unix socket's path, macOS 103."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one engine. Each user has one engine for each choice of models."""

    runtime: Path
    """Directory of mode 700 for files that last as long as the engine."""
    logs: Path
    """Directory for files that outlast the engine."""

    @property
    def lock(self) -> Path:
        """Locked by the keeper as long as it runs."""
        return self.runtime / "lock"

    @property
    def state(self) -> Path:
        """How the engine is reached, key included, and which processes it has; mode 600."""
        return self.runtime / "state.json"

    @property
    def control(self) -> Path:
        """Socket on which the keeper answers."""
        return self.runtime / "keeper.sock"

    @property
    def api(self) -> Path:
        """Socket on which vLLM answers."""
        return self.runtime / "api.sock"

    @property
    def engine_log(self) -> Path:
        """What vLLM printed."""
        return self.logs / "engine.log"

    @property
    def keeper_log(self) -> Path:
        """What the keeper did."""
        return self.logs / "keeper.log"

    @property
    def plugin(self) -> Path:
        """Where vLLM finds the plug-in of ``launch.keeper.lifeline``."""
        return self.logs / "plugin"

    @property
    def failure(self) -> Path:
        """Why the last engine failed; removed when one is ready again."""
        return self.logs / "failure.json"

    @property
    def history(self) -> Path:
        """How long earlier starts took."""
        return self.logs / "starts.json"

    def clear(self) -> None:
        """Remove the files that last as long as the engine, except the lock."""
        for path in (self.state, self.control, self.api):
            path.unlink(missing_ok=True)


def places_for(runtime: Path, logs: Path, model: str) -> Places:
    """The places of the engine for a model, in the user's two directories for engines."""
    name = hashlib.sha256(model.encode()).hexdigest()[:8]
    return Places(runtime / name, logs / name)


def prepare(places: Places) -> None:
    """Make the directories, readable by this user alone.

    Raises:
        LaunchError: one belongs to another user, is no directory, or has too long a path.
    """
    if len(os.fsencode(places.control)) > _LONGEST_SOCKET:
        problem = f"the path {str(places.control)!r} is too long for a socket"
        raise LaunchError(problem, "set XDG_RUNTIME_DIR to a directory with a shorter path")
    for folder in (places.runtime.parent, places.runtime, places.logs):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.lstat()
        except OSError as error:
            raise LaunchError(f"cannot make the directory {str(folder)!r}: {error}") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            problem = f"{str(folder)!r} is not a directory of this user"
            raise LaunchError(problem, "remove it, or set XDG_RUNTIME_DIR to your own directory")
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
