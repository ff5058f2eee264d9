"""The code that an answer shows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from explorer.answers.shown import linked, outlines, show
from explorer.definitions import Definition
from explorer.records import Citation, Confidence, Exploration, OutlineEntry, Span
from explorer.repository.workspace import Workspace
from tests.tooling import write_tree

SHORT = "import os\n\n\n# Turns.\ndef turn(a):\n    return a\n\n\ndef other():\n    return 0\n"
LONG = "class Big:\n    def run(\n        self,\n    ):\n" + "".join(
    f"        step_{number}()\n" for number in range(100)
)
TWIN = "class Async:\n" + "".join(f"    async_line_{n} = {n}\n" for n in range(10))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    files = {"short.py": SHORT, "long.py": LONG, "sync/a.py": TWIN, "async/a.py": TWIN + "# end\n"}
    files["key.py"] = (
        'KEY = """-----BEGIN RSA PRIVATE KEY-----\n'
        + "MIIEpAIBAAKCAQEAwJbF3kT9s2VxQ8mN5pR7tY1uI4oP6aSdFgHjKlZxCvBnMq12\n" * 30
        + '-----END RSA PRIVATE KEY-----"""\nTOKEN = "ghp_'
        + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
        + '"\n'
    )
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    with Workspace.open(tmp_path) as opened:
        yield opened


def run(*citations: Citation, sure: Confidence = "low") -> Exploration:
    return Exploration("q", "scout", "answered", "", citations, place_confidence=sure)


def shown_lines(citation: Citation) -> list[tuple[int, str]]:
    return [
        (number, line)
        for each in citation.code
        for number, line in enumerate(each.lines, each.start)
    ]


def test_a_short_place_is_shown_whole_with_its_numbers(workspace: Workspace) -> None:
    (citation,) = show(run(Citation("short.py", 4, 6)), workspace, max_bytes=3_000).citations
    assert shown_lines(citation) == [(4, "# Turns."), (5, "def turn(a):"), (6, "    return a")]


def test_of_a_long_place_its_head_and_what_matters_is_shown(workspace: Workspace) -> None:
    place = Citation("long.py", 2, 104, focus=(Span("long.py", 80, 82),))
    (citation,) = show(run(place), workspace, max_bytes=6_000).citations
    numbers = [number for number, _ in shown_lines(citation)]
    assert {2, 3, 4, 80, 81, 82} <= set(numbers)
    # It is longer than what is shown of a place even where there is room.
    assert len(numbers) <= 60
    assert len(citation.code) > 1


def test_of_a_long_place_without_a_focus_that_is_shown_which_is_chosen(
    workspace: Workspace,
) -> None:
    asked = []

    def choose(
        path: str, lines: Sequence[str], found: Sequence[Definition], start: int, end: int
    ) -> list[tuple[int, int]]:
        asked.append((path, lines[start - 1], [each.name for each in found], end))
        return [(90, 95)]

    short, focus = Citation("short.py", 1, 10), (Span("long.py", 20, 22),)
    places = [Citation("long.py", 1, 104), short, Citation("long.py", 1, 104, focus=focus)]
    first, *_ = show(run(*places), workspace, max_bytes=9_000, choose=choose).citations
    assert {90, 95} <= {number for number, _ in shown_lines(first)}
    assert asked == [("long.py", "class Big:", ["Big", "Big.run"], 104)]


def test_a_cut_keeps_what_matters(workspace: Workspace) -> None:
    place = Citation("long.py", 2, 104, focus=(Span("long.py", 80, 82),))
    (citation,) = show(run(place), workspace, max_bytes=400).citations
    assert {80, 81, 82} <= {number for number, _ in shown_lines(citation)}
    assert sum(len(line) for _, line in shown_lines(citation)) <= 400


@pytest.mark.parametrize(("sure", "count"), [("high", 2), ("medium", 8), ("low", 8)])
def test_beside_a_sure_place_fewer_others_are_shown(
    workspace: Workspace, sure: Confidence, count: int
) -> None:
    places = [Citation("long.py", start, start + 3) for start in range(10, 90, 8)]
    found = show(run(*places, sure=sure), workspace, max_bytes=6_000).citations
    assert [bool(each.code) for each in found] == [number < count for number in range(10)]


def test_of_a_longer_place_the_more_is_shown_the_likelier_it_is(workspace: Workspace) -> None:
    places = [
        Citation(
            "long.py", start, start + 29, chance=chance, focus=(Span("long.py", *2 * [focus]),)
        )
        for start, focus, chance in ((4, 20, 0.8), (36, 50, 0.8), (70, 84, 0.1))
    ]
    likely, as_likely, unlikely = show(run(*places), workspace, max_bytes=1_800).citations
    assert len(shown_lines(likely)) == len(shown_lines(as_likely)) == 30
    assert 10 <= len(shown_lines(unlikely)) <= 12


def test_a_short_place_is_shown_as_a_whole_however_unlikely(workspace: Workspace) -> None:
    places = [
        Citation("long.py", start, start + 25, chance=chance)
        for start, chance in ((4, 0.8), (40, 0.01))
    ]
    found = show(run(*places), workspace, max_bytes=6_000).citations
    assert [len(shown_lines(each)) for each in found] == [26, 26]


def test_room_that_is_left_goes_to_what_was_cut(workspace: Workspace) -> None:
    places = [Citation("long.py", 4, 9), Citation("long.py", 12, 61, chance=0.001)]
    tight = show(run(*places), workspace, max_bytes=420).citations
    roomy = show(run(*places), workspace, max_bytes=6_000).citations
    assert [len(shown_lines(each)) for each in tight] == [6, 10]
    assert [len(shown_lines(each)) for each in roomy] == [6, 50]


