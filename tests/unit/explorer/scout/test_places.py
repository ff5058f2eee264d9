"""Which definition comes first, and which others are named."""

from pathlib import Path

import numpy as np
import pytest

from explorer.definitions import Definition, outline
from explorer.repository.workspace import Workspace
from explorer.scout import Scout, ScoutAnswer
from explorer.scout.judging import Cells
from explorer.scout.places import Looked, Place, choose_places, rank_places

pytestmark = pytest.mark.anyio

ARGUMENTS = "".join(f"        option_{number}: int = {number},\n" for number in range(6))
CLIENT = f'''class Client:
    """Sends requests."""

    def __init__(
        self,
{ARGUMENTS}        follow_redirects: bool = False,
        max_redirects: int = 20,
    ) -> None:
        self.follow_redirects = follow_redirects
        self.max_redirects = max_redirects

    def get(self, url, *, follow_redirects=False, max_redirects=20):
        return self.request(
            "GET",
            url,
            follow_redirects=follow_redirects,
            max_redirects=max_redirects,
        )

    def post(self, url, *, follow_redirects=False, max_redirects=20):
        return self.request(
            "POST",
            url,
            follow_redirects=follow_redirects,
            max_redirects=max_redirects,
        )

    # Sends until there is no redirect left.
    def _send_handling_redirects(self, request, history):
        while True:
            if len(history) > self.max_redirects:
                raise TooManyRedirects("exceeded the limit of redirects")
            response = self._send_once(request)
            if not response.is_redirect:
                return response
            history.append(response)

    def _send_once(self, request):
        return self.transport.send(request)
'''
STORE = """class Store:
    def clone(self):
        return Store(self.items)

    def save(self):
        write(self.items)


class Shop:
    def clone(self):
        return Shop(self.rooms)
"""


async def ask(root: Path, files: dict[str, str], question: str) -> ScoutAnswer:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    with Workspace.open(root) as workspace:
        return await Scout(workspace).answer(question)


async def test_what_a_definition_does_outweighs_what_it_is_handed(tmp_path: Path) -> None:
    found = await ask(tmp_path, {"client.py": CLIENT}, "Where are redirects followed and limited?")
    first = found.citations[0]
    assert first.name == "Client._send_handling_redirects"
    lines = CLIENT.split("\n")
    assert lines[first.start - 1].strip().startswith("# Sends until")
    assert lines[first.end - 1].strip() == "history.append(response)"


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Shop.clone", "Shop.clone"),
        ("why does `Store.clone` share its items", "Store.clone"),
        ("what does save() of the store write", "Store.save"),
    ],
)
async def test_a_definition_that_the_question_names_comes_first(
    tmp_path: Path, question: str, name: str
) -> None:
    found = await ask(tmp_path, {"store.py": STORE, "other.py": CLIENT}, question)
    assert found.citations[0].name == name


async def test_matching_members_and_the_best_place_of_other_files_have_ranges(
    tmp_path: Path,
) -> None:
    files = {
        "client.py": CLIENT,
        "transport.py": "def send(request):\n    return request.redirects\n",
    }
    found = await ask(tmp_path, files, "Where are redirects followed and limited?")
    places = [(each.path, each.name) for each in (*found.citations, *found.further)]
    assert ("client.py", "Client.get") in places
    assert ("transport.py", "send") in places
    assert len(set(places)) == len(places)


async def test_a_question_of_two_parts_is_answered_part_by_part(tmp_path: Path) -> None:
    files = {"client.py": CLIENT, "store.py": STORE}
    question = "Where are redirects followed, and how is a store saved?"
    found = await ask(tmp_path, files, question)
    firsts = {each.part: each.name for each in reversed(found.citations)}
    assert firsts == {
        "Where are redirects followed": "Client._send_handling_redirects",
        "how is a store saved?": "Store.save",
    }


async def test_a_part_that_finds_nothing_is_named(tmp_path: Path) -> None:
    question = "Where are redirects followed, and how are zeppelins moored?"
    found = await ask(tmp_path, {"client.py": CLIENT}, question)
    assert {each.part for each in found.citations} == {"Where are redirects followed"}
    assert "Nothing was found for the part: how are zeppelins moored?" in found.notes


