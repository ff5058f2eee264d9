import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.repository import documents
from explorer.repository.documents import Window, decode, read_window, split_lines
from explorer.repository.workspace import Workspace
from tests.tooling import bare_rg, write_tree


def window_of(path: Path, start: int, count: int, line_bytes: int = 4000) -> Window:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_window(descriptor, start, count, line_bytes)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"a",
        b"a\n",
        b"a\n\nb",
        b"a\r\nb\r\n",
        b"a\rb\n",
        b"form\x0cfeed\x0bv\x1c\x1d\x85\n",
        "line\u2028separator\u2029\u0085\n".encode(),
        b"invalid \xff\xfe\n\xc3\n",
    ],
)
def test_lines_are_counted_as_ripgrep_counts_them(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f.txt").write_bytes(data)
    out = bare_rg(tmp_path, "--count", "--include-zero", "-e", "^", "f.txt")
    assert len(split_lines(decode(data))) == int(out or "0")


def test_only_the_line_end_is_dropped() -> None:
    assert split_lines(decode(b"a\r\r\n  b \n\x0c\n")) == ("a\r", "  b ", "\x0c")


def test_marks_decide_the_encoding() -> None:
    assert decode("\ufeffé".encode()) == "é"
    assert decode("\ufeffé\n".encode("utf-16-le")) == "é\n"
    assert decode("\ufeffé\n".encode("utf-16-be")) == "é\n"


def test_what_cannot_be_decoded_is_replaced() -> None:
    assert decode(b"caf\xe9\0") == "caf\ufffd\ufffd"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.sampled_from([b"a", b"bb\xc3\xa9", b"\n", b"\r\n", b"\xff"])).map(b"".join),
    start=st.integers(1, 8),
    count=st.integers(1, 8),
    chunk=st.integers(1, 7),
)
def test_a_window_streams_the_lines_that_the_document_holds(
    tmp_path: Path, data: bytes, start: int, count: int, chunk: int
) -> None:
    (tmp_path / "f.txt").write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_CHUNK_BYTES", chunk)
        window = window_of(tmp_path / "f.txt", start, count)
    lines = split_lines(decode(data))
    assert window.lines == lines[start - 1 : start - 1 + count]
    assert window.total in (None, len(lines))
    if len(lines) < start:
        assert window.total == len(lines)


def test_a_window_cuts_lines_and_goes_on_behind_them(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_bytes(b"x" * 3_000_000 + b"\nsecond\n")
    window = window_of(tmp_path / "f.txt", 1, 5, line_bytes=10)
    assert [len(line) for line in window.lines] == [14, 6]
    assert window.lines[1] == "second"


def test_a_huge_file_is_read_in_windows_without_holding_it(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "huge", {"big.log": b"first\nsecond\n" + b"x" * 2_000_000})
    os.truncate(root / "big.log", 2 << 30)
    script = (
        "import resource, sys\n"
        "from explorer.repository.workspace import Workspace\n"
        "with Workspace.open(sys.argv[1]) as w:\n"
        "    print(w.window('big.log', 2, 1, line_bytes=9).lines[0])\n"
        "    print(len(w.read('big.log').lines))\n"
        # On Linux getrusage counts the parent's peak too, from before this program was loaded.
        "if sys.platform == 'linux':\n"
        "    peak = 1024 * int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "else:\n"
        "    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(peak < 200 << 20)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(root)],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["second", "2", "True"]


def test_a_document_too_large_says_that_it_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 10)
    write_tree(tmp_path, {"a.txt": "one\ntwo\nthree\n", "b.txt": "one\ntwo\n"})
    with Workspace.open(tmp_path) as workspace:
        assert workspace.read("a.txt").lines == ("one", "two")
        assert not workspace.read("a.txt").complete
        assert workspace.read("b.txt").complete


def test_binary_files_have_no_lines(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.bin": b"ELF\0\1\2", "late.txt": b"x" * 70_000 + b"\n\0\n"})
    with Workspace.open(tmp_path) as workspace:
        assert workspace.read("a.bin").binary
        assert workspace.read("a.bin").lines == ()
        assert workspace.read("late.txt").lines[1] == "\ufffd"


def test_a_document_is_cached_until_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    with Workspace.open(tmp_path) as workspace:
        first = workspace.read("a.txt")
        assert workspace.read("a.txt") is first
        path.write_text("two, longer\n")
        assert workspace.read("a.txt").lines == ("two, longer",)


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    real_read = os.read

    def read_and_append(descriptor: int, size: int) -> bytes:
        data = real_read(descriptor, size)
        if data:
            with path.open("a") as file:
                file.write("more\n")
        return data

    with Workspace.open(tmp_path) as workspace:
        assert workspace.is_visible("a.txt")
        with monkeypatch.context() as patch:
            patch.setattr(documents.os, "read", lambda d, s: read_and_append(d, min(s, 4)))
            # The file grows with each read: reading ends all the same, at the limit.
            patch.setattr(documents, "MAX_DOCUMENT_BYTES", 100)
            assert not workspace.read("a.txt").complete
        whole = workspace.read("a.txt")
        assert whole.complete
        assert len(whole.lines) == path.read_text().count("\n")


def test_the_cache_drops_what_was_used_longest_ago() -> None:
    cache = documents.DocumentCache(max_bytes=10)
    identity = (1, 2, 3, 4)
    for name in ("a", "b"):
        cache.put(documents.Document(name, (), size=5), identity)
    assert cache.get("a", identity)
    cache.put(documents.Document("c", (), size=5), identity)
    assert cache.get("b", identity) is None
    assert cache.get("a", identity)
    cache.put(documents.Document("huge", (), size=11), identity)
    assert cache.get("huge", identity) is None
