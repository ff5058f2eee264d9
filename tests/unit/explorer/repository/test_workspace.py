import os
import shutil
import socket
from pathlib import Path

import pytest

from explorer.errors import WorkspaceError
from explorer.repository.documents import open_root
from explorer.repository.paths import PathProblem
from explorer.repository.workspace import Workspace
from tests.tooling import swap, without_root, write_name_that_is_no_utf8, write_tree

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(
        tmp_path / "project",
        {
            "src/app.py": "print('app')\n",
            "src/deep/util.py": "x = 1\n",
            "README.md": "# Project\n",
            "credentials.py": "# source, not a secret\n",
            ".env": "TOKEN=1\n",
            ".github/ci.yml": "ci\n",
            "server.pem": "key\n",
            "deploy/ID_RSA": "key\n",
            "build/out.py": "built\n",
            ".gitignore": "build/\n",
        },
    )


async def test_files_are_the_visible_ones_sorted(root: Path) -> None:
    with Workspace.open(root) as workspace:
        assert await workspace.files() == (
            "README.md",
            "credentials.py",
            "src/app.py",
            "src/deep/util.py",
        )


async def test_include_hidden_shows_all_but_the_git_store(root: Path) -> None:
    write_tree(root, {".git/config": "[core]\n"})
    with Workspace.open(root, include_hidden=True) as workspace:
        files = await workspace.files()
        assert {".env", ".github/ci.yml", "server.pem", "deploy/ID_RSA", "build/out.py"} < set(
            files
        )
        assert not [path for path in files if path.startswith(".git/")]
        assert workspace.read(".env").lines == ("TOKEN=1",)


@pytest.mark.parametrize("path", [".env", ".github/ci.yml", "server.pem", "deploy/ID_RSA"])
async def test_hidden_and_secret_files_are_refused_by_name(root: Path, path: str) -> None:
    with Workspace.open(root) as workspace:
        assert not workspace.is_visible(path)
        with pytest.raises(PathProblem, match="not shown"):
            workspace.read(path)
        with pytest.raises(PathProblem, match="hidden or secret"):
            workspace.resolve(path)


async def test_ignored_files_are_refused_without_git(root: Path) -> None:
    with Workspace.open(root) as workspace:
        with pytest.raises(PathProblem, match="ignored by git"):
            workspace.resolve("build/out.py")
        with pytest.raises(PathProblem, match="not shown"):
            workspace.read("build/out.py")


async def test_an_ignore_file_of_ripgreps_cannot_show_what_git_ignores(root: Path) -> None:
    write_tree(root, {".ignore": "!build/\n!.env\n", ".rgignore": "!build/\n!.env\n"})
    write_tree(root, {".gitignore": "build/\n!.env\n!server.pem\n"})
    with Workspace.open(root) as workspace:
        assert not {"build/out.py", ".env", "server.pem"} & set(await workspace.files())


async def test_rules_above_the_root_count(tmp_path: Path) -> None:
    top = write_tree(
        tmp_path, {".git/HEAD": "", ".gitignore": "*.log\n", "pkg/a.log": "x", "pkg/a.py": "x"}
    )
    with Workspace.open(top / "pkg") as workspace:
        assert await workspace.files() == ("a.py",)


async def test_a_root_that_rules_above_it_hide_is_shown_by_its_own_rules(tmp_path: Path) -> None:
    root = write_tree(
        tmp_path / "venv",
        {
            ".gitignore": "*\n",
            "lib/package/a.py": "x",
            "lib/package/sub/b.py": "x",
            "lib/package/sub/c.tmp": "x",
            "lib/package/.gitignore": "*.tmp\n",
        },
    )
    with Workspace.open(root / "lib/package") as workspace:
        assert await workspace.files() == ("a.py", "sub/b.py")


async def test_a_file_written_after_the_listing_is_found(root: Path) -> None:
    with Workspace.open(root) as workspace:
        await workspace.files()
        write_tree(root, {"src/new.py": "n = 1\n", "build/new.py": "n = 1\n"})
        assert workspace.read("src/new.py").lines == ("n = 1",)
        assert not workspace.is_visible("build/new.py")


async def test_forget_takes_a_new_listing(root: Path) -> None:
    with Workspace.open(root) as workspace:
        await workspace.files()
        (root / "README.md").unlink()
        assert "README.md" in await workspace.files()
        workspace.forget()
        assert "README.md" not in await workspace.files()


async def test_entries_are_direct_children_with_slashes_behind_directories(root: Path) -> None:
    with Workspace.open(root) as workspace:
        assert workspace.entries() == ("README.md", "credentials.py", "src/")
        assert workspace.entries("src") == ("app.py", "deep/")


async def test_a_name_that_would_break_a_citation_is_cleaned(tmp_path: Path) -> None:
    for name, shown in [("my repo:1", "my-repo-1"), ("été", "t"), ("...", "repository")]:
        with Workspace.open(tmp_path, name=name) as workspace:
            assert workspace.virtual_root == f"/testbed/{shown}"


