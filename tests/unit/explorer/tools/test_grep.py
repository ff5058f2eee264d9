import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.records import Span
from explorer.repository import ripgrep
from explorer.repository.paths import PathProblem
from explorer.repository.ripgrep import RgHandle
from explorer.repository.workspace import Workspace
from explorer.tools import ToolBox, ToolLimits
from explorer.tools import grep as grep_module
from explorer.tools.arguments import GrepArguments
from explorer.tools.rg_search import Collector, rows_of
from tests.tooling import bare_rg, run, without_root, write_tree

pytestmark = pytest.mark.anyio

SOURCE = "import os\n\n\ndef load(path):\n    return os.stat(path)\n\n\n\ndef save():\n    pass\n"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ToolBox]:
    root = write_tree(
        tmp_path / "p",
        {
            "src/io.py": SOURCE,
            "src/dos.py": "def load():\r\n    pass\r\n",
            "src/app.ts": "function load() {}\n",
            "src/view.tsx": "load\n",
            "a.b/load.txt": "def load me\n",
            "a/load.txt": "def load me\n",
            "web/min.js": "x" * 5_000_000 + "needle\n",
            "odd.txt": "foo(bar\na|b\n->next\n--pre\n",
            "bin.dat": b"load\0\n",
            "latin.txt": b"caf\xe9 load\n",
        },
    )
    with Workspace.open(root) as workspace:
        yield ToolBox(workspace)


async def text_of(box: ToolBox, **named: object) -> str:
    return (await run(box, "Grep", **named)).text


async def test_content_has_headings_rows_context_and_gaps(box: ToolBox) -> None:
    result = await run(box, "Grep", pattern=r"^def \w+\(", path="src", glob="*.py", _C=1)
    assert result.text == (
        "/testbed/p/src/dos.py\n1:def load():\n2-    pass\n\n"
        "/testbed/p/src/io.py\n3-\n4:def load(path):\n5-    return os.stat(path)\n"
        "--\n8-\n9:def save():\n10-    pass"
    )
    assert result.observed == (
        Span("src/dos.py", 1, 2),
        Span("src/io.py", 3, 5),
        Span("src/io.py", 8, 10),
    )


async def test_the_form_is_ripgreps_own(box: ToolBox) -> None:
    bare = bare_rg(box.workspace.root, "--heading", "-n", "--sort=path", "-A2", "load", "src/")
    ours = await text_of(box, pattern="load", path="src", _A=2)
    assert ours.replace("/testbed/p/", "") == bare.replace("\r", "").rstrip("\n")


async def test_files_are_sorted_part_by_part_as_ripgrep_sorts(box: ToolBox) -> None:
    text = await text_of(box, pattern="load me", output_mode="files_with_matches")
    assert text.splitlines() == ["/testbed/p/a/load.txt", "/testbed/p/a.b/load.txt"]


async def test_counts_stand_behind_paths(box: ToolBox) -> None:
    text = await text_of(box, pattern="def", path="src", output_mode="count")
    assert text.splitlines() == ["/testbed/p/src/dos.py:1", "/testbed/p/src/io.py:2"]


async def test_numbers_can_be_left_out_and_lines_are_observed_all_the_same(box: ToolBox) -> None:
    result = await run(box, "Grep", pattern="def save", _A=1, _n=False)
    assert result.text == "/testbed/p/src/io.py\ndef save():\n    pass"
    assert result.observed == (Span("src/io.py", 9, 10),)


async def test_case_can_be_ignored(box: ToolBox) -> None:
    assert await text_of(box, pattern="DEF SAVE") == "No matches found"
    assert "9:def save" in await text_of(box, pattern="DEF SAVE", _i="true")


async def test_a_match_may_span_lines(box: ToolBox) -> None:
    text = await text_of(box, pattern=r"def save.*?pass", multiline=True)
    assert text == "/testbed/p/src/io.py\n9:def save():\n10-    pass".replace("10-", "10:")


async def test_a_newline_in_the_pattern_means_multiline(box: ToolBox) -> None:
    assert "9:def save" in await text_of(box, pattern=r"save\(\):\n\s+pass")


async def test_a_line_end_matches_before_a_carriage_return(box: ToolBox) -> None:
    assert "1:def load():" in await text_of(box, pattern=r"\(\):$", path="src/dos.py")


@pytest.mark.parametrize(
    ("kind", "name"), [("ts", "app.ts"), ("tsx", "view.tsx"), (".py", "io.py")]
)
async def test_a_type_may_be_ripgreps_or_an_extension(box: ToolBox, kind: str, name: str) -> None:
    assert name in await text_of(box, pattern="load", type=kind)


