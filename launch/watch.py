"""Changes of a directory tree as they settle, without looking into what is ignored.

Only the directories that the caller names are watched, each for itself: a build folder with
thousands of files costs nothing. One watch of the kernel's is used for each directory.
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
"""Without a further change before a batch is given; a branch switch comes as one batch."""
LONGEST_MS = 5_000
"""A tree that never comes to rest gives a batch this often."""
MAX_DIRECTORIES = 50_000
"""More are not watched: half of what Linux grants a user by default in its newer versions."""


async def batches(
    paths: Sequence[Path], *, settle_ms: int = SETTLE_MS
) -> AsyncGenerator[frozenset[str], None]:
    """Paths of the files that changed, a batch each time the watched paths have come to rest.

    Ends when one of them is gone at the start, or when the system refuses to watch so many, which
    is logged: then the caller should look what there is and, if that has changed, begin again.
    """
    if len(paths) > MAX_DIRECTORIES:
        return
    # Not awatch: when it is cancelled, it waits for its thread, which looks at nothing meanwhile.
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
            # Lenient, it would also say nothing of all paths beyond the system's limit.
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
    """Say it once: whoever cannot watch looks again and again."""
    text = "changes are not noticed as they happen: %s; hint: raise fs.inotify.max_user_watches"
    logger.warning(text, problem)


def _watchers() -> anyio.CapacityLimiter:
    """Threads for watching alone: they wait for ever, and others must not wait for them."""
    return anyio.CapacityLimiter(1)
