"""Which files git's rules leave visible: odd ignore files, checkouts of every form, indexes."""

import os
import subprocess
from pathlib import Path

import pytest

from explorer.repository import git_index
from explorer.repository.git_index import IndexProblemError, tracked_paths
from explorer.repository.ignore_rules import MAX_IGNORE_BYTES, MAX_WILDCARDS, parse_rules
from explorer.repository.listing import Listing
from explorer.repository.workspace import Workspace
from explorer.tools import ToolBox
from tests.tooling import run, write_tree

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any settings of git."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return home


def git(root: Path, *args: str) -> None:
    user = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.org",
        "-c",
        "protocol.file.allow=always",
    ]
    subprocess.run(["git", "-C", str(root), *user, *args], check=True, capture_output=True)


def listing_of(root: Path, *, include_hidden: bool = False) -> Listing:
    with Workspace.open(root, include_hidden=include_hidden) as workspace:
        return workspace.listing


def commit(root: Path) -> Path:
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-f", ".")
    git(root, "commit", "-qm", "first")
    return root


# Ignore files.


@pytest.mark.parametrize("where", [".gitignore", "sub/.gitignore", ".git/info/exclude"])
@pytest.mark.parametrize("what", ["device", "outside", "fifo"])
def test_an_ignore_file_is_read_through_no_link(tmp_path: Path, where: str, what: str) -> None:
    root = write_tree(tmp_path / "root", {"a.py": "x", "sub/b.py": "x", ".git/info/x": ""})
    (tmp_path / "outside").write_text("a.py\nb.py\n")
    if what == "fifo":
        os.mkfifo(root / where)
    else:
        (root / where).symlink_to("/dev/zero" if what == "device" else tmp_path / "outside")
    listing = listing_of(root)
    assert listing.files == ("a.py", "sub/b.py")
    assert [note for note in listing.notes if where in note and "was left out" in note]


