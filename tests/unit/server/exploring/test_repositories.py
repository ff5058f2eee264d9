"""Which directory is explored, and which never."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import RepositoryError
from server.exploring.repositories import Resolver, default_for_command, repository_top


def make_repository(path: Path) -> Path:
    (path / ".git").mkdir(parents=True)
    return path


def resolver(
    tmp_path: Path,
    *,
    roots: tuple[Path, ...] = (),
    project_dir: Path | None = None,
    cwd: Path | None = None,
) -> Resolver:
    return Resolver(roots, str(project_dir or ""), cwd, tmp_path / "home" / "me")


def test_the_callers_path_comes_before_everything_else(tmp_path: Path) -> None:
    given, other = make_repository(tmp_path / "given"), make_repository(tmp_path / "other")
    chosen = resolver(tmp_path, project_dir=other, cwd=other).resolve(str(given), [str(other)])
    assert (chosen.root, chosen.source) == (given, "argument")


def test_without_a_path_the_order_is_client_configured_project_working_directory(
    tmp_path: Path,
) -> None:
    client, configured, project, cwd = (
        make_repository(tmp_path / name) for name in ("client", "configured", "project", "cwd")
    )
    # Every place is allowed, so that only the order decides.
    roots = (configured, tmp_path)
    full = resolver(tmp_path, roots=roots, project_dir=project, cwd=cwd)
    assert full.resolve("", [client.as_uri()]).root == client
    assert resolver(tmp_path, roots=(configured,), project_dir=project).resolve().root == configured
    assert resolver(tmp_path, project_dir=project, cwd=cwd).resolve().root == project
    chosen = resolver(tmp_path, cwd=cwd).resolve()
    assert (chosen.root, chosen.source) == (cwd, "working directory")


def test_a_working_directory_inside_a_repository_means_the_repository(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "repo")
    (top / "src/deep").mkdir(parents=True)
    assert resolver(tmp_path, cwd=top / "src/deep").resolve().root == top


@pytest.mark.parametrize("folder", ["work", "home/me/work"])
def test_a_working_directory_without_version_control_is_explored_itself(
    tmp_path: Path, folder: str
) -> None:
    # Someone keeps the home directory itself under version control.
    make_repository(tmp_path / "home/me")
    (tmp_path / folder).mkdir()
    chosen = resolver(tmp_path, cwd=tmp_path / folder).resolve()
    assert (chosen.root, chosen.source) == (tmp_path / folder, "working directory")


@pytest.mark.parametrize("folder", ["/", "/tmp", "/usr/lib", "home/me", "home", "home/me/.ssh"])
def test_a_working_directory_that_no_one_works_in_is_not_taken(tmp_path: Path, folder: str) -> None:
    (tmp_path / "home/me/.ssh").mkdir(parents=True)
    with pytest.raises(RepositoryError, match="no repository") as caught:
        resolver(tmp_path, cwd=tmp_path / folder).resolve()
    assert "FASTCONTEXT_ROOTS" in caught.value.hint


def test_a_configured_folder_of_repositories_yields_the_one_at_work(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "src/project")
    chosen = resolver(tmp_path, roots=(tmp_path / "src",), cwd=project).resolve()
    assert chosen.root == project


@pytest.mark.parametrize("form", ["uri", "absolute", "tilde", "relative", "spaces"])
def test_a_path_may_be_a_uri_absolute_relative_or_start_with_a_tilde(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    top = make_repository(tmp_path / "home/me/my repo")
    text = {
        "uri": top.as_uri(),
        "absolute": str(top),
        "tilde": "~/my repo",
        "relative": "my repo",
        "spaces": f"  {top}\n",
    }[form]
    assert resolver(tmp_path, cwd=tmp_path / "home/me").resolve(text).root == top


def test_a_relative_path_is_looked_for_below_the_clients_roots_first(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    (root / "sub").mkdir()
    (tmp_path / "cwd/sub").mkdir(parents=True)
    chosen = resolver(tmp_path, cwd=tmp_path / "cwd").resolve("sub", [root.as_uri()])
    assert chosen.root == root / "sub"


def test_a_file_stands_for_the_repository_that_holds_it_and_that_is_said(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "repo")
    (top / "a.py").write_text("")
    chosen = resolver(tmp_path).resolve(str(top / "a.py"))
    assert chosen.root == top
    assert "is a file" in chosen.note


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/usr", "/proc", "/proc/self", "/home", "/tmp", "/usr/lib", "/mnt/c"]
)
def test_system_directories_are_refused_with_what_to_do(tmp_path: Path, path: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        resolver(tmp_path).resolve(path)
    assert caught.value.hint


def test_the_home_directory_what_holds_it_and_its_key_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "home/me/.ssh").mkdir(parents=True)
    for path in ("home/me", "home", "home/me/.ssh"):
        with pytest.raises(RepositoryError, match="will not explore"):
            resolver(tmp_path).resolve(str(tmp_path / path))


def test_a_link_to_a_refused_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to("/")
    with pytest.raises(RepositoryError, match="will not explore '/'"):
        resolver(tmp_path).resolve(str(tmp_path / "innocent"))


@pytest.mark.parametrize("escape", ["direct", "dots", "link"])
def test_nothing_outside_of_the_allowed_roots_is_explored(tmp_path: Path, escape: str) -> None:
    allowed, outside = make_repository(tmp_path / "in"), make_repository(tmp_path / "out")
    (allowed / "link").symlink_to(outside)
    text = {
        "direct": str(outside),
        "dots": f"{allowed}/../out",
        "link": str(allowed / "link"),
    }[escape]
    with pytest.raises(RepositoryError, match="outside the allowed roots"):
        resolver(tmp_path, roots=(allowed,)).resolve(text)


def test_a_folder_whose_name_only_begins_like_an_allowed_root_is_outside(tmp_path: Path) -> None:
    allowed, sibling = make_repository(tmp_path / "in"), make_repository(tmp_path / "in-other")
    with pytest.raises(RepositoryError, match="outside the allowed roots"):
        resolver(tmp_path, roots=(allowed,)).resolve(str(sibling))


def test_a_client_root_that_is_refused_gives_way_to_the_next_candidate(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project")
    chosen = resolver(tmp_path, project_dir=project).resolve("", ["file:///"])
    assert chosen.root == project


def test_when_all_candidates_are_refused_the_first_reason_is_given(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="will not explore '/'"):
        resolver(tmp_path).resolve("", ["file:///"])


def test_the_other_roots_of_a_client_are_named(tmp_path: Path) -> None:
    one, two = make_repository(tmp_path / "one"), make_repository(tmp_path / "two")
    chosen = resolver(tmp_path).resolve("", [one.as_uri(), two.as_uri()])
    assert chosen.root == one
    assert str(two) in chosen.note


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_a_uri_may_hold_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    top = make_repository(tmp_path / os.fsdecode(b"repo_\xff"))
    assert resolver(tmp_path).resolve(top.as_uri()).root == top


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/x/y", "file://elsewhere/share", "file://[x/y", "file:///\ud800",
        "a\0b", "~nobody-by-that-name/x",
    ],
)  # fmt: skip
def test_what_is_no_local_path_is_refused_with_a_reason(tmp_path: Path, text: str) -> None:
    with pytest.raises(RepositoryError, match="is not a local directory"):
        resolver(tmp_path).resolve(text)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="'/no/such/place' does not exist"):
        resolver(tmp_path).resolve("/no/such/place")


def test_a_path_too_long_for_the_system_is_an_error_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError):
        resolver(tmp_path).resolve("/" + "x" * 10_000)


def test_a_project_directory_that_cannot_be_a_path_is_passed_over(tmp_path: Path) -> None:
    cwd = make_repository(tmp_path / "cwd")
    odd = Path("~nobody-by-that-name/x")
    assert resolver(tmp_path, project_dir=odd, cwd=cwd, roots=(tmp_path,)).resolve().root == cwd


def test_a_worktree_whose_marker_is_a_file_counts_as_a_repository(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/.git").write_text("gitdir: elsewhere\n")
    assert repository_top(tmp_path / "tree") == tmp_path / "tree"


def test_a_command_without_a_path_explores_the_repository_around_it_else_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = make_repository(tmp_path / "repo")
    (top / "src").mkdir()
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(top / "src")
    assert default_for_command() == str(top)
    monkeypatch.chdir(tmp_path / "plain")
    assert default_for_command() == str(tmp_path / "plain")
    monkeypatch.chdir("/")
    assert default_for_command() == ""


def test_a_directory_without_permission_is_an_error_with_a_hint(tmp_path: Path) -> None:
    locked = make_repository(tmp_path / "locked")
    locked.chmod(0)
    # For root nothing is locked, so the question is asked as somebody else.
    code = (
        "import os, sys\n"
        "from server.exploring.repositories import from_process\n"
        "from server.errors import RepositoryError\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: from_process((), '').resolve(sys.argv[1])\n"
        "except RepositoryError as error: print(error.text())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(locked)],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    locked.chmod(0o700)
    assert "may not be read" in done.stdout or "Permission denied" in done.stdout, done.stderr
    assert "hint: " in done.stdout
