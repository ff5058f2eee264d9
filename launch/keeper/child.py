"""One run of vLLM under its guard."""

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.abc
from anyio import to_thread

from launch import process
from launch.errors import EngineStartFailed
from launch.keeper import lifeline, ports
from launch.keeper.health import Api
from launch.places import Places
from launch.plan.command import EnginePlan


class Child:
    """A running vLLM as the keeper sees it: its API, its output and its end."""

    def __init__(self, guard: anyio.abc.Process, api: Api) -> None:
        self._guard = guard
        self._drained = anyio.Event()
        self.api = api
        self.pid = guard.pid
        self.birth = process.birth(guard.pid)
        self.returncode: int | None = None
        self._cores: list[int] = []
        self._ended = anyio.Event()

    @classmethod
    async def start(cls, plan: EnginePlan, places: Places, key: str, grace_s: float) -> "Child":
        """A vLLM that was just started and is not ready yet.

        Raises:
            EngineStartFailed: the guard cannot be started, or another program uses the port.
        """
        places.api.unlink(missing_ok=True)
        argv, port = list(plan.argv), 0
        if "--uds" not in argv:
            where = argv.index("--port") + 1
            port = ports.take(int(argv[where]))
            argv[where] = str(port)
        api = Api("" if port else str(places.api), port, key)
        environment = {
            **os.environ,
            **plan.environment,
            # Not in the command, where every user of the machine could read it.
            "VLLM_API_KEY": key,
            "PYTHONUNBUFFERED": "1",
        }
        try:
            environment |= lifeline.install(places.plugin, environment)
            guard = await anyio.open_process(
                process.boot("launch.keeper.guard", str(grace_s), *argv, site=False),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=places.logs,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineStartFailed(f"the engine's guard cannot be started: {error}") from error
        return cls(guard, api)

    def answers(self) -> bool:
        """Whether this vLLM listens at its address: only it may see the key."""
        return not self.api.port or ports.is_listened_on_by(self.api.port, self.pid)

    @property
    def ended(self) -> bool:
        """Whether vLLM and all that it started are gone."""
        return self._ended.is_set()

    async def pump(self, take: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Pass the output on until vLLM ends, then reap the guard and end what outlived it.

        ``lost`` is called as soon as the end is noticed.
        """
        async with anyio.create_task_group() as group:
            group.start_soon(self._read, take)
            self.returncode = await self._guard.wait()
            lost()
            # Only a killed guard leaves processes. They hold the pipe, so they are ended first.
            await to_thread.run_sync(self._bury)
            with anyio.move_on_after(1.0):
                await self._drained.wait()
            group.cancel_scope.cancel()
        self._ended.set()

    async def _read(self, take: Callable[[bytes], None]) -> None:
        assert self._guard.stdout is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for piece in self._guard.stdout:
                take(piece)
        self._drained.set()

    async def find_cores(self) -> None:
        """Note the engine cores and workers, once all have started."""
        self._cores = await to_thread.run_sync(self._titled)

    async def end_with_core(self) -> None:
        """End vLLM at once when one of its engine cores or workers has ended.

        vLLM notices this itself, but takes some 4 s to end (0.32.0).
        """
        if not self._cores:
            return
        async with anyio.create_task_group() as group:
            for core in self._cores:
                group.start_soon(_until_gone, core, group.cancel_scope)
        process.kill([pid for pid in process.session(self.pid) if pid != self.pid])

    def _titled(self) -> list[int]:
        """Processes whose title vLLM has set to ``VLLM::...``."""
        found = []
        for pid in process.session(self.pid):
            with suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"VLLM::"):
                    found.append(pid)
        return found

    async def wait(self) -> None:
        """Return once everything is gone."""
        await self._ended.wait()

    async def stop(self, patience_s: float) -> None:
        """End vLLM: by closing the guard's input, after ``patience_s`` by killing."""
        with anyio.CancelScope(shield=True):
            if self._guard.stdin is not None:
                await self._guard.stdin.aclose()
            with anyio.move_on_after(patience_s):
                await self._ended.wait()
                return
            process.end_session(self.pid, self.birth)
            with anyio.move_on_after(2.0):
                await self._ended.wait()

    def _bury(self) -> None:
        for pid in process.end_session(self.pid, self.birth):
            # Processes whose parent died are the keeper's children now.
            with suppress(OSError):
                os.waitpid(pid, os.WNOHANG)


async def _until_gone(pid: int, scope: anyio.CancelScope) -> None:
    """Cancel the scope when a process has ended. Linux only; elsewhere no cores are found."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        scope.cancel()
        return
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)
    scope.cancel()
