import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from explorer.errors import EngineUnreachable
from explorer.repository.workspace import Workspace
from launch.watch import _warn, batches
from server.exploring.open_repositories import OpenRepositories, OpenRepository, RepositoryWatch
from tests.integration.launch.launch_support import eventually

pytestmark = pytest.mark.anyio


class FakeLocal:
    """This machine's engine as the warmer sees it: counts the prompts that it is sent."""

    def __init__(self) -> None:
        self.phase = "ready"
        self.generation = 1
        self.prompts: list[str] = []
        self.others = 0
        """Explorations of other servers."""
        self.under_way = 0
        self.most = 0
        """The most warm-ups that were under way at one time."""
        self.looks = 0
        self.answers = anyio.Event()
        self.answers.set()
        self.fails = False

    async def status(self) -> dict[str, Any] | None:
        self.looks += 1
        users = self.others + self.under_way
        return {"phase": self.phase, "guard_pid": self.generation, "users": users}

    async def looked_at(self) -> bool:
        """Whether it is asked for its state some more times."""
        wanted = self.looks + 5
        return await eventually(lambda: self.looks >= wanted)

    @asynccontextmanager
    async def lease(self, *, wait_s: float, wake: bool) -> AsyncIterator[tuple[Any, None]]:
        assert (wait_s, wake) == (0, False)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            yield self, None
        finally:
            self.under_way -= 1

    @asynccontextmanager
    async def stream(self, request: Any) -> AsyncIterator[AsyncIterator[None]]:
        assert request.max_tokens == 1

        async def nothing() -> AsyncIterator[None]:
            if self.fails:
                raise EngineUnreachable("nothing answers")
            await self.answers.wait()
            return
            yield

        yield nothing()
        self.prompts.append(request.messages[0]["content"])


class Setting:
    """A watched repository with everything around it."""

    def __init__(
        self, root: Path, kept: RepositoryWatch, warm: OpenRepository, local: FakeLocal
    ) -> None:
        self.root, self.kept, self.warm, self.local = root, kept, warm, local
        self.busy = False


@pytest.fixture
async def watched(
    tmp_path: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Setting]:
    monkeypatch.setattr("server.exploring.prefix_warmup.LOOK_S", 0.1)
    monkeypatch.setattr("server.exploring.prefix_warmup._OTHERS_S", 0.02)
    monkeypatch.setitem(batches.__kwdefaults__, "settle_ms", 100)
    root = tmp_path / "repository"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("def first():\n    return 1\n")
    (root / ".gitignore").write_text("build/\n*.log\n")
    await anyio.run_process(["git", "init", "-q", str(root)])
    local, repositories = FakeLocal(), OpenRepositories()
    async with repositories.opened(root, include_hidden=False) as warm:
        pass
    async with anyio.create_task_group() as group:
        setting = Setting(root, None, warm, local)  # type: ignore[arg-type]
        setting.kept = RepositoryWatch(
            group,
            local=local,  # type: ignore[arg-type]
            busy=lambda: setting.busy,
        )
        setting.kept.watch(root, warm)
        assert await eventually(lambda: len(local.prompts) == 1)
        yield setting
        group.cancel_scope.cancel()
    repositories.close()


async def written(watched: Setting, name: str) -> None:
    """Write a file until it is listed: its directory may have to be watched first."""
    files = watched.warm.workspace
    path = watched.root / name
    assert await eventually(lambda: touched(path) and name in files.listing.file_set)


def touched(path: Path) -> bool:
    path.write_text("m = 1\n")
    return True


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


async def test_an_engine_that_explorations_of_other_servers_hold_is_left_alone(
    watched: Setting,
) -> None:
    watched.local.others = 1
    watched.local.generation = 2
    assert await watched.local.looked_at()
    assert len(watched.local.prompts) == 1
    watched.local.others = 0
    assert await eventually(lambda: len(watched.local.prompts) == 2)


async def test_another_servers_exploration_ends_a_warm_up_which_is_made_up_for_later(
    watched: Setting,
) -> None:
    watched.local.answers = anyio.Event()
    watched.local.generation = 2
    assert await eventually(lambda: watched.local.under_way == 1)
    watched.local.others = 1
    assert await eventually(lambda: watched.local.under_way == 0)
    assert len(watched.local.prompts) == 1
    watched.local.answers.set()
    watched.local.others = 0
    assert await eventually(lambda: len(watched.local.prompts) == 2)


