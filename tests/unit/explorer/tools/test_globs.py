from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from explorer.tools.glob import GlobProblem, glob_filter, literal_directory, name_glob
from tests.tooling import bare_rg, write_tree

FILES = (
    "a.py",
    "b.js",
    "docs/a.md",
    "docs/deep/er/b.md",
    "lib/x-1.py",
    "lib/x]1.py",
    "src/app/main.py",
    "src/app/main.test.ts",
    "src/app/view.tsx",
    "src/main.py",
    "tests/src/main.py",
)


def matching(*patterns: str, base: str = "") -> list[str]:
    files = [path for path in FILES if path.startswith(base)]
    return list(filter(glob_filter(patterns, base=base, files=lambda: files), files))


@pytest.mark.parametrize(
    "pattern",
    [
        "*.py",
        "**/*.py",
        "src/*.py",
        "src/**/*.py",
        "src/**",
        "/a.py",
        "/src/main.py",
        "**/src/*.py",
        "**/app/**",
        "*.{py,js}",
        "src/**/*.{ts,tsx}",
        "{src,docs}/**/*.{md,py}",
        "*.{t{s,sx},md}",
        "?.py",
        "[ab].py",
        "[!a].js",
        "lib/x[]-]1.py",
        "lib/x[0-9-]1.py",
        "**/deep/**/b.md",
        "**/*main*",
        "*.test.*",
        "docs/**/**/b.md",
        "main.py",
        "!*.py",
        "!src/**",
        "!src",
        "nothing/*.py",
    ],
)
def test_patterns_match_what_ripgrep_matches(tmp_path: Path, pattern: str) -> None:
    write_tree(tmp_path, dict.fromkeys(FILES, "x"))
    out = bare_rg(tmp_path, "--files", "--sort=path", f"--glob={pattern}")
    assert matching(pattern) == sorted(out.split())


@pytest.mark.parametrize(
    ("pattern", "base", "paths"),
    [
        ("*.md", "docs", ["docs/a.md", "docs/deep/er/b.md"]),
        ("deep/**/*.md", "docs", ["docs/deep/er/b.md"]),
        ("docs/*.md", "docs", ["docs/a.md"]),
        ("./src/*.py", "", ["src/main.py"]),
        ("app/*.py", "", ["src/app/main.py"]),
        ("docs", "", ["docs/a.md", "docs/deep/er/b.md"]),
        ("src/app", "", ["src/app/main.py", "src/app/main.test.ts", "src/app/view.tsx"]),
        ("/repo/src/*.py", "", ["src/main.py"]),
        ("/home/x/docs/**/*.md", "", ["docs/a.md", "docs/deep/er/b.md"]),
        ("*.js, *.md", "", ["b.js", "docs/a.md", "docs/deep/er/b.md"]),
        ("`*.js`", "", ["b.js"]),
        ("{a.py", "", []),
        ("[a.py", "", []),
        ("[z-a].py", "", []),
    ],
)
def test_what_the_model_mangles_still_matches(pattern: str, base: str, paths: list[str]) -> None:
    assert matching(pattern, base=base) == paths


def test_several_patterns_add_up_and_exclusions_take_away() -> None:
    assert matching("*.py", "*.js", "!src/**", "!lib") == ["a.py", "b.js", "tests/src/main.py"]


def test_too_many_alternatives_are_refused() -> None:
    with pytest.raises(GlobProblem, match="alternatives"):
        matching("{a,b}" * 12)
    with pytest.raises(GlobProblem, match="longer than"):
        matching("a" * 2000)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "**/a/" * 30 + "b", "*" * 500, "[a]*?*" * 30])
def test_no_pattern_explodes(pattern: str) -> None:
    path = "/".join(["a" * 200] * 10 + ["a"] * 60)
    wanted = glob_filter([pattern], base="", files=lambda: [path])
    assert wanted(path) in (True, False)


@example("[?--]", "")
@example("[--a]", "-")
@given(st.text("ab*?[]{},!/\\.-^", max_size=25), st.text("ab/.", max_size=12))
def test_every_pattern_can_be_used(pattern: str, path: str) -> None:
    glob_filter([pattern], base="base", files=lambda: [path])(path)


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "?"]), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4),
)
def test_the_name_part_never_leaves_out_what_the_pattern_matches(
    parts: list[str], path: list[str]
) -> None:
    pattern = "/".join(parts)
    name = name_glob(pattern)
    if name is not None and glob_filter([pattern], base="", files=list)("/".join(path)):
        assert glob_filter([name], base="", files=list)(path[-1])


@pytest.mark.parametrize(
    ("pattern", "directory"),
    [("src/app/*.py", "src/app"), ("**/x", ""), ("*.py", ""), ("a/b*/c/d", "a"), ("!a/b", "")],
)
def test_the_literal_directory_ends_before_the_first_wildcard(pattern: str, directory: str) -> None:
    assert literal_directory(pattern) == directory