async def test_a_large_class_stands_for_its_head(tmp_path: Path) -> None:
    found = await ask(tmp_path, {"client.py": CLIENT}, "`Client`")
    first = found.citations[0]
    assert (first.name, first.start, first.end) == ("Client", 1, 3)


async def test_words_of_the_code_that_are_related_to_those_of_the_question_count(
    tmp_path: Path,
) -> None:
    text = """# What a query is made of.
def _merge_queryparams(one, two):
    return {**one, **two}


def _merge_headers(one, two):
    return {**one, **two}


def default_client():
    return Client()
"""
    found = await ask(tmp_path, {"a.py": text}, "how are query parameters combined?")
    assert found.citations[0].name == "_merge_queryparams"


async def test_a_constructor_that_has_its_classs_name_does_not_answer_how(tmp_path: Path) -> None:
    fields = "".join(f"        this.idle{number} = idle{number};\n" for number in range(4))
    found = await ask(
        tmp_path,
        {
            "IdleTimer.java": f"""class IdleTimer {{
    IdleTimer(long idle0, long idle1, long idle2, long idle3) {{
{fields}    }}

    boolean expired(long now) {{
        long idle = now - lastRead;
        return idle > idle0;
    }}
}}
"""
        },
        "how does the idle timer know that it has expired?",
    )
    assert found.citations[0].name == "IdleTimer.expired"


IMPORTS_THEN_FUNCTION = """import os
import sys


def save(path):
    return os.stat(path)
"""


def place(file: int, text: str, name: str, chance: float) -> Place:
    found = outline("a.py", text.encode())
    each = next(each for each in found if each.name == name)
    return Place(file, each, each.start, each.end, chance, outline=found)


@pytest.mark.parametrize(
    ("unlikely", "heading"),
    [
        (("Client.get", CLIENT), ("Client", 1, 3)),
        (("save", IMPORTS_THEN_FUNCTION), ("", 1, 4)),
    ],
    ids=["in a class", "in a file"],
)
def test_a_long_text_has_a_file_cited_without_claiming_an_unlikely_function(
    unlikely: tuple[str, str], heading: tuple[str, int, int]
) -> None:
    name, text = unlikely
    places = [place(0, STORE, "Store.save", 0.9), place(1, text, name, 0.1)]
    cited, further = choose_places(places, [0, 1], 2, 10, plain=False)
    assert [(each.definition.name, each.start, each.end) for each in cited[1:]] == [heading]
    assert [each.definition.name for each in further] == [name]
    cited, _ = choose_places(places, [0, 1], 2, 10, plain=True)
    assert [each.definition.name for each in cited] == ["Store.save", name]


def test_the_likeliest_places_are_named_though_two_are_in_a_file_that_is_not_cited() -> None:
    places = [
        place(0, STORE, "Store.save", 0.6),
        place(1, CLIENT, "Client.get", 0.2),
        place(1, CLIENT, "Client._send_handling_redirects", 0.1),
    ]
    _, further = choose_places(places, [0, 1], 1, 10, plain=False)
    names = [each.definition.name for each in further]
    assert names == ["Client.get", "Client._send_handling_redirects"]


def ranked(lines: list[int], *, is_long: bool) -> list[str]:
    """Definitions that are equally likely but for the first, of a file that the text names."""
    found = tuple(Definition(f"f{n}", "function", n, n, n, n) for n in range(1, 9))
    nothing = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)
    owner = np.zeros(8, np.int64)
    looked = Looked([b"\n" * 8], [found], [Cells(*nothing)], np.zeros((8, 1)), owner)
    scores = np.array([2.0, *[0.0] * 7])
    places = rank_places(looked, np.ones(1), scores, {0: lines}, is_long=is_long)
    return [each.definition.name for each in places]


def test_a_line_that_is_named_comes_first_and_those_of_a_long_text_share_its_chance() -> None:
    assert ranked([3, 4, 5], is_long=False)[:4] == ["f3", "f4", "f5", "f1"]
    assert ranked([3], is_long=True)[0] == "f1"
    assert ranked([3, 4, 5], is_long=True)[:4] == ["f1", "f3", "f4", "f5"]
