import itertools
import json
import os
import shutil
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, replace

import anyio
import anyio.abc
import pytest

from launch import process
from launch.errors import EngineNotReady
from launch.keeper import client, ports
from launch.keeper.health import ask
from launch.plan.spec import Spec, plan_record
from launch.state import live_state, read_state, write_state
from tests.integration.launch.launch_support import (
    QUICK,
    alive,
    api_of,
    configure,
    cpu_s,
    eventually,
    make_spec,
    none_left,
    of_engine,
    processes_of,
    rss_mib,
    running,
    short_directory,
    state_of,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
PARTS = ("keeper", "guard", "api", "core")


@pytest.fixture
async def spec(anyio_backend: str) -> AsyncIterator[Spec]:
    with short_directory() as base:
        yield make_spec(base)


async def phase(spec: Spec) -> str:
    status = await client.ask(spec.places, "status")
    return status["phase"] if status else "gone"


async def reaches(spec: Spec, *wanted: str) -> str:
    with anyio.fail_after(15):
        while (now := await phase(spec)) not in wanted:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    return now


async def test_an_engine_starts_serves_and_ends_with_nothing_left(spec: Spec) -> None:
    async with running(spec):
        async with client.use(spec.places, wait_s=5) as access:
            assert access.model == "model"
            assert ask(api_of(spec), "GET", "/v1/models")[0] == 200
    assert await none_left(spec)
    assert sorted(path.name for path in spec.places.runtime.iterdir()) == ["lock"]


async def test_the_state_file_and_the_sockets_are_the_users_alone(spec: Spec) -> None:
    async with running(spec):
        assert stat.S_IMODE(spec.places.runtime.stat().st_mode) == 0o700
        assert stat.S_IMODE(spec.places.state.stat().st_mode) == 0o600
        assert stat.S_IMODE(spec.places.control.stat().st_mode) == 0o600


async def test_the_key_is_in_no_command_line_no_log_and_no_repr(spec: Spec) -> None:
    async with running(spec):
        state = state_of(spec)
        for pid in processes_of(spec).values():
            command = await anyio.Path(f"/proc/{pid}/cmdline").read_bytes()
            assert state.api_key.encode() not in command
        assert state.api_key not in repr(state)
        status = await client.ask(spec.places, "status")
        assert state.api_key not in json.dumps(status)
    for log in (spec.places.keeper_log, spec.places.engine_log):
        assert state.api_key not in log.read_text()


async def test_two_starts_at_the_same_moment_give_one_engine(spec: Spec) -> None:
    started: list[bool] = []

    async def start() -> None:
        started.append(await client.start(spec))
        assert await client.ask(spec.places, "status") is not None

    try:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(start)
        await client.wait_ready(spec.places, 20)

        assert sorted(started) == [False, False, False, True]
        assert len(of_engine(spec)) == 3
    finally:
        await client.stop(spec.places)


async def test_a_start_outlasts_a_lock_that_somebody_holds_for_a_moment(spec: Spec) -> None:
    from launch.files import Lock
    from launch.places import prepare

    prepare(spec.places)
    lock = Lock(spec.places.lock)
    assert lock.take()
    started: list[bool] = []

    async def start() -> None:
        started.append(await client.start(spec))

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(start)
            await anyio.sleep(1)
            lock.drop()
        assert started == [True]
    finally:
        await client.stop(spec.places)


async def test_the_port_is_chosen_and_the_key_asked_for_without_a_socket() -> None:
    with short_directory() as base:
        over_port = make_spec(base, port=0)
        async with running(over_port):
            api = api_of(over_port)
            assert api.port > 0
            assert ask(api, "GET", "/v1/models")[0] == 200
            assert ask(replace(api, key="wrong"), "GET", "/v1/models")[0] == 401


async def test_a_port_that_another_program_has_is_said_and_not_tried_again() -> None:
    with short_directory() as base, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with running(make_spec(base, port=port), ready=False) as spec:
            await reaches(spec, "failed")
            status = await client.ask(spec.places, "status")
            assert status is not None
            assert status["detail"] == f"port {port} is used by another program"
            assert "FASTCONTEXT_ENGINE_PORT" in status["hint"]
            assert status["restarts"] == 0


async def test_whoever_takes_the_port_while_the_engine_loads_does_not_get_the_key() -> None:
    with short_directory() as base:
        port = ports.take(0)
        spec = make_spec(base, port=port)
        configure(spec, start_s=2)
        async with running(spec, ready=False):
            await reaches(spec, "starting")
            asked: list[bytes] = []
            async with (
                await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as (
                    listener
                ),
                anyio.create_task_group() as group,
            ):

                async def answer(stream: anyio.abc.SocketStream) -> None:
                    async with stream:
                        asked.append(await stream.receive())

                group.start_soon(listener.serve, answer)
                await reaches(spec, "failed")
                status = await client.ask(spec.places, "status")
                group.cancel_scope.cancel()
        assert status is not None
        assert "used by another program" in status["detail"]
        assert asked == []


@pytest.mark.parametrize(
    "killed",
    [
        combination
        for size in range(1, len(PARTS) + 1)
        for combination in itertools.combinations(PARTS, size)
    ],
    ids="+".join,
)
async def test_nothing_is_left_after_any_parts_are_killed(
    spec: Spec, killed: tuple[str, ...]
) -> None:
    async with running(spec):
        pids = processes_of(spec)
        # Stopped first, so that none acts on another's death before its own.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            process.kill([pids[part] for part in killed], number)

        if "keeper" in killed:
            assert await none_left(spec)
            assert await eventually(lambda: live_state(spec.places.state) is None)
        else:
            assert await eventually(lambda: not any(alive(pids[p]) for p in PARTS[1:]))
            assert await eventually(lambda: state_of(spec).guard_pid != pids["guard"])
            await reaches(spec, "ready")
            assert processes_of(spec)["keeper"] == pids["keeper"]


async def test_what_outlived_keeper_and_guard_is_ended_by_whoever_looks_next(spec: Spec) -> None:
    configure(spec, no_plugins=True)
    async with running(spec):
        pids = await kill_keeper_and_guard(spec)
        assert alive(pids["core"])
        assert client.clear_remains(spec.places)
        assert await none_left(spec)
        assert not spec.places.api.exists()


async def test_a_keeper_that_hangs_is_ended_with_all_it_has(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(spec):
        keeper = state_of(spec).keeper_pid
        os.kill(keeper, signal.SIGSTOP)
        monkeypatch.setattr(client.ask, "__kwdefaults__", {"timeout_s": 0.1})
        assert await client.stop(spec.places)
        assert not alive(keeper)
        assert await none_left(spec)
    assert sorted(path.name for path in spec.places.runtime.iterdir()) == ["lock"]


async def test_an_engine_starts_over_the_remains_of_a_killed_keeper(spec: Spec) -> None:
    async with running(spec):
        first = state_of(spec).keeper_pid
        os.kill(first, signal.SIGKILL)
        assert await eventually(lambda: not alive(first))

        assert await client.ask(spec.places, "status") is None
        assert await client.start(spec)
        await client.wait_ready(spec.places, 20)
        assert state_of(spec).keeper_pid != first


async def test_a_new_keeper_ends_what_a_killed_one_left(spec: Spec) -> None:
    configure(spec, no_plugins=True)
    async with running(spec):
        pids = await kill_keeper_and_guard(spec)
        assert alive(pids["core"])

        await client.start(spec)
        assert await eventually(lambda: not alive(pids["core"]))
        await client.wait_ready(spec.places, 20)


async def kill_keeper_and_guard(spec: Spec) -> dict[str, int]:
    """The processes there were, when keeper, guard and vLLM's first process have gone."""
    pids = processes_of(spec)
    # Stopped first, so that the one that dies second cannot act on the first one's death.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        process.kill([pids["keeper"], pids["guard"]], number)
    assert await eventually(lambda: not any(alive(pids[p]) for p in PARTS[:3]))
    return pids


async def test_a_later_process_with_the_keepers_number_is_not_taken_for_it(spec: Spec) -> None:
    async with running(spec):
        state = state_of(spec)
    spec.places.state.parent.mkdir(exist_ok=True)
    write_state(spec.places.state, replace(state, keeper_pid=os.getpid()))

    assert read_state(spec.places.state) is not None
    assert live_state(spec.places.state) is None
    assert not await client.stop(spec.places)


async def test_a_crash_is_followed_by_a_restart_with_the_same_key(spec: Spec) -> None:
    async with running(spec):
        before = state_of(spec)
        os.kill(processes_of(spec)["api"], signal.SIGKILL)
        await reaches(spec, "restarting", "starting")
        await reaches(spec, "ready")

        assert state_of(spec).api_key == before.api_key
        status = await client.ask(spec.places, "status")
        assert status is not None
        assert status["restarts"] == 1


async def test_a_lost_engine_core_is_noticed_before_vllm_has_taken_its_leave(spec: Spec) -> None:
    configure(spec, leave_s=600)
    async with running(spec):
        pids = processes_of(spec)
        os.kill(pids["core"], signal.SIGKILL)
        assert await eventually(lambda: not alive(pids["api"]))
        await reaches(spec, "ready")


async def test_an_engine_that_keeps_failing_is_given_up_with_a_reason(spec: Spec) -> None:
    spec.places.logs.mkdir(parents=True)
    configure(spec, exit=1, log="ValueError: something odd")
    async with running(spec, ready=False):
        await reaches(spec, "failed")
        with pytest.raises(EngineNotReady, match=r"the engine failed: .*something odd"):
            async with client.use(spec.places, wait_s=5):
                pass
        status = await client.ask(spec.places, "status")
        assert status is not None
        # A start that failed twice in the same way is not tried a third time.
        assert status["restarts"] == 1
        assert "engine logs" in status["hint"]


async def test_an_engine_that_crashes_again_and_again_is_given_up(spec: Spec) -> None:
    async with running(spec):
        for _ in range(QUICK.max_restarts):
            os.kill(processes_of(spec)["api"], signal.SIGKILL)
            await reaches(spec, "restarting", "starting")
            await reaches(spec, "ready")
        os.kill(processes_of(spec)["api"], signal.SIGKILL)
        await reaches(spec, "failed")
        status = await client.ask(spec.places, "status")
        assert status is not None
        assert status["restarts"] == QUICK.max_restarts


async def test_a_failure_that_another_try_cannot_mend_is_not_tried_again(spec: Spec) -> None:
    configure(spec, exit=1, log="The NVIDIA driver on your system is too old")
    async with running(spec, ready=False):
        await reaches(spec, "failed")
        status = await client.ask(spec.places, "status")
        assert status is not None
        assert status["restarts"] == 0
        assert "driver is too old" in status["detail"]


async def test_a_restart_that_is_asked_for_revives_an_engine_that_was_given_up(spec: Spec) -> None:
    configure(spec, exit=1, log="CUDA driver version is insufficient")
    async with running(spec, ready=False):
        await reaches(spec, "failed")
        configure(spec)
        await client.ask(spec.places, "restart")
        await reaches(spec, "ready")


async def test_a_start_that_takes_too_long_is_ended(spec: Spec) -> None:
    configure(spec, start_s=60)
    hurried = replace(spec, timings=replace(QUICK, start_timeout_s=0.3, max_restarts=0))
    async with running(hurried, ready=False):
        await reaches(spec, "failed")
        status = await client.ask(spec.places, "status")
        assert status is not None
        assert "not become ready in time" in status["detail"]
        assert await none_left(spec)


async def test_an_engine_that_stops_answering_is_restarted(spec: Spec) -> None:
    async with running(spec):
        pids = processes_of(spec)
        os.kill(pids["api"], signal.SIGSTOP)
        assert await eventually(lambda: not alive(pids["api"]))
        await reaches(spec, "ready")


async def test_while_it_loads_a_client_learns_when_it_will_be_ready(spec: Spec) -> None:
    async with running(spec):
        pass
    configure(spec, start_s=30)
    spec.places.history.write_text(json.dumps({f"cpu {spec.plan.model_path} 0.0": 25.0}))
    async with running(spec, ready=False):
        with pytest.raises(EngineNotReady, match=r"loading, ready in about 2\d s") as told:
            async with client.use(spec.places, wait_s=0):
                pass
        assert told.value.ready_in_s is not None


async def test_an_idle_engine_sleeps_and_use_wakes_it(spec: Spec) -> None:
    sleepy = replace(spec, timings=replace(QUICK, sleep_after_s=0.2))
    # It may fall asleep before anyone sees it ready.
    async with running(sleepy, ready=False):
        await reaches(spec, "asleep")
        async with client.use(spec.places, wait_s=5):
            assert await phase(spec) == "ready"
        await reaches(spec, "asleep")


async def test_a_question_that_comes_while_the_engine_falls_asleep_gets_it_awake(
    spec: Spec,
) -> None:
    configure(spec, sleep_s=1)
    async with running(spec), anyio.create_task_group() as group:
        group.start_soon(client.ask, spec.places, "sleep")
        await reaches(spec, "falling asleep")
        with pytest.raises(EngineNotReady, match="falling asleep"):
            async with client.use(spec.places, wait_s=5, wake=False):
                pass
        async with client.use(spec.places, wait_s=10):
            assert await phase(spec) == "ready"
            assert json.loads(ask(api_of(spec), "GET", "/is_sleeping")[1]) == {"is_sleeping": False}


async def test_an_engine_that_does_not_say_whether_it_sleeps_is_started_afresh(spec: Spec) -> None:
    configure(spec, sleep_s=60)
    async with running(spec), anyio.create_task_group() as group:
        first = processes_of(spec)["api"]
        group.start_soon(client.ask, spec.places, "sleep")
        await reaches(spec, "falling asleep")
        os.kill(first, signal.SIGKILL)
        await reaches(spec, "ready")
        assert processes_of(spec)["api"] != first


async def test_a_question_waits_for_the_next_engine_where_one_does_not_wake_up(
    spec: Spec,
) -> None:
    configure(spec, no_wake=True)
    slow = replace(spec, timings=replace(QUICK, drain_s=60))
    async with running(slow):
        await client.ask(spec.places, "sleep")
        first = processes_of(spec)["api"]
        async with client.use(spec.places, wait_s=10):
            assert processes_of(spec)["api"] != first


async def test_a_warm_up_does_not_wake_an_engine(spec: Spec) -> None:
    async with running(spec):
        status = await client.ask(spec.places, "sleep")
        assert status is not None
        assert status["ok"]
        with pytest.raises(EngineNotReady, match="asleep"):
            async with client.use(spec.places, wait_s=5, wake=False):
                pass
        assert await phase(spec) == "asleep"


async def test_an_engine_in_use_does_not_sleep(spec: Spec) -> None:
    async with running(spec), client.use(spec.places, wait_s=5):
        status = await client.ask(spec.places, "sleep")
        assert status is not None
        assert not status["ok"]
        assert status["phase"] == "ready"


async def test_an_engine_that_nobody_uses_ends(spec: Spec) -> None:
    brief = replace(spec, timings=replace(QUICK, stop_after_s=0.3))
    async with running(brief, ready=False):
        assert await none_left(spec)
        assert await eventually(lambda: not spec.places.state.exists())


async def test_requests_that_bypass_the_keeper_count_as_use(spec: Spec) -> None:
    brief = replace(spec, timings=replace(QUICK, stop_after_s=1.5))
    async with running(brief):
        for _ in range(20):
            ask(api_of(spec), "POST", "/v1/chat/completions")
            await anyio.sleep(0.1)
        assert await phase(spec) == "ready"


@pytest.mark.parametrize("completes", [True, False])
async def test_warm_ups_keep_no_engine_awake_whether_or_not_they_complete(
    spec: Spec, completes: bool
) -> None:
    async def warm_up_for_ever() -> None:
        while True:
            async with client.use(spec.places, wait_s=0, wake=False):
                if completes:
                    ask(api_of(spec), "POST", "/v1/chat/completions")
            await anyio.sleep(0.02)

    sleepy = replace(spec, timings=replace(QUICK, sleep_after_s=1.0))
    async with running(sleepy):
        with anyio.fail_after(15), pytest.raises(EngineNotReady, match="asleep"):
            await warm_up_for_ever()


async def test_a_client_that_is_killed_lets_go_of_the_engine(spec: Spec) -> None:
    async with running(spec):
        program = (
            "import socket,sys,time; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
            's.send(b\'{"do":"use","wait_s":5}\\n\'); s.recv(9999); print("held", flush=True); '
            "time.sleep(60)"
        )
        command = [sys.executable, "-c", program, str(spec.places.control)]
        async with await anyio.open_process(command) as holder:
            assert holder.stdout is not None
            await holder.stdout.receive()
            status = await client.ask(spec.places, "status")
            assert status is not None
            assert status["users"] == 1
            holder.kill()
        with anyio.fail_after(5):
            while (await client.ask(spec.places, "status") or {}).get("users"):  # noqa: ASYNC110
                await anyio.sleep(0.01)


async def test_a_restart_waits_for_the_exploration_that_holds_the_engine(spec: Spec) -> None:
    async with running(spec):
        first = processes_of(spec)["api"]
        async with client.use(spec.places, wait_s=5):
            await client.ask(spec.places, "restart")
            await reaches(spec, "draining")
            assert alive(first)
            with pytest.raises(EngineNotReady, match="being restarted"):
                async with client.use(spec.places, wait_s=0):
                    pass
        await reaches(spec, "starting", "ready")
        await reaches(spec, "ready")
        assert not alive(first)


async def test_until_a_restart_a_question_is_not_told_of_the_next_model(spec: Spec) -> None:
    record = plan_record(replace(spec.plan, model="next"), spec.timings)
    replan = (sys.executable, "-c", "import sys; print(sys.argv[1])", json.dumps(record))
    async with running(replace(spec, replan=replan)):
        async with client.use(spec.places, wait_s=5):
            answer = await client.ask(spec.places, "restart")
            assert answer is not None
            assert (answer["phase"], answer["model"]) == ("draining", "model")


async def test_an_engine_ends_whose_directory_was_removed(spec: Spec) -> None:
    async with running(spec):
        shutil.rmtree(spec.places.runtime)
        assert await none_left(spec)


async def test_a_keeper_is_small_and_rests_while_nothing_happens(spec: Spec) -> None:
    calm = replace(spec, timings=replace(QUICK, health_every_s=10))
    async with running(calm):
        keeper = state_of(spec).keeper_pid
        before = cpu_s(keeper)
        await anyio.sleep(2)
        assert rss_mib(keeper) <= 60
        assert cpu_s(keeper) - before <= 0.05


async def test_a_directory_of_somebody_else_is_refused(spec: Spec) -> None:
    spec.places.runtime.parent.mkdir(parents=True)
    spec.places.runtime.symlink_to("/tmp")
    with pytest.raises(Exception, match="not a directory of this user"):
        await client.start(spec)


def test_a_spec_survives_the_way_to_the_keeper() -> None:
    from launch.plan.spec import read_spec

    with short_directory() as base:
        spec = make_spec(base)
        again = read_spec(json.loads(json.dumps(asdict(spec), default=str)))
        assert again == spec
        assert asdict(again.timings) == asdict(QUICK)
