"""A server outlives the files that it was started from, which an upgrade replaces.

So what a question needs is imported before it can go away, and where something is missing all the
same, the answer says so.
"""

import importlib
import logging
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import server
from server.protocol import deferred

logger = logging.getLogger(__name__)

_WHOLE = ("explorer", "server.exploring")
"""Packages of which every module may be needed."""
_SINGLE = (
    "ctypes",
    "httpcore",
    "launch.errors",
    "launch.keeper.client",
    "launch.plan.planner",
    "launch.state",
    "launch.watch",
    "numpy.ma",
    "server.process.streams",
    "server.settings",
    "watchfiles",
)
_NEEDED_OF_THE_SDK = (
    "mcp.server.auth.middleware.auth_context",
    "mcp.shared._otel",
    "opentelemetry.trace",
)
"""What it uses when it asks a client for its roots."""
_ROOT = Path(str(server.__file__)).parents[1]


def preload() -> None:
    """Load what a question needs, whichever explorer answers it."""
    try:
        for package in map(importlib.import_module, _WHOLE):
            for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                importlib.import_module(found.name)
        for name in _SINGLE:
            importlib.import_module(name)
        deferred.load(_NEEDED_OF_THE_SDK)

        from explorer.scout.networks import load_weights

        load_weights()
    except (ImportError, OSError) as error:
        # The question will say it too, to someone who can do something about it.
        logger.info("not all is loaded that a question needs: %s", error)
    else:
        logger.info("all is loaded that a question needs")


def problem(error: BaseException) -> str:
    """What to tell about an error that a changed installation explains; else empty."""
    missing = next((each for each in _causes(error) if _is_missing(each)), None)
    is_changed = _stamp() != _AT_START
    if missing is None and not is_changed:
        return ""
    what = "changed while this server was running" if is_changed else "is not complete"
    detail = f" ({missing})" if missing else ""
    return (
        f"the installation of fastcontext-mcp {what}{detail}\n"
        "hint: restart the server: reconnect to it in the client, or restart the client"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        yield each
        waiting += [each.__cause__, each.__context__]
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()


def _is_missing(error: BaseException) -> bool:
    if isinstance(error, FileNotFoundError):
        return str(error.filename).startswith(f"{_ROOT}/")
    return isinstance(error, ImportError)


def _stamp() -> tuple[int, ...]:
    """What tells this installation from another one at the same place; empty if it is gone."""
    try:
        found = (_ROOT / "server" / "__init__.py").stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns


_AT_START = _stamp()