def test_of_a_long_place_a_scrap_is_not_shown(workspace: Workspace) -> None:
    places = [Citation("long.py", 4, 9), Citation("long.py", 12, 61, chance=0.001)]
    found = show(run(*places), workspace, max_bytes=300).citations
    assert [len(shown_lines(each)) for each in found] == [6, 0]


DOCUMENTED = (
    "# Above it.\n# More.\n@cached\ndef long(a):\n"
    '    """What it does.\n\n    Much about a.\n' + "    More.\n" * 30 + '    """\n'
    "    b = a\n\n    return b\n"
)


def test_documentation_is_left_out_before_code_is(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": DOCUMENTED})
    with Workspace.open(tmp_path) as workspace:
        place = Citation("a.py", 1, DOCUMENTED.count("\n"))
        (citation,) = show(run(place), workspace, max_bytes=400).citations
        text = [line.strip() for _, line in shown_lines(citation)]
        assert text == ["@cached", "def long(a):", '"""What it does.', "b = a", "", "return b"]
        # It stays where all fits.
        (citation,) = show(run(place), workspace, max_bytes=6_000).citations
        assert len(shown_lines(citation)) == DOCUMENTED.count("\n")


def test_code_goes_to_the_likeliest_places_whether_they_are_cited_or_not(
    workspace: Workspace,
) -> None:
    first, *others = [
        Citation("long.py", start, start + 20, chance=chance)
        for start, chance in ((4, 0.3), (30, 0.0), (55, 0.1), (80, 0.2))
    ]
    found = replace(run(first, others[0]), further=tuple(others[1:]))
    shown = show(found, workspace, max_bytes=1_040)
    assert [bool(each.code) for each in shown.citations] == [True, False]
    assert [bool(each.code) for each in shown.further] == [False, True]


def test_without_room_places_stand_alone(workspace: Workspace) -> None:
    found = show(run(Citation("short.py", 4, 6)), workspace, max_bytes=0)
    assert found.citations == (Citation("short.py", 4, 6),)


def test_a_twin_of_what_is_shown_is_not_shown_again(workspace: Workspace) -> None:
    places = Citation("sync/a.py", 1, 11), Citation("async/a.py", 1, 11)
    found = show(run(*places), workspace, max_bytes=6_000).citations
    assert [bool(each.code) for each in found] == [True, False]


def test_each_part_of_a_question_has_room_of_its_own(workspace: Workspace) -> None:
    places = [
        replace(Citation("long.py", start, start + 40), part=part)
        for start, part in ((4, "a?"), (50, "b?"))
    ]
    found = show(run(*places), workspace, max_bytes=1_600).citations
    assert all(each.code for each in found)


def test_what_the_parts_of_a_question_leave_goes_to_other_places(workspace: Workspace) -> None:
    places = [
        replace(Citation("long.py", start, start + 5), part=part)
        for start, part in ((4, "a?"), (14, "a?"), (24, "a?"), (34, "b?"))
    ]
    asked = replace(run(*places), further=(Citation("long.py", 50, 60),))
    found = show(asked, workspace, max_bytes=6_000)
    assert all(each.code for each in (*found.citations, *found.further))


def test_secrets_are_masked_though_a_cut_leaves_out_where_they_begin(workspace: Workspace) -> None:
    place = Citation("key.py", 15, 33)
    (citation,) = show(run(place), workspace, max_bytes=6_000).citations
    text = "\n".join(line for _, line in shown_lines(citation))
    assert "MIIEpAIB" not in text
    assert "ghp_" not in text
    assert shown_lines(citation)[-1][0] == 33


def test_the_models_places_get_the_name_of_their_definition(workspace: Workspace) -> None:
    places = Citation("short.py", 6, 6), Citation("long.py", 50, 60), Citation("gone.py", 1, 2)
    found = linked(run(*places), workspace, lambda _names: {}).citations
    assert [each.name for each in found] == ["turn", "Big.run", ""]


def test_the_outline_of_each_cited_file_has_its_definitions_by_depth(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    text = f"""LIMIT = 3


class Engine:
    def start(self):
        def again(): ...
        return again


def {token}(): ...
"""
    root = write_tree(tmp_path / "outlined", {"a.py": text, "notes.txt": "words\n"})
    with Workspace.open(root) as workspace:
        found = outlines(
            run(*(Citation(p, 1, 1) for p in ("a.py", "notes.txt", "b.py"))), workspace
        )
    assert found == {
        "a.py": (
            OutlineEntry("LIMIT", 1, 1),
            OutlineEntry("Engine", 4, 7),
            OutlineEntry("start", 5, 7, 1),
            OutlineEntry("again", 6, 6, 2),
            OutlineEntry("[masked]", 10, 10),
        )
    }


def test_a_long_outline_leaves_out_values_first(tmp_path: Path) -> None:
    values = "".join(f"VALUE_{n} = {n}\n" for n in range(400))
    functions = "".join(f"def f_{n}(): ...\n" for n in range(3))
    root = write_tree(tmp_path / "outlined", {"a.py": values + functions})
    with Workspace.open(root) as workspace:
        found = outlines(run(Citation("a.py", 1, 1)), workspace)
    assert [each.name for each in found["a.py"]] == ["f_0", "f_1", "f_2"]
