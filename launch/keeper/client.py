"""How other processes find, start and use the shared engine.

Each request is one connection to the keeper's Unix socket. ``use`` holds the engine while an
exploration runs: it wakes the engine, keeps it from sleeping, and lets go when the process ends,
however it ends.

What only a start needs is imported inside the functions: most clients find a running engine.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
from anyio import to_thread

from launch import process
from launch.errors import EngineNotReady, EngineStartFailed, LaunchError
from launch.files import Lock
from launch.places import Places, prepare
from launch.state import State, live_state, read_state

if TYPE_CHECKING:
    from launch.plan.spec import Spec

ASK_TIMEOUT_S = 5.0
"""For what the keeper answers at once."""
_LONGEST_LINE = 64 * 1024
_SPAWN_TIMEOUT_S = 20.0
_OTHERS_ANSWER_S = 2.0
"""For the first answer of a keeper that another process has just started."""
_KILLED_S = 5.0
"""For a killed keeper to disappear."""
_DROPPED_S = 0.5
"""For a killed keeper's lock to be free."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a client needs to send requests to the engine."""

    url: str
    """Base URL up to /v1."""
    socket: str
    """Unix socket to go through; empty: TCP."""
    api_key: str = field(repr=False)
    model: str


async def ask(
    places: Places, do: str, *, timeout_s: float = ASK_TIMEOUT_S
) -> dict[str, Any] | None:
    """The keeper's answer to ``status``, ``sleep``, ``wake``, ``restart`` or ``down``.

    None when no keeper is running.

    Raises:
        EngineNotReady: a keeper is running but does not answer in time.
    """
    request = {"do": do, "wait_s": timeout_s}
    try:
        with anyio.fail_after(timeout_s + 1.0):
            async with await anyio.connect_unix(places.control) as stream:
                await write_object(stream, request)
                return await read_object(stream)
    except TimeoutError:
        raise EngineNotReady(
            "the engine's keeper does not answer", "end it with `fastcontext engine down`"
        ) from None
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, ValueError):
        return None


@asynccontextmanager
async def use(places: Places, *, wait_s: float, wake: bool = True) -> AsyncIterator[Access]:
    """Access to the engine, which stays awake and is not restarted while this is open.

    Args:
        places: which engine.
        wait_s: seconds to wait for an engine that is loading or asleep.
        wake: whether to wake an engine that sleeps.

    Raises:
        EngineNotReady: no engine is running, or it is not ready in time.
    """
    try:
        stream = await anyio.connect_unix(places.control)
    except OSError:
        raise EngineNotReady(
            "no engine is running", "start it with `fastcontext engine up`"
        ) from None
    async with stream:
        yield await _borrow(stream, wait_s, wake)


async def _borrow(stream: anyio.abc.SocketStream, wait_s: float, wake: bool) -> Access:
    request = {"do": "use", "wait_s": wait_s, "wake": wake}
    answer: dict[str, Any] = {}
    try:
        with anyio.move_on_after(wait_s + ASK_TIMEOUT_S):
            await write_object(stream, request)
            answer = await read_object(stream)
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, ValueError):
        pass
    if not answer.get("ok"):
        raise not_ready(answer)
    return Access(answer["url"], answer["socket"], answer["api_key"], answer["model"])


def not_ready(status: dict[str, Any]) -> EngineNotReady:
    """The error that says why an engine of this status cannot answer yet."""
    phase = str(status.get("phase", ""))
    ready_in_s = status.get("ready_in_s")
    if phase == "failed":
        return EngineNotReady(f"the engine failed: {status['detail']}", str(status["hint"]))
    words = {
        "starting": "the engine is loading",
        "restarting": "the engine is being restarted after a failure",
        "draining": "the engine is being restarted",
        "falling asleep": "the engine is falling asleep",
        "asleep": "the engine is asleep",
        "waking": "the engine is waking up",
        "ending": "the engine is shutting down",
    }
    text = words.get(phase, "the engine does not answer")
    if ready_in_s:
        text += f", ready in about {ready_in_s:.0f} s"
    elif phase == "starting":
        text += " for the first time, which takes minutes"
    return EngineNotReady(text, "", ready_in_s=ready_in_s or None)


