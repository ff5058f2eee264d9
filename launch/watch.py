"""Changes in a directory tree, in batches, without looking into ignored directories.

Only the directories that the caller names are watched, not those below them: a build folder with
thousands of files costs nothing. Each directory uses one of the kernel's watches.
"""

import logging
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from functools import cache
from pathlib import Path

import anyio
from anyio import to_thread
from watchfiles import Change, watch

logger = logging.getLogger(__name__)

SETTLE_MS = 1_000
"""How long no further change may come before a batch is given: a branch switch is one batch."""
LONGEST_MS = 5_000
"""A tree that keeps changing gives a batch this often."""
MAX_DIRECTORIES = 50_000
"""More are not watched. Half of what newer versions of Linux allow a user by default."""


async def batches(
    paths: Sequence[Path], *, settle_ms: int = SETTLE_MS
) -> AsyncGenerator[frozenset[str], None]:
    """Paths of the changed files, one batch each time the watched paths have come to rest.

    Ends when one of the paths is gone at the start, or when the system refuses to watch so many,
    which is logged. Then the caller should look itself, and begin again if something changed.
    """
    if len(paths) > MAX_DIRECTORIES:
        return
    # Not awatch: when cancelled, it waits for its thread, which does not notice that meanwhile.
    stop = threading.Event()
    changes = _changes(paths, settle_ms, stop)
    try:
        while True:
            batch = await to_thread.run_sync(
                _next, changes, abandon_on_cancel=True, limiter=_watchers()
            )
            if batch is None:
                return
            yield batch
    finally:
        stop.set()


def _changes(
    paths: Sequence[Path], settle_ms: int, stop: threading.Event
) -> Generator[set[tuple[Change, str]], None, None]:
    for lenient in (False, True):
        try:
            # If lenient, it would also be silent about all paths beyond the system's limit.
            yield from watch(
                *paths,
                watch_filter=None,
                debounce=max(LONGEST_MS, settle_ms),
                step=settle_ms,
                recursive=False,
                stop_event=stop,
                ignore_permission_denied=lenient,
                raise_interrupt=False,
            )
            return
        except PermissionError:
            continue


def _next(changes: Generator[set[tuple[Change, str]], None, None]) -> frozenset[str] | None:
    try:
        return frozenset(path for _, path in next(changes))
    except (StopIteration, FileNotFoundError):
        # A path went away before it was watched.
        return None
    except (OSError, RuntimeError) as error:
        _warn(str(error).partition(" about ")[0].rstrip("."))
        return None


@cache
def _warn(problem: str) -> None:
    """Say it once: a caller that cannot watch tries again and again."""
    text = "changes are not noticed as they happen: %s; hint: raise fs.inotify.max_user_watches"
    logger.warning(text, problem)


def _watchers() -> anyio.CapacityLimiter:
    """Threads for watching only: they wait for ever, and nothing else may wait for them."""
    return anyio.CapacityLimiter(1)
