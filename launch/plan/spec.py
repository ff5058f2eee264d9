"""What a keeper is told at its start, through its standard input."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launch.places import Places
from launch.plan.command import EnginePlan, from_record

ALREADY_KEPT = 75
"""Exit status of a keeper that finds another one running."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long a keeper waits for what, in seconds."""

    start_timeout_s: float = 900.0
    """For the engine to be ready. The first start on a machine tunes kernels: 167 s on an H200."""
    sleep_after_s: float = 600.0
    """Without an exploration, until the engine sleeps. 0: never."""
    stop_after_s: float = 3600.0
    """Without an exploration, until the engine ends. 0: never."""
    drain_s: float = 60.0
    """For explorations to end before a planned restart; by default they may take 45 s."""
    health_every_s: float = 10.0
    health_timeout_s: float = 5.0
    health_failures: int = 3
    """Failed health checks in a row, after which an engine counts as hung."""
    stop_grace_s: float = 10.0
    """Between SIGTERM and SIGKILL; vLLM takes 0.5 s to end."""
    backoff_s: tuple[float, ...] = (0.5, 5.0, 20.0)
    """Pause before the first, second and each later restart after a crash."""
    max_restarts: int = 3
    restart_window_s: float = 600.0
    """After more than ``max_restarts`` crashes in this time the engine counts as failed."""
    linger_s: float = 300.0
    """How long the keeper of a failed engine stays to say why."""
    settle_s: float = 2.0
    """Without a further change, until a changed checkpoint or configuration is looked at."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One engine to keep."""

    plan: EnginePlan
    places: Places
    timings: Timings = Timings()
    watched: tuple[Path, ...] = ()
    """Files and folders of the checkpoint and the configuration."""
    replan: tuple[str, ...] = ()
    """Command that prints ``plan_record`` for what is there now, in JSON."""


def read_spec(record: Mapping[str, Any]) -> Spec:
    """The spec that ``asdict`` turned into this record, with paths as text.

    Raises:
        KeyError, TypeError, ValueError: the record has another form.
    """
    return Spec(
        plan=from_record(record["plan"]),
        places=Places(**{name: Path(path) for name, path in record["places"].items()}),
        timings=read_timings(record["timings"]),
        watched=tuple(Path(each) for each in record["watched"]),
        replan=tuple(map(str, record["replan"])),
    )


def read_timings(record: Mapping[str, Any]) -> Timings:
    """The timings that ``asdict`` turned into this record.

    Raises:
        KeyError, TypeError, ValueError: the record has another form.
    """
    return Timings(**{**record, "backoff_s": tuple(record["backoff_s"])})


def plan_record(plan: EnginePlan, timings: Timings) -> dict[str, Any]:
    """A plan together with the timings, as JSON's types."""
    return {**asdict(plan), "timings": asdict(timings)}