async def start(spec: "Spec") -> bool:
    """Start a keeper in the background; False when one is running already.

    When this returns, a keeper answers; vLLM need not be ready.

    Raises:
        EngineStartFailed: the keeper does not start.
    """
    prepare(spec.places)
    with anyio.move_on_after(_SPAWN_TIMEOUT_S):
        while not await _spawn(spec):
            # Another keeper holds the lock and will answer in a moment. Or that keeper is ending,
            # or a client that clears up holds the lock: then the lock is free in a moment.
            with anyio.move_on_after(_OTHERS_ANSWER_S):
                await _first_answer(spec.places)
                return False
        await _first_answer(spec.places)
        return True
    raise EngineStartFailed(
        "the engine's keeper has started but does not answer",
        f"see {str(spec.places.keeper_log)!r}",
    )


async def _spawn(spec: "Spec") -> bool:
    """Start a keeper; False when another process holds the lock."""
    import tempfile

    from launch.plan.spec import ALREADY_KEPT

    said = json.dumps(asdict(spec), default=str).encode()
    # A file, not a pipe: a pipe would stay open until the keeper has detached itself.
    with tempfile.TemporaryFile() as errors:
        try:
            done = await anyio.run_process(
                process.boot("launch.keeper.keeper"),
                input=said,
                stdout=errors,
                stderr=errors,
                check=False,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise EngineStartFailed(f"the engine's keeper does not start: {error}") from None
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace").strip()
    if done.returncode not in (0, ALREADY_KEPT):
        last = text.splitlines()[-1] if text else f"exit status {done.returncode}"
        raise EngineStartFailed(f"the engine's keeper does not start: {last}")
    return done.returncode == 0


async def _first_answer(places: Places) -> None:
    while await ask(places, "status") is None:  # noqa: ASYNC110 - another process makes it
        await anyio.sleep(0.02)


async def stop(places: Places, *, timeout_s: float = 40.0) -> bool:
    """End engine and keeper and wait until both are gone; False when none was running.

    A keeper that does not answer is killed, and the processes that it leaves are ended.

    Raises:
        LaunchError: it still runs after ``timeout_s``.
    """
    state = live_state(places.state)
    try:
        if await ask(places, "down") is None and state is None:
            return False
        with anyio.move_on_after(timeout_s) as scope:
            while _is_kept(state) or await ask(places, "status") is not None:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        stays = scope.cancelled_caught
    except EngineNotReady:
        stays = True
    if stays and state is not None:
        process.kill([state.keeper_pid] if _is_kept(state) else [])
        with anyio.move_on_after(_KILLED_S):
            while _is_kept(state):  # noqa: ASYNC110 - the system ends it
                await anyio.sleep(0.02)
            stays = False
    if stays:
        raise LaunchError("the engine has not ended", f"see {str(places.keeper_log)!r}")
    await to_thread.run_sync(clear_remains, places)
    return True


def _is_kept(state: State | None) -> bool:
    return state is not None and process.is_alive(state.keeper_pid, state.keeper_birth)


def clear_remains(places: Places) -> bool:
    """End what a keeper left that was killed with its guard; whether any process was left.

    Costs a look at one file if nothing was left, and waits half a second at most for the lock.
    """
    state = read_state(places.state)
    if state is None or process.is_alive(state.keeper_pid, state.keeper_birth):
        return False
    lock = Lock(places.lock)
    # Killed, a process counts as dead a moment before the last of its threads drops the lock.
    until = time.monotonic() + _DROPPED_S
    while not lock.take():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    try:
        ended = process.end_session(state.guard_pid, state.guard_birth)
        places.clear()
    finally:
        lock.drop()
    return bool(ended)


async def wait_ready(places: Places, timeout_s: float) -> dict[str, Any]:
    """The status once the engine is ready or has failed, or when time has run out.

    Raises:
        EngineStartFailed: the keeper has ended.
    """
    status: dict[str, Any] = {}
    with anyio.move_on_after(timeout_s):
        while True:
            answer = await ask(places, "status")
            if answer is None:
                raise EngineStartFailed(
                    "the engine's keeper has ended", "see `fastcontext engine logs --keeper`"
                )
            status = answer
            if status["phase"] in ("ready", "asleep", "failed"):
                return status
            await anyio.sleep(0.2)
    return status


async def read_object(stream: anyio.abc.SocketStream) -> dict[str, Any]:
    """The JSON object on the next line.

    Raises:
        ValueError: it is not one, or is too long.
    """
    data = b""
    while not data.endswith(b"\n"):
        data += await stream.receive()
        if len(data) > _LONGEST_LINE:
            raise ValueError("the line is too long")
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


async def write_object(stream: anyio.abc.SocketStream, value: dict[str, Any]) -> None:
    """Send an object as one line of JSON."""
    await stream.send(json.dumps(value).encode() + b"\n")
