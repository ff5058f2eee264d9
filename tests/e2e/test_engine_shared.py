"""This machine's engine with real vLLM on processors: shared, killed, restarted, asleep, stopped.

The model has no weights: what it writes is noise, and the answer comes from the scout behind it.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks.gpu.engine_on_gpu import SMALL, is_core
from benchmarks.gpu.weightless import write_models
from explorer import prompt
from explorer.engine import Finished, Request, Sampling
from explorer.tools import ToolBox
from explorer.workspace import Workspace
from launch import client, health, process
from launch.planner import Wanted
from launch.state import State, read_state
from server.engine_settings import wanted_engine
from server.local_engine import LocalEngine, start_engine
from server.settings import Settings, load_settings
from tests.integration.launch_support import alive, api_of_state, eventually, short_directory
from tests.serving import served

PYTHON = os.environ.get("FASTCONTEXT_TEST_VLLM_PYTHON", "")
START_S = 240

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON, reason="FASTCONTEXT_TEST_VLLM_PYTHON names no Python"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@dataclass
class Place:
    """Where the engine of a test is, and the settings that describe it."""

    base: Path
    environment: dict[str, str]
    settings: Settings
    wanted: Wanted


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with short_directory() as base:
        bf16, _ = write_models(base / "models", SMALL)
        environment = {
            "HOME": str(base),
            "XDG_RUNTIME_DIR": str(base / "run"),
            "XDG_STATE_HOME": str(base / "state"),
            "XDG_CONFIG_HOME": str(base / "config"),
            "FASTCONTEXT_VLLM": str(Path(PYTHON).with_name("vllm")),
            "FASTCONTEXT_ENGINE_MODELS": str(bf16),
            "FASTCONTEXT_ENGINE_WEIGHTLESS": "true",
            "FASTCONTEXT_MAX_TURNS": "2",
            "FASTCONTEXT_MAX_TOKENS": "64",
        }
        (base / "run").mkdir(mode=0o700)
        repository = base / "repository"
        repository.mkdir()
        (repository / "retry.py").write_text("def delay_s(attempt):\n    return 2 ** attempt\n")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        yield Place(base, environment, settings, wanted_engine(settings))


@pytest.fixture
async def engine(place: Place, anyio_backend: str) -> AsyncIterator[Place]:
    await start_engine(place.settings)
    try:
        await ready(place)
        yield place
    finally:
        with anyio.CancelScope(shield=True):
            await client.stop(place.wanted.places)
            assert await eventually(lambda: not (place.wanted.places.state).exists())


async def ready(place: Place) -> State:
    status = await client.wait_ready(place.wanted.places, START_S)
    assert status["phase"] == "ready", place.wanted.places.engine_log.read_text()[-3000:]
    state = read_state(place.wanted.places.state)
    assert state is not None
    return state


async def phase(place: Place) -> str:
    status = await client.ask(place.wanted.places, "status")
    return status["phase"] if status else "gone"


def ask_server(server: Any, place: Place) -> dict[str, Any]:
    number = server.call(
        "explore_repository", query="where is the retry delay?", path=str(place.base / "repository")
    )
    result = server.answer(number)["result"]
    assert not result.get("isError"), result
    found: dict[str, Any] = result["structuredContent"]
    return found


async def test_three_servers_share_one_engine_and_outlive_each_other(place: Place) -> None:
    places = place.wanted.places
    try:
        with ExitStack() as stack:
            servers = [
                stack.enter_context(served(place.base, **place.environment)) for _ in range(3)
            ]
            for server in servers:
                server.initialize()
            for server in servers:
                found = ask_server(server, place)
                assert found["engine"] == "scout"
                assert "loading" in found["engine_reason"]
                assert found["citations"]
            state = await ready(place)
            before = health.activity(api_of_state(state))[1]
            for server in servers:
                found = ask_server(server, place)
                assert found["citations"]
                assert "loading" not in found["engine_reason"]
            assert health.activity(api_of_state(state))[1] >= before + 3
            servers[0].process.send_signal(signal.SIGKILL)
            servers[0].process.wait(10)
            assert await phase(place) == "ready"
            assert ask_server(servers[1], place)["citations"]
            assert read_state(places.state) == state
    finally:
        await client.stop(places)
        assert process.session(state.guard_pid) == []
    assert [path.name for path in places.runtime.iterdir()] == ["lock"]


async def test_nothing_of_vllm_outlives_its_keeper_and_a_lost_core_is_replaced(
    engine: Place,
) -> None:
    first = await ready(engine)
    (core,) = [pid for pid in process.session(first.guard_pid) if is_core(pid)]
    os.kill(core, signal.SIGKILL)
    places = engine.wanted.places
    assert await eventually(lambda: process.session(first.guard_pid) == [])
    second = await ready(engine)
    assert second.api_key == first.api_key

    everything = process.session(second.guard_pid)
    assert len(everything) >= 3
    os.kill(second.keeper_pid, signal.SIGKILL)
    assert await eventually(lambda: process.session(second.guard_pid) == [], 30)
    assert not any(alive(pid) for pid in everything)
    assert await client.ask(places, "status") is None
    client.clear_remains(places)


async def test_an_engine_sleeps_and_wakes_and_its_cache_is_warmed(engine: Place) -> None:
    places = engine.wanted.places
    status = await client.ask(places, "sleep", timeout_s=60)
    assert status is not None
    assert status["phase"] == "asleep"
    local = LocalEngine(engine.settings)
    try:
        with Workspace.open(engine.base / "repository") as workspace:
            await workspace.files()
            tools = ToolBox(workspace).schemas

            async def cached(query: str) -> tuple[int, int]:
                request = Request(prompt.opening(query, workspace), tools, "auto", 1, Sampling())
                async with (
                    local.lease() as (http, _),
                    http.stream(request) as events,
                ):
                    async for event in events:
                        if isinstance(event, Finished) and event.usage is not None:
                            return event.usage.cached_tokens, event.usage.prompt_tokens
                raise AssertionError("the server counted nothing")

            cold, _ = await cached("")
            warm, prompt_tokens = await cached("where is the retry delay?")
        assert cold == 0
        assert warm >= 0.95 * (prompt_tokens - 64)
    finally:
        await local.close()


async def test_an_engine_that_nobody_uses_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONTEXT_ENGINE_STOP_AFTER_S", "2")
    settings = load_settings()
    places = place.wanted.places
    await start_engine(settings)
    try:
        state = await ready(place)
        assert await eventually(lambda: process.session(state.guard_pid) == [], 30)
        assert await eventually(lambda: not places.state.exists(), 10)
    finally:
        await client.stop(places)
