"""Reading the final answer in all the forms in which models write it."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from explorer.answers.parse import citations_outside, parse_answer
from explorer.answers.raw import RawCitation


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
        ("src/a.py:1-5, 10-20", [("src/a.py", 1, 5, ""), ("src/a.py", 10, 20, "")]),
        ("src/a.py:1-5;src/b.py:6", [("src/a.py", 1, 5, ""), ("src/b.py", 6, 6, "")]),
        ("src/a.py:1-5 and b.py:2-3", [("src/a.py", 1, 5, ""), ("b.py", 2, 3, "")]),
        ("src/a.py:1-5 see b.py:2-3", [("src/a.py", 1, 5, "see b.py:2-3")]),
        ("src/a.py 10-20 why", [("src/a.py", 10, 20, "why")]),
        ("`a.py`, 10-20", [("a.py", 10, 20, "")]),
        ("src/a.py - 10-20", [("src/a.py", 10, 20, "")]),
        ("src/a.py \u2014 lines 10\u201320: why", [("src/a.py", 10, 20, "why")]),
        ("src/a.py:L10:L20", [("src/a.py", 10, 20, "")]),
        ("a.py:10~20 -> why", [("a.py", 10, 20, "why")]),
        ("a.py:10-20 # why", [("a.py", 10, 20, "why")]),
        ("| a.py | 10-20 | why |", [("a.py", 10, 20, "why")]),
        ("| `src/a.py:10-20` | why |", [("src/a.py", 10, 20, "why")]),
        ("<a.py:1-2>", [("a.py", 1, 2, "")]),
        ('"a.py:1-2" (why)', [("a.py", 1, 2, "why")]),
        ("*a.py:1-2*", [("a.py", 1, 2, "")]),
        ("[a.py:3-5]", [("a.py", 3, 5, "")]),
        ("__init__.py:1-5", [("__init__.py", 1, 5, "")]),
        ("[slug].tsx:1-5", [("[slug].tsx", 1, 5, "")]),
        ("- [x] File: src/a.py:1-2", [("src/a.py", 1, 2, "")]),
        ("file:///testbed/r/a.py:1-2", [("file:///testbed/r/a.py", 1, 2, "")]),
        ('["src/a.py:4-5"]', [("src/a.py", 4, 5, "")]),
        ('["a.py:4-5","b.py:8-9 (why)"]', [("a.py", 4, 5, ""), ("b.py", 8, 9, "why")]),
        ('"src/a.py:4-5 (why)",', [("src/a.py", 4, 5, "why")]),
        ("[src/a.py:4-5, src/b.py:8-9]", [("src/a.py", 4, 5, ""), ("src/b.py", 8, 9, "")]),
        ("(src/a.py:4-5)", [("src/a.py", 4, 5, "")]),
        ("{src/a.py:4-5}", [("src/a.py", 4, 5, "")]),
        ("<file>src/a.py:4-5</file>", [("src/a.py", 4, 5, "")]),
        ("<li>src/a.py:4-5 <b>why</b></li>", [("src/a.py", 4, 5, "why")]),
        ("<path>src/a.py</path><lines>4-5</lines>", [("src/a.py", 4, 5, "")]),
        ("src/a.py:4-5<br>", [("src/a.py", 4, 5, "")]),
        ("src/a.py:4-5, 8-9}", [("src/a.py", 4, 5, ""), ("src/a.py", 8, 9, "")]),
        ("src/a.py:4-5\u2192 why", [("src/a.py", 4, 5, "why")]),
        ("src/a.py:4-5\u2705", [("src/a.py", 4, 5, "")]),
        ("\u2705 src/a.py:4-5", [("src/a.py", 4, 5, "")]),
        ("src/a.py:4-5X", [("src/a.py", 4, 5, "X")]),
        ("src/a.py:4-99999999999", [("src/a.py", 4, 99_999_999_999, "")]),
        ("src/a.py:4-end (why)", [("src/a.py", 4, None, "why")]),
        ("src/a.py:4 to end", [("src/a.py", 4, None, "")]),
        ("src/a.py:1-*", [("src/a.py", 1, None, "")]),
        ("src/a.py:4 - end of the loop", [("src/a.py", 4, 4, "end of the loop")]),
        ("src/a.py:all (why)", [("src/a.py", None, None, "why")]),
        ("src/a.py:*", [("src/a.py", None, None, "")]),
        ("src/a.py::C::f:4-5", [("src/a.py", 4, 5, "")]),
        ("src/a.py:f():4-5", [("src/a.py", 4, 5, "")]),
        ("src/a.py#L4C1-L5C2", [("src/a.py", 4, 5, "")]),
        ("src/a.py:4:1-5:2", [("src/a.py", 4, 5, "")]),
        ("src/a.py:line 4", [("src/a.py", 4, 4, "")]),
        ("src/a.py at lines 4-5", [("src/a.py", 4, 5, "")]),
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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Makefile", ("Makefile", None, None, "")),
        ("- `Makefile` (the rules)", ("Makefile", None, None, "the rules")),
        ("Makefile: builds it", ("Makefile", None, None, "builds it")),
        ("My File.py:1-3", ("My File.py", 1, 3, "")),
        ("My File.py", ("My File.py", None, None, "")),
        ("docs/a long name of five words.md:1-3", ("docs/a long name of five words.md", 1, 3, "")),
        ("Answer: src/a.py:4-5", ("src/a.py", 4, 5, "")),
        ('{"path": "src/a.py", "lines": "4-5"}', ("src/a.py", 4, 5, "")),
        ('<place path="src/a.py" lines="4-5"/>', ("src/a.py", 4, 5, "")),
        ("quote':1-2", ("quote'", 1, 2, "")),
    ],
)
def test_what_names_a_file_is_a_citation_whatever_it_looks_like(
    line: str, expected: tuple[str, int | None, int | None, str]
) -> None:
    files = {"Makefile", "My File.py", "src/a.py", "docs/a long name of five words.md", "quote'"}
    (citation,) = parse_answer(line, files.__contains__).citations
    assert (citation.path, citation.start, citation.end, citation.reason) == expected


def test_brackets_and_tags_on_lines_of_their_own_are_no_explanation() -> None:
    answer = parse_answer('<ul>\n[\n  "a.py:1-2",\n  "b.py:3-4"\n]\n</ul>')
    assert answer.explanation == ""
    assert [str(citation) for citation in answer.citations] == ["a.py:1-2", "b.py:3-4"]


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


@given(
    st.from_regex(r"[a-z]{1,8}(/[a-z_]{1,8}){0,3}\.[a-z]{1,3}", fullmatch=True),
    st.integers(1, 10**6),
    st.integers(0, 10**4),
    st.text(max_size=80),
)
def test_no_text_behind_a_range_makes_it_shorter(
    path: str, start: int, more: int, suffix: str
) -> None:
    assume(not re.match(r"[`*]*\d", suffix))
    first = parse_answer(f"{path}:{start}-{start + more}{suffix}").citations[0]
    assert (first.path, first.start, first.end) == (path, start, start + more)
