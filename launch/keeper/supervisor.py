"""The life of an engine: its phases, and what moves it from one to the next."""

import logging
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import anyio
from anyio import to_thread

from launch import process
from launch.errors import EngineNotReady, EngineStartFailed
from launch.keeper import health
from launch.keeper.child import Child
from launch.keeper.diagnose import Diagnosis, diagnose
from launch.keeper.log import RotatingLog
from launch.plan.command import EnginePlan
from launch.plan.spec import Spec
from launch.state import State, remember_failure, remember_start, start_times, write_state

logger = logging.getLogger(__name__)

Phase = Literal[
    "starting",
    "ready",
    "falling asleep",
    "asleep",
    "waking",
    "draining",
    "restarting",
    "failed",
    "ending",
]
_POLL_S = 0.2
"""Between looks at a server that is starting: a refused connection costs nothing."""


@dataclass(slots=True)
class _Orders:
    """What the supervisor was asked to do as soon as it can."""

    end: str = ""
    restart: str = ""
    plan: EnginePlan | None = None
    """For the next start; None: the plan stays the same."""


class Supervisor:
    """Runs one engine; the keeper's other tasks read its state here. For one event loop."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.plan: EnginePlan = spec.plan
        self.phase: Phase = "starting"
        self.detail = ""
        self.hint = ""
        self.users = 0
        """Explorations that hold the engine now."""
        self.quiet_requests = 0
        """Requests of warm-ups, which do not count as use."""
        self.last_use = time.monotonic()
        self.restarts = 0
        self.key = secrets.token_urlsafe(32)
        self.child: Child | None = None
        self._orders = _Orders()
        self._changed = anyio.Event()
        self._crashes: list[float] = []
        self._unready = ""
        """Why the last engine failed, if it never became ready."""
        self._was_ready = False
        """Whether the engine that runs, or ran last, has been ready."""
        self._begun = time.monotonic()
        self._born = time.time()
        self._log = RotatingLog(spec.places.engine_log, secret=self.key)
        self._power = anyio.Lock()

    # What others ask for.

    def ask_to_end(self, why: str) -> None:
        """Have the engine and the keeper end."""
        self._orders.end = why
        self._notify()

    def ask_to_restart(self, why: str, plan: EnginePlan | None = None) -> None:
        """Have the engine restarted, once the explorations that hold it have ended.

        From now on nobody is given the running engine. ``plan`` is for the next one.
        """
        self._orders.plan = plan or self._orders.plan
        self._crashes.clear()
        self._unready = ""
        self._orders.restart = why
        if self.phase != "ending":
            self._enter("draining" if self.child else "restarting", why)

    @property
    def due(self) -> EnginePlan:
        """The plan for the next start: a new one, or that of the running engine."""
        return self._orders.plan or self.plan

    async def changed(self) -> None:
        """Return at the next change of anything."""
        await self._changed.wait()

    async def ready(self, wait_s: float, *, wake: bool = True) -> bool:
        """Whether the engine can answer now or within ``wait_s``; a sleeping engine is woken."""
        with anyio.move_on_after(wait_s) as scope:
            while self.phase != "ready":
                if self.phase in ("failed", "ending"):
                    return False
                if self.phase in ("falling asleep", "asleep"):
                    if not wake:
                        return False
                    await self.wake()
                    continue
                if wait_s <= 0:
                    return False
                await self.changed()
        return not scope.cancelled_caught and self.phase == "ready"

    async def sleep(self) -> bool:
        """Put an idle engine to sleep; whether it sleeps."""
        async with self._power:
            if self.phase == "asleep":
                return True
            if self.phase != "ready" or self.users or self.child is None:
                return False
            # Whoever comes from now on waits, and then wakes the engine.
            self._enter("falling asleep")
            began = time.monotonic()
            slept = await _done(health.sleep, self.child.api)
            if not self._still("falling asleep"):
                return False
            if slept is not None:
                detail = f"slept within {time.monotonic() - began:.1f} s" if slept else ""
                self._enter("asleep" if slept else "ready", detail)
                return slept
        # Whether it sleeps is not known, so nobody is sent to it.
        self.ask_to_restart("it did not say whether it sleeps")
        return False

    async def wake(self) -> bool:
        """Wake the engine; whether it is ready."""
        async with self._power:
            if self.phase != "asleep" or self.child is None:
                return self.phase == "ready"
            self._enter("waking")
            began = time.monotonic()
            awake = await _done(health.wake, self.child.api)
            if not self._still("waking"):
                return False
            if awake:
                self.last_use = time.monotonic()
                self._enter("ready", f"awake within {time.monotonic() - began:.1f} s")
                return True
        self.ask_to_restart("it did not wake up")
        return False

    def status(self) -> dict[str, Any]:
        """Everything for ``engine status``; no secret."""
        return {
            "phase": self.phase,
            "detail": self.detail,
            "hint": self.hint,
            "ready_in_s": self.ready_in_s(),
            "profile": self.plan.profile,
            "model": self.plan.model,
            "version": self.plan.version,
            "keeper_pid": os.getpid(),
            "guard_pid": self.child.pid if self.child else 0,
            "users": self.users,
            "idle_s": 0.0 if self.users else round(time.monotonic() - self.last_use, 1),
            "up_s": round(time.time() - self._born, 1),
            "restarts": self.restarts,
            "sleeps": self.plan.sleeps,
            "log": str(self.spec.places.engine_log),
        }

    def ready_in_s(self) -> float | None:
        """Seconds until ready, judged by the last start; None if that is not known."""
        if self.phase in ("ready", "falling asleep", "asleep"):
            return 0.0
        last = start_times(self.spec.places).get(self._kind())
        if last is None or self.phase in ("failed", "ending"):
            return None
        return max(1.0, round(last - (time.monotonic() - self._begun), 1))

    # The life itself.

    async def run(self) -> None:
        """Keep the engine until it is asked to end, or has failed and lingered long enough."""
        try:
            while not self._orders.end:
                self.plan = self.due
                self._orders = _Orders()
                problem = await self._one_life()
                if self._ordered():
                    continue
                if problem is not None and not await self._again(problem):
                    await self._linger()
        finally:
            self._enter("ending", self._orders.end)
            self._log.close()

    async def _one_life(self) -> Diagnosis | None:
        """Run vLLM once; None if it was ended on purpose, else why it ended."""
        self._begun = time.monotonic()
        self._was_ready = False
        self._log.clear_tail()
        timings = self.spec.timings
        try:
            child = await Child.start(self.plan, self.spec.places, self.key, timings.stop_grace_s)
        except EngineStartFailed as error:
            return Diagnosis(str(error), error.hint)
        self.child = child
        self._publish(child)
        self._enter("starting", self.plan.reason)
        async with anyio.create_task_group() as group:
            group.start_soon(child.pump, self._log.write, self._lost)
            try:
                timed_out = not await self._until_ready(child)
                if not timed_out:
                    group.start_soon(child.end_with_core)
                    await self._serve(child)
            finally:
                await child.stop(timings.stop_grace_s * 2 + 2)
            group.cancel_scope.cancel()
        self.child = None
        if self._ordered():
            return None
        return diagnose(self._log.tail(), None if timed_out else child.returncode)

    async def _until_ready(self, child: Child) -> bool:
        """True once the API names the model or the child has ended; False when time ran out."""
        with anyio.move_on_after(self.spec.timings.start_timeout_s):
            while not child.ended and not self._ordered():
                with suppress(EngineNotReady):
                    if await to_thread.run_sync(self._serves, child, abandon_on_cancel=True):
                        await child.find_cores()
                        if self._ordered():
                            return True
                        took_s = time.monotonic() - self._begun
                        remember_start(self.spec.places, self._kind(), took_s)
                        self.last_use = time.monotonic()
                        self._was_ready = True
                        self._enter("ready", f"ready after {took_s:.1f} s")
                        return True
                with anyio.move_on_after(_POLL_S):
                    await child.wait()
            return True
        return False

    def _serves(self, child: Child) -> bool:
        """Whether vLLM answers and names the model."""
        return child.answers() and self.plan.model in health.served_models(child.api)

    async def _serve(self, child: Child) -> None:
        """Return when vLLM has ended, hangs or is to end."""
        failures = 0
        every_s = self.spec.timings.health_every_s
        look_at = time.monotonic() + every_s
        while not child.ended and not self._orders.end:
            if self._orders.restart:
                await self._drain(child)
                return
            with anyio.move_on_after(max(0.0, look_at - time.monotonic())):
                await _first(child.wait, self.changed)
            if time.monotonic() < look_at:
                continue
            look_at = time.monotonic() + every_s
            if self.phase != "ready":
                continue
            well = await to_thread.run_sync(
                health.is_healthy,
                child.api,
                self.spec.timings.health_timeout_s,
                abandon_on_cancel=True,
            )
            failures = 0 if well or child.ended else failures + 1
            if failures >= self.spec.timings.health_failures:
                logger.warning("the engine does not answer; it counts as hung")
                return

    async def _drain(self, child: Child) -> None:
        """Wait until the explorations that hold the engine have ended; new ones must wait."""
        with anyio.move_on_after(self.spec.timings.drain_s):
            while self.users and not child.ended and not self._orders.end:
                await self.changed()

    async def _again(self, why: Diagnosis) -> bool:
        """Wait before the next try; False if there is to be none."""
        now = time.monotonic()
        timings = self.spec.timings
        self._crashes = [t for t in self._crashes if now - t < timings.restart_window_s] + [now]
        logger.warning("%s", why.problem)
        # A start that failed twice in the same way would fail a third time.
        hopeless = not self._was_ready and why.problem == self._unready
        self._unready = "" if self._was_ready else why.problem
        if not why.retry or hopeless or len(self._crashes) > timings.max_restarts:
            remember_failure(self.spec.places, why.problem, why.hint)
            self._enter("failed", why.problem, why.hint)
            return False
        pause_s = timings.backoff_s[min(len(self._crashes), len(timings.backoff_s)) - 1]
        self.restarts += 1
        self._enter("restarting", why.problem, why.hint)
        with anyio.move_on_after(pause_s):
            while not self._ordered():
                await self.changed()
        return True

    async def _linger(self) -> None:
        """Stay for a while to say why the engine failed, unless asked to try again or to end."""
        with anyio.move_on_after(self.spec.timings.linger_s):
            while not self._ordered():
                await self.changed()
            return
        self.ask_to_end("the engine failed")

    def _lost(self) -> None:
        running = ("ready", "falling asleep", "asleep", "waking")
        if self.phase in running and not self._ordered():
            self._enter("restarting", "vLLM has ended")

    def _enter(self, phase: Phase, detail: str = "", hint: str = "") -> None:
        self.phase, self.detail, self.hint = phase, detail, hint
        logger.info("%s%s", phase, f": {detail}" if detail else "")
        self._notify()

    def _still(self, phase: Phase) -> bool:
        """Whether this is the phase, which may have changed during a wait."""
        return self.phase == phase

    def _publish(self, child: Child) -> None:
        """Write how the engine is reached, and which processes to end if they are left over."""
        keeper = os.getpid()
        state = State(
            url=child.api.url,
            socket=child.api.path,
            api_key=self.key,
            keeper_pid=keeper,
            keeper_birth=process.birth(keeper),
            guard_pid=child.pid,
            guard_birth=child.birth,
        )
        try:
            write_state(self.spec.places.state, state)
        except OSError as error:
            # A full disk must not end an engine that works.
            logger.warning("the state cannot be written: %s", error)

    def notify_use(self, change: int, *, quiet: bool = False) -> None:
        """Count an exploration that begins (1) or ends (-1); a quiet one does not count as use."""
        self.users += change
        if not quiet:
            self.last_use = time.monotonic()
        elif change < 0:
            self.quiet_requests += 1
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _ordered(self) -> bool:
        return bool(self._orders.end or self._orders.restart)

    def _kind(self) -> str:
        return f"{self.due.profile} {self.due.model_path} {self.due.version}"


async def _done(order: Callable[[health.Api], bool], api: health.Api) -> bool | None:
    """Whether vLLM did it, or None if it did not answer. Not cancelled half-way."""
    with anyio.CancelScope(shield=True), suppress(EngineNotReady):
        return await to_thread.run_sync(order, api)
    return None


async def _first(*waits: Any) -> None:
    """Return when one of these returns; the others are cancelled."""
    async with anyio.create_task_group() as group:

        async def one(wait: Any) -> None:
            await wait()
            group.cancel_scope.cancel()

        for wait in waits:
            group.start_soon(one, wait)
