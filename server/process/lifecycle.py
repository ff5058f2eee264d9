"""How a serving process ends: soon, and with everything that it started.

The SDK leaves three ends open, measured with 2.3.0: SIGTERM kills without cleanup, SIGINT hangs
until stdin closes because the thread that reads it cannot be interrupted, and a dead client whose
pipe another process still holds is never noticed. So the signals and the parent are watched here,
whatever runs is cancelled, and the process leaves without waiting for that thread.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio

logger = logging.getLogger(__name__)

CLEANUP_S = 1.5
"""Time for cancelled work to clean up. SDK clients send SIGTERM 2 s after closing stdin."""
# Noted when this is imported, which ``main.py`` does before the half second of other imports: a
# parent that dies in that time is noticed too.
_PARENT = os.getppid()
PARENT_POLL_S = 0.2
"""How often the parent is looked at; with ``CLEANUP_S`` it keeps the end within 2 s."""


def run_to_end(serve: Callable[[], Awaitable[None]], *, watch_parent: bool) -> NoReturn:
    """Never returns: runs ``serve`` until it ends or has to, then leaves the process.

    Exit status 0 after a requested end, 1 after a crash, which is logged.
    """
    status = 0
    try:
        anyio.run(_guarded, serve, watch_parent)
    except KeyboardInterrupt:
        # Before the signals were watched.
        logger.info("ending on SIGINT")
    except BaseException as error:
        # A client that went away while it was written to is an end like any other.
        if not _is_broken_pipe(error):
            logger.error("the server stopped on an error", exc_info=error)
            status = 1
    leave(status)


async def _guarded(serve: Callable[[], Awaitable[None]], watch_parent: bool) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_watch_signals, group.cancel_scope)
        if watch_parent:
            group.start_soon(_watch_parent, group.cancel_scope)
        try:
            await serve()
        finally:
            leave_soon()
            group.cancel_scope.cancel()


async def _watch_signals(scope: anyio.CancelScope) -> None:
    watched = [signal.SIGTERM, signal.SIGINT]
    # nohup sets SIGHUP to be ignored and means it.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        watched.append(signal.SIGHUP)
    with anyio.open_signal_receiver(*watched) as signals:
        async for number in signals:
            logger.info("ending on %s", signal.Signals(number).name)
            leave_soon()
            scope.cancel()


async def _watch_parent(scope: anyio.CancelScope) -> None:
    while os.getppid() == _PARENT:  # noqa: ASYNC110 - no system offers an event for this
        await anyio.sleep(PARENT_POLL_S)
    logger.info("ending because the parent process has ended")
    leave_soon()
    scope.cancel()


def leave_soon(status: int = 0) -> None:
    """Leave after ``CLEANUP_S`` even if some cleanup hangs."""
    timer = threading.Timer(CLEANUP_S, leave, (status,))
    timer.daemon = True
    timer.start()


def leave(status: int) -> NoReturn:
    """Leave the process now, with what was printed and without what was started."""
    if searches := sys.modules.get("explorer.repository.ripgrep"):
        searches.kill_all()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    # Not sys.exit: the interpreter would wait for the thread that is reading stdin.
    os._exit(status)


def _is_broken_pipe(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_broken_pipe(inner) for inner in error.exceptions)
    return isinstance(error, (BrokenPipeError, anyio.BrokenResourceError))
