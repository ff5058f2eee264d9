"""Answers that are written as JSON or as XML attributes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.answers.parse import citations_outside, parse_answer
from explorer.answers.raw import RawCitation

WANTED = (RawCitation("src/a.py", 4, 6), RawCitation("src/b.py", 10, 12))
PAIR = [("src/a.py", 4, 6), ("src/b.py", 10, 12)]
OBJECTS = [{"path": path, "start": start, "end": end} for path, start, end in PAIR]


def as_json(*keys: str) -> str:
    return json.dumps([dict(zip(keys, each, strict=True)) for each in PAIR])


FORMS = {
    "list": as_json("path", "start", "end"),
    "indented": json.dumps(OBJECTS, indent=2),
    "snake case": as_json("file_path", "start_line", "end_line"),
    "camel case": as_json("filePath", "startLine", "endLine"),
    "line_start": as_json("file", "line_start", "line_end"),
    "range as text": json.dumps([{"file": p, "lines": f"{a}-{b}"} for p, a, b in PAIR]),
    "range as list": json.dumps([{"file": p, "range": [a, b]} for p, a, b in PAIR]),
    "ranges": json.dumps([{"path": p, "ranges": [[a, b]]} for p, a, b in PAIR]),
    "range as object": json.dumps([{"path": p, "span": {"from": a, "to": b}} for p, a, b in PAIR]),
    "range in the path": json.dumps([{"path": f"{p}:{a}-{b}"} for p, a, b in PAIR]),
    "under a key": f'{{"citations": {as_json("path", "start", "end")}}}',
    "under two keys": f'{{"final_answer": {{"files": {as_json("path", "start", "end")}}}}}',
    "by path": json.dumps({p: [[a, b]] for p, a, b in PAIR}),
    "by path as text": json.dumps({p: f"{a}-{b}" for p, a, b in PAIR}),
    "lines of text": json.dumps({"final_answer": "\n".join(f"{p}:{a}-{b}" for p, a, b in PAIR)}),
    "one a line": "\n".join(map(json.dumps, OBJECTS)),
    "bullets": "\n".join(f"- {json.dumps(each)}" for each in OBJECTS),
    "a fence": f"```json\n{as_json('path', 'start', 'end')}\n```",
    "single quotes": as_json("path", "start", "end").replace('"', "'"),
    "a trailing comma": as_json("path", "start", "end")[:-1] + ",]",
    "elements": "\n".join(f'<citation path="{p}" start="{a}" end="{b}"/>' for p, a, b in PAIR),
    "elements with lines": "\n".join(f"<file name='{p}' lines='{a}-{b}' />" for p, a, b in PAIR),
    "elements around the path": "\n".join(f'<ref lines="{a}-{b}">{p}</ref>' for p, a, b in PAIR),
    "an element in an element": "<files>\n"
    + "\n".join(f'<file path="{p}" range="{a}-{b}"></file>' for p, a, b in PAIR)
    + "\n</files>",
    "children": "\n".join(
        f"<citation>\n<path>{p}</path>\n<start>{a}</start>\n<end>{b}</end>\n</citation>"
        for p, a, b in PAIR
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_citations_are_read_in_and_out_of_the_tag(form: str) -> None:
    assert parse_answer(FORMS[form]).citations == WANTED
    assert citations_outside(f"These are the places:\n\n{FORMS[form]}") == WANTED


def test_reasons_and_the_explanation_are_kept() -> None:
    places = '[{"path": "a.py", "line": 3, "why": "the sum"}]'
    text = f'{{"explanation": "It is summed here.", "citations": {places}}}'
    found = parse_answer(text)

    assert found.explanation == "It is summed here."
    assert found.citations == (RawCitation("a.py", 3, 3, "the sum"),)
    for name in ("path", "name", "file"):
        element = f'<file {name}="a.py" lines="3-4">the sum</file>'
        assert parse_answer(element).citations == (RawCitation("a.py", 3, 4, "the sum"),)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Read", "arguments": {"path": "a.py", "start": 1, "end": 2}}',
        '<div class="a" id="b">text</div>',
        "List<String> a = new ArrayList<>();",
        "[1, 2, 3]",
        "{" * 5_000,
        "[" * 200_000,
        '<a b="' * 2_000,
    ],
)
def test_what_names_no_place_is_no_citation(text: str) -> None:
    assert citations_outside(text) == ()


def test_a_list_in_the_middle_of_a_message_is_not_its_answer() -> None:
    assert citations_outside(f"{FORMS['list']}\n\nNow I read on.") == ()


def test_lines_and_objects_may_stand_side_by_side() -> None:
    found = parse_answer('{"path": "a.py", "lines": "1-2"}\nb.py:3-4 (the rest)')

    assert found.citations == (RawCitation("a.py", 1, 2), RawCitation("b.py", 3, 4, "the rest"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a.py", "a.py:1-2", "4-6", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("path file lines start end reason a.py x".split()), inner)
    ),
    max_leaves=12,
)


@given(JSON, st.text(max_size=10))
def test_any_json_can_be_an_answer(value: object, noise: str) -> None:
    for text in (json.dumps(value), noise + json.dumps(value)[:-1], json.dumps(value) + noise):
        for each in parse_answer(text).citations:
            assert each.path
            assert each.start is None or each.end is None or each.start <= each.end


@pytest.mark.parametrize(
    "name", ["12:30.md", "a:4-6.md", "notes#L5.md", "v1 (2).txt", "x:12", "a, b:3.c"]
)
@pytest.mark.parametrize("root", ["", "docs/", "/testbed/r/"])
@pytest.mark.parametrize(
    "behind", [":3-4", "#L3-L4", " (lines 3-4)", ":3-4 (the note)", ", lines 3-4"]
)
def test_a_file_whose_name_looks_like_a_place_can_be_cited(
    name: str, root: str, behind: str
) -> None:
    path = root + name

    (found,) = parse_answer(path + behind, lambda text: text == path).citations
    assert (found.path, found.start, found.end) == (path, 3, 4)
    (bare,) = parse_answer(f"- {path} (the note)", lambda text: text == path).citations
    assert (bare.path, bare.start) == (path, None)
