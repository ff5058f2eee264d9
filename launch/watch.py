"""Changes of a directory tree as they settle, without looking into what is ignored.

Only the directories that the caller names are watched, each for itself: a build folder with
thousands of files costs nothing. One watch of the kernel's is used for each directory.
"""

import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path

import anyio
from anyio import to_thread
from watchfiles import Change, watch

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

    Ends when one of them is gone at the start, or when there are too many to watch: then the caller
    should look what there is and, if the root is still there, begin again.
    """
    if len(paths) > MAX_DIRECTORIES:
        return
    # Not awatch: when it is cancelled, it waits for its thread, which looks at nothing meanwhile.
    stop = threading.Event()
    changes = watch(
        *paths,
        watch_filter=None,
        debounce=max(LONGEST_MS, settle_ms),
        step=settle_ms,
        recursive=False,
        stop_event=stop,
        ignore_permission_denied=True,
        raise_interrupt=False,
    )
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


def _next(changes: Generator[set[tuple[Change, str]], None, None]) -> frozenset[str] | None:
    try:
        return frozenset(path for _, path in next(changes))
    except StopIteration:
        return None
    except (OSError, RuntimeError):
        # A path went away before it was watched, or the kernel grants no more watches.
        return None


def _watchers() -> anyio.CapacityLimiter:
    """Threads for watching alone: they wait for ever, and others must not wait for them."""
    return anyio.CapacityLimiter(1)
