"""An engine on the stand-in for vLLM, and what tests ask about its processes."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio

from launch import process
from launch.keeper import client
from launch.keeper.health import Api, ask
from launch.places import Places
from launch.plan.checkpoint import Checkpoint
from launch.plan.command import Address, plan
from launch.plan.install import Vllm
from launch.plan.profile import Wishes, choose
from launch.plan.spec import Spec, Timings
from launch.state import State, read_state

FAKE = Path(__file__).with_name("fake_vllm.py")
QUICK = Timings(
    start_timeout_s=20,
    sleep_after_s=0,
    stop_after_s=0,
    drain_s=5,
    health_every_s=0.2,
    health_timeout_s=0.5,
    stop_grace_s=0.3,
    backoff_s=(0.05, 0.1),
    max_restarts=2,
    linger_s=20,
    settle_s=0.1,
)


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    path = Path(tempfile.mkdtemp(prefix="fc", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def make_spec(base: Path, timings: Timings = QUICK, *, port: int = -1) -> Spec:
    """An engine on the stand-in, over a Unix socket, or over a port, 0 for a free one."""
    model = base / "model"
    model.mkdir(exist_ok=True)
    tiny = Checkpoint(str(model), model, "bf16", 1, 2, 128, 384, 4, 2, 32, 600, True, 8192)
    places = Places(base / "run" / "e", base / "log")
    profile = choose(None, (tiny,), Wishes(), cores=2, memory_bytes=1 << 30)
    over_port = port >= 0
    address = Address(port=port) if over_port else Address(socket=places.api)
    vllm = Vllm((sys.executable, str(FAKE)), "0.0", for_cpu=True)
    made = plan(replace(profile, sleeps=not over_port), vllm, address, Wishes())
    # Marks every process below the guard, independently of how the launcher finds them.
    made.environment["LAUNCH_TEST_MARK"] = str(base)
    return Spec(made, places, timings)


def configure(spec: Spec, **settings: object) -> None:
    (Path(spec.plan.model_path) / "fake.json").write_text(json.dumps(settings))


@asynccontextmanager
async def running(spec: Spec, *, ready: bool = True) -> AsyncIterator[Spec]:
    """The engine of a spec, which is gone at the end whatever happened."""
    await client.start(spec)
    try:
        if ready:
            status = await client.wait_ready(spec.places, 20)
            assert status["phase"] == "ready", status
        yield spec
    finally:
        with anyio.CancelScope(shield=True):
            await client.stop(spec.places, timeout_s=10)
            client.clear_remains(spec.places)
            assert await none_left(spec), of_engine(spec)


def of_engine(spec: Spec) -> list[int]:
    """Living processes that have the engine's directory in their environment or command."""
    mark = str(spec.places.runtime.parent.parent).encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid) and pid != os.getpid()]


async def none_left(spec: Spec, timeout_s: float = 10) -> bool:
    """Whether every process of an engine has gone, at once or in a while."""
    return await eventually(lambda: not of_engine(spec), timeout_s)


async def eventually(condition, timeout_s: float = 10) -> bool:
    with anyio.move_on_after(timeout_s):
        while not condition():  # noqa: ASYNC110 - other processes bring it about
            await anyio.sleep(0.01)
        return True
    return False


def state_of(spec: Spec) -> State:
    state = read_state(spec.places.state)
    assert state is not None
    return state


def api_of(spec: Spec) -> Api:
    return api_of_state(state_of(spec))


def api_of_state(state: State) -> Api:
    port = 0 if state.socket else int(state.url.split(":")[2].split("/")[0])
    return Api(state.socket, port, state.api_key)


def processes_of(spec: Spec) -> dict[str, int]:
    """Keeper, guard, vLLM's first process and its engine core."""
    state = state_of(spec)
    core = int(ask(api_of(spec), "GET", "/core")[1])
    (first,) = [pid for pid in process.descendants(state.guard_pid) if pid != core]
    return {"keeper": state.keeper_pid, "guard": state.guard_pid, "api": first, "core": core}


def alive(pid: int) -> bool:
    return bool(process.birth(pid))


def rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