async def test_repositories_are_warmed_up_one_after_the_other_and_all_give_way(
    watched: Setting, tmp_path: Path
) -> None:
    watched.local.answers = anyio.Event()
    watched.local.generation = 2
    other, repositories = tmp_path / "other", OpenRepositories()
    other.mkdir()
    (other / "b.py").write_text("b = 1\n")
    async with repositories.opened(other, include_hidden=False) as warm:
        pass
    watched.kept.watch(other, warm)
    assert await eventually(lambda: watched.local.under_way == 1)
    # A change must not begin a second one beside it.
    (watched.root / "new.py").write_text("n = 1\n")
    files = watched.warm.workspace
    assert await eventually(lambda: "new.py" in files.listing.file_set)
    watched.busy = True
    watched.kept.give_way()
    assert await eventually(lambda: watched.local.under_way == 0)
    watched.local.answers.set()
    watched.busy = False
    assert await eventually(lambda: len(watched.local.prompts) == 3)
    assert watched.local.most == 1
    repositories.close()


async def test_a_warm_up_that_fails_is_tried_again_ever_more_rarely(watched: Setting) -> None:
    def pause_s() -> float:
        return watched.kept._warmup._tried[watched.root].pause_s

    watched.local.fails = True
    watched.local.generation = 2
    assert await eventually(lambda: pause_s() == pytest.approx(0.4))
    watched.local.generation = 3
    assert await eventually(lambda: pause_s() == pytest.approx(0.1))
    watched.local.fails = False
    assert await eventually(lambda: len(watched.local.prompts) == 2)


async def test_a_file_in_a_directory_that_was_empty_is_noticed(watched: Setting) -> None:
    (watched.root / "pkg" / "deep").mkdir(parents=True)
    state = watched.kept._watched[watched.root]
    assert await eventually(lambda: state.bare == {"pkg", "pkg/deep"})
    assert not state.ignored
    await written(watched, "pkg/deep/m.py")
    assert await eventually(lambda: "pkg" in watched.local.prompts[-1])


async def test_a_directory_whose_files_are_ignored_is_no_longer_watched(watched: Setting) -> None:
    (watched.root / "build").mkdir()
    state = watched.kept._watched[watched.root]
    assert await eventually(lambda: state.bare == {"build"})
    assert await eventually(lambda: touched(watched.root / "build" / "x.o") and not state.bare)


async def test_a_file_that_is_no_longer_ignored_is_noticed(watched: Setting) -> None:
    (watched.root / "noise.log").write_text("1")
    state = watched.kept._watched[watched.root]
    assert await eventually(lambda: "noise.log" in state.ignored)
    (watched.root / ".gitignore").write_text("# nothing yet\nbuild/\n*.log\n")
    assert await eventually(lambda: not state.ignored)
    (watched.root / ".gitignore").write_text("build/\n")
    files = watched.warm.workspace
    assert await eventually(lambda: "noise.log" in files.listing.file_set)


async def test_a_file_that_came_and_went_is_noticed_when_it_comes_again(watched: Setting) -> None:
    (watched.root / "notes.md").write_text("x")
    (watched.root / "notes.md").unlink()
    # A batch with a change that is remembered tells that the one before it was looked at.
    (watched.root / "noise.log").write_text("1")
    state = watched.kept._watched[watched.root]
    assert await eventually(lambda: "noise.log" in state.ignored)
    assert "notes.md" not in state.ignored
    (watched.root / "notes.md").write_text("hello\n")
    assert await eventually(lambda: "notes.md" in watched.local.prompts[-1])


async def test_what_changed_while_a_question_was_answered_is_looked_at_afterwards(
    watched: Setting,
) -> None:
    watched.warm.users = 1
    (watched.root / "late.py").write_text("late = 1\n")
    assert await watched.local.looked_at()
    assert len(watched.local.prompts) == 1
    watched.warm.users = 0
    assert await eventually(lambda: "late.py" in watched.local.prompts[-1])


async def test_where_the_system_grants_no_more_watches_that_is_said_once_and_left(
    watched: Setting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: Any, **options: Any) -> Any:
        assert not options["ignore_permission_denied"]
        raise OSError('OS file watch limit reached. about ["/x"]')

    _warn.cache_clear()
    monkeypatch.setattr("launch.watch.watch", refused)
    (watched.root / "fresh").mkdir()
    (watched.root / "fresh" / "a.py").write_text("a = 1\n")
    assert await eventually(lambda: watched.root not in watched.kept._watched)
    said = [each.getMessage() for each in caplog.records if each.name == "launch.watch"]
    assert said == [
        "changes are not noticed as they happen: OS file watch limit reached; "
        "hint: raise fs.inotify.max_user_watches"
    ]


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
