"""What is one step away from the first place."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from explorer.answers.shown import linked
from explorer.records import Citation, Exploration, Link
from explorer.repository.workspace import Workspace
from explorer.scout import Scout

pytestmark = pytest.mark.anyio

FILES = {
    "net/delays.py": """from net.clip import clipped
LIMIT = 5


def growing(factor):
    for number in range(LIMIT):
        yield clipped(factor * 2**number)


def local():
    return growing(1)
""",
    "net/clip.py": "def clipped(value):\n    return min(value, 9)\n",
    "net/client.py": """from net.delays import growing


class Client:
    def connect(self):
        for delay in growing(2):
            wait(delay)
""",
    "docs/delays.md": "# Delays\n\nCall growing(1) for delays.\n",
    "jobs/lamp.py": """class Lamp:
    def lit(self):
        return True


class Lantern(Lamp):
    def shine(self):
        return self.lit()


class Match:
    def strike(self):
        return self.lit()
""",
    "tests/test_delays.py": """from net.delays import growing


def test_growing():
    assert growing(1)
""",
    "shapes/base.py": "class Shape:\n    def area(self):\n        raise NotImplementedError\n",
    "shapes/square.py": """from shapes.base import Shape


class Square(Shape):
    def area(self):
        return self.side**2
""",
    "shapes/lines.py": """from shapes.base import Shape


class Line(Shape):
    def ends(self):
        return 2


class Ray(Shape):
    def ends(self):
        return 1
""",
    "shapes/field.py": "class Field:\n    def area(self):\n        return self.acres\n",
    "jobs/retry.py": """from jobs.queue import drained


class Job:
    def run(self):
        self.prepare()
        started = timeout(self)
        drained(started)
        return Deadline.passed(started)


class NightJob(Job):
    timeout = 60
    drained = True

    def prepare(self):
        pass


class Deadline:
    def passed(self):
        return False
""",
    "jobs/queue.py": """class Queue:
    def drained(self):
        return []


def drained(job):
    return job
""",
    "jobs/plan.go": """package jobs

type Day struct{}
type Plan struct{}

func (p *Plan) All(from Day) []Day {
\tn := limit(Day{})
\tif n > 0 {
\t\treturn nil
\t}
\treturn p.first(n)
}

func limit(d Day) int { return 3 }

func (p *Plan) first(n int) []Day { return nil }
""",
    "shop/chapter.php": "<?php\nclass ChapterController\n{\n    function move($request)\n    {\n"
    "        return $this->chapterRepo->move($request);\n    }\n}\n\n"
    "class Bulk\n{\n    function move($all)\n    {\n"
    "        $one = new ChapterController();\n        $one->move($all);\n    }\n}\n",
    "shop/ChapterRepo.php": "<?php\nclass ChapterRepo\n{\n    function move($request)\n    {\n"
    "        return 1;\n    }\n}\n",
    "ui/cart.component.ts": "export class Cart {\n  total = 1;\n}\n",
    "ui/cart.component.html": "<p></p>\n",
    "ui/cart.component.scss": "p { a: b; }\n",
    "ui/cart.component.spec.ts": "it('x', () => {});\n",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    with Workspace.open(tmp_path) as opened:
        yield opened


async def linked_to(workspace: Workspace, place: Citation, query: str) -> Exploration:
    scout = Scout(workspace)
    assert await scout.index()
    run = Exploration(query, "scout", "answered", "", (place,))
    return await anyio.to_thread.run_sync(linked, run, workspace, scout.locate)


async def links(
    workspace: Workspace, path: str, start: int, end: int, query: str = "q"
) -> tuple[Link, ...]:
    return (await linked_to(workspace, Citation(path, start, end), query)).citations[0].links


async def test_users_come_nearest_first_and_what_is_used_with_its_definition(
    workspace: Workspace,
) -> None:
    assert await links(workspace, "net/delays.py", 5, 7) == (
        Link("used by", "net/delays.py", 11, "local"),
        Link("used by", "net/client.py", 6, "Client.connect"),
        Link("used by", "tests/test_delays.py", 5, "test_growing"),
        Link("uses", "net/clip.py", 1, "clipped"),
        Link("uses", "net/delays.py", 2, "LIMIT"),
    )


async def test_a_member_of_a_subclass_that_merely_has_the_name_is_not_what_is_used(
    workspace: Workspace,
) -> None:
    found = await links(workspace, "jobs/retry.py", 5, 9)
    assert [each for each in found if each.relation == "uses"] == [
        Link("uses", "jobs/queue.py", 6, "drained"),
        Link("uses", "jobs/retry.py", 21, "Deadline.passed"),
        Link("uses", "jobs/retry.py", 20, "Deadline"),
    ]


async def test_a_method_is_not_used_by_a_strangers_own_method_of_that_name(
    workspace: Workspace,
) -> None:
    assert await links(workspace, "jobs/lamp.py", 2, 3) == (
        Link("used by", "jobs/lamp.py", 8, "Lantern.shine"),
    )


async def test_another_objects_method_of_the_same_name_is_used_and_uses(
    workspace: Workspace,
) -> None:
    assert await links(workspace, "shop/chapter.php", 4, 7) == (
        Link("used by", "shop/chapter.php", 15, "Bulk.move"),
        Link("uses", "shop/ChapterRepo.php", 4, "ChapterRepo.move"),
    )


async def test_what_is_used_is_a_place_if_the_question_shares_a_word_with_it(
    workspace: Workspace,
) -> None:
    for question, names in (("when is a queue drained?", ["drained"]), ("how is a job run?", [])):
        place = Citation("jobs/retry.py", 5, 9, chance=0.4)
        found = await linked_to(workspace, place, question)
        assert [each.name for each in found.further] == names
        assert [each.chance for each in found.further] == [0.2] * len(names)


async def test_called_functions_come_before_types_and_those_that_the_question_names_first(
    workspace: Workspace,
) -> None:
    found = await links(workspace, "jobs/plan.go", 6, 12)
    assert [each.name for each in found if each.relation == "uses"] == [
        "Plan.first",
        "limit",
        "Day",
    ]
    found = await links(workspace, "jobs/plan.go", 6, 12, "what is the limit of a plan?")
    assert [each.name for each in found if each.relation == "uses"] == [
        "limit",
        "Plan.first",
        "Day",
    ]


@pytest.mark.parametrize(
    ("path", "lines", "other"),
    [
        ("shapes/square.py", (5, 6), Link("same name", "shapes/base.py", 2, "Shape.area")),
        ("shapes/base.py", (2, 3), Link("same name", "shapes/square.py", 5, "Square.area")),
    ],
)
async def test_a_method_has_its_base_or_override_beside_it_and_no_stranger(
    workspace: Workspace, path: str, lines: tuple[int, int], other: Link
) -> None:
    found = await links(workspace, path, *lines)
    assert [each for each in found if each.relation == "same name"] == [other]


async def test_siblings_of_a_base_that_lacks_the_method_are_no_namesakes(
    workspace: Workspace,
) -> None:
    assert await links(workspace, "shapes/lines.py", 5, 6) == ()


async def test_a_component_has_its_template_and_style_beside_it(workspace: Workspace) -> None:
    found = await links(workspace, "ui/cart.component.ts", 1, 3)
    assert [(each.relation, each.path) for each in found] == [
        ("beside", "ui/cart.component.html"),
        ("beside", "ui/cart.component.scss"),
    ]
