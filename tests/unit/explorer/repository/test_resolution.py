from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.repository.paths import PathProblem, Resolved, longest_suffix, split
from explorer.repository.workspace import Workspace
from tests.tooling import write_tree

FILES = (
    "setup.py",
    "src/app/main.py",
    "src/app/util.py",
    "src/web/util.py",
    "src/web/setup.py",
    "tests/test_main.py",
    "docs/c#/a.md",
    "testbed/inner.py",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    root = tmp_path_factory.mktemp("roots") / "project"
    with Workspace.open(write_tree(root, dict.fromkeys(FILES, "x\n"))) as workspace:
        yield workspace


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("src/app/main.py", "src/app/main.py"),
        ("/testbed/project/src/app/main.py", "src/app/main.py"),
        ("testbed/project/src/app/main.py", "src/app/main.py"),
        ("/project/src/app/main.py", "src/app/main.py"),
        ("project/src/app/main.py", "src/app/main.py"),
        ("./src//app/./main.py", "src/app/main.py"),
        ("src/web/../app/main.py", "src/app/main.py"),
        ("/src/app/main.py", "src/app/main.py"),
        ("/home/someone/project/src/app/main.py", "src/app/main.py"),
        ("/repo/app/main.py", "src/app/main.py"),
        ("main.py", "src/app/main.py"),
        ("/workspace/setup.py", "setup.py"),
        ("other/web/util.py", "src/web/util.py"),
        ("src/main.py", "src/app/main.py"),
        (" `src/app/main.py` ", "src/app/main.py"),
        ('"src/app/main.py"', "src/app/main.py"),
        ("file:///testbed/project/src/app/main.py", "src/app/main.py"),
        ("src\\app\\main.py", "src/app/main.py"),
        ("src/app/main.py:10-20", "src/app/main.py"),
        ("src/app/main.py#L10-L20", "src/app/main.py"),
        ("docs/c#/a.md", "docs/c#/a.md"),
        ("testbed/inner.py", "testbed/inner.py"),
        ("/testbed/inner.py", "testbed/inner.py"),
        ("src/app/", "src/app"),
        ("/repo/src/web", "src/web"),
        ("web", "src/web"),
        ("", ""),
        (".", ""),
        ("/", ""),
        ("/testbed/project", ""),
        ("/testbed/project/", ""),
        ("/project", ""),
    ],
)
def test_a_mangled_path_leads_to_what_was_meant(workspace: Workspace, text: str, path: str) -> None:
    assert workspace.resolve(text).path == path


@pytest.mark.parametrize("name", ["trail .py ", " lead.py", "quote'", "`tick`", "back\\slash.py"])
def test_a_name_that_ends_in_what_wraps_paths_is_found_as_it_stands(
    tmp_path: Path, name: str
) -> None:
    write_tree(tmp_path, {name: "x\n", f"sub/{name}": "x\n"})
    with Workspace.open(tmp_path, name="p") as workspace:
        for path in (name, f"sub/{name}"):
            assert workspace.resolve(path) == Resolved(path, "file")
            assert workspace.resolve(f"/testbed/p/{path}") == Resolved(path, "file")


def test_the_real_path_is_understood(workspace: Workspace) -> None:
    assert workspace.resolve(f"{workspace.root}/src/app/main.py").path == "src/app/main.py"
    assert workspace.resolve(str(workspace.root)) == Resolved("", "directory")


def test_an_ambiguous_path_lists_its_candidates(workspace: Workspace) -> None:
    with pytest.raises(PathProblem) as caught:
        workspace.resolve("/elsewhere/util.py")
    assert caught.value.candidates == ("src/app/util.py", "src/web/util.py")
    assert caught.value.observation.splitlines()[1:] == [
        "/testbed/project/src/app/util.py",
        "/testbed/project/src/web/util.py",
    ]


def test_many_candidates_are_cut_and_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"d{number:02}/a.py": "" for number in range(25)})
    with Workspace.open(tmp_path) as workspace, pytest.raises(PathProblem) as caught:
        workspace.resolve("a.py")
    assert len(caught.value.candidates) == 10
    assert "(15 more)" in caught.value.observation


@pytest.mark.parametrize(
    "text",
    ["..", "../project/setup.py", "src/../../x", "/testbed/project/../../../etc/passwd", "/../x"],
)
def test_climbing_above_the_root_is_refused(workspace: Workspace, text: str) -> None:
    with pytest.raises(PathProblem, match=r"outside the workspace|does not exist") as caught:
        workspace.resolve(text)
    assert caught.value.candidates == ()


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "~/.ssh/config", "/proc/self/environ", "/dev/null"]
)
def test_an_absolute_path_outside_reveals_nothing(workspace: Workspace, text: str) -> None:
    with pytest.raises(PathProblem, match="does not exist in the workspace|not shown"):
        workspace.resolve(text)


@pytest.mark.parametrize("text", ["a\0b", "x" * 5000, "a\ud800b", "a\nb"])
def test_what_is_no_path_is_one_valid_sentence(workspace: Workspace, text: str) -> None:
    with pytest.raises(PathProblem) as caught:
        workspace.resolve(text)
    assert len(caught.value.observation.encode("utf-8")) < 400
    assert "\n" not in caught.value.observation


def test_a_wrong_extension_or_case_shows_what_is_similar(workspace: Workspace) -> None:
    with pytest.raises(PathProblem, match="similar") as caught:
        workspace.resolve("src/MAIN.ts")
    assert caught.value.candidates == ("src/app/main.py",)


@given(st.text(max_size=60))
def test_whatever_is_written_resolves_inside_or_is_a_path_problem(
    workspace: Workspace, text: str
) -> None:
    said = ""
    found = Resolved("", "directory")
    try:
        found = workspace.resolve(text)
    except PathProblem as problem:
        said = problem.observation
    said.encode("utf-8")
    assert found.path in FILES or found.path in workspace.listing.directories


_PARTS = st.lists(
    st.sampled_from(
        ["src", "app", "web", "util.py", "main.py", "..", ".", "", "testbed", "project"]
    ),
    max_size=8,
)


@given(_PARTS, st.booleans())
def test_any_arrangement_of_known_names_resolves_inside(
    workspace: Workspace, parts: list[str], absolute: bool
) -> None:
    text = "/" * absolute + "/".join(parts)
    try:
        found = workspace.resolve(text)
    except PathProblem:
        return
    assert ".." not in found.path
    assert workspace.is_visible(found.path)


@given(st.sampled_from(FILES), st.lists(st.sampled_from(["x", "home", "repo"]), max_size=4))
def test_a_foreign_root_before_a_whole_path_changes_nothing(
    workspace: Workspace, path: str, foreign: list[str]
) -> None:
    assert workspace.resolve("/" + "/".join([*foreign, path])).path == path


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5))
def test_no_path_ends_with_more_of_what_was_asked_than_those_found(parts: list[str]) -> None:
    paths = ["a", "b/a", "c/b/a", "a/b", "c/c", "b/c/a"]

    def shared(path: str) -> int:
        theirs = path.split("/")
        return max(n for n in range(len(parts) + 1) if n == 0 or theirs[-n:] == parts[-n:])

    found = longest_suffix(parts, paths)
    best = max(map(shared, paths))
    assert all(shared(path) == best for path in found)
    assert bool(found) == (best > 0)


@given(st.text("ab./", max_size=20))
def test_split_never_keeps_a_step_upwards(text: str) -> None:
    parts = split(text)
    assert parts is None or not {"..", ".", ""} & set(parts)
