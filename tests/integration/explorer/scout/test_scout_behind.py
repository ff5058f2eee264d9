"""A first answer before the index is built, and the index that is built behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import numpy as np
import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout, index, search
from explorer.scout import scout as scout_module
from explorer.scout.first_look import count_words
from explorer.scout.index import Pending, RepositoryIndex
from explorer.scout.query import parse_query
from explorer.scout.rows import build_rows, find, read_files, stamps
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

QUERY = "frobnicate_valve leaks when the ValvePump is closed"
FILES = 300


def tree() -> dict[str, str]:
    files = {
        f"src/part_{number:03}.py": f"def helper_{number}(valve):\n    return valve + {number}\n"
        for number in range(FILES)
    }
    files["src/pump.py"] = (
        "class ValvePump:\n    def frobnicate_valve(self):\n        self.close()\n"
    )
    return files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "root", tree())


@pytest.fixture
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scouts look first at anything, and index few files before they answer."""
    monkeypatch.setattr(search, "INLINE_BYTES", 0)
    monkeypatch.setattr(index, "_FIRST_FILES", 16)
    monkeypatch.setattr(index, "_BEHIND_BYTES", 1_000)


@pytest.fixture
async def scout(root: Path, tmp_path: Path, in_small_steps: None) -> AsyncIterator[Scout]:
    with Workspace.open(root) as workspace:
        made = Scout(workspace, tmp_path / "cache")
        yield made
        made.close()


async def settled(scout: Scout) -> None:
    with anyio.fail_after(20):
        while scout.is_indexing:  # noqa: ASYNC110 - a thread, not a task
            await anyio.sleep(0.005)


async def test_the_first_answer_comes_before_the_index_without_a_word_about_it(
    scout: Scout,
) -> None:
    found = await scout.answer(QUERY)

    assert found.citations[0].path == "src/pump.py"
    assert scout.is_indexing
    assert found.notes == ()


async def test_how_much_is_to_be_indexed_can_be_seen_while_it_is(scout: Scout) -> None:
    assert scout.to_index == 0
    scout._opened().find_pending(await scout._workspace.files())
    assert scout.to_index == FILES + 1
    assert await scout.index()
    assert scout.to_index == 0


async def test_behind_the_answer_all_is_indexed_and_kept_for_the_next_process(
    scout: Scout, root: Path, tmp_path: Path
) -> None:
    await scout.answer(QUERY)
    await settled(scout)
    second = await scout.answer(QUERY)

    assert second.citations[0].path == "src/pump.py"
    assert second.notes == ()
    kept = index.load(index.store_path(tmp_path / "cache", root, include_hidden=False))
    assert kept is not None
    assert len(kept.paths) == FILES + 1


async def test_an_index_built_behind_is_the_one_that_is_built_at_once(
    scout: Scout, root: Path, tmp_path: Path
) -> None:
    await scout.answer(QUERY)
    await settled(scout)
    with Workspace.open(root) as workspace:
        fresh = RepositoryIndex(workspace)
        fresh.refresh(await workspace.files(), lambda: False)
        behind = RepositoryIndex(workspace, tmp_path / "cache")

    assert behind.rows.paths == fresh.rows.paths
    assert np.array_equal(behind.rows.terms, fresh.rows.terms)
    assert np.array_equal(behind.rows.counts, fresh.rows.counts)


async def test_closing_ends_the_work_behind_and_keeps_what_is_done(
    scout: Scout, root: Path, tmp_path: Path
) -> None:
    await scout.answer(QUERY)
    scout.close()

    assert not scout.is_indexing
    kept = index.load(index.store_path(tmp_path / "cache", root, include_hidden=False))
    assert kept is not None
    assert "src/pump.py" in kept.paths


async def test_a_file_changed_while_it_is_indexed_behind_is_read_again(
    scout: Scout, root: Path
) -> None:
    await scout.answer(QUERY)
    (root / "src/part_299.py").write_text("def regulate_sprocket():\n    return 'sprocket'\n")
    await settled(scout)
    found = await scout.answer("regulate_sprocket")

    assert found.citations[0].path == "src/part_299.py"


