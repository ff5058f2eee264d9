"""An OpenAI-compatible server on 127.0.0.1 that answers from a script, well or badly.

    async with FakeOpenAI([says("hello"), html()]) as server:
        HttpEngine(server.url)

Each chat completion request takes the next reply; the last one repeats. ``serving`` runs the same
server in a thread, for tests that are not async. Nothing sleeps: a reply that has to wait does so
for an event, or for the client to leave.
"""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

import anyio
import anyio.abc
import anyio.from_thread

Part = bytes | Callable[[], Awaitable[object]]

MODEL = "fake-model"
DONE = b"data: [DONE]\n\n"
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64},
}


@dataclass(frozen=True)
class Reply:
    """An answer: a status, headers, and parts that are sent one after the other.

    A part that is a function is awaited in its place. ``broken`` closes the connection after the
    parts without ending the body; ``hangs`` keeps it open until the client leaves; ``silent``
    sends not even a status before that.
    """

    parts: Sequence[Part] = ()
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False
    hangs: bool = False
    silent: bool = False
    raw: bool = False
    """Send the parts as they are, without status line, headers and chunking."""

    def with_parts(self, *parts: Part, at: int = 0) -> "Reply":
        """The reply with further parts before the one at a place."""
        return replace(self, parts=(*self.parts[:at], *parts, *self.parts[at:]))


@dataclass(frozen=True)
class Received:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Reply | Callable[[Received], Reply]


class FakeOpenAI:
    """The server. ``replies`` answer ``/chat/completions``, ``models`` answers ``/models``."""

    def __init__(
        self,
        replies: Sequence[Answer] = (),
        *,
        models: Reply | Sequence[str] = (MODEL,),
        prefix: str = "/v1",
        uds: str | None = None,
    ) -> None:
        self._replies = list(replies)
        self._models = models if isinstance(models, Reply) else model_list(*models)
        self._prefix = prefix
        self._uds = uds
        self.requests: list[Received] = []
        """Every request, in the order in which it came."""
        self.connections = 0
        self.clients_gone = 0
        """How often a client closed its connection before its reply was sent completely."""
        self.client_gone = anyio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """The endpoint to configure."""
        if self._uds:
            return f"unix://{self._uds}"
        return f"http://127.0.0.1:{self.port}{self._prefix}"

    @property
    def chats(self) -> list[Received]:
        """The chat completion requests."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    async def __aenter__(self) -> Self:
        self._running = self._run()
        await self._running.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._running.__aexit__(*exc)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        listener: anyio.abc.Listener[Any]
        if self._uds:
            listener = await anyio.create_unix_listener(self._uds)
        else:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
            self.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._handle)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def _handle(self, stream: anyio.abc.ByteStream) -> None:
        self.connections += 1
        async with stream:
            reader = _Reader(stream)
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while await self._serve_one(stream, reader):
                    pass

    async def _serve_one(self, stream: anyio.abc.ByteStream, reader: "_Reader") -> bool:
        request = await _receive(reader)
        self.requests.append(request)
        reply = self._reply_to(request)
        kept = False
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    while True:
                        await reader.more()
                self.clients_gone += 1
                self.client_gone.set()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            with suppress(anyio.BrokenResourceError):
                await _send(stream, reply)
                if not reply.hangs and not reply.silent:
                    kept = not reply.broken and not reply.raw
                    tasks.cancel_scope.cancel()
                else:
                    await anyio.sleep_forever()
        return kept

    def _reply_to(self, request: Received) -> Reply:
        if request.path == f"{self._prefix}/models":
            return self._models
        if request.path != f"{self._prefix}/chat/completions" or not self._replies:
            return json_reply({"detail": "Not Found"}, status=404)
        answer = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return answer if isinstance(answer, Reply) else answer(request)


class _Reader:
    """Buffers what the client sends, so that looking whether it left loses nothing."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def more(self) -> None:
        self._buffer += await self._stream.receive()

    async def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self.more()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def head(self) -> str:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self.more()
            if self._buffer.startswith(b"\x16"):
                raise anyio.EndOfStream  # A TLS handshake, which this server does not speak.
        return (await self.exactly(end + 4))[:-4].decode("latin-1")


async def _receive(reader: _Reader) -> Received:
    head = await reader.head()
    line, *fields = head.split("\r\n")
    method, path, _ = line.split(" ")
    pairs = (field.split(":", 1) for field in fields)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    body = await reader.exactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


