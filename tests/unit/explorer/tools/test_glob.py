import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.repository.workspace import Workspace
from explorer.tools import ToolBox
from tests.tooling import run, write_tree

pytestmark = pytest.mark.anyio

FILES = ("a.py", "b.py", "src/c.py", "src/d.ts", "build/e.py", ".hidden.py", "key.pem")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ToolBox]:
    root = write_tree(tmp_path / "p", {**dict.fromkeys(FILES, "x"), ".gitignore": "build/\n"})
    for age, name in enumerate(FILES):
        os.utime(root / name, (1_000_000 - age, 1_000_000 - age))
    os.utime(root / "src/d.ts", (2_000_000, 2_000_000))
    os.utime(root / "b.py", (1_000_000, 1_000_000))
    with Workspace.open(root) as workspace:
        yield ToolBox(workspace)


async def lines(box: ToolBox, **named: object) -> list[str]:
    text = (await run(box, "Glob", **named)).text
    return [line.removeprefix("/testbed/p/") for line in text.splitlines()]


async def test_paths_come_newest_first_and_equals_by_path(box: ToolBox) -> None:
    assert await lines(box, pattern="**/*") == ["src/d.ts", "a.py", "b.py", "src/c.py"]


@pytest.mark.parametrize(
    "pattern", ["**/*", "*", "build/*", "build/**", ".*", "**/.*", "*.pem", "{build,src}/*", "!x"]
)
async def test_no_pattern_shows_what_is_ignored_hidden_or_secret(
    box: ToolBox, pattern: str
) -> None:
    assert not {"build/e.py", ".hidden.py", "key.pem"} & set(await lines(box, pattern=pattern))


async def test_braces_and_directories_narrow(box: ToolBox) -> None:
    assert await lines(box, pattern="**/*.{ts,js}") == ["src/d.ts"]
    assert await lines(box, pattern="*.py", directory="/testbed/p/src") == ["src/c.py"]
    assert await lines(box, pattern="/testbed/p/src/*.py") == ["src/c.py"]
    assert await lines(box, pattern=f"{box.workspace.root}/src/*.py") == ["src/c.py"]


async def test_nothing_found_is_said(box: ToolBox) -> None:
    result = await run(box, "Glob", pattern="*.rs")
    assert (result.text, result.ok) == ("No files found", True)


async def test_a_file_is_no_directory(box: ToolBox) -> None:
    result = await run(box, "Glob", pattern="*", directory="a.py")
    assert result.text == "/testbed/p/a.py is a file; directory must name a directory."
    assert not result.ok


async def test_a_pattern_that_climbs_out_is_refused(box: ToolBox) -> None:
    for pattern in ("../*", "src/../../*", "/testbed/p/../../**"):
        result = await run(box, "Glob", pattern=pattern)
        assert not result.ok
        assert "outside the workspace" in result.text
    assert await lines(box, pattern="src/../*.ts") == ["src/d.ts"]


async def test_many_paths_are_cut_and_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"f{number:03}.py": "" for number in range(150)})
    with Workspace.open(tmp_path, name="p") as workspace:
        box = ToolBox(workspace)
        result = await run(box, "Glob", pattern="*.py")
        short = await run(box, "Glob", pattern="*.py", max_chars=400)
    assert len(result.text.splitlines()) == 101
    assert result.text.endswith("... (100 of 150 files shown, newest first; narrow the pattern)")
    assert result.truncated
    assert len(short.text) <= 400
    assert "of 150 files shown" in short.text


async def test_a_file_removed_since_the_listing_is_left_out(box: ToolBox) -> None:
    await box.workspace.files()
    (box.workspace.root / "a.py").unlink()
    assert await lines(box, pattern="a.py") == ["No files found"]
