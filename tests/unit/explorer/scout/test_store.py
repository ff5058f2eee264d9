import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from explorer.scout import store
from explorer.scout.rows import Stamp, build_rows
from tests.serving import ROOT


@pytest.fixture
def rows():
    return build_rows(
        [
            ("a.py", Stamp(1, 20, 3), b"def total(cart):\n    return cart\n"),
            ("b/ü.py", Stamp(2, 0, 4), b""),
        ]
    )


def same(one, other):
    return (
        one.paths == other.paths
        and np.array_equal(one.stamps, other.stamps)
        and np.array_equal(one.offsets, other.offsets)
        and np.array_equal(one.terms, other.terms)
        and np.array_equal(one.counts, other.counts)
        and np.array_equal(one.lengths, other.lengths)
        and np.array_equal(one.digests, other.digests)
    )


def test_what_was_saved_is_loaded(tmp_path, rows):
    path = tmp_path / "cache" / "x.index"

    assert store.save(path, rows)
    assert same(store.load(path), rows)


def test_the_cache_is_readable_by_the_user_alone(tmp_path, rows):
    path = tmp_path / "cache" / "x.index"
    store.save(path, rows)

    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0


def test_a_missing_file_is_no_index(tmp_path):
    assert store.load(tmp_path / "none.index") is None


@pytest.mark.parametrize("size", [0, 5, 20, 60, 200])
def test_a_file_cut_short_is_not_used(tmp_path, rows, size):
    path = tmp_path / "x.index"
    store.save(path, rows)
    path.write_bytes(path.read_bytes()[:size])

    assert store.load(path) is None


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path, rows):
    path = tmp_path / "x.index"
    store.save(path, rows)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        assert store.load(path) is None


def test_bytes_behind_the_end_are_noticed(tmp_path, rows):
    path = tmp_path / "x.index"
    store.save(path, rows)
    path.write_bytes(path.read_bytes() + b"more")

    assert store.load(path) is None


def test_an_index_of_another_version_is_not_used(tmp_path, rows, monkeypatch):
    path = tmp_path / "x.index"
    store.save(path, rows)
    monkeypatch.setattr(store, "version", lambda: 1)

    assert store.load(path) is None


def test_a_directory_that_cannot_be_written_is_no_failure(tmp_path, rows):
    (tmp_path / "file").write_text("in the way")

    assert not store.save(tmp_path / "file" / "x.index", rows)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no directories")
def test_a_read_only_file_system_is_no_failure(rows):
    assert not store.save(Path("/proc/fastcontext/x.index"), rows)
    assert store.load(Path("/proc/fastcontext/x.index")) is None


def test_a_disk_that_is_full_leaves_the_index_before_and_no_litter(tmp_path, rows):
    path = tmp_path / "x.index"
    store.save(path, rows)
    # A limit on the size of files ends a write as a full disk does, half way.
    code = (
        "import resource, sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from explorer.scout import store\n"
        "rows = store.load(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "sys.exit(store.save(Path(sys.argv[1]), replace(rows, paths=('c.py', 'd.py'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)

    assert done.returncode == 0
    assert same(store.load(path), rows)
    assert [each.name for each in tmp_path.iterdir()] == ["x.index"]


def test_what_a_killed_process_left_behind_is_removed_an_hour_later(tmp_path, rows):
    old, new = tmp_path / ".new-old", tmp_path / ".new-new"
    for litter in (old, new):
        litter.write_bytes(b"half")
    os.utime(old, (1, 1))
    store.save(tmp_path / "x.index", rows)

    assert not old.exists()
    assert new.exists()


def test_two_writers_leave_a_whole_index_and_no_litter(tmp_path, rows):
    path = tmp_path / "x.index"
    writers = [threading.Thread(target=store.save, args=(path, rows)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert same(store.load(path), rows)
    assert [each.name for each in tmp_path.iterdir()] == ["x.index"]


def test_only_so_many_indexes_are_kept(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(store, "MAX_KEPT", 2)
    for number in range(4):
        store.save(tmp_path / f"{number}.index", rows)

    assert len(list(tmp_path.glob("*.index"))) == 2


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "link to a device", "another user"])
def test_what_took_the_place_of_an_index_is_neither_waited_for_nor_followed(
    tmp_path, rows, kind, monkeypatch
):
    path = tmp_path / "x.index"
    store.save(path, rows)
    if kind == "another user":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    else:
        path.rename(tmp_path / "real")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "real")
    elif kind == "directory":
        path.mkdir()
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")

    assert store.load(path) is None
    monkeypatch.undo()
    if kind != "directory":
        assert store.save(path, rows)
        assert same(store.load(path), rows)
