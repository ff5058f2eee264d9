"""This machine's engine with real vLLM on processors and a model that answers.

Shared, killed in parts and as a whole, given another checkpoint, asleep, stopped; nothing stays.
"""

import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks.gpu.measured import is_core
from explorer import trajectory
from explorer.events import TurnFinished
from explorer.limits import Usage
from launch import process
from launch.keeper import client, health
from launch.keeper.lifeline import LOOK_S
from launch.plan.planner import Wanted
from launch.state import State, read_state
from server.exploring.engine_settings import wanted_engine
from server.exploring.local_engine import start_engine
from server.settings import Settings, load_settings
from tests.e2e.recordings import DELAY, ENDLESS
from tests.e2e.vllm_server import cache_of
from tests.integration.launch.launch_support import alive, api_of_state, eventually, short_directory
from tests.serving import Served, served

START_S = 240
ANSWER = "The delay doubles with each attempt, up to a limit."
# The model card's, as they stand there.
CARD = (
    "--quantization modelopt --tensor-parallel-size 1 --trust-remote-code --dtype auto "
    "--kv-cache-dtype fp8 --attention-backend flashinfer --gpu-memory-utilization 0.40 "
    "--max-model-len 131072 --max-num-seqs 16 --enable-chunked-prefill "
    "--enable-auto-tool-choice --tool-call-parser hermes"
)
BLOCK = 32
"""Tokens of a block of vLLM's prefix cache on processors."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@dataclass
class Place:
    """Where the engine of a test is, and the settings that describe it."""

    base: Path
    tree: Path
    environment: dict[str, str]
    settings: Settings
    wanted: Wanted

    @property
    def model(self) -> Path:
        """The checkpoint's folder."""
        return self.base / "model"

    def server(self, **more: str) -> Any:
        """A server that may start the engine, as a context."""
        return served(self.base, **self.environment, **more)

    async def phase(self) -> str:
        """What the engine is doing."""
        status = await client.ask(self.wanted.places, "status")
        return str(status["phase"]) if status else "gone"

    async def ready(self) -> State:
        """The state of the engine, once it is ready."""
        status = await client.wait_ready(self.wanted.places, START_S)
        assert status["phase"] == "ready", self.wanted.places.engine_log.read_text()[-20_000:]
        state = read_state(self.wanted.places.state)
        assert state is not None
        return state

    async def ready_again(self, before: State) -> State:
        """The state of another engine process than the one before."""
        places = self.wanted.places

        def replaced() -> bool:
            state = read_state(places.state)
            return state is not None and state.guard_pid != before.guard_pid

        assert await eventually(replaced, 60)
        return await self.ready()


@pytest.fixture
async def place(
    vllm_python: Path, checkpoint: Path, nvfp4_plugin: Path, tree: Path, anyio_backend: str
) -> AsyncIterator[Place]:
    with short_directory() as base, pytest.MonkeyPatch.context() as patch:
        shutil.copytree(checkpoint, base / "model")
        (base / "run").mkdir(mode=0o700)
        (base / "config" / "fastcontext").mkdir(parents=True)
        environment = {
            "HOME": str(base),
            "XDG_RUNTIME_DIR": str(base / "run"),
            "XDG_STATE_HOME": str(base / "state"),
            "XDG_CONFIG_HOME": str(base / "config"),
            "PYTHONPATH": str(nvfp4_plugin),
            "VLLM_CACHE_ROOT": str(cache_of(nvfp4_plugin)),
            "FASTCONTEXT_VLLM": str(vllm_python.with_name("vllm")),
            "FASTCONTEXT_ENGINE_MODELS": str(base / "model"),
            "FASTCONTEXT_TEMPERATURE": "0",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = load_settings()
        made = Place(base, tree, environment, settings, wanted_engine(settings))
        try:
            yield made
        finally:
            with anyio.CancelScope(shield=True):
                state = read_state(made.wanted.places.state)
                await client.stop(made.wanted.places)
                client.clear_remains(made.wanted.places)
        assert state is None or process.session(state.guard_pid) == []
        assert [path.name for path in made.wanted.places.runtime.iterdir()] == ["lock"]
        assert processes_of(base) == []


def processes_of(base: Path) -> list[int]:
    """Living processes that name the test's directory in their command or environment."""
    found = []
    for pid in [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]:
        try:
            said = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in SAID)
        except OSError:
            continue
        if str(base).encode() in said and pid != os.getpid() and alive(pid):
            found.append(pid)
    return found


SAID = ("cmdline", "environ")


def ask(server: Served, place: Place, query: str = DELAY.query) -> int:
    return server.call("explore_repository", query=query, path=str(place.tree))


def found_by(server: Served, number: int) -> dict[str, Any]:
    result = server.answer(number)["result"]
    assert not result.get("isError"), result
    content: dict[str, Any] = result["structuredContent"]
    return content


def is_the_answer(found: dict[str, Any]) -> bool:
    places = [(each["path"], each["start"], each["end"]) for each in found["citations"]]
    right = [("parcels/retry.py", 6, 8), ("parcels/client.py", 12, 18)]
    return (found["engine"], found["answer"], places) == ("local", ANSWER, right)


def metric(state: State, name: str) -> float:
    return health.metric(health.ask(api_of_state(state), "GET", "/metrics")[1], name)


