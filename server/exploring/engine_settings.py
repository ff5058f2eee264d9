"""Turns the settings into what the engine's launcher takes."""

import shlex
import sys
from pathlib import Path

from launch.plan.planner import Wanted
from launch.plan.profile import Wishes
from launch.plan.spec import Timings
from launch.process import PACKAGE_ROOT
from server.homes import expanded
from server.settings import Settings, engine_directories

# For isolated mode, as all child processes: nothing is imported from the caller's directory.
_REPLAN = (
    "import sys; sys.path.append(sys.argv.pop(1)); from server.commands.root import main; main()"
)
_LEAVE_S = 15.0
"""Time after its deadline for an exploration to release the engine."""


def wanted_engine(settings: Settings) -> Wanted:
    """The engine that the settings describe."""
    runtime, logs, hub = engine_directories()
    return Wanted(
        runtime=runtime,
        logs=logs,
        hub=hub,
        models=tuple(
            str(expanded(Path(each))) if each.startswith("~") else each
            for each in settings.engine_models
        ),
        vllm=settings.vllm,
        port=settings.engine_port,
        wishes=Wishes(
            way=settings.engine_profile,
            context=settings.engine_context,
            sequences=settings.engine_sequences,
            speculate=settings.engine_speculate,
            weightless=settings.engine_weightless,
            extra=tuple(shlex.split(settings.engine_args)),
        ),
        timings=Timings(
            start_timeout_s=settings.engine_start_timeout_s,
            sleep_after_s=settings.engine_sleep_after_s,
            stop_after_s=settings.engine_stop_after_s,
            drain_s=max(Timings().drain_s, settings.deadline_s + _LEAVE_S),
        ),
    )


def replan_command() -> tuple[str, ...]:
    """The command that a keeper runs to get a new plan after a change."""
    return (
        sys.executable,
        "-I",
        "-c",
        _REPLAN,
        str(PACKAGE_ROOT),
        "engine",
        "plan",
        "--json",
    )
