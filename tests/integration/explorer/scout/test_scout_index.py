import json
import os
import subprocess
import sys

import pytest

from explorer.repository.workspace import Workspace
from explorer.scout import Scout, index, rows
from server.exploring.open_repositories import OpenRepositories
from tests.serving import ROOT

pytestmark = pytest.mark.anyio


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    for number in range(30):
        write(root, f"src/part{number}.py", f"def helper_{number}():\n    return {number}\n")
    write(root, "src/frobnicator.py", "def frobnicate(valve):\n    return valve.open()\n")
    return root


@pytest.fixture
def read_paths(monkeypatch):
    """The paths that were indexed, as they are."""
    seen = []
    rows_of_chunk = rows._rows_of_chunk

    def recorded(chunk):
        seen.extend(path for path, _, _ in chunk)
        return rows_of_chunk(chunk)

    monkeypatch.setattr(rows, "_rows_of_chunk", recorded)
    return seen


async def ask(root, cache, query="frobnicate the valve"):
    with Workspace.open(root) as workspace:
        found = await Scout(workspace, cache).answer(query)
    return [citation.path for citation in found.citations]


async def test_a_second_process_reads_nothing_that_did_not_change(tree, tmp_path, read_paths):
    first = await ask(tree, tmp_path / "cache")
    read_paths.clear()
    second = await ask(tree, tmp_path / "cache")

    assert first == second == ["src/frobnicator.py"]
    assert read_paths == []


async def test_one_changed_file_is_the_only_one_read_again(tree, tmp_path, read_paths):
    await ask(tree, tmp_path / "cache")
    read_paths.clear()
    write(tree, "src/part3.py", "def frobnicate_valve_again(valve):\n    frobnicate(valve)\n")
    found = await ask(tree, tmp_path / "cache", "frobnicate_valve_again")

    assert read_paths == ["src/part3.py"]
    assert found[0] == "src/part3.py"


async def test_renamed_and_deleted_files_are_not_cited_by_their_old_names(tree, tmp_path):
    await ask(tree, tmp_path / "cache")
    (tree / "src/frobnicator.py").rename(tree / "src/valves.py")

    assert await ask(tree, tmp_path / "cache") == ["src/valves.py"]
    (tree / "src/valves.py").unlink()
    assert await ask(tree, tmp_path / "cache") == []


async def test_a_branch_switch_reads_what_differs(tree, tmp_path, read_paths):
    await ask(tree, tmp_path / "cache")
    read_paths.clear()
    for number in range(10):
        write(tree, f"src/part{number}.py", f"def other_{number}():\n    return 'changed'\n")
    write(tree, "src/new.py", "def sprocket():\n    pass\n")
    found = await ask(tree, tmp_path / "cache", "sprocket")

    assert found == ["src/new.py"]
    assert len(read_paths) == 11


async def test_a_real_branch_switch_and_back_are_seen(tree, tmp_path, read_paths):
    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=tree, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "other")
    (tree / "src/frobnicator.py").unlink()
    write(tree, "src/sprocket.py", "def sprocket():\n    pass\n")
    git("add", "-A")
    git("commit", "-qm", "two")

    assert await ask(tree, tmp_path / "cache", "frobnicate sprocket") == ["src/sprocket.py"]
    git("checkout", "-q", "main")
    read_paths.clear()
    assert await ask(tree, tmp_path / "cache", "frobnicate sprocket") == ["src/frobnicator.py"]
    assert read_paths == ["src/frobnicator.py"]


async def test_a_file_that_is_touched_or_written_again_as_it_was_is_not_indexed_again(
    tree, tmp_path, read_paths
):
    await ask(tree, tmp_path / "cache")
    read_paths.clear()
    file = tree / "src/part3.py"
    os.utime(file, (1, 1))
    text = (tree / "src/part4.py").read_text()
    (tree / "src/part4.py").unlink()
    write(tree, "src/part4.py", text)

    assert await ask(tree, tmp_path / "cache") == ["src/frobnicator.py"]
    assert read_paths == []


async def test_a_change_that_keeps_size_and_time_of_a_file_is_seen(tree, tmp_path):
    file = tree / "src/part3.py"
    await ask(tree, tmp_path / "cache")
    before = file.stat()
    file.write_text(file.read_text().replace("helper", "gasket"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert file.stat().st_size == before.st_size
    assert await ask(tree, tmp_path / "cache", "gasket") == ["src/part3.py"]


def test_processes_that_ask_at_the_same_time_answer_alike_and_leave_a_whole_index(tree, tmp_path):
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "server", "explore", "frobnicate the valve", "--json"]
    command += ["--repo", str(tree), "--engine", "scout"]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    answers = [json.loads(process.communicate(timeout=50)[0]) for process in running]

    assert [each["citations"][0]["path"] for each in answers] == ["src/frobnicator.py"] * 3
    (kept,) = (tmp_path / "fastcontext/scout").iterdir()
    rows = index.load(kept)
    assert rows is not None
    assert len(rows.paths) == 31


async def test_nothing_is_kept_below_the_root_that_is_explored(tree):
    async with OpenRepositories(tree / "cache").opened(tree, include_hidden=False) as warm:
        await warm.scout.answer("frobnicate the valve")

    assert not (tree / "cache").exists()


async def test_a_damaged_cache_is_built_anew(tree, tmp_path):
    cache = tmp_path / "cache"
    await ask(tree, cache)
    (file,) = cache.glob("*.index")
    file.write_bytes(b"fastcontext-scout\n" + os.urandom(500))

    assert await ask(tree, cache) == ["src/frobnicator.py"]


async def test_shown_and_hidden_files_have_indexes_of_their_own(tree, tmp_path):
    write(tree, ".secret/frobnicator.py", "def frobnicate_secretly(valve):\n    pass\n")
    cache = tmp_path / "cache"
    with Workspace.open(tree, include_hidden=True) as workspace:
        shown = await Scout(workspace, cache).answer("frobnicate_secretly")

    assert shown.citations[0].path == ".secret/frobnicator.py"
    assert ".secret/frobnicator.py" not in await ask(tree, cache, "frobnicate_secretly")


async def test_symlink_loops_and_submodules_do_no_harm(tree, tmp_path):
    (tree / "src/loop").symlink_to(tree / "src")
    write(tree, "module/.git", "gitdir: ../.git/modules/module\n")
    write(tree, "module/inside.py", "def gasket():\n    pass\n")

    assert await ask(tree, tmp_path / "cache", "gasket") == ["module/inside.py"]