def usages(records: Path) -> Sequence[Usage]:
    """What each turn of the only run by the model used; runs of the scout have no turn."""
    (turns,) = filter(None, (_turns(record) for record in records.iterdir()))
    return turns


def _turns(record: Path) -> list[Usage]:
    events = [timed.event for timed in trajectory.read(record)]
    return [event.usage for event in events if isinstance(event, TurnFinished)]


async def test_three_servers_share_one_engine_which_survives_them_and_its_own_crash(
    place: Place,
) -> None:
    records = place.base / "records"
    with ExitStack() as stack:
        start = stack.enter_context
        servers = [start(place.server(FASTCONTEXT_RECORD_DIR=str(records)))]
        servers += [start(place.server(FASTCONTEXT_MAX_TOKENS="4096")) for _ in range(2)]
        for server in servers:
            server.initialize(views=True)
        # All at once: each finds no engine, one starts it, the scout answers all.
        asked = [(server, ask(server, place)) for server in servers]
        for server, number in asked:
            found = found_by(server, number)
            assert found["engine"] == "scout"
            assert "loading" in found["engine_reason"]
            assert found["citations"]
        first = await place.ready()

        # The servers warm the fresh engine by themselves.
        assert await eventually(lambda: metric(first, "request_success_total") >= 3, 40)
        for server in servers:
            assert is_the_answer(found_by(server, ask(server, place)))
        assert read_state(place.wanted.places.state) == first
        turns = usages(records)
        assert turns[0].cached_tokens >= turns[0].prompt_tokens - 3 * BLOCK
        for before, after in zip(turns, turns[1:], strict=False):
            assert after.cached_tokens >= 0.95 * before.prompt_tokens

        servers[0].process.send_signal(signal.SIGKILL)
        number = ask(servers[1], place, ENDLESS.query)
        assert await eventually(lambda: metric(first, "num_requests_running") == 1)
        (core,) = [pid for pid in process.session(first.guard_pid) if is_core(pid)]
        os.kill(core, signal.SIGKILL)
        found = found_by(servers[1], number)
        assert found["engine"] == "scout"
        assert found["citations"]
        assert "model failed" in found["engine_reason"]

        second = await place.ready_again(first)
        assert second.keeper_pid == first.keeper_pid
        assert is_the_answer(found_by(servers[1], ask(servers[1], place)))
        everything = process.session(second.guard_pid)
        assert len(everything) >= 3
        # Stopped first, so that the one that dies second cannot act on the first one's death.
        for signal_number in (signal.SIGSTOP, signal.SIGKILL):
            process.kill([second.keeper_pid, second.guard_pid], signal_number)
        assert await eventually(lambda: not any(alive(pid) for pid in everything), 10 + LOOK_S)


async def test_another_checkpoint_is_served_with_the_cards_flags_and_all_can_be_killed_at_once(
    place: Place, quantized: tuple[Path, dict[str, Any]]
) -> None:
    await start_engine(place.settings)
    first = await place.ready()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client.use(place.wanted.places, wait_s=5))
        swap(place, quantized[0])
        assert await reaches(place, "draining")
        assert alive(first.guard_pid)
    second = await place.ready_again(first)
    assert "EmulationNvFp4LinearKernel for NVFP4 GEMM" in place.wanted.places.engine_log.read_text()
    everything = process.session(second.guard_pid)
    assert any(CARD in command_of(pid) for pid in everything)
    with place.server() as server:
        server.initialize(views=True)
        assert is_the_answer(found_by(server, ask(server, place)))
        everything += [second.keeper_pid, server.process.pid]
        process.kill(everything)
        server.process.wait(10)
    assert await eventually(lambda: not any(alive(pid) for pid in everything))


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def swap(place: Place, other: Path) -> None:
    config = place.base / "config" / "fastcontext" / "config.toml"
    fresh = shutil.copytree(other, place.base / "fresh")
    place.model.rename(place.base / "old")
    fresh.rename(place.model)
    # Last, what processors need: no compiling, and not 0.40 of the memory.
    extra = f"{CARD} --enforce-eager --kv-cache-memory-bytes 128M"
    # vLLM 0.32 keeps an FP8 cache on processors with AVX-512 alone (_get_attn_isa).
    if "avx512f" not in Path("/proc/cpuinfo").read_text().split():
        extra += " --kv-cache-dtype bfloat16"
    config.write_text(f'engine_args = "{extra}"\n')


async def reaches(place: Place, wanted: str) -> bool:
    # A new plan is made by a process of its own, which a loaded machine is slow to start.
    with anyio.move_on_after(90):
        while await place.phase() != wanted:  # noqa: ASYNC110 - another process brings it about
            await anyio.sleep(0.05)
        return True
    return False


async def test_an_engine_sleeps_wakes_for_a_question_and_ends_when_nobody_asks(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_ENGINE_STOP_AFTER_S", "10")
    await start_engine(load_settings())
    state = await place.ready()
    status = await client.ask(place.wanted.places, "sleep", timeout_s=60)
    assert status is not None
    assert status["phase"] == "asleep"
    with place.server() as server:
        server.initialize(views=True)
        assert is_the_answer(found_by(server, ask(server, place)))
        assert await place.phase() == "ready"
    assert await eventually(lambda: process.session(state.guard_pid) == [], 40)
    assert await eventually(lambda: not place.wanted.places.state.exists())
