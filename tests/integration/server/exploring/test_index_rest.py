"""One question leaves the whole index behind, whoever finishes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import index, search
from explorer.scout.index import RepositoryIndex
from server.exploring import index_rest
from server.exploring.question import make_question
from server.exploring.service import ExplorationService
from server.settings import Settings
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

FILES = 120
WAIT_S = 60.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {f"src/part_{n:03}.py": f"def part_{n}(valve):\n    return {n}\n" for n in range(FILES)}
    return write_tree(tmp_path / "root", files)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """The processes that index a rest; none is left running."""
    monkeypatch.setattr(index_rest, "_started", [])
    yield index_rest._started
    for each in index_rest._started:
        each.wait(WAIT_S)


def kept_files(root: Path, cache: Path) -> int:
    with Workspace.open(root) as workspace:
        return len(RepositoryIndex(workspace, cache).rows.paths)


async def test_the_process_that_goes_on_indexes_all_and_leaves_no_litter(
    root: Path, tmp_path: Path, started: list[object]
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    index_rest.start(root, cache, include_hidden=False)
    assert index_rest._started[0].wait(WAIT_S) == 0

    assert kept_files(root, cache) == FILES
    assert [each.suffix for each in cache.iterdir()] == [".index"]


async def test_after_one_question_the_index_is_whole(
    root: Path, tmp_path: Path, started: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command leaves with most of it undone: a file at a time, and nothing is waited for.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(search, "INLINE_BYTES", 0)
    monkeypatch.setattr(index, "_FIRST_FILES", 2)
    made = Settings(engine="scout")
    async with ExplorationService(made, once=True) as service:
        await service.explore(make_question(made, "where is part_7?", path=str(root)))
    for each in index_rest._started:
        assert each.wait(WAIT_S) == 0

    assert kept_files(root, tmp_path / "cache" / "fastcontext" / "scout") == FILES
