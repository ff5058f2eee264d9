"""The process between keeper and vLLM: whichever of them ends, no process of vLLM stays behind.

It starts the command as its only child and holds one end of a pipe whose other end the keeper
holds. When the pipe closes, the keeper has asked for the end or was killed. Then, and when vLLM's
first process ends for any reason, every descendant is ended; orphans come here because this process
is their subreaper. When the guard itself is killed, the system kills vLLM's first process, and the
other processes go to the keeper, which ends them. Exit status: the command's, or 128 + the number
of the signal that killed it.
"""

import contextlib
import os
import select
import signal
import sys
import time
from typing import NoReturn

from launch import process

CANNOT_RUN = 127


def main(arguments: list[str]) -> NoReturn:
    """Guard the command of ``GRACE_S COMMAND...``. Never returns."""
    grace_s, command = float(arguments[0]), arguments[1:]
    process.adopt_orphans()
    wake = _wake_on_signals()
    child = _start(command)
    status = None
    ending_at = 0.0
    while status is None:
        wait_s = max(0.0, ending_at - time.monotonic()) if ending_at else None
        # Once stdin has closed it stays readable, so it is left out.
        sources = [wake] if ending_at else [wake, 0]
        ready, _, _ = select.select(sources, [], [], wait_s)
        stop = 0 in ready and not os.read(0, 64)
        if wake in ready and _asked_to_end(wake):
            stop = True
        if stop and not ending_at:
            ending_at = time.monotonic() + grace_s
            process.kill([child], signal.SIGTERM)
        status = _reap(child)
        if status is None and ending_at and time.monotonic() >= ending_at:
            process.kill([child])
            ending_at = time.monotonic() + grace_s
    _end_all()
    os._exit(status)


def _start(command: list[str]) -> int:
    child = os.fork()
    if child:
        return child
    # From here on this is the child, which becomes the command.
    guard = os.getppid()
    process.die_with_parent()
    if os.getppid() != guard:
        os._exit(CANNOT_RUN)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]!r}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(CANNOT_RUN)


def _wake_on_signals() -> int:
    """A file descriptor on which the number of each signal arrives as a byte."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return readable


def _asked_to_end(wake: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        return any(number != signal.SIGCHLD for number in os.read(wake, 512))
    return False


def _reap(child: int) -> int | None:
    """The child's exit status once it has ended; also reaps adopted orphans."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, raw = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(raw)
                status = code if code >= 0 else 128 - code
    return status


def _end_all() -> None:
    """Kill descendants until none is left; the process group where there is no /proc."""
    for _ in range(500):
        left = process.descendants(os.getpid())
        if not left:
            break
        process.kill(left)
        time.sleep(0.01)
        _reap(-1)
    if not process.LINUX:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(os.getpgrp(), signal.SIGTERM)