async def test_what_the_index_holds_of_a_querys_words_ripgrep_finds_too(
    root: Path,
) -> None:
    query = parse_query("valve helper frobnicate_valve")
    with Workspace.open(root) as workspace:
        paths = await workspace.files()
        pending = Pending(paths, stamps(workspace, paths))
        looked = find(count_words(workspace, query, pending, lambda: False, 20.0), query.terms)
        exact = find(build_rows(read_files(workspace, paths)), query.terms)

    pairs = set(zip(looked.file.tolist(), looked.term.tolist(), strict=True))
    # Parts inside longer words count too, so every occurrence of the index is among them.
    assert pairs >= set(zip(exact.file.tolist(), exact.term.tolist(), strict=True))
    assert len(pairs) <= len(exact.file) + 10


async def test_hidden_and_ignored_files_are_not_looked_through(tmp_path: Path) -> None:
    root = write_tree(
        tmp_path / "r",
        {".gitignore": "no.py\n", "no.py": "valve\n", ".env": "valve\n", "a.py": "valve\n"},
    )
    query = parse_query("valve")
    with Workspace.open(root) as workspace:
        paths = await workspace.files()
        pending = Pending(paths, stamps(workspace, paths))
        rows = count_words(workspace, query, pending, lambda: False, 20.0)

    assert rows.paths == ("a.py",)
    assert len(rows.terms) == 1


async def test_the_first_look_finds_words_beyond_ascii_in_any_case_and_form(tmp_path: Path) -> None:
    tree = {
        "a.py": "# VERZÖGERUNG\n",
        "b.py": "# Verzo\u0308gerung\n",
        "c.py": "# 计算重试延迟\n",
        "d.py": "# nothing\n",
    }
    with Workspace.open(write_tree(tmp_path, tree)) as workspace:
        query = parse_query("Verzögerung，重试延迟在哪里")
        paths = await workspace.files()
        pending = Pending(paths, stamps(workspace, paths))
        rows = count_words(workspace, query, pending, lambda: False, 20.0)
        looked = find(rows, query.terms)

    assert sorted({rows.paths[row] for row in looked.file.tolist()}) == ["a.py", "b.py", "c.py"]


async def test_closing_waits_a_little_so_that_one_question_leaves_a_small_repository_indexed(
    scout: Scout, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scout_module, "_FINISH_S", 20.0)
    await scout.answer(QUERY)
    assert scout.is_indexing
    assert not scout.close()

    with Workspace.open(root) as workspace:
        kept = RepositoryIndex(workspace, tmp_path / "cache")
        assert len(kept.rows.paths) == FILES + 1


async def test_closing_says_whether_files_are_left(
    scout: Scout, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scout_module, "_FINISH_BYTES", -1)
    await scout.answer(QUERY)
    is_part = scout.close()

    with Workspace.open(root) as workspace:
        kept = RepositoryIndex(workspace, tmp_path / "cache")
        assert is_part == (len(kept.rows.paths) < FILES + 1)


async def test_what_one_question_leaves_is_left_to_whoever_closes(
    root: Path, tmp_path: Path, in_small_steps: None
) -> None:
    with Workspace.open(root) as workspace:
        scout = Scout(workspace, tmp_path / "cache", goes_on=False)
        await scout.answer(QUERY)
        assert not scout.is_indexing
        assert scout.close()
        kept = RepositoryIndex(workspace, tmp_path / "cache")
        assert len(kept.rows.paths) == index._FIRST_FILES


async def test_what_is_indexed_is_kept_as_it_goes(
    scout: Scout, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scout_module, "_KEPT_S", 0.0)
    counted = 0

    def stopped() -> bool:
        nonlocal counted
        counted += 1
        return counted > 40

    with Workspace.open(root) as workspace:
        killed = Scout(workspace, tmp_path / "cache")
        killed._opened().find_pending(await workspace.files())
        # As if the process ended here: it is not closed.
        assert not killed._index_rest(stopped)
        kept = RepositoryIndex(workspace, tmp_path / "cache")
        assert 0 < len(kept.rows.paths) < FILES + 1


async def test_what_two_processes_index_of_one_repository_is_kept_of_both(
    root: Path, tmp_path: Path
) -> None:
    with Workspace.open(root) as workspace:
        paths = await workspace.files()
        one, other = (RepositoryIndex(workspace, tmp_path / "cache") for _ in range(2))
        for each, half in ((one, paths[::2]), (other, paths[1::2]), (one, paths[:1])):
            each.take_in(build_rows(read_files(workspace, half)))
            assert each.save()
        kept = RepositoryIndex(workspace, tmp_path / "cache")
        assert kept.rows.paths == paths
        # What another knows is no part of what this one searches: it may have seen other files.
        assert one.rows.paths == paths[::2]
