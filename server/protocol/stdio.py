"""JSON-RPC over stdin and stdout, and nothing else on stdout, no matter what prints.

Descriptor 1 is moved aside before the first message and never put back, so that what a library,
a child or the interpreter itself writes there goes to stderr, even after serving has ended.
"""

import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server

from server.process import lifecycle


@dataclass(frozen=True, slots=True)
class Wire:
    """Private descriptors of the client's two pipes."""

    read_fd: int
    write_fd: int


def claim() -> Wire:
    """The client's pipes; from now on descriptor 0 is empty and descriptor 1 is stderr.

    Raises:
        OSError: stdin or stdout is closed.
    """
    wire = Wire(os.dup(0), os.dup(1))
    empty = os.open(os.devnull, os.O_RDWR)
    os.dup2(empty, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        # Started with stderr closed: what is printed is lost, but the wire stays clean.
        os.dup2(empty, 1)
    os.close(empty)
    return wire


@asynccontextmanager
async def streams(wire: Wire) -> AsyncIterator[tuple[Any, Any]]:
    """The SDK's read and write streams over the claimed pipes."""
    # closefd=False: a thread may still be reading when this ends, and if its descriptor were
    # reused, it would get the bytes of another file.
    reader = io.TextIOWrapper(
        os.fdopen(wire.read_fd, "rb", closefd=False), encoding="utf-8", errors="replace"
    )
    writer = io.TextIOWrapper(os.fdopen(wire.write_fd, "wb", closefd=False), encoding="utf-8")
    lines: Any = _lines(reader)
    async with stdio_server(lines, anyio.wrap_file(writer)) as pair:
        yield pair


async def _lines(reader: TextIO) -> AsyncIterator[str]:
    """The client's lines. Cancelling abandons the thread that waits for the next line.

    anyio's own file would wait for that thread, which only the client can end.
    """
    while line := await anyio.to_thread.run_sync(reader.readline, abandon_on_cancel=True):
        yield line
    # A client that has stopped reading, too, would block the writer and with it the end.
    lifecycle.leave_soon()
