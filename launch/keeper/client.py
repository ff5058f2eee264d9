"""How other processes find, start and use the shared engine.

Asking costs a connection to a Unix socket. ``use`` holds the engine while an exploration runs: it
wakes it, keeps it from sleeping, and lets go when the process ends in whatever way.

What only a start needs is imported there: it costs more than finding an engine that runs.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
"""For an answer that costs the keeper nothing."""
_SPAWN_TIMEOUT_S = 20.0
_OTHERS_ANSWER_S = 2.0
"""For a keeper that somebody else has just started, until its first answer."""
_KILLED_S = 5.0
"""Until a killed keeper has left."""


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

    None where no keeper is at work.

    Raises:
        EngineNotReady: a keeper is there and does not answer in time.
    """
    request = {"do": do, "wait_s": timeout_s}
    try:
        with anyio.fail_after(timeout_s + 1.0):
            async with await anyio.connect_unix(places.control) as stream:
                await stream.send(json.dumps(request).encode() + b"\n")
                return await _line(stream)
    except TimeoutError:
        raise EngineNotReady(
            "the engine's keeper does not answer", "`fastcontext engine down` ends it"
        ) from None
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, ValueError):
        return None


@asynccontextmanager
async def use(places: Places, *, wait_s: float, wake: bool = True) -> AsyncIterator[Access]:
    """Access to the engine, which stays awake and is not restarted while this is open.

    Args:
        places: which engine.
        wait_s: seconds to wait for one that is loading or asleep.
        wake: whether an engine that sleeps is to be woken.

    Raises:
        EngineNotReady: none is running, or it is not ready in time.
    """
    try:
        stream = await anyio.connect_unix(places.control)
    except OSError:
        raise EngineNotReady("no engine is running", "`fastcontext engine up` starts it") from None
    async with stream:
        yield await _borrow(stream, wait_s, wake)


async def _borrow(stream: anyio.abc.SocketStream, wait_s: float, wake: bool) -> Access:
    request = {"do": "use", "wait_s": wait_s, "wake": wake}
    answer: dict[str, Any] = {}
    try:
        with anyio.move_on_after(wait_s + ASK_TIMEOUT_S):
            await stream.send(json.dumps(request).encode() + b"\n")
            answer = await _line(stream)
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, ValueError):
        pass
    if not answer.get("ok"):
        raise not_ready(answer)
    return Access(answer["url"], answer["socket"], answer["api_key"], answer["model"])


def not_ready(status: dict[str, Any]) -> EngineNotReady:
    """The status of an engine that cannot answer yet, as an error."""
    phase = str(status.get("phase", ""))
    ready_in_s = status.get("ready_in_s")
    if phase == "failed":
        return EngineNotReady(f"the engine has given up: {status['detail']}", str(status["hint"]))
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
    """Start a keeper in the background; False where one is at work already. Does not wait for vLLM.

    When this returns, a keeper answers.

    Raises:
        EngineStartFailed: the keeper does not start.
    """
    prepare(spec.places)
    with anyio.move_on_after(_SPAWN_TIMEOUT_S):
        while not await _spawn(spec):
            # Another keeper has the lock: it answers in a moment. Or it is ending, or a client
            # that clears up has the lock: then it is free in a moment.
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
    """Start a keeper; False where the lock is another's."""
    import tempfile

    from launch.plan.spec import ALREADY_KEPT, spec_record

    said = json.dumps(spec_record(spec)).encode()
    # Files, not pipes: the keeper keeps its error stream until it has detached itself.
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
        raise EngineStartFailed(
            f"the engine's keeper does not start: {last}", returncode=done.returncode, log_tail=text
        )
    return done.returncode == 0


async def _first_answer(places: Places) -> None:
    while await ask(places, "status") is None:  # noqa: ASYNC110 - another process makes it
        await anyio.sleep(0.02)


async def stop(places: Places, *, timeout_s: float = 40.0) -> bool:
    """End engine and keeper and wait until both are gone; False where none was running.

    A keeper that does not answer is killed, and what it leaves is ended.

    Raises:
        LaunchError: it is still there after ``timeout_s``.
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
    """End what a keeper left that was killed together with its guard; whether there was any.

    Costs a look at one file where nothing was left.
    """
    state = read_state(places.state)
    if state is None or process.is_alive(state.keeper_pid, state.keeper_birth):
        return False
    lock = Lock(places.lock)
    if not lock.take():
        return False
    try:
        ended = process.end_session(state.guard_pid, state.guard_birth)
        places.clear()
    finally:
        lock.drop()
    return bool(ended)


async def wait_ready(places: Places, timeout_s: float) -> dict[str, Any]:
    """The status, once the engine is ready or has given up, or when time has run out.

    Raises:
        EngineStartFailed: the keeper has gone.
    """
    status: dict[str, Any] = {}
    with anyio.move_on_after(timeout_s):
        while True:
            answer = await ask(places, "status")
            if answer is None:
                raise EngineStartFailed("the engine's keeper has ended", "see its log")
            status = answer
            if status["phase"] in ("ready", "asleep", "failed"):
                return status
            await anyio.sleep(0.2)
    return status


async def _line(stream: anyio.abc.SocketStream) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        data += await stream.receive()
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
