"""Reading the final answer in all the forms in which models write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.answer import RawCitation, citations_outside, parse_answer


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/testbed/r/src/a.py:10-42 (why)", [("/testbed/r/src/a.py", 10, 42, "why")]),
        ("- `src/a.py:10-20`", [("src/a.py", 10, 20, "")]),
        ("* **src/a.py**: 10-20", [("src/a.py", 10, 20, "")]),
        ("1. src/a.py:L10-L20 - the reason", [("src/a.py", 10, 20, "the reason")]),
        ("src/a.py#L10-L20", [("src/a.py", 10, 20, "")]),
        ("src/a.py#L10", [("src/a.py", 10, 10, "")]),
        ("src/a.py (lines 10-20)", [("src/a.py", 10, 20, "")]),
        ("src/a.py, lines 10 to 20", [("src/a.py", 10, 20, "")]),
        ("src/a.py: lines 5 to 9", [("src/a.py", 5, 9, "")]),
        ("src/a.py line 10", [("src/a.py", 10, 10, "")]),
        ("src/a.py L10-20", [("src/a.py", 10, 20, "")]),
        ("src/a.py:10", [("src/a.py", 10, 10, "")]),
        ("src/a.py:10:5: error", [("src/a.py", 10, 10, "error")]),
        ("src/a.py:10\u201320", [("src/a.py", 10, 20, "")]),
        ("src/a.py:20-10", [("src/a.py", 10, 20, "")]),
        ("src/a.py", [("src/a.py", None, None, "")]),
        ("src/lib-3/a.py", [("src/lib-3/a.py", None, None, "")]),
        ("src/a.py (main)", [("src/a.py", None, None, "main")]),
        ("a.py:1-5, 10-20 (two)", [("a.py", 1, 5, "two"), ("a.py", 10, 20, "two")]),
        ("a.c:12-14, b.c:1-2", [("a.c", 12, 14, ""), ("b.c", 1, 2, "")]),
        ("[src/a.py](src/a.py#L3):10-12", [("src/a.py", 10, 12, "")]),
        ("C:\\x\\a.py:3-4", [("C:\\x\\a.py", 3, 4, "")]),
        ("Makefile:3-9", [("Makefile", 3, 9, "")]),
        ("dir with space/a.py:3-4", [("dir with space/a.py", 3, 4, "")]),
        ("src/[id]/page.tsx:3-9", [("src/[id]/page.tsx", 3, 9, "")]),
        ("src/a.py:10-20: def foo(a, b)", [("src/a.py", 10, 20, "def foo(a, b)")]),
        ("\u4e2d\u6587.py:1-3", [("\u4e2d\u6587.py", 1, 3, "")]),
        ("The retry is in the client.", []),
        ("I found 3 things: 10-20", []),
        ("See http://x.com:80/ for it", []),
        ("version 1.2.3", []),
        ("config.py handles 10", []),
        ("", []),
    ],
)
def test_a_citation_is_read_in_every_form_that_models_use(
    line: str, expected: list[tuple[str, int | None, int | None, str]]
) -> None:
    found = parse_answer(line).citations
    assert [(c.path, c.start, c.end, c.reason) for c in found] == expected


def test_prose_and_citations_come_apart() -> None:
    answer = parse_answer("It is computed here.\n\n```\na.py:1-2\n```\nAnd so on.")
    assert answer.explanation == "It is computed here.\nAnd so on."
    assert answer.citations == (RawCitation("a.py", 1, 2),)


def test_a_listing_of_thousands_is_cut() -> None:
    assert len(parse_answer("\n".join(f"a.py:{n}" for n in range(1, 5000))).citations) == 200


def test_a_complete_list_without_a_tag_is_an_answer() -> None:
    text = "I looked around.\n\nRelevant places:\n- a.py:1-2\n- b.py:3 (x)"
    assert [str(c) for c in citations_outside(text)] == ["a.py:1-2", "b.py:3-3"]


@pytest.mark.parametrize(
    "text",
    ["I will read a.py:1-2 next.", "a.py:1-2\n\nNext I read b.py.", "a.py\nb.py", "", "see a.py"],
)
def test_a_path_that_prose_mentions_is_no_answer(text: str) -> None:
    assert citations_outside(text) == ()


@given(st.text(max_size=300))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    for citation in parse_answer(text).citations:
        assert citation.path
        if citation.start is not None and citation.end is not None:
            assert citation.start <= citation.end


@given(
    st.from_regex(r"[a-z]{1,8}(/[a-z_]{1,8}){0,3}\.[a-z]{1,3}", fullmatch=True),
    st.integers(1, 10**6),
    st.integers(0, 10**4),
)
def test_the_canonical_form_is_read_back_as_it_is(path: str, start: int, more: int) -> None:
    citation = RawCitation(path, start, start + more)
    assert parse_answer(str(citation)).citations == (citation,)
