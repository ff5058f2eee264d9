import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from launch.keeper import client
from launch.plan.spec import Spec, plan_record
from tests.integration.launch.launch_support import (
    alive,
    eventually,
    make_spec,
    processes_of,
    running,
    short_directory,
    state_of,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture
async def spec(anyio_backend: str) -> AsyncIterator[Spec]:
    """An engine that watches its checkpoint and a configuration file, with a plan in a file."""
    with short_directory() as base:
        made = make_spec(base)
        (base / "config.toml").write_text("")
        (base / "plan.json").write_text(json.dumps(plan_record(made.plan, made.timings)))
        program = "import pathlib,sys; print(pathlib.Path(sys.argv[1]).read_text())"
        yield replace(
            made,
            watched=(Path(made.plan.model_path), base / "config.toml"),
            replan=(sys.executable, "-c", program, str(base / "plan.json")),
        )


def replans(spec: Spec, *further: str) -> None:
    """Have the next plan be the spec's with further arguments."""
    plan = replace(spec.plan, argv=(*spec.plan.argv, *further))
    (base_of(spec) / "plan.json").write_text(json.dumps(plan_record(plan, spec.timings)))


def base_of(spec: Spec) -> Path:
    return spec.places.logs.parent


async def restarted(spec: Spec, guard: int) -> bool:
    async def ready() -> bool:
        status = await client.ask(spec.places, "status")
        return status is not None and status["phase"] == "ready"

    changed = await eventually(lambda: state_of(spec).guard_pid != guard)
    with anyio.fail_after(10):
        while not await ready():  # noqa: ASYNC110
            await anyio.sleep(0.01)
    return changed


async def test_a_changed_checkpoint_restarts_the_engine(spec: Spec) -> None:
    async with running(spec):
        guard = state_of(spec).guard_pid
        (Path(spec.plan.model_path) / "model.safetensors").write_bytes(b"new weights")
        assert await restarted(spec, guard)


async def test_a_changed_configuration_restarts_the_engine_with_its_new_plan(spec: Spec) -> None:
    async with running(spec):
        guard = state_of(spec).guard_pid
        replans(spec, "--another", "flag")
        (base_of(spec) / "config.toml").write_text("engine_args = '--another flag'")
        assert await restarted(spec, guard)
        command = await anyio.Path(f"/proc/{processes_of(spec)['api']}/cmdline").read_bytes()
        assert b"--another" in command.split(b"\0")


async def test_a_change_waits_for_the_exploration_that_holds_the_engine(spec: Spec) -> None:
    async with running(spec):
        guard = state_of(spec).guard_pid
        async with client.use(spec.places, wait_s=5):
            (Path(spec.plan.model_path) / "model.safetensors").write_bytes(b"new weights")
            with anyio.fail_after(10):
                while (await client.ask(spec.places, "status") or {})["phase"] != "draining":  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            assert alive(guard)
        assert await restarted(spec, guard)


@pytest.mark.parametrize("printed", ["", "not json", "{}"])
async def test_an_engine_keeps_running_when_the_change_cannot_be_served(
    spec: Spec, printed: str
) -> None:
    async with running(spec):
        guard = state_of(spec).guard_pid
        (base_of(spec) / "plan.json").write_text(printed)
        (Path(spec.plan.model_path) / "model.safetensors").write_bytes(b"half of the weights")
        assert await eventually(
            lambda: "the running engine is kept" in spec.places.keeper_log.read_text()
        )
        assert state_of(spec).guard_pid == guard


async def test_a_restart_that_is_asked_for_takes_the_plan_of_now(spec: Spec) -> None:
    async with running(spec):
        guard = state_of(spec).guard_pid
        replans(spec, "--another", "flag")
        await client.ask(spec.places, "restart")
        assert await restarted(spec, guard)
        command = await anyio.Path(f"/proc/{processes_of(spec)['api']}/cmdline").read_bytes()
        assert b"--another" in command.split(b"\0")


async def test_a_file_that_editors_replace_is_followed_each_time(spec: Spec) -> None:
    async with running(spec):
        for number in ("1", "2"):
            guard = state_of(spec).guard_pid
            replans(spec, "--number", number)
            saved = base_of(spec) / "config.toml~"
            saved.write_text(f"engine_args = '--number {number}'")
            saved.replace(base_of(spec) / "config.toml")
            assert await restarted(spec, guard)


def take_the_place_of(folder: Path, number: int) -> None:
    fresh = folder.with_name("fresh")
    fresh.mkdir()
    (fresh / "model.safetensors").write_bytes(b"new" * (number + 1))
    folder.rename(folder.with_name(f"old{number}"))
    fresh.rename(folder)


async def test_a_folder_that_takes_the_checkpoints_place_is_followed_each_time(spec: Spec) -> None:
    model = Path(spec.plan.model_path)
    async with running(spec):
        for number in range(2):
            guard = state_of(spec).guard_pid
            take_the_place_of(model, number)
            assert await restarted(spec, guard)


async def test_a_configuration_that_changes_nothing_restarts_nothing(spec: Spec) -> None:
    async with running(spec):
        guard = state_of(spec).guard_pid
        (base_of(spec) / "config.toml").write_text("# a remark")
        assert await eventually(
            lambda: "the plan is the same" in spec.places.keeper_log.read_text()
        )
        assert state_of(spec).guard_pid == guard


async def test_changed_times_are_taken_over_without_a_restart(spec: Spec) -> None:
    async with running(replace(spec, timings=replace(spec.timings, stop_after_s=8))):
        guard = state_of(spec).guard_pid
        replans(replace(spec, timings=replace(spec.timings, sleep_after_s=0.2)))
        (base_of(spec) / "config.toml").write_text("engine_sleep_after_s = 0.2")
        assert await eventually(lambda: "asleep: slept" in spec.places.keeper_log.read_text())
        assert state_of(spec).guard_pid == guard


async def test_a_configuration_file_is_followed_whose_folders_did_not_exist(spec: Spec) -> None:
    config = base_of(spec) / "config" / "fastcontext" / "config.toml"
    async with running(replace(spec, watched=(config,))):
        guard = state_of(spec).guard_pid
        replans(spec, "--more")
        config.parent.mkdir(parents=True)
        config.write_text("engine_args = '--more'")
        assert await restarted(spec, guard)


async def test_a_folder_whose_name_begins_with_the_checkpoints_is_another(spec: Spec) -> None:
    other = Path(spec.plan.model_path + "-2")
    await anyio.Path(other).mkdir()
    async with running(replace(spec, watched=(*spec.watched, other))):
        guard = state_of(spec).guard_pid
        (other / "model.safetensors").write_bytes(b"not what is served")
        assert await eventually(
            lambda: "the plan is the same" in spec.places.keeper_log.read_text()
        )
        assert state_of(spec).guard_pid == guard
