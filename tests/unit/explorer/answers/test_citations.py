"""Checking citations against the tree and against what was read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.answers.citations import WINDOW_LINES, Observed, check, merge_overlapping, salvage
from explorer.answers.raw import ParsedAnswer, RawCitation
from explorer.records import Citation, Span
from explorer.repository.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    root = tmp_path / "proj"
    (root / "src").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "src" / "a.py").write_text(
        "import x\n\n\ndef f():\n    return 1\n\n\nclass C:\n    pass\n"
    )
    (root / "src" / "same.py").write_text("1\n")
    (root / "lib" / "same.py").write_text("2\n")
    (root / "big.py").write_text("".join(f"line_{n} = {n}\n" for n in range(1, 201)))
    (root / "bin.dat").write_bytes(b"\0\1\2")
    (root / ".env").write_text("SECRET=1\n")
    with Workspace.open(root) as opened:
        yield opened


def said(citations: Sequence[RawCitation]) -> ParsedAnswer:
    return ParsedAnswer("", tuple(citations))


def seen(*spans: tuple[str, int, int]) -> Observed:
    observed = Observed()
    observed.add(Span(*span) for span in spans)
    return observed


def test_a_range_to_the_end_ends_with_the_file(workspace: Workspace) -> None:
    checked = check(said([RawCitation("src/a.py", 8, None)]), workspace, seen(("src/a.py", 1, 9)))
    assert [(c.start, c.end) for c in checked.citations] == [(8, 9)]


def test_a_range_that_was_read_is_verified_with_its_definition_as_evidence(
    workspace: Workspace,
) -> None:
    raw = [RawCitation("/testbed/proj/src/a.py", 4, 5, "returns")]
    checked = check(said(raw), workspace, seen(("src/a.py", 1, 9)))
    assert checked.citations == (Citation("src/a.py", 4, 5, "returns", "def f():"),)
    assert checked.problems == ()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (RawCitation("src/none.py", 1, 2), "does not exist"),
        (RawCitation("same.py", 1, 1), "does not name one file; perhaps"),
        (RawCitation("src", 1, 2), "is a directory"),
        (RawCitation("src/a.py", 40, 50), "lies past the end, the file has 9 lines"),
        (RawCitation("big.py", 1, 5), "was never read"),
        (RawCitation("big.py"), "was never read"),
        (RawCitation("bin.dat", 1, 1), "is a binary file"),
        (RawCitation(".env", 1, 1), "does not exist"),
        (RawCitation("../../etc/passwd", 1, 1), "does not exist"),
    ],
)
def test_what_is_not_there_or_was_not_read_is_a_problem(
    workspace: Workspace, raw: RawCitation, problem: str
) -> None:
    checked = check(said([raw]), workspace, seen(("src/a.py", 1, 9)))
    assert checked.citations == ()
    assert problem in checked.problems[0]


def test_a_range_past_the_end_is_clamped(workspace: Workspace) -> None:
    checked = check(said([RawCitation("src/a.py", 8, 99)]), workspace, seen(("src/a.py", 1, 9)))
    assert [(c.start, c.end) for c in checked.citations] == [(8, 9)]


def test_a_range_that_was_read_in_part_is_cut_to_that_part_and_says_so(
    workspace: Workspace,
) -> None:
    observed = seen(("big.py", 10, 30), ("big.py", 50, 52))
    checked = check(said([RawCitation("big.py", 20, 60)]), workspace, observed)
    assert [(c.start, c.end) for c in checked.citations] == [(20, 30)]
    assert checked.notes == ("big.py:20-60 was cut to lines 20-30, which the model had read.",)


def test_blank_lines_between_seen_ones_do_not_split_a_range(workspace: Workspace) -> None:
    observed = seen(("src/a.py", 1, 1), ("src/a.py", 4, 5), ("src/a.py", 8, 8))
    checked = check(said([RawCitation("src/a.py", 1, 8)]), workspace, observed)
    assert [(c.start, c.end) for c in checked.citations] == [(1, 8)]
    assert checked.notes == ()


def test_one_unseen_line_with_a_word_splits_a_range(workspace: Workspace) -> None:
    observed = seen(("big.py", 10, 20), ("big.py", 22, 30))
    checked = check(said([RawCitation("big.py", 10, 30)]), workspace, observed)
    assert [(c.start, c.end) for c in checked.citations] == [(10, 20)]
    assert checked.notes == ("big.py:10-30 was cut to lines 10-20, which the model had read.",)


def test_reasons_name_paths_as_the_caller_knows_them(workspace: Workspace) -> None:
    reason = "calls /testbed/proj/src/a.py in /testbed/proj, not /testbed/project/x"
    checked = check(
        said([RawCitation("src/a.py", 4, 5, reason)]), workspace, seen(("src/a.py", 1, 9))
    )
    assert checked.citations[0].reason == "calls src/a.py in proj, not /testbed/project/x"


def test_a_file_without_a_range_becomes_the_lines_read_of_it(workspace: Workspace) -> None:
    observed = seen(("big.py", 10, 20), ("big.py", 100, 140))
    checked = check(said([RawCitation("big.py")]), workspace, observed)
    assert [(c.start, c.end) for c in checked.citations] == [(10, 20), (100, 140)]


def test_overlapping_citations_of_one_file_become_one_at_the_first_place() -> None:
    a = Citation("a", 10, 20, "x", "e10")
    b = Citation("b", 1, 2, "", "")
    c = Citation("a", 5, 12, "y", "e5")
    d = Citation("a", 21, 30, "", "e21")
    assert merge_overlapping([a, b, c, d]) == (Citation("a", 5, 30, "x", "e5"), b)


ranges = st.tuples(st.sampled_from("ab"), st.integers(1, 50), st.integers(0, 20))


@given(st.lists(ranges, max_size=12))
def test_merging_keeps_every_line_and_leaves_no_overlap(rows: list[tuple[str, int, int]]) -> None:
    citations = [Citation(path, start, start + more) for path, start, more in rows]
    merged = merge_overlapping(citations)

    def lines(found: tuple[Citation, ...] | list[Citation]) -> set[tuple[str, int]]:
        return {(c.path, n) for c in found for n in range(c.start, c.end + 1)}

    assert lines(merged) == lines(citations)
    assert sum(c.end - c.start + 1 for c in merged) == len(lines(citations))


@given(st.lists(ranges, max_size=12), st.integers(1, 60), st.integers(0, 20))
def test_what_was_seen_of_a_range_is_exactly_the_seen_lines(
    rows: list[tuple[str, int, int]], start: int, more: int
) -> None:
    observed = Observed()
    observed.add(Span(path, low, low + size) for path, low, size in rows)
    found = observed.within("a", start, start + more)
    expected = {
        n
        for path, low, size in rows
        if path == "a"
        for n in range(max(low, start), min(low + size, start + more) + 1)
    }
    assert {n for low, high in found for n in range(low, high + 1)} == expected


def test_salvage_gives_the_window_with_the_most_words_of_the_query(workspace: Workspace) -> None:
    observed = seen(("src/a.py", 1, 9), ("big.py", 1, 200))
    found = salvage("where is line_150 assigned?", observed, workspace, limit=5)
    assert found[0].path == "big.py"
    assert found[0].end - found[0].start + 1 <= WINDOW_LINES
    assert {citation.path for citation in found} == {"big.py", "src/a.py"}


def test_salvage_is_not_filled_by_the_matches_of_one_file(workspace: Workspace) -> None:
    matches = [("big.py", n, n) for n in range(2, 60, 3)]
    found = salvage("line", seen(*matches, ("src/a.py", 1, 9)), workspace, limit=10)
    assert [citation.path for citation in found].count("big.py") == 3
    assert "src/a.py" in {citation.path for citation in found}


def test_nothing_read_is_nothing_salvaged(workspace: Workspace) -> None:
    assert salvage("x", Observed(), workspace, limit=5) == ()
