"""JSON-RPC over stdin and stdout, and nothing else on stdout, no matter what prints.

Descriptor 1 is moved aside before the first message and never put back, so that what a library,
a child or the interpreter itself writes there goes to stderr, even after serving has ended.
"""

import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError


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
    lines = _Lines(reader)
    stdin: Any = lines
    async with stdio_server(stdin, anyio.wrap_file(writer)) as (read, write):
        lines.answers = write
        yield read, write


class _Lines:
    """The client's lines, without those that the SDK would drop and never answer."""

    answers: Any = None
    """Where a line that is no message is answered."""

    def __init__(self, reader: TextIO) -> None:
        self._reader = reader

    async def __aiter__(self) -> AsyncIterator[str]:
        # anyio's own file would wait for the thread that reads, which only the client can end.
        readline = partial(anyio.to_thread.run_sync, self._reader.readline, abandon_on_cancel=True)
        while line := await readline():
            if "\\ud" in line.lower():
                line = _with_whole_characters(line)
            try:
                jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValidationError:
                if (error := _refusal(line)) is not None:
                    await self.answers.send(SessionMessage(error))
                continue
            yield line


def _with_whole_characters(line: str) -> str:
    """The line with ``?`` for half a surrogate pair: a text that was cut inside an emoji."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return line
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"


def _refusal(line: str) -> JSONRPCError | None:
    """The answer to a line that is no message; None to a response, a notification and a blank."""
    if not line.strip():
        return None
    error = ErrorData(code=PARSE_ERROR, message="the line is not JSON")
    number = None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return JSONRPCError(jsonrpc="2.0", id=None, error=error)
    if isinstance(message, dict):
        if {"result", "error"} & set(message) or ("method" in message and "id" not in message):
            return None
        given = message.get("id")
        number = given if isinstance(given, (str, int)) and not isinstance(given, bool) else None
    error = ErrorData(code=INVALID_REQUEST, message="the line is not a JSON-RPC 2.0 message")
    return JSONRPCError(jsonrpc="2.0", id=number, error=error)