async def test_a_type_that_cannot_be_is_said(box: ToolBox) -> None:
    result = await run(box, "Grep", pattern="load", type="no such")
    assert not result.ok
    assert "unrecognized file type: no such" in result.text


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("*.ts", {"src/app.ts"}),
        ("src/*.py", {"src/dos.py", "src/io.py"}),
        ("**/*.{ts,tsx}", {"src/app.ts", "src/view.tsx"}),
        (["*.ts", "*.tsx"], {"src/app.ts", "src/view.tsx"}),
        ("!src/**", {"a/load.txt", "a.b/load.txt", "latin.txt"}),
        ("/testbed/p/src/*.ts", {"src/app.ts"}),
        ("*.rs", set()),
    ],
)
async def test_a_glob_narrows(box: ToolBox, glob: object, names: set[str]) -> None:
    text = await text_of(box, pattern="load", glob=glob, output_mode="files_with_matches")
    paths = {line.removeprefix("/testbed/p/") for line in text.splitlines()}
    assert paths - {"No matches found"} == names


async def test_a_glob_and_a_type_both_count(box: ToolBox) -> None:
    text = await text_of(box, pattern="load", glob="src/d*", type="py")
    assert text.splitlines()[0] == "/testbed/p/src/dos.py"
    assert "io.py" not in text


async def test_a_glob_in_the_path_is_understood(box: ToolBox) -> None:
    assert "src/app.ts" in await text_of(box, pattern="load", path="src/**/*.ts")


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_head_limit_counts_lines(box: ToolBox, limit: int) -> None:
    result = await run(box, "Grep", pattern="def", head_limit=limit)
    rows = [line for line in result.text.splitlines() if line[:1].isdigit()]
    assert len(rows) == limit
    assert sum(span.end - span.start + 1 for span in result.observed) == limit
    assert result.text.endswith(f"... ({limit} of 5 lines shown; narrow pattern, path or glob)")


async def test_a_head_limit_counts_entries_in_the_other_modes(box: ToolBox) -> None:
    text = await text_of(box, pattern="load", output_mode="count", head_limit=2)
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize("pattern", ["needle", "x"])
async def test_a_line_of_5_megabytes_is_cut(box: ToolBox, pattern: str) -> None:
    text = await text_of(box, pattern=pattern, path="web/min.js")
    assert text == f"/testbed/p/web/min.js\n1:{'x' * 400}..."


@pytest.mark.parametrize("path", ["", "bin.dat"])
async def test_binary_files_are_not_searched(box: ToolBox, path: str) -> None:
    assert "bin.dat\n" not in await text_of(box, pattern="load", path=path)


async def test_bytes_that_are_no_utf8_are_replaced(box: ToolBox) -> None:
    assert "1:caf\ufffd load" in await text_of(box, pattern="load", path="latin.txt")


async def test_nothing_found_is_said(box: ToolBox) -> None:
    result = await run(box, "Grep", pattern="absent_from_here")
    assert (result.text, result.ok, result.observed) == ("No matches found", True, ())


async def test_a_pattern_that_is_only_text_is_searched_as_text(box: ToolBox) -> None:
    result = await run(box, "Grep", pattern="foo(")
    assert result.ok
    assert result.text == (
        "/testbed/p/odd.txt\n1:foo(bar\n"
        "('foo(' is not a regular expression: unclosed group; searched for as text)"
    )


async def test_what_ripgrep_cannot_express_is_one_sentence(box: ToolBox) -> None:
    result = await run(box, "Grep", pattern="(?<=def )load")
    assert result.text == (
        "Grep cannot search for '(?<=def )load': look-around, including look-ahead and "
        "look-behind, is not supported."
    )
    assert not result.ok


async def test_alternatives_in_the_old_style_get_a_hint(box: ToolBox) -> None:
    text = await text_of(box, pattern=r"absent\|missing")
    assert text.splitlines()[0] == "No matches found"
    assert "a|b" in text


async def test_more_than_fits_is_cut_in_order_of_paths(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"d{n % 7}/f{n:03}.py": "match\n" * 50 for n in range(200)})
    with Workspace.open(tmp_path, name="p") as workspace:
        box = ToolBox(workspace)
        result = await run(box, "Grep", pattern="match", max_chars=2000)
    assert len(result.text) <= 2000
    assert result.text.startswith("/testbed/p/d0/f000.py\n1:match\n")
    assert result.text.endswith(" of 10000 lines shown; narrow pattern, path or glob)")
    assert {span.path for span in result.observed} <= {f"d0/f{n:03}.py" for n in range(0, 200, 7)}
    assert result.truncated


async def test_output_beyond_the_buffer_is_cut_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, {f"d{n % 7}/f{n:03}.py": "match\n" * 50 for n in range(200)})
    with Workspace.open(tmp_path, name="p") as workspace:
        box = ToolBox(workspace)
        whole = await run(box, "Grep", pattern="match", max_chars=2000)
        monkeypatch.setattr(grep_module, "_PARALLEL_BYTES", 10_000)
        results = [await run(box, "Grep", pattern="match", max_chars=2000) for _ in range(3)]
    for result in results:
        assert result.text.splitlines()[:-1] == whole.text.splitlines()[:-1]
        assert result.observed == whole.observed
        assert "... (first " in result.text


