"""The lock that makes a keeper the only one, and the file that tells clients about its engine."""

import contextlib
import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from launch import process

FORMAT = 1


@dataclass(frozen=True, slots=True)
class State:
    """What clients need to use the engine. ``api_key`` is a secret and not in the repr."""

    url: str
    """Base URL of the API, up to /v1."""
    socket: str
    """Unix socket to reach it through; empty: TCP."""
    api_key: str = field(repr=False)
    keeper_pid: int
    keeper_birth: str
    guard_pid: int
    guard_birth: str
    profile: str
    model: str
    version: str
    """vLLM's."""
    started_at: float
    """Seconds since the epoch."""
    phase: str


def write_state(path: Path, state: State) -> None:
    """Replace the state file, readable by its owner alone."""
    record = {"format": FORMAT, **asdict(state)}
    write_private(path, json.dumps(record, indent=1))


def write_private(path: Path, text: str) -> None:
    """Replace a file by one of mode 600, at once: nobody reads half of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_state(path: Path) -> State | None:
    """The state that was written last, or None where there is none of this format."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("format") != FORMAT:
            return None
        return State(**record)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def live_state(path: Path) -> State | None:
    """The state, where the keeper that wrote it is still there.

    A later process with the keeper's number does not count as the keeper.
    """
    state = read_state(path)
    if state is None or not process.is_alive(state.keeper_pid, state.keeper_birth):
        return None
    return state


class Lock:
    """An exclusive lock that the system drops when its holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> bool:
        """Whether the lock is held now. Never waits."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def drop(self) -> None:
        """Give the lock back. Its file stays: removing it would let two hold it."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
