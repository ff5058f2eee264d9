"""Where each client keeps its configuration, on Linux, macOS and Windows."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from server.clients.table import CLIENTS, ClientName
from server.homes import home


@dataclass(frozen=True, slots=True)
class UserEnvironment:
    """What decides where a user's clients keep their configuration."""

    platform: str
    """As ``sys.platform``: linux, darwin, win32."""
    home: Path
    variables: Mapping[str, str]

    @classmethod
    def this(cls) -> "UserEnvironment":
        """The one of this process."""
        return cls(sys.platform, home(), dict(os.environ))

    def config_home(self) -> Path:
        """The folder in which desktop programs keep their configuration."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return self.from_variable("APPDATA", self.home / "AppData" / "Roaming")
        return self.dot_config()

    def dot_config(self) -> Path:
        """The folder in which command lines keep it, on every system."""
        return self.from_variable("XDG_CONFIG_HOME", self.home / ".config")

    def from_variable(self, name: str, default: Path) -> Path:
        """The absolute path that a variable holds, else ``default``."""
        value = self.variables.get(name, "")
        return Path(value) if value and Path(value).is_absolute() else default


def user_file(client: ClientName, user: UserEnvironment) -> Path:
    """The file of the user scope, which need not exist."""
    known = CLIENTS[client]
    paths = [known.folder(user) / PurePosixPath(name) for name in known.files]
    return next((path for path in paths if path.exists()), paths[0])


def project_file(client: ClientName, project: Path) -> Path | None:
    """The file of the project scope, or None where the client has none."""
    relative = CLIENTS[client].project_file
    return project / PurePosixPath(relative) if relative else None


def is_found(client: ClientName, user: UserEnvironment) -> bool:
    """Whether the client seems to be installed: a trace of it or its program is there."""
    known = CLIENTS[client]
    path = user.variables.get("PATH", "")
    return any((known.folder(user) / trace).exists() for trace in known.traces) or any(
        shutil.which(program, path=path) for program in known.programs
    )
