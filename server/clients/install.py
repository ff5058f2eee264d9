"""The plan of one change to one client's file, and its atomic execution with a backup."""

import difflib
import importlib.metadata
import os
import shutil
import site
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import server
from launch.files import replacing
from server.clients import ConfigError, jsonc, toml_config, yaml_config
from server.clients.table import Client

SERVER_NAME = "fastcontext"
"""The entry's name. Cursor hides tools whose server and tool name exceed 60 characters."""

BACKUP_SUFFIX = ".fastcontext-backup"

ATTEMPTS = 10
"""How often a change is planned anew when another program was quicker."""


class ChangedMeanwhile(ConfigError):
    """Another program wrote the file after the change was planned; nothing was written."""


def entry(
    client: Client,
    *,
    environment: Mapping[str, str] | None = None,
    python: Path | None = None,
) -> dict[str, Any]:
    """What the client starts: this very interpreter, or ``python``, by its absolute path.

    Isolated, so that no ``server`` in the working directory or on PYTHONPATH is imported. Nothing
    relies on PATH or the environment. ``python`` is one that has the server installed.
    """
    started = [*_isolated(), *_program()] if python is None else ["-I", "-m", "server.main"]
    command = str(Path(python or sys.executable).absolute())
    return client.form.entry(command, started, environment or {}, client.extras)


def _isolated() -> list[str]:
    # -I would also leave out the user's own site-packages, where the server may be installed.
    users = site.getusersitepackages()
    return ["-E", "-P"] if Path(server.__file__).is_relative_to(users) else ["-I"]


def _program() -> list[str]:
    """The module where this interpreter has it installed, else the file in this checkout."""
    if is_installed():
        return ["-m", "server.main"]
    return [str(Path(server.__file__).absolute().with_name("main.py"))]


def is_installed() -> bool:
    """Whether the interpreter finds the server without help from the working directory."""
    try:
        importlib.metadata.distribution("fastcontext-mcp")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Change:
    """A file as it is and as it is going to be."""

    path: Path
    before: str | None
    """None where the file does not exist."""
    after: str | None
    """None where the file is to be deleted."""
    fresh: bool = False
    """Whether ``before`` has no entry of this server, and so is the state to go back to."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return (self.before or "") == (self.after or "")

    def diff(self) -> str:
        """A unified diff of the change."""
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            (self.after or "").splitlines(keepends=True),
            f"{self.path} (now)",
            f"{self.path} (then)",
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def plan_install(client: Client, path: Path, made: Mapping[str, Any]) -> Change:
    """The change that puts ``made`` into the file; empty if it is there already.

    An entry of this server keeps what was set in it: its environment, except for the variables
    that ``made`` sets, and whatever else the client or its user has added.

    Raises:
        ConfigError: the file cannot be read, or is not what the client expects.
    """
    before = read_text(path)
    text = before or ""
    present = _present(client, text)
    wanted = client.form.updated(present, made)
    if present == wanted:
        return Change(path, before, text)
    return Change(path, before, with_entry(client, text, wanted), fresh=present is None)


def plan_uninstall(client: Client, path: Path) -> Change:
    """The change that removes the entry; empty if there is no entry.

    A file that nobody else has changed since ``install`` becomes what it was, to the byte, and a
    file that ``install`` made is deleted. From any other, only the entry is removed.

    Raises:
        ConfigError: the file cannot be read, or is not what the client expects.
    """
    before = read_text(path)
    text = before or ""
    present = _present(client, text)
    if present is not None:
        with suppress(ConfigError):
            backup = read_text(_backup_of(Path(os.path.realpath(path))))
            for original in (backup, None):
                # A backup that holds an entry of this server is no state to go back to.
                was_without = _present(client, original or "") is None
                if was_without and with_entry(client, original or "", present) == text:
                    return Change(path, before, original)
    take = {"json": jsonc, "toml": toml_config, "yaml": yaml_config}[client.format].remove
    return Change(path, before, take(text, client.section, SERVER_NAME))


def installed_entry(client: Client, path: Path) -> Any:
    """The entry that stands in the file, or None.

    Raises:
        ConfigError: the file cannot be read, or is not what the client expects.
    """
    return _present(client, read_text(path) or "")


def carry_out(plan: Callable[[], Change]) -> tuple[Change, Path | None]:
    """The change that was made, and what ``apply`` returned; planned anew where necessary.

    Raises:
        ConfigError: as ``plan`` and ``apply``; the file changes faster than it can be written.
    """
    for _ in range(ATTEMPTS - 1):
        change = plan()
        with suppress(ChangedMeanwhile):
            return change, apply(change)
    change = plan()
    return change, apply(change)


def apply(change: Change) -> Path | None:
    """The path of the backup that was made, or None.

    The first backup stays as long as the entry: it is the state that ``uninstall`` goes back to.

    The new text goes to a temporary file beside the target, which then takes its place in one
    step; a link is followed first, so that a file kept elsewhere stays a link.

    Raises:
        ChangedMeanwhile: the file was changed by somebody else since the plan.
        ConfigError: it cannot be written.
    """
    if change.is_empty:
        return None
    target = Path(os.path.realpath(change.path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(target.parent):
            return _replaced(target, change)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}") from None


def _replaced(target: Path, change: Change) -> Path | None:
    """As ``apply``, when the target holds the new text."""
    _check_unchanged(change)
    backup = None
    mode = 0o600
    if change.before is not None:
        mode = stat.S_IMODE(target.stat().st_mode)
        backup = _back_up(target, renew=change.fresh)
    if change.after is None:
        target.unlink()
        return backup
    with replacing(target, mode) as file:
        file.write(change.after.encode())
        file.flush()
        os.fsync(file.fileno())
        _check_unchanged(change)
    return backup


def _check_unchanged(change: Change) -> None:
    if read_text(change.path) != change.before:
        raise ChangedMeanwhile("it was changed by another program meanwhile")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keeps other installs out of the folder; other programs are noticed, not kept out.

    The folder itself is locked, so no lock file is left among another program's settings. Windows
    has no such lock: there, other installs are only noticed as well.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _backup_of(target: Path) -> Path:
    return target.with_name(target.name + BACKUP_SUFFIX)


def _back_up(target: Path, *, renew: bool) -> Path | None:
    """A backup next to the file: its last state without the entry, which is the user's own.

    None where an earlier backup is kept instead.
    """
    backup = _backup_of(target)
    if backup.exists() and not renew:
        return None
    shutil.copy2(target, backup)
    return backup


def with_entry(client: Client, text: str, made: Mapping[str, Any]) -> str:
    """``text`` of the client's file with ``made`` as this server's entry.

    Raises:
        ConfigError: the text is not what the client expects.
    """
    text = text or client.empty
    if client.format == "yaml":
        return yaml_config.put(text, client.section, SERVER_NAME, made, is_list=client.is_list)
    put = toml_config.put if client.format == "toml" else jsonc.put
    return put(text, client.section, SERVER_NAME, made)


def _present(client: Client, text: str) -> Any:
    if client.format == "json":
        return jsonc.get(text, (client.section, SERVER_NAME))
    get = toml_config.get if client.format == "toml" else yaml_config.get
    return get(text, client.section, SERVER_NAME)


def read_text(path: Path) -> str | None:
    """The file's text with its own line ends, or None where there is none.

    Raises:
        ConfigError: it is not UTF-8 or cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from None
