"""What a keeper does besides: an idle engine sleeps and ends, a changed source restarts it."""

import json
import logging
import os
import subprocess
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import to_thread

from launch.errors import EngineNotReady
from launch.keeper import health
from launch.keeper.supervisor import Supervisor
from launch.plan.command import EnginePlan, from_record
from launch.plan.spec import Timings, read_timings
from launch.watch import batches

logger = logging.getLogger(__name__)

Files = tuple[tuple[str, int, int], ...]
"""Name, size and time of last change of each file."""

_REPLAN_TIMEOUT_S = 60.0
_SHARE = "--gpu-memory-utilization"
_LOOK_S = 30.0
"""How often the sources are looked at: network file systems do not report changes."""


async def mind_idleness(supervisor: Supervisor) -> None:
    """Put an engine that nobody uses to sleep, and end it later."""
    finished, quiet = 0.0, 0
    while True:
        await anyio.sleep(_pause_s(supervisor.spec.timings))
        if supervisor.phase not in ("ready", "asleep") or supervisor.users:
            continue
        if supervisor.phase == "ready" and (now := await _activity(supervisor)) is not None:
            running, finished_now = now
            quiet_now = supervisor.quiet_requests
            # A restarted vLLM counts from 0.
            more = finished_now - finished if finished_now >= finished else finished_now
            # Requests of those who do not ask the keeper count as use, too. (A warm-up that failed
            # has finished no request, so it can hide one of theirs.)
            if running or more > quiet_now - quiet:
                supervisor.last_use = time.monotonic()
            finished, quiet = finished_now, quiet_now
        await _rest(supervisor)


def _pause_s(timings: Timings) -> float:
    """Seconds until the next look: a quarter of the shortest limit, at most 15 s."""
    limits = [each for each in (timings.sleep_after_s, timings.stop_after_s) if each > 0]
    return max(0.05, min(15.0, min(limits, default=60.0) / 4))


async def _rest(supervisor: Supervisor) -> None:
    """Let the engine sleep or end if it has been idle for long enough."""
    timings = supervisor.spec.timings
    idle_s = time.monotonic() - supervisor.last_use
    if 0 < timings.stop_after_s <= idle_s:
        supervisor.ask_to_end(f"not used for {idle_s:.0f} s")
    elif (
        0 < timings.sleep_after_s <= idle_s
        and supervisor.plan.sleeps
        and supervisor.phase == "ready"
    ):
        await supervisor.sleep()


async def _activity(supervisor: Supervisor) -> tuple[float, float] | None:
    """Requests in flight and finished so far, or None if that is not known."""
    if supervisor.child is None:
        return None
    try:
        return await to_thread.run_sync(
            health.activity, supervisor.child.api, abandon_on_cancel=True
        )
    except EngineNotReady:
        return None


async def mind_home(supervisor: Supervisor) -> None:
    """End an engine whose socket is gone: nobody can find it, and a second one could start.

    The system removes a user's runtime directory when the user's last session ends.
    """
    while supervisor.spec.places.control.exists():  # noqa: ASYNC110 - the system removes it
        await anyio.sleep(supervisor.spec.timings.health_every_s)
    supervisor.ask_to_end("its directory has been removed")


async def mind_sources(supervisor: Supervisor) -> None:
    """Restart the engine when its checkpoint or its configuration has changed."""
    watched = list(supervisor.spec.watched)
    if not watched:
        return
    known = fingerprint(watched)
    while True:
        if fingerprint(watched) == known:
            await _next_change(watched, supervisor.spec.timings.settle_s)
            continue
        now = await _settled(watched, supervisor.spec.timings.settle_s)
        changed = {each[0] for each in set(known) ^ set(now)}
        known = now
        if changed:
            await _follow(supervisor, changed)


async def _settled(watched: list[Path], settle_s: float) -> Files:
    """The files, once they have stayed the same for ``settle_s``."""
    now = fingerprint(watched)
    while True:
        await anyio.sleep(settle_s)
        before, now = now, fingerprint(watched)
        if before == now:
            return now


async def _next_change(watched: list[Path], settle_s: float) -> None:
    """Return when something has changed in or next to the paths, or after a while.

    Each time the watch is a new one: a file or folder that was replaced is no longer the one that
    was watched.
    """
    folders = {each for path in watched for each in (path.parent, *_tree(path))}
    here = sorted({_nearest(each) for each in folders})
    with anyio.move_on_after(_LOOK_S):
        async with aclosing(batches(here, settle_ms=max(50, int(settle_s * 1000)))) as changes:
            async for _ in changes:
                return
        await anyio.sleep(_LOOK_S)


def _nearest(path: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    # Unlike Path.is_dir, this raises nothing if a folder may not be looked into.
    there = (each for each in (path, *path.parents) if os.path.isdir(each))  # noqa: PTH112
    return next(there, Path("/"))


def _tree(path: Path) -> list[Path]:
    return [path, *(each for each in path.rglob("*") if each.is_dir())]


async def _follow(supervisor: Supervisor, changed: set[str]) -> None:
    plan = await plan_afresh(supervisor)
    if plan is None:
        # Half a checkpoint, or a mistake in the file: keep what runs.
        logger.warning(
            "the changed checkpoint or configuration cannot be served; the running engine is kept"
        )
        return
    due = supervisor.due
    weights = any(Path(name).is_relative_to(due.model_path) for name in changed)
    if plan == due and not weights:
        logger.info("the configuration has changed, but the plan is the same")
        return
    supervisor.ask_to_restart("its checkpoint or configuration has changed", plan)


def fingerprint(paths: list[Path]) -> Files:
    """Every file in the paths, in the order of names."""
    found = []
    for path in paths:
        files = [path] if os.path.isfile(path) else sorted(path.rglob("*"))  # noqa: PTH113
        for file in files:
            try:
                stat = file.stat()
            except OSError:
                continue
            if file.is_file() and not file.name.startswith("."):
                found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


async def plan_afresh(supervisor: Supervisor) -> EnginePlan | None:
    """The plan for what is there now, or None if none can be made.

    The timings that are configured now hold from here on; they need no restart.
    """
    now = await to_thread.run_sync(_replan, supervisor, abandon_on_cancel=True)
    if now is None:
        return None
    plan, timings = now
    supervisor.spec = replace(supervisor.spec, timings=timings)
    return plan


def _replan(supervisor: Supervisor) -> tuple[EnginePlan, Timings] | None:
    """The answer of the replanning command, or None if it fails. Blocks."""
    command = supervisor.spec.replan
    if not command:
        return None
    if supervisor.phase != "asleep":
        command += held(supervisor.plan)
    try:
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_REPLAN_TIMEOUT_S,
            check=True,
        )
        record = json.loads(done.stdout)
        return from_record(record), read_timings(record["timings"])
    except subprocess.CalledProcessError as error:
        logger.warning("no new plan: %s", error.stderr.decode(errors="replace").strip() or error)
        return None
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        logger.warning("no new plan: %s", error)
        return None


def held(plan: EnginePlan) -> tuple[str, ...]:
    """Arguments that tell the planner how much GPU memory the running engine will give back."""
    number = plan.environment.get("CUDA_VISIBLE_DEVICES", "")
    if not number.isdigit() or _SHARE not in plan.argv[:-1]:
        return ()
    return ("--held", f"{number}:{plan.argv[plan.argv.index(_SHARE) + 1]}")
