"""What a keeper writes down: its engine for clients, and what outlasts it for the next one."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from launch import process
from launch.files import write_private
from launch.places import Places

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


def start_times(places: Places) -> dict[str, float]:
    """Seconds until ready of the last good start, by kind of engine."""
    try:
        record = json.loads(places.history.read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in record.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember_start(places: Places, kind: str, took_s: float) -> None:
    """Keep how long a good start took; what made an earlier one fail is over."""
    record = {**start_times(places), kind: round(took_s, 1)}
    with suppress(OSError):
        places.failure.unlink(missing_ok=True)
        write_private(places.history, json.dumps(record, indent=1))


def last_failure(places: Places) -> tuple[str, str]:
    """Why the last engine was given up and what to do; empty where none was, or one works since."""
    try:
        record = json.loads(places.failure.read_text(encoding="utf-8"))
        return str(record["detail"]), str(record["hint"])
    except (OSError, ValueError, TypeError, KeyError):
        return "", ""


def remember_failure(places: Places, problem: str, hint: str) -> None:
    """Keep why an engine was given up, for those who ask when its keeper has gone."""
    with suppress(OSError):
        write_private(places.failure, json.dumps({"detail": problem, "hint": hint}, indent=1))