def test_a_git_file_is_read_through_no_link(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root", {"a.py": "x"})
    (root / ".git").symlink_to("/dev/zero")
    assert listing_of(root).files == ("a.py",)


@pytest.mark.parametrize(
    "rules",
    [
        "".join(f"*a{number}*b*c{number}?\n" for number in range(MAX_WILDCARDS // 4 + 1)),
        "*a" * (MAX_WILDCARDS + 1),
        "[a-z]*" * MAX_WILDCARDS,
        "".join(f"name{number}/\n" for number in range(MAX_IGNORE_BYTES // 8)),
    ],
    ids=["many", "one line", "classes", "names"],
)
def test_an_ignore_file_that_is_too_large_is_left_out_with_a_note(
    tmp_path: Path, rules: str
) -> None:
    root = write_tree(
        tmp_path / "root", {"a.py": "x", ".gitignore": f"a.py\n{rules}", "sub/.gitignore": "b.py"}
    )
    write_tree(root, {"sub/b.py": "x", "sub/c.py": "x"})
    listing = listing_of(root)
    assert listing.files == ("a.py", "sub/c.py")
    assert "'.gitignore' was left out" in listing.notes[0]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "rule", ["*a" * 300 + "b", "**/a/" * 300 + "b", "?*" * 300, "[a-b]*" * 300 + "c"]
)
def test_no_rule_takes_exponential_time(rule: str) -> None:
    rules = parse_rules(rule.encode())
    names = ["a" * size for size in range(1, 250)]
    assert rules.judge("a/" * 50, names, directories=False) == (set(), set()) or "?" in rule


def test_rules_of_many_files_are_bounded_together(tmp_path: Path) -> None:
    wildcards = "".join(f"*{number}*\n" for number in range(MAX_WILDCARDS // 2))
    folders = {f"d{number:02}/.gitignore": wildcards for number in range(12)}
    root = write_tree(tmp_path / "root", {**folders, "a.py": "x"})
    assert "all of them together" in listing_of(root).notes[0]


def test_a_byte_that_is_no_utf8_drops_no_rule(tmp_path: Path) -> None:
    rules = b"# Eintr\xe4ge\npriv\xe4t/\nprivat/\n*.{a,b}\n"
    root = write_tree(
        tmp_path / "root", {".gitignore": rules, "privat/a.py": "x", "c.a": "x", "c.{a,b}": "x"}
    )
    assert listing_of(root).files == ("c.a",)


# The user's and the repository's configuration.


@pytest.mark.parametrize(
    "place", ["repository", "user", "included", "conditional", "default", "relative"]
)
def test_the_ignore_file_that_the_configuration_names_counts(
    tmp_path: Path, home: Path, place: str
) -> None:
    root = write_tree(tmp_path / "root", {"a.gx": "x", "b.py": "x", "own-rules": "*.gx\n"})
    git(root, "init", "-q")
    (home / "rules").write_text("*.gx\n")
    setting = "[core] excludesFile = ~/rules ; the user's\n"
    if place == "repository":
        git(root, "config", "core.excludesFile", str(home / "rules"))
    elif place == "relative":
        git(root, "config", "core.excludesFile", "own-rules")
    elif place == "user":
        (home / ".gitconfig").write_text(setting)
    elif place == "default":
        write_tree(home, {".config/git/ignore": "*.gx\n"})
    else:
        condition = '[includeIf "gitdir:root/"]' if place == "conditional" else "[include]"
        (home / ".gitconfig").write_text(f'{condition}\n\tpath = more\n[user]\n\tname = "a # b"\n')
        (home / "more").write_text(setting)
    assert [path for path in listing_of(root).files if path != "own-rules"] == ["b.py"]


def test_a_condition_that_is_not_met_includes_nothing(tmp_path: Path, home: Path) -> None:
    root = write_tree(tmp_path / "root", {"a.gx": "x"})
    git(root, "init", "-q")
    write_tree(home, {"rules": "*.gx\n", "more": "[core]\nexcludesFile = ~/rules\n"})
    (home / ".gitconfig").write_text('[includeIf "gitdir:other/"]\n\tpath = more\n')
    assert listing_of(root).files == ("a.gx",)


def test_a_configured_ignore_file_inside_the_root_is_read_through_no_link(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root", {"a.py": "x"})
    git(root, "init", "-q")
    git(root, "config", "core.excludesFile", "rules")
    (root / "rules").symlink_to("/dev/zero")
    listing = listing_of(root)
    assert listing.files == ("a.py",)
    assert "'rules' was left out" in listing.notes[0]


# Tracked files.


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("objects", ["sha1", "sha256"])
def test_a_tracked_file_is_found_although_it_is_ignored(
    tmp_path: Path, version: str, objects: str
) -> None:
    tracked = {f"build/deep/{'n' * size}.py": "x" for size in range(1, 20)}
    root = write_tree(tmp_path / "root", {".gitignore": "build/\n*.o\n", "a.py": "x", **tracked})
    git(root, "init", "-q", f"--object-format={objects}")
    git(root, "add", "-f", ".")
    git(root, "update-index", "--index-version", version)
    write_tree(root, {"build/out.py": "x", "build/deep/out.py": "x", "c.o": "x", "new.o": "x"})
    git(root, "add", "-f", "c.o")
    if version == "3":
        git(root, "add", "--intent-to-add", "-f", "new.o")
    expected = {*tracked, "a.py", "c.o", *(["new.o"] if version == "3" else [])}
    assert set(listing_of(root).files) == expected


def test_a_tracked_secret_stays_hidden(tmp_path: Path) -> None:
    root = commit(write_tree(tmp_path / "root", {".env": "x", "server.pem": "x", "a.py": "x"}))
    assert listing_of(root).files == ("a.py",)


def test_a_change_of_the_index_is_seen(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root", {".gitignore": "*.gen\n", "a.gen": "x", "b.gen": "x"})
    git(root, "init", "-q")
    git(root, "add", "-f", "a.gen")
    with Workspace.open(root) as workspace:
        assert workspace.listing.files == ("a.gen",)
        git(root, "add", "-f", "b.gen")
        workspace.forget()
        assert workspace.listing.files == ("a.gen", "b.gen")


def test_an_index_that_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    root = commit(write_tree(tmp_path / "root", {".gitignore": "b.py\n", "a.py": "x", "b.py": "x"}))
    whole = (root / ".git/index").read_bytes()
    for damaged in (b"", b"DIRC", whole[:40], whole[:100], b"XXXX" + whole[4:]):
        (root / ".git/index").write_bytes(damaged)
        listing = listing_of(root)
        assert listing.files == ("a.py",)
        assert "was not read" in listing.notes[0]
    (root / ".git/index").write_bytes(whole)
    git(root, "update-index", "--split-index")
    assert "it is split" in listing_of(root).notes[0]


def test_paths_that_an_index_repeats_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_index, "MAX_INDEX_BYTES", 10_000)
    entry = bytes(60) + b"\0\0" + b"\0" + b"x" * 10 + b"\0"
    data = b"DIRC" + (4).to_bytes(4, "big") + (200).to_bytes(4, "big") + entry * 200 + bytes(20)
    with pytest.raises(IndexProblemError, match="too long"):
        tracked_paths(data, sha256=False)


# Checkouts inside checkouts.


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return commit(write_tree(tmp_path / "main", {"src/a.py": "x", ".gitignore": "build/\n"}))


def test_info_exclude_and_the_index_count_in_a_linked_worktree(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / ".git/info/exclude").write_text("scratch/\n*.gen\n")
    tree = tmp_path / "tree"
    git(checkout, "worktree", "add", "-q", str(tree))
    write_tree(tree, {"scratch/a.py": "x", "a.gen": "x", "b.gen": "x"})
    git(tree, "add", "-f", "a.gen")
    assert listing_of(tree).files == ("a.gen", "src/a.py")


def test_a_git_directory_that_does_not_name_the_checkout_back_is_not_read(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / ".git/info/exclude").write_text("a.py\n")
    root = write_tree(tmp_path / "root", {"a.py": "x", ".git": f"gitdir: {checkout}/.git\n"})
    listing = listing_of(root)
    assert listing.files == ("a.py",)
    assert "does not name this checkout back" in listing.notes[0]


def test_a_linked_worktree_inside_is_shown_once(checkout: Path) -> None:
    git(checkout, "worktree", "add", "-q", "trees/one")
    git(checkout, "worktree", "add", "-q", "two")
    git(checkout / "two", "worktree", "add", "-q", "three")
    (checkout / "two/build").mkdir()
    listing = listing_of(checkout)
    assert listing.files == ("src/a.py",)
    assert "2 linked worktrees inside ('trees/one', 'two')" in listing.notes[-1]
    one = listing_of(checkout / "two")
    assert one.files == ("src/a.py",)
    assert "a linked worktree inside ('three')" in one.notes[-1]
    assert "two/src/a.py" in listing_of(checkout, include_hidden=True).files


def test_of_the_worktrees_beside_a_bare_repository_the_first_is_shown(
    checkout: Path, tmp_path: Path
) -> None:
    home = tmp_path / "beside"
    git(tmp_path, "clone", "-q", "--bare", str(checkout), str(home / ".bare"))
    (home / ".git").write_text("gitdir: ./.bare\n")
    for name in ("feature", "later"):
        git(home, "worktree", "add", "-q", name)
    listing = listing_of(home)
    assert listing.files == ("feature/src/a.py",)
    assert "('later')" in listing.notes[-1]


def test_a_submodule_stays_and_has_rules_of_its_own(checkout: Path, tmp_path: Path) -> None:
    library = write_tree(tmp_path / "library", {"lib.py": "x", "build/tracked.py": "x"})
    write_tree(library, {".gitignore": "build/\n*.gen\n"})
    commit(library)
    (checkout / ".gitignore").write_text("lib*.py\n")
    git(checkout, "submodule", "add", "-q", str(library), "vendored")
    write_tree(checkout, {"vendored/a.gen": "x", "vendored/build/b.py": "x"})
    write_tree(checkout, {".git/modules/vendored/info/exclude": "c.py\n", "vendored/c.py": "x"})
    expected = ("vendored/build/tracked.py", "vendored/lib.py")
    assert listing_of(checkout).files == ("src/a.py", *expected)
    alone = tuple(path.removeprefix("vendored/") for path in expected)
    assert listing_of(checkout / "vendored").files == alone


def test_a_root_inside_a_checkout_has_its_rules_and_its_index(checkout: Path) -> None:
    write_tree(
        checkout,
        {
            "pkg/in/.gitignore": "*.tmp\n",
            "pkg/.gitignore": "/in/*.log\n!keep.gen\n",
            ".gitignore": "*.gen\n/in\n",
            ".git/info/exclude": "/pkg/in/excluded.py\n",
            **dict.fromkeys(("pkg/in/a.log", "pkg/in/b.gen", "pkg/in/keep.gen"), "x"),
            **dict.fromkeys(("pkg/in/excluded.py", "pkg/in/a.tmp", "pkg/in/in/x", "pkg/in/a"), "x"),
        },
    )
    git(checkout, "add", "-f", "pkg/in/b.gen")
    assert listing_of(checkout / "pkg/in").files == ("a", "b.gen", "in/x", "keep.gen")


# Roots that show nothing.


def test_it_is_said_why_no_file_is_shown(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hidden = write_tree(tmp_path / "hidden", {".zshrc": "x", ".config/a": "x", "id_rsa": "x"})
    ignored = write_tree(tmp_path / "ignored", {".gitignore": "*\n", "a.py": "x", "b/c.py": "x"})
    assert listing_of(tmp_path / "empty").why_empty() == "The repository holds no files."
    assert "3 entries are hidden" in listing_of(hidden).why_empty()
    why = listing_of(ignored).why_empty()
    assert "1 entry is hidden" in why
    assert "2 entries are ignored by git" in why
    assert "include_hidden (--hidden)" in why
    assert not listing_of(ignored, include_hidden=True).why_empty()


@pytest.mark.parametrize("include_hidden", [False, True])
@pytest.mark.parametrize("form", ["bare", "of a checkout"])
def test_a_git_directory_is_called_one_and_not_shown(
    tmp_path: Path, checkout: Path, form: str, include_hidden: bool
) -> None:
    root = checkout / ".git"
    if form == "bare":
        root = tmp_path / "app.git"
        git(tmp_path, "init", "-q", "--bare", str(root))
    listing = listing_of(root, include_hidden=include_hidden)
    assert not listing.files
    assert "bare git repository" in listing.why_empty()


# The tools see what the list has.

ODD_NAMES = ["a*b", "a?c", "[x]", "{p,q}", "back\\slash", "!neg", "#hash", "sp ", "é.py", "tab\t"]


async def test_grep_searches_the_same_files_as_are_listed(tmp_path: Path) -> None:
    names = [*ODD_NAMES, "axb", "abc", "x", "p", "plain.py"]
    ignored = {f"lib/{name}/f.py": "needle" for name in ODD_NAMES}
    root = write_tree(
        tmp_path / "root",
        {
            **{f"{folder}{name}": "needle" for name in names for folder in ("", "sub/", "gen/")},
            **ignored,
            ".gitignore": "gen/\n/sub/*\n!/sub/a*\n!/sub/é.py\nlib/*/\n",
        },
    )
    git(root, "init", "-q")
    git(root, "add", "-f", "gen/axb", "sub/x")
    with Workspace.open(root) as workspace:
        box = ToolBox(workspace)
        for folder in ("", "sub", "gen"):
            named = {"path": folder} if folder else {}
            found = await run(
                box,
                "Grep",
                pattern="needle",
                output_mode="files_with_matches",
                head_limit=0,
                **named,
            )
            paths = {line.removeprefix("/testbed/root/") for line in found.text.splitlines()}
            prefix = f"{folder}/" if folder else ""
            assert paths == {path for path in workspace.listing.files if path.startswith(prefix)}


async def test_rg_does_not_search_what_is_ignored(tmp_path: Path) -> None:
    root = write_tree(
        tmp_path / "root", {".gitignore": "b*\n", "a.py": "x", "build/a.py": "x", "sub/b": "x"}
    )
    assert listing_of(root).rg_rules()[1] == b"/build/\n/sub/b"
    assert listing_of(root).rg_rules("sub")[1] == b"/b"
    rules, given = listing_of(root).rg_rules("c")
    assert not given
    assert "--ignore-file=/dev/stdin" not in rules
