"""The keeper's socket: a line of JSON asks, a line of JSON answers.

``use`` holds the engine for as long as its connection is open, so a client that is killed lets go
of it at once.
"""

from contextlib import suppress
from typing import Any

import anyio
import anyio.abc

from launch.keeper.client import read_object, write_object
from launch.keeper.supervisor import Supervisor
from launch.keeper.upkeep import plan_afresh

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


async def serve_control(
    supervisor: Supervisor, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Answer until cancelled."""
    path = supervisor.spec.places.control
    path.unlink(missing_ok=True)
    listener = await anyio.create_unix_listener(path, mode=0o600)
    async with listener:
        task_status.started()
        await listener.serve(lambda stream: _answer(supervisor, stream))


async def _answer(supervisor: Supervisor, stream: anyio.abc.SocketStream) -> None:
    async with stream:
        with suppress(*_GONE):
            try:
                request = await read_object(stream)
            except ValueError:
                return
            if request.get("do") == "use":
                await _lend(supervisor, stream, request)
            else:
                await write_object(stream, await _obey(supervisor, request))


async def _obey(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    done = True
    match request.get("do"):
        case "status":
            pass
        case "sleep":
            done = await supervisor.sleep()
        case "wake":
            done = await supervisor.ready(float(request.get("wait_s", 60)))
        case "restart":
            # vLLM, the models or the settings may have changed since the start.
            plan = await plan_afresh(supervisor)
            supervisor.ask_to_restart("asked for", plan)
        case "down":
            supervisor.ask_to_end("asked for")
        case other:
            return {"ok": False, "detail": f"the keeper does not know {other!r}"}
    return {**supervisor.status(), "ok": done}


async def _lend(
    supervisor: Supervisor, stream: anyio.abc.SocketStream, request: dict[str, Any]
) -> None:
    """Answer once the engine is ready, then count the client until it hangs up."""
    wait_s, wake = float(request.get("wait_s", 0)), bool(request.get("wake", True))
    if not await supervisor.ready(wait_s, wake=wake):
        await write_object(stream, {**supervisor.status(), "ok": False})
        return
    # Clients that still wait do not count: a restart waits for those that count.
    supervisor.notify_use(1, quiet=not wake)
    try:
        await write_object(stream, {**supervisor.status(), "ok": True} | _access(supervisor))
        while await stream.receive():
            pass
    finally:
        supervisor.notify_use(-1, quiet=not wake)


def _access(supervisor: Supervisor) -> dict[str, Any]:
    child = supervisor.child
    assert child is not None
    return {"url": child.api.url, "socket": child.api.path, "api_key": supervisor.key}
