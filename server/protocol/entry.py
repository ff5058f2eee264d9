"""The server as every client starts it: over stdio, without a command line, and soon."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.protocol import deferred

if TYPE_CHECKING:
    from server.protocol.app import ExplorerServer


def is_asked_for(arguments: Sequence[str]) -> bool:
    """Whether a command line means stdio without options; an empty one does, unless typed."""
    if arguments:
        return list(arguments) == ["serve"]
    return sys.__stdin__ is not None and not sys.__stdin__.isatty()


def build(*, stdio: bool) -> "ExplorerServer":
    """The server without settings. With ``stdio`` it will serve nothing else in this process."""
    from server.process import lifecycle  # noqa: F401 - first, because it notes the parent
    from server.process.importing import lasting

    is_traced = "opentelemetry" in sys.modules
    with lasting():
        is_deferred = stdio and deferred.defer()
        from server.protocol.app import build_server

        with deferred.without_rich():
            made = build_server()
    if is_deferred and not is_traced:
        # Spans would go nowhere, since nothing has set up telemetry.
        made.middleware[:] = [each for each in made.middleware if not _traces(each)]
    return made


def _traces(middleware: object) -> bool:
    return type(middleware).__module__ == "mcp.server._otel"
