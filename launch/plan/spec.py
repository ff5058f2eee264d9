"""What a keeper is told when it starts, passed through its standard input."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launch.places import Places
from launch.plan.command import EnginePlan, from_record

ALREADY_KEPT = 75
"""Exit status of a keeper that finds another one at work."""


@dataclass(frozen=True, slots=True)
class Timings:
    """A keeper's patience, in seconds."""

    start_timeout_s: float = 900.0
    """Until ready. The first start on a machine tunes kernels: 167 s on a bare H200."""
    sleep_after_s: float = 600.0
    """Without an exploration, until the memory is given back. 0: never."""
    stop_after_s: float = 3600.0
    """Without an exploration, until the engine ends. 0: never."""
    drain_s: float = 60.0
    """For explorations to end before a restart that is not urgent; they have 45 s by default."""
    health_every_s: float = 10.0
    health_timeout_s: float = 5.0
    health_failures: int = 3
    """In a row, before an engine counts as hung."""
    stop_grace_s: float = 10.0
    """Between SIGTERM and SIGKILL; vLLM needs 0.5 s."""
    backoff_s: tuple[float, ...] = (0.5, 5.0, 20.0)
    """Before the first, second and each later restart after a crash."""
    max_restarts: int = 3
    restart_window_s: float = 600.0
    """More crashes than ``max_restarts`` in this time, and the keeper gives up."""
    linger_s: float = 300.0
    """How long a keeper that gave up stays to say why."""
    settle_s: float = 2.0
    """Without a further change, before a changed checkpoint or configuration is looked at."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One engine to keep."""

    plan: EnginePlan
    places: Places
    timings: Timings = Timings()
    watched: tuple[Path, ...] = ()
    """Files and folders of checkpoint and configuration."""
    replan: tuple[str, ...] = ()
    """Command that prints ``plan_record`` for what is there now, in JSON."""


def spec_record(spec: Spec) -> dict[str, Any]:
    """The spec as JSON's types."""
    return {
        "plan": asdict(spec.plan),
        "runtime": str(spec.places.runtime),
        "logs": str(spec.places.logs),
        "timings": asdict(spec.timings),
        "watched": [str(path) for path in spec.watched],
        "replan": list(spec.replan),
    }


def read_spec(record: Mapping[str, Any]) -> Spec:
    """A spec out of ``spec_record``'s form.

    Raises:
        KeyError, TypeError, ValueError: it is of another form.
    """
    return Spec(
        plan=from_record(record["plan"]),
        places=Places(Path(record["runtime"]), Path(record["logs"])),
        timings=read_timings(record["timings"]),
        watched=tuple(Path(each) for each in record["watched"]),
        replan=tuple(map(str, record["replan"])),
    )


def read_timings(record: Mapping[str, Any]) -> Timings:
    """Timings out of ``asdict``'s form.

    Raises:
        KeyError, TypeError, ValueError: it is of another form.
    """
    return Timings(**{**record, "backoff_s": tuple(record["backoff_s"])})


def plan_record(plan: EnginePlan, timings: Timings) -> dict[str, Any]:
    """A plan, and the patience with which it is kept, as JSON's types."""
    return {**asdict(plan), "timings": asdict(timings)}
