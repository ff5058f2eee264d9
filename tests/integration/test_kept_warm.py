import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from explorer.workspace import Workspace
from server.kept_warm import KeptWarm
from server.warm import Warm, WarmRepositories
from tests.integration.launch_support import eventually

pytestmark = pytest.mark.anyio


class FakeLocal:
    """This machine's engine as the warmer sees it: counts the prompts that it is sent."""

    def __init__(self) -> None:
        self.phase = "ready"
        self.generation = 1
        self.prompts: list[str] = []

    async def status(self) -> dict[str, Any] | None:
        return {"phase": self.phase, "guard_pid": self.generation}

    @asynccontextmanager
    async def lease(self, *, wait_s: float, wake: bool) -> AsyncIterator[tuple[Any, None]]:
        assert (wait_s, wake) == (0, False)
        yield self, None

    @asynccontextmanager
    async def stream(self, request: Any) -> AsyncIterator[AsyncIterator[None]]:
        assert request.max_tokens == 1

        async def nothing() -> AsyncIterator[None]:
            return
            yield

        yield nothing()
        self.prompts.append(request.messages[0]["content"])


class Setting:
    """A watched repository with everything around it."""

    def __init__(self, root: Path, kept: KeptWarm, warm: Warm, local: FakeLocal) -> None:
        self.root, self.kept, self.warm, self.local = root, kept, warm, local
        self.busy = False


@pytest.fixture
async def watched(
    tmp_path: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Setting]:
    monkeypatch.setattr("server.kept_warm.LOOK_S", 0.1)
    root = tmp_path / "repository"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("def first():\n    return 1\n")
    (root / ".gitignore").write_text("build/\n*.log\n")
    await anyio.run_process(["git", "init", "-q", str(root)])
    local, repositories = FakeLocal(), WarmRepositories()
    async with repositories.opened(root, include_hidden=False) as warm:
        pass
    async with anyio.create_task_group() as group:
        setting = Setting(root, None, warm, local)  # type: ignore[arg-type]
        setting.kept = KeptWarm(
            group,
            local=lambda: local,  # type: ignore[arg-type, return-value]
            busy=lambda: setting.busy,
        )
        setting.kept.watch(root, warm)
        assert await eventually(lambda: len(local.prompts) == 1)
        yield setting
        group.cancel_scope.cancel()
    repositories.close()


async def test_an_engine_is_sent_a_prompt_once(watched: Setting) -> None:
    await anyio.sleep(0.5)
    assert len(watched.local.prompts) == 1


async def test_a_new_entry_in_the_root_is_in_the_prompt_that_is_sent_next(
    watched: Setting,
) -> None:
    (watched.root / "setup.py").write_text("x = 1\n")
    assert await eventually(lambda: len(watched.local.prompts) == 2)
    assert "setup.py" in watched.local.prompts[1]


async def test_a_change_below_the_root_is_indexed_without_another_prompt(watched: Setting) -> None:
    (watched.root / "src" / "b.py").write_text("def second_place():\n    return 2\n")
    assert await eventually(lambda: "src/b.py" in watched.warm.workspace.listing.file_set)
    await anyio.sleep(0.3)
    assert len(watched.local.prompts) == 1


async def test_a_new_directory_is_watched_too(watched: Setting) -> None:
    (watched.root / "src" / "deep").mkdir()
    (watched.root / "src" / "deep" / "c.py").write_text("c = 1\n")
    listing = watched.warm.workspace
    assert await eventually(lambda: "src/deep/c.py" in listing.listing.file_set)
    await anyio.sleep(1.5)
    (watched.root / "src" / "deep" / "d.py").write_text("d = 1\n")
    assert await eventually(lambda: "src/deep/d.py" in listing.listing.file_set)


async def test_ignored_files_are_not_looked_at_again(watched: Setting) -> None:
    (watched.root / "noise.log").write_text("1")
    state = watched.kept._watched[watched.root]
    assert await eventually(lambda: "noise.log" in state.ignored)
    listing = watched.warm.workspace.listing
    (watched.root / "noise.log").write_text("2")
    await anyio.sleep(1)
    assert watched.warm.workspace.listing is listing


async def test_a_fresh_engine_is_sent_the_prompt_again(watched: Setting) -> None:
    watched.local.generation = 2
    assert await eventually(lambda: len(watched.local.prompts) == 2)


async def test_a_sleeping_engine_is_left_alone(watched: Setting) -> None:
    watched.local.phase = "asleep"
    watched.local.generation = 2
    await anyio.sleep(0.5)
    assert len(watched.local.prompts) == 1


async def test_a_warm_up_waits_for_explorations(watched: Setting) -> None:
    watched.busy = True
    watched.local.generation = 2
    await anyio.sleep(0.8)
    assert len(watched.local.prompts) == 1
    watched.busy = False
    assert await eventually(lambda: len(watched.local.prompts) == 2)


async def test_a_deleted_root_is_no_longer_watched(watched: Setting) -> None:
    shutil.rmtree(watched.root)
    assert await eventually(lambda: watched.root not in watched.kept._watched)


async def test_a_closed_repository_is_no_longer_watched(watched: Setting) -> None:
    watched.warm.close()
    (watched.root / "src" / "a.py").write_text("changed = True\n")
    assert await eventually(lambda: watched.root not in watched.kept._watched)


@pytest.mark.parametrize(
    "error", [UnicodeError("surrogates not allowed"), ZeroDivisionError("division by zero")]
)
async def test_whatever_ends_watching_one_repository_ends_nothing_else(
    watched: Setting, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_workspace: Workspace) -> None:
        raise error

    monkeypatch.setattr(Workspace, "check", fail)
    (watched.root / "src" / "a.py").write_text("changed = True\n")
    assert await eventually(lambda: watched.root not in watched.kept._watched)


async def test_a_warm_up_that_fails_in_an_unknown_way_is_tried_again(watched: Setting) -> None:
    asked: list[None] = []

    async def status() -> dict[str, Any] | None:
        asked.append(None)
        raise ZeroDivisionError("division by zero")

    watched.local.status = status  # type: ignore[method-assign]
    assert await eventually(lambda: len(asked) >= 2)