async def _send(stream: anyio.abc.ByteStream, reply: Reply) -> None:
    if reply.silent:
        return
    if not reply.raw:
        head = {"Content-Type": reply.content_type, "Transfer-Encoding": "chunked", **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Fake", *(f"{key}: {head[key]}" for key in head)]
        await stream.send("\r\n".join([*lines, "", ""]).encode())
    for part in reply.parts:
        if not isinstance(part, bytes):
            await part()
        elif reply.raw:
            await stream.send(part)
        elif part:
            await stream.send(b"%x\r\n%s\r\n" % (len(part), part))
    if not (reply.raw or reply.broken or reply.hangs):
        await stream.send(b"0\r\n\r\n")


@contextmanager
def serving(replies: Sequence[Answer] = (), **options: Any) -> Iterator[FakeOpenAI]:
    """The same server in a thread, for tests that are not async or that start subprocesses."""
    with anyio.from_thread.start_blocking_portal() as portal:
        server = portal.call(lambda: FakeOpenAI(replies, **options))
        with portal.wrap_async_context_manager(server):
            yield server


def closed_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Replies.


def event(payload: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def chunk(
    delta: Mapping[str, Any] | None = None, *, reason: str | None = None, usage: Any = None
) -> bytes:
    """A chat completion chunk; without a delta and a reason it carries usage alone."""
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": reason}]
    payload: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": MODEL,
        "choices": choices if delta is not None or reason else [],
    }
    if usage is not None:
        payload["usage"] = usage
    return event(payload)


def says(text: str, *, chunk_chars: int = 7, reason: str = "stop", usage: Any = USAGE) -> Reply:
    """A stream that writes the text, in vLLM's form."""
    pieces = [text[at : at + chunk_chars] for at in range(0, len(text), chunk_chars)]
    return streams(*(chunk({"content": piece}) for piece in pieces), reason=reason, usage=usage)


def calls(
    *named: tuple[str, str], text: str = "", chunk_chars: int = 9, usage: Any = USAGE
) -> Reply:
    """A stream with calls parsed by the server: pairs of a name and the arguments' JSON text."""
    parts = [chunk({"content": text})] if text else []
    for index, (name, arguments) in enumerate(named):
        function = {"name": name, "arguments": ""}
        head = {"index": index, "id": f"call-{index}", "type": "function", "function": function}
        parts.append(chunk({"tool_calls": [head]}))
        for at in range(0, len(arguments), chunk_chars):
            function = {"arguments": arguments[at : at + chunk_chars]}
            parts.append(chunk({"tool_calls": [{"index": index, "function": function}]}))
    return streams(*parts, reason="tool_calls", usage=usage)


def streams(*parts: Part, reason: str | None = "stop", usage: Any = USAGE) -> Reply:
    """A stream of the parts between the usual beginning and end."""
    end = [chunk({}, reason=reason)] if reason else []
    counts = [chunk(usage=usage)] if usage is not None else []
    return Reply((chunk({"role": "assistant", "content": ""}), *parts, *end, *counts, DONE))


def whole(message: Mapping[str, Any], *, reason: str = "stop", usage: Any = USAGE) -> Reply:
    """A completion as one JSON object, as if no stream had been asked for."""
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return json_reply({"object": "chat.completion", "choices": [choice], "usage": usage})


def json_reply(payload: Any, *, status: int = 200, **headers: str) -> Reply:
    """Any JSON, with any status."""
    return Reply((json.dumps(payload).encode(),), status, "application/json", headers)


def error(status: int, message: str = "no", **headers: str) -> Reply:
    """An error body in vLLM's form."""
    body = {"error": {"message": message, "type": "BadRequestError", "code": status}}
    return json_reply(body, status=status, **headers)


def html(status: int = 200) -> Reply:
    """A page such as a proxy or a wrong port gives."""
    return Reply((b"<!DOCTYPE html>\n<html><body>Welcome</body></html>",), status, "text/html")


def hangs(*parts: Part) -> Reply:
    """Sends the parts, then nothing more until the client leaves."""
    return Reply(parts, hangs=True)


def silent() -> Reply:
    """Takes the request and never answers."""
    return Reply(silent=True)


def breaks(*parts: Part) -> Reply:
    """Sends the parts, then closes the connection in the middle of the body."""
    return Reply(parts, broken=True)


def refuses() -> Reply:
    """Closes the connection instead of answering."""
    return Reply(raw=True)


def model_list(*names: str, max_model_len: int | None = 131072) -> Reply:
    """The answer to ``/models``."""
    models = [{"id": name, "object": "model", "max_model_len": max_model_len} for name in names]
    return json_reply({"object": "list", "data": models})
