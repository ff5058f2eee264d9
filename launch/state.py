"""What a keeper writes to disk: how its engine is reached, and what the next keeper should know."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from launch import process
from launch.files import write_private
from launch.places import Places


@dataclass(frozen=True, slots=True)
class State:
    """How the engine is reached and which processes it has. ``api_key`` is a secret."""

    url: str
    """Base URL of the API, up to /v1."""
    socket: str
    """Unix socket to connect to; empty: TCP."""
    api_key: str = field(repr=False)
    keeper_pid: int
    keeper_birth: str
    guard_pid: int
    guard_birth: str


def write_state(path: Path, state: State) -> None:
    """Replace the state file."""
    write_private(path, json.dumps(asdict(state), indent=1))


def read_state(path: Path) -> State | None:
    """The state that was written last, or None if there is none that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return State(**{each.name: record[each.name] for each in fields(State)})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def live_state(path: Path) -> State | None:
    """The state if the keeper that wrote it still runs, else None.

    A later process with the keeper's number does not count.
    """
    state = read_state(path)
    if state is None or not process.is_alive(state.keeper_pid, state.keeper_birth):
        return None
    return state


def start_times(places: Places) -> dict[str, float]:
    """Seconds that the last successful start took, by kind of engine."""
    try:
        record = json.loads(places.history.read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in record.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember_start(places: Places, kind: str, took_s: float) -> None:
    """Keep how long a successful start took, and forget the last failure."""
    record = {**start_times(places), kind: round(took_s, 1)}
    with suppress(OSError):
        places.failure.unlink(missing_ok=True)
        write_private(places.history, json.dumps(record, indent=1))


def last_failure(places: Places) -> tuple[str, str]:
    """Why the last engine failed and what to do; empty if none did since the last good start."""
    try:
        record = json.loads(places.failure.read_text(encoding="utf-8"))
        return str(record["detail"]), str(record["hint"])
    except (OSError, ValueError, TypeError, KeyError):
        return "", ""


def remember_failure(places: Places, problem: str, hint: str) -> None:
    """Keep why an engine failed, for those who ask after its keeper has ended."""
    with suppress(OSError):
        write_private(places.failure, json.dumps({"detail": problem, "hint": hint}, indent=1))
