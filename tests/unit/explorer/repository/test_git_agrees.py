"""The listing has what ``git ls-files`` has, on generated trees with odd rules."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.repository.ignore_rules import parse_rules
from explorer.repository.paths import is_hidden_name
from explorer.repository.workspace import Workspace

ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

NAMES = st.sampled_from(
    [*"abc", "ab", "aB", "A", "a b", "]", "[", "a-", "-", "{a,b}", "*", "é", "\\", "a\\", "!", "#a"]
    + ["ab ", "[a]", "x.o", "a.tmp"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.sampled_from(
    [*"abcA/*?[]-!# .", "/", "*", "**", "***", "/**", "**/", "[ab]", "[!a]", "[^b-c]", "[]a]"]
    + ["[a-]", "[\\]]", "[--b]", "[[:alpha:]]", "[[:upper:]b]", "[[:x:]]", "[[ab]", "[[:a]"]
    + ["[a/b]", "{a,b}", "\\", "\\/", "\\*", "\\a", "é", "\t", "x.o", "*.o", "*.tmp"]
)
RULES = st.lists(PIECES, min_size=1, max_size=6).map(lambda pieces: os.fsencode("".join(pieces)))
BAD_RULES = st.sampled_from([b"# Eintr\xe4ge", b"\xe4*", b"a\0b", b"a\r", b"!", b"/", b"", b" "])
TEXTS = st.lists(RULES | BAD_RULES, min_size=1, max_size=4).map(b"\n".join)


def git(root: Path, *args: str, given: bytes = b"") -> list[bytes]:
    done = subprocess.run(
        ["git", "-C", str(root), *args],
        input=given,
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr  # check-ignore: 1 when nothing is ignored.
    return done.stdout.split(b"\0")[:-1]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("agrees")
    git(root, "init", "-q")
    return root


def cleared(root: Path) -> None:
    for entry in root.iterdir():
        if entry.is_dir() and entry.name != ".git":
            shutil.rmtree(entry)
        elif entry.name != ".git":
            entry.unlink()


def written(root: Path, paths: Iterable[str]) -> list[str]:
    """Write files; of two paths that exclude each other the first."""
    done = []
    for path in paths:
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("x")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        done.append(path)
    return done


def index_of(paths: Iterable[str]) -> bytes:
    """An index of version 2 with these paths, as git reads it."""
    entries = b""
    names = sorted({os.fsencode(path) for path in paths})
    for name in names:
        fields = bytes(24) + (0o100644).to_bytes(4, "big") + bytes(12) + bytes(range(20))
        entry = fields + min(len(name), 0xFFF).to_bytes(2, "big") + name
        entries += entry + bytes(8 - len(entry) % 8)
    head = b"DIRC" + (2).to_bytes(4, "big") + len(names).to_bytes(4, "big")
    return head + entries + bytes(20)  # Without a checksum: git does not look at zeros.


BOUNDED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@BOUNDED
@given(
    st.lists(PATHS, min_size=1, max_size=16, unique=True),
    TEXTS,
    st.lists(st.tuples(st.integers(0), TEXTS), max_size=2),
    TEXTS,
    TEXTS,
    st.integers(0, 0xFFFF),
)
def test_the_files_are_those_that_git_lists(
    repository: Path,
    paths: list[str],
    rules: bytes,
    deeper: list[tuple[int, bytes]],
    exclude: bytes,
    of_user: bytes,
    tracked: int,
) -> None:
    cleared(repository)
    written_paths = written(repository, paths)
    (repository / ".gitignore").write_bytes(rules)
    directories = sorted(path for path in repository.rglob("[!.]*") if path.is_dir())
    directories = [path for path in directories if ".git" not in path.parts]
    for number, text in deeper:
        if directories:
            (directories[number % len(directories)] / ".gitignore").write_bytes(text)
    (repository / ".git/info/exclude").write_bytes(exclude)
    (repository / ".git/rules").write_bytes(of_user)
    config = "[core]\n\trepositoryformatversion = 0\n\texcludesFile = .git/rules\n"
    (repository / ".git/config").write_text(config)
    index = [path for at, path in enumerate(written_paths) if tracked >> at & 1]
    (repository / ".git/index").write_bytes(index_of(index))
    listed = git(repository, "ls-files", "-z", "-co", "--exclude-standard", "--deduplicate")
    expected = {os.fsdecode(path) for path in listed}
    with Workspace.open(repository) as workspace:
        shown = set(workspace.listing.files)
    assert shown == {path for path in expected if not is_hidden_name(path)}


@pytest.mark.parametrize("fold_case", [False, True])
@BOUNDED
@given(TEXTS, st.lists(PATHS, min_size=30, max_size=30, unique=True))
def test_each_rule_means_what_it_means_for_git(
    repository: Path, fold_case: bool, text: bytes, paths: list[str]
) -> None:
    cleared(repository)
    (repository / ".gitignore").write_bytes(text)
    for each in ("info/exclude", "index"):
        (repository / ".git" / each).unlink(missing_ok=True)
    (repository / ".git/config").write_text(f"[core]\n\tignorecase = {str(fold_case).lower()}\n")
    given_paths = b"".join(os.fsencode(path) + b"\0" for path in paths)
    told = git(
        repository, "check-ignore", "-v", "-n", "-z", "--no-index", "--stdin", given=given_paths
    )
    by_git = {
        os.fsdecode(path)
        for pattern, path in zip(told[2::4], told[3::4], strict=True)
        if pattern and not pattern.startswith(b"!")
    }
    rules = parse_rules(text, fold_case=fold_case)

    def is_ignored(path: str) -> bool:
        parts = path.split("/")
        for count, name in enumerate(parts):
            folder = "".join(f"{part}/" for part in parts[:count])
            ignored, _ = rules.judge(folder, [name], directories=count + 1 < len(parts))
            if ignored:
                return True
        return False

    assert {path for path in paths if is_ignored(path)} == by_git
