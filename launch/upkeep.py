"""A keeper's side jobs: idle engines sleep and stop, changed sources start them afresh."""

import json
import logging
import subprocess
import time
from pathlib import Path

import anyio
from anyio import to_thread

from launch import health
from launch.command import Plan, from_record
from launch.errors import EngineNotReady
from launch.supervisor import Supervisor
from launch.watch import batches

logger = logging.getLogger("launch.keeper")

_REPLAN_TIMEOUT_S = 60.0


async def mind_idleness(supervisor: Supervisor) -> None:
    """Let an engine that nobody uses sleep, then end."""
    timings = supervisor.spec.timings
    limits = [each for each in (timings.sleep_after_s, timings.stop_after_s) if each > 0]
    if not limits:
        return
    pause_s = max(0.05, min(15.0, min(limits) / 4))
    worked = 0.0
    while True:
        await anyio.sleep(pause_s)
        if supervisor.phase not in ("ready", "asleep") or supervisor.users:
            continue
        if supervisor.phase == "ready":
            # Whoever talks to vLLM without asking the keeper counts as well.
            running, finished = await _activity(supervisor)
            worked_now = finished - supervisor.quiet_requests
            if running or worked_now != worked:
                supervisor.last_use, worked = time.monotonic(), worked_now
        idle_s = time.monotonic() - supervisor.last_use
        if 0 < timings.stop_after_s <= idle_s:
            supervisor.ask_to_end(f"not used for {idle_s:.0f} s")
        elif (
            0 < timings.sleep_after_s <= idle_s
            and supervisor.plan.sleeps
            and supervisor.phase == "ready"
        ):
            await supervisor.sleep()


async def _activity(supervisor: Supervisor) -> tuple[float, float]:
    if supervisor.child is None:
        return 0.0, 0.0
    try:
        return await to_thread.run_sync(
            health.activity, supervisor.child.api, abandon_on_cancel=True
        )
    except EngineNotReady:
        return 0.0, 0.0


async def mind_sources(supervisor: Supervisor) -> None:
    """Restart the engine when its checkpoint or its configuration has become another."""
    watched = [path for path in supervisor.spec.watched if path.exists()]
    if not watched:
        return
    known = fingerprint(watched)
    settle_ms = int(supervisor.spec.timings.settle_s * 1000)
    async for _ in batches(watched, recursive=True, settle_ms=max(50, settle_ms)):
        now = fingerprint(watched)
        changed = {each[0] for each in set(known) ^ set(now)}
        known = now
        if not changed:
            continue
        plan = await to_thread.run_sync(replan, supervisor.spec.replan, abandon_on_cancel=True)
        if plan is None:
            # Half a checkpoint, or a mistake in the file: what runs is better than nothing.
            logger.warning("the changed checkpoint or configuration cannot be served; kept as is")
            continue
        weights = any(name.startswith(supervisor.plan.model_path) for name in changed)
        if plan == supervisor.plan and not weights:
            logger.info("the configuration has changed, to the same plan")
            continue
        supervisor.ask_to_restart("its checkpoint or configuration has changed", plan)


def fingerprint(paths: list[Path]) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every file in the paths, sorted."""
    found = []
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            try:
                stat = file.stat()
            except OSError:
                continue
            if file.is_file() and not file.name.startswith("."):
                found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def replan(command: tuple[str, ...]) -> Plan | None:
    """The plan that the command prints, or None where it prints none."""
    if not command:
        return None
    try:
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_REPLAN_TIMEOUT_S,
            check=True,
        )
        return from_record(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        logger.warning("no new plan: %s", error)
        return None
