"""What outlasts an engine: how long its starts took, and why the last one was given up."""

import json
from contextlib import suppress

from launch.places import Places
from launch.state import write_private


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
