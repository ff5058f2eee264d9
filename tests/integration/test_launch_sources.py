import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from launch import client
from launch.command import as_record
from launch.spec import Spec
from tests.integration.launch_support import (
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
        (base / "plan.json").write_text(json.dumps(as_record(made.plan)))
        program = "import pathlib,sys; print(pathlib.Path(sys.argv[1]).read_text())"
        yield replace(
            made,
            watched=(Path(made.plan.model_path), base / "config.toml"),
            replan=(sys.executable, "-c", program, str(base / "plan.json")),
        )


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
        argv = [*spec.plan.argv, "--another", "flag"]
        record = as_record(spec.plan) | {"argv": argv}
        (base_of(spec) / "plan.json").write_text(json.dumps(record))
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
        assert await eventually(lambda: "kept as is" in spec.places.keeper_log.read_text())
        assert state_of(spec).guard_pid == guard


async def test_a_restart_that_is_asked_for_takes_the_plan_of_now(spec: Spec) -> None:
    async with running(spec):
        guard = state_of(spec).guard_pid
        record = as_record(spec.plan) | {"argv": [*spec.plan.argv, "--another", "flag"]}
        (base_of(spec) / "plan.json").write_text(json.dumps(record))
        await client.ask(spec.places, "restart")
        assert await restarted(spec, guard)
        command = await anyio.Path(f"/proc/{processes_of(spec)['api']}/cmdline").read_bytes()
        assert b"--another" in command.split(b"\0")


async def test_a_file_that_editors_replace_is_followed_each_time(spec: Spec) -> None:
    async with running(spec):
        for number in ("1", "2"):
            guard = state_of(spec).guard_pid
            record = as_record(spec.plan) | {"argv": [*spec.plan.argv, "--number", number]}
            (base_of(spec) / "plan.json").write_text(json.dumps(record))
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
        assert await eventually(lambda: "same plan" in spec.places.keeper_log.read_text())
        assert state_of(spec).guard_pid == guard