@pytest.mark.parametrize("what", ["missing", "file", "nul"])
async def test_opening_what_is_no_directory_says_so(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("x")
    root = "a\0b" if what == "nul" else tmp_path / what
    with pytest.raises(WorkspaceError, match="cannot be opened"):
        Workspace.open(root)


async def test_a_root_swapped_for_another_is_noticed_and_never_read(
    root: Path, tmp_path: Path
) -> None:
    other = write_tree(tmp_path / "other", {"src/app.py": "stolen\n"})
    with Workspace.open(root) as workspace:
        await workspace.files()
        swap(root, by=other, keep=tmp_path / "moved")
        assert workspace.read("src/app.py").lines == ("print('app')",)
        with pytest.raises(WorkspaceError, match="removed or replaced"):
            workspace.check()
        shutil.rmtree(root)
        with pytest.raises(WorkspaceError, match="removed or replaced"):
            workspace.check()


async def test_symlinks_inside_lead_to_what_they_name(root: Path) -> None:
    (root / "latest").symlink_to("src/deep")
    (root / "main.py").symlink_to("src/app.py")
    with Workspace.open(root) as workspace:
        assert workspace.resolve("latest/util.py").path == "src/deep/util.py"
        assert workspace.resolve("latest").path == "src/deep"
        assert workspace.resolve("main.py").path == "src/app.py"
        with pytest.raises(PathProblem):
            workspace.read("main.py")


async def test_symlinks_to_hidden_files_are_refused(root: Path) -> None:
    (root / "settings.txt").symlink_to(".env")
    (root / "gen").symlink_to("build")
    with Workspace.open(root) as workspace:
        for path in ("settings.txt", "gen", "gen/out.py"):
            with pytest.raises(PathProblem, match=r"may be shown|not shown"):
                workspace.resolve(path)


async def test_symlinks_that_lead_out_or_in_circles_are_refused(root: Path, tmp_path: Path) -> None:
    outside = write_tree(tmp_path / "outside", {"secret.txt": "s\n"})
    (root / "out").symlink_to(outside)
    (root / "out.txt").symlink_to(outside / "secret.txt")
    (root / "loop").symlink_to("loop")
    with Workspace.open(root) as workspace:
        assert not [path for path in await workspace.files() if "out" in path]
        for path in ("out", "out/secret.txt", "out.txt"):
            with pytest.raises(PathProblem, match="outside the workspace"):
                workspace.resolve(path)
        with pytest.raises(PathProblem, match="does not exist"):
            workspace.resolve("loop")


async def test_a_directory_swapped_for_a_link_after_the_listing_is_not_followed(
    root: Path, tmp_path: Path
) -> None:
    outside = write_tree(tmp_path / "outside", {"app.py": "stolen\n"})
    with Workspace.open(root) as workspace:
        await workspace.files()
        (root / "src").rename(root / "old")
        (root / "src").symlink_to(outside)
        with pytest.raises(PathProblem, match="removed or replaced"):
            workspace.read("src/app.py")
        assert not workspace.is_inside("src/app.py")


async def test_what_is_no_regular_file_is_refused_without_waiting(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe.txt")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener, Workspace.open(root) as workspace:
        listener.bind("sock.txt")
        await workspace.files()
        for path in ("pipe.txt", "sock.txt"):
            with pytest.raises(PathProblem, match="not a regular file"):
                workspace.resolve(path)
            with pytest.raises(PathProblem):
                workspace.read(path)


async def test_a_file_swapped_for_a_fifo_after_the_listing_is_refused(root: Path) -> None:
    with Workspace.open(root) as workspace:
        await workspace.files()
        (root / "README.md").unlink()
        os.mkfifo(root / "README.md")
        with pytest.raises(PathProblem, match="not a regular file"):
            workspace.read("README.md")


async def test_a_file_without_permission_is_a_sentence(root: Path) -> None:
    (root / "README.md").chmod(0)
    with Workspace.open(root) as workspace:
        await workspace.files()
        with without_root(), pytest.raises(PathProblem, match="permission denied"):
            workspace.read("README.md")


async def test_a_directory_that_may_not_be_entered_is_a_sentence(root: Path) -> None:
    (root / "src").chmod(0o444)
    with Workspace.open(root) as workspace:
        with (
            without_root(),
            pytest.raises(PathProblem, match="permission denied"),
            workspace.directory("src"),
        ):
            pass
    (root / "src").chmod(0o755)


def test_a_root_that_may_not_be_entered_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o444)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with without_root(), pytest.raises(PermissionError):
        open_root(Path("closed"))
    (tmp_path / "closed").chmod(0o755)


async def test_names_that_are_not_one_line_of_utf8_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    (root / "plain.py").write_text("x")
    (root / "new\nline.py").write_text("x")
    (root / "colon:1.py").write_text("x")
    write_name_that_is_no_utf8(root, "x")
    with Workspace.open(root) as workspace:
        assert await workspace.files() == ("colon:1.py", "plain.py")
        assert not workspace.is_visible("new\nline.py")
        assert not workspace.is_visible("bad\udcff.py")


async def test_a_closed_workspace_says_so(root: Path) -> None:
    workspace = Workspace.open(root)
    workspace.close()
    workspace.close()
    with pytest.raises(WorkspaceError, match="closed"):
        await workspace.files()