async def test_a_search_that_takes_too_long_says_so(
    box: ToolBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.limits = ToolLimits(timeout_s=0.0)
    text = await text_of(box, pattern="load")
    assert "stopped after 0 s" in text


async def test_a_file_that_cannot_be_read_does_not_hide_the_others(box: ToolBox) -> None:
    (box.workspace.root / "src/gone.py").symlink_to("nowhere")
    (box.workspace.root / "locked").mkdir(mode=0)
    try:
        result = await run(box, "Grep", pattern="def save")
    finally:
        (box.workspace.root / "locked").chmod(0o700)
    assert result.ok
    assert "9:def save" in result.text


async def test_a_directory_that_may_not_be_entered_is_a_problem_of_its_own(box: ToolBox) -> None:
    workspace = box.workspace
    await workspace.files()
    (workspace.root / "a").chmod(0o444)
    arguments = GrepArguments(pattern="load", path="a")
    with without_root(), pytest.raises(PathProblem, match="permission denied"):
        grep_module.grep(workspace, arguments, ToolLimits(), 2_000, RgHandle())
    (workspace.root / "a").chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
async def test_a_line_too_long_for_memory_ends_the_search_but_not_what_was_found(
    tmp_path: Path,
) -> None:
    root = write_tree(tmp_path / "huge", {"a.txt": "needle = 1\n" * 20_000, "b.txt": "needle\n"})
    with (root / "a.txt").open("r+b") as file:
        file.truncate(1 << 30)
    with Workspace.open(root) as workspace:
        box = ToolBox(workspace)
        found = await run(box, "Grep", pattern="needle", path="a.txt", head_limit=1)
        missed = await run(box, "Grep", pattern="absent", path="a.txt")
        assert "1:needle = 1" in found.text
        for result in (found, missed):
            assert result.truncated
            assert result.text.endswith(
                "... (ripgrep ran out of memory, as on a huge line: incomplete)"
            )


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
async def test_a_search_that_runs_out_of_memory_goes_on_without_large_files(
    box: ToolBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(box.workspace.root, {"large.txt": "load" * (5 << 20)})
    monkeypatch.setattr(ripgrep, "MAX_MEMORY_BYTES", 48 << 20)
    result = await run(box, "Grep", pattern="load", output_mode="files_with_matches")
    assert "(ripgrep ran out of memory: files larger than 2MiB were left out)" in result.text
    assert "/testbed/p/src/io.py" in result.text


def feed(output: bytes, mode: str, wanted: set[str], size: int) -> dict[str, bytes]:
    def path_of(raw: bytes) -> str | None:
        return raw.decode() if raw.decode() in wanted else None

    collector = Collector(mode, path_of, 10_000)  # type: ignore[arg-type]
    for start in range(0, len(output), size):
        collector(output[start : start + size])
    collector.close()
    return collector.parts


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_output_may_arrive_in_any_pieces(size: int, end: bytes) -> None:
    content = (
        b"a\x001:x\n2-\n" + end + b"b\n\nc\x007:never\n" + end + b"d\x003:y\n--" + end + b"9:z\n"
    )
    parts = feed(content, "content", {"a", "d"}, size)
    assert {path: [row.number for row in rows_of(part)] for path, part in parts.items()} == {
        "a": [1, 2],
        "d": [3, 0, 9],
    }
    assert feed(b"a\x0012" + end + b"b\x003" + end, "count", {"a", "b"}, size) == {
        "a": b"12",
        "b": b"3",
    }
    assert set(feed(b"a\0b\0c\0", "files_with_matches", {"a", "c"}, size)) == {"a", "c"}


def test_what_is_not_wanted_takes_no_memory() -> None:
    collector = Collector("content", lambda _: None, 1_000)
    assert collector(b"big\0")
    assert all(collector(b"1:" + b"x" * 100_000 + b"\n") for _ in range(20))
    collector.close()
    assert collector.parts == {}


def test_a_part_cut_off_ends_with_a_whole_line() -> None:
    collector = Collector("content", lambda raw: raw.decode(), 10)
    assert not collector(b"a\x001:one\n2:two\n3:thr")
    collector.close()
    assert collector.parts == {"a": b"1:one\n2:two"}


async def test_text_in_utf16_has_the_same_lines_in_grep_and_read(box: ToolBox) -> None:
    write_tree(box.workspace.root, {"wide.txt": "\ufeffone\r\ntwo é\n".encode("utf-16-le")})
    for path in ("", "wide.txt"):
        assert "2:two é" in await text_of(box, pattern="two é", path=path)
    assert "2|two é" in (await run(box, "Read", path="wide.txt")).text
