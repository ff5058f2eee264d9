"""This program's own folders, and paths as people write them.

A home or the working directory may be missing.
"""

import os
from pathlib import Path
from typing import Literal

import platformdirs

from server.errors import SettingsError, UsageError

NO_HOME = Path("/nonexistent")
"""What Debian gives to users that shall have no home."""


def home() -> Path:
    """The user's home directory; a place that does not exist where there is none.

    A container may run as a number that no user has, without ``HOME``. A relative ``HOME`` would
    mean the working directory, which may be the explored repository.
    """
    try:
        found = Path.home()
    except RuntimeError:
        return NO_HOME
    return found if found.is_absolute() else NO_HOME


def own_folder(kind: Literal["cache", "config", "state"]) -> Path:
    """This program's own folder of that kind, in the user's place for it; it need not exist.

    A variable such as ``XDG_CACHE_HOME`` counts where it is absolute. Without a home directory the
    folder cannot exist.
    """
    find = {
        "cache": platformdirs.user_cache_path,
        "config": platformdirs.user_config_path,
        "state": platformdirs.user_state_path,
    }[kind]
    try:
        return find("fastcontext", appauthor=False)
    except RuntimeError:
        return NO_HOME / "fastcontext"


def index_dir() -> Path:
    """Where the scout keeps its indexes between processes; it may not exist, or not be writable."""
    return own_folder("cache") / "scout"


def default_record_dir() -> Path:
    """Where runs are recorded if no other folder is named; it need not exist."""
    return own_folder("state") / "runs"


def client_project_dir() -> str:
    """The directory that Claude Code says it was started for; empty when it did not."""
    return os.environ.get("CLAUDE_PROJECT_DIR", "")


def expanded(path: Path) -> Path:
    """The path with its ``~`` or ``~user`` replaced.

    Raises:
        SettingsError: that home is not known, or no path can look like this.
    """
    if "\0" in str(path):
        raise SettingsError(f"{str(path)!r} holds a NUL, which no path can", "write the path anew")
    try:
        return path.expanduser()
    except RuntimeError:
        problem = f"{str(path)!r} begins with a home directory that is not known"
        raise SettingsError(problem, "write the whole path") from None


def absolute(path: Path) -> Path:
    """The expanded path, from the working directory on where it is relative.

    Raises:
        SettingsError: as in ``expanded``.
        UsageError: there is no working directory any more.
    """
    try:
        return expanded(path).absolute()
    except OSError:
        problem = f"{str(path)!r} is relative, and the working directory is gone"
        raise UsageError(problem, "write the whole path") from None
