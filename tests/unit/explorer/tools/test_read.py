from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.records import Span
from explorer.repository import workspace as workspace_module
from explorer.repository.ripgrep import RgHandle
from explorer.repository.workspace import Workspace
from explorer.tools import ToolBox, ToolLimits
from explorer.tools.arguments import ReadArguments
from explorer.tools.toolbox import read
from tests.tooling import run, write_tree

pytestmark = pytest.mark.anyio


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ToolBox]:
    root = write_tree(
        tmp_path / "project",
        {
            "five.py": "one\ntwo\r\nthree\n\nfive",
            "empty.py": "",
            "long.txt": "x" * 5_000_000,
            "many.txt": "".join(f"line {number}\n" for number in range(1, 3001)),
            "data.bin": b"\x7fELF\0\0",
            "latin.txt": b"caf\xe9\n",
            "fence.md": "```\n</tool_response>\n```\n",
            "src/a.py": "a\n",
            "src/deep/b.py": "b\n",
        },
    )
    with Workspace.open(root) as workspace:
        yield ToolBox(workspace)


def test_a_read_far_into_a_huge_file_ends_when_it_is_cancelled(box: ToolBox) -> None:
    path = box.workspace.root / "huge.log"
    with path.open("wb") as file:
        file.write(b"a line of log\n" * 20_000)
        file.truncate(1 << 40)
    handle = RgHandle()
    handle.kill()
    arguments = ReadArguments(path="huge.log", offset=10**9)
    result = read(box.workspace, arguments, ToolLimits(), 2_000, handle)
    assert result.text == "Line 1000000000 of /testbed/project/huge.log was not reached in 10 s."


async def test_a_file_is_a_fence_of_numbered_rows(box: ToolBox) -> None:
    result = await run(box, "Read", path="/testbed/project/five.py")
    assert result.text == (
        "```/testbed/project/five.py:1-5\n1|one\n2|two\n3|three\n4|\n5|five\n```"
    )
    assert result.ok
    assert result.observed == (Span("five.py", 1, 5),)
    assert not result.truncated


@pytest.mark.parametrize(
    ("arguments", "span"),
    [
        ({"offset": 2, "limit": 2}, (2, 3)),
        ({"offset": "4"}, (4, 5)),
        ({"offset": 0, "limit": 1}, (1, 1)),
        ({"offset": -7}, (1, 5)),
        ({"limit": 0}, (1, 5)),
        ({"limit": -1}, (1, 5)),
        ({"offset": 4, "limit": 100}, (4, 5)),
        ({"start_line": 2, "end_line": 4}, (2, 4)),
    ],
)
async def test_a_part_of_a_file_is_what_was_asked_for(
    box: ToolBox, arguments: dict[str, object], span: tuple[int, int]
) -> None:
    result = await run(box, "Read", path="five.py", **arguments)
    assert result.observed == (Span("five.py", *span),)
    assert result.text.startswith(f"```/testbed/project/five.py:{span[0]}-{span[1]}\n{span[0]}|")
    assert result.text.endswith("\n```")


async def test_an_offset_past_the_end_tells_the_length(box: ToolBox) -> None:
    result = await run(box, "Read", path="five.py", offset=9)
    assert result.text == "/testbed/project/five.py has only 5 lines; offset 9 lies past its end."
    assert not result.ok
    assert not result.observed


async def test_an_empty_file_says_so(box: ToolBox) -> None:
    assert (await run(box, "Read", path="empty.py")).text == "File is empty."


async def test_a_long_line_is_cut(box: ToolBox) -> None:
    result = await run(box, "Read", path="long.txt")
    assert result.text == f"```/testbed/project/long.txt:1-1\n1|{'x' * 1000}...\n```"


async def test_at_most_2000_lines_are_shown_and_the_rest_is_told(box: ToolBox) -> None:
    box.limits = ToolLimits(max_chars=1_000_000)
    result = await run(box, "Read", path="many.txt", limit=5000)
    assert result.observed == (Span("many.txt", 1, 2000),)
    assert result.text.splitlines()[-1] == ("... (lines 1-2000 of 3000; continue with offset 2001)")
    assert result.truncated


@pytest.mark.parametrize("room", [200, 201, 300, 1000, 5000])
async def test_what_does_not_fit_is_not_observed(box: ToolBox, room: int) -> None:
    result = await run(box, "Read", path="many.txt", max_chars=room)
    (span,) = result.observed
    rows = [line for line in result.text.splitlines() if "|" in line]
    assert len(result.text) <= room
    assert rows[0] == "1|line 1"
    assert rows[-1] == f"{span.end}|line {span.end}"
    assert len(rows) == span.end
    assert f"continue with offset {span.end + 1})" in result.text


@pytest.mark.parametrize("path", ["long.txt", "src", "five.py", "x" * 900])
async def test_no_observation_is_longer_than_its_room(box: ToolBox, path: str) -> None:
    assert len((await run(box, "Read", path=path, max_chars=1)).text) <= 200


async def test_a_directory_lists_its_entries(box: ToolBox) -> None:
    result = await run(box, "Read", path="/testbed/project/src")
    assert result.text == "/testbed/project/src is a directory:\na.py\ndeep/"
    assert result.ok


async def test_a_binary_file_is_one_sentence(box: ToolBox) -> None:
    result = await run(box, "Read", path="data.bin")
    assert result.text == "/testbed/project/data.bin is a binary file and is not shown."
    assert not result.ok


async def test_bytes_that_are_no_utf8_are_replaced(box: ToolBox) -> None:
    assert "1|caf\ufffd" in (await run(box, "Read", path="latin.txt")).text


async def test_a_fence_in_the_file_cannot_close_the_fence_around_it(box: ToolBox) -> None:
    text = (await run(box, "Read", path="fence.md")).text
    assert text.splitlines()[1:] == ["1|```", "2|</tool_response>", "3|```", "```"]


async def test_a_large_file_is_read_in_windows(
    box: ToolBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [
        await run(box, "Read", path="many.txt", offset=offset, limit=2)
        for offset in (1, 2999, 3000, 3001)
    ]
    monkeypatch.setattr(workspace_module, "MAX_DOCUMENT_BYTES", 100)
    streamed = [
        await run(box, "Read", path="many.txt", offset=offset, limit=2)
        for offset in (1, 2999, 3000, 3001)
    ]
    assert streamed == whole


async def test_a_name_that_takes_all_the_room_shows_nothing_and_observes_nothing(
    tmp_path: Path,
) -> None:
    path = "/".join(["d" * 60] * 5) + "/a.py"
    write_tree(tmp_path, {path: "first line\n"})
    with Workspace.open(tmp_path) as workspace:
        result = await run(ToolBox(workspace), "Read", path="a.py", max_chars=200)
    assert result.text == "There is no room left to show the file."
    assert (result.ok, result.observed) == (False, ())
