"""The engine client: streamed chat completions from any OpenAI-compatible server.

A request is sent again when the connection failed or the status says "later", but only while
nothing of its answer has been passed on: once an event was yielded, tools may be running because
of it, so the caller has to decide.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import anyio
import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from explorer.engines.completions import CompletionError, CompletionStream, CutShort, NotACompletion
from explorer.engines.endpoint import parse_endpoint
from explorer.engines.failures import TOOL_CHOICE, Failures, StatusRejected
from explorer.engines.http_client import CLOSE_S, HttpClient, Timeouts
from explorer.engines.protocol import EngineEvent, Request
from explorer.engines.sse import MAX_EVENT_BYTES, EventTooLarge
from explorer.errors import EngineError, EngineUnreachable
from explorer.limits import Deadline

__all__ = ["EngineState", "HttpEngine", "Timeouts"]

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""The most times that one request is sent while nothing of an answer has come."""

BACKOFF_S = 0.25
"""The wait before the second attempt; each further wait is twice as long."""

RETRY_AFTER_MAX_S = 5.0
"""The longest wait that a Retry-After header is granted: callers give the whole run 45 s."""

DRAIN_S = 0.05
"""The longest wait for the end of a finished stream, after which its connection can be used again.
Servers send the end together with the last event."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """Whether an engine answers."""

    ready: bool
    model: str
    """The model that requests will name; empty if none is known yet."""
    detail: str
    """One clause for people: what is served, or why nothing is."""
    context_tokens: int | None = None
    """The context window, if the server states it (vLLM's ``max_model_len``)."""


class _Model(BaseModel):
    id: str
    max_model_len: int | None = None


class _Models(BaseModel):
    data: list[_Model]


class HttpEngine:
    """Streams chat completions over HTTP. An async context manager that owns its connections."""

    def __init__(
        self,
        endpoint: str,
        model: str | None = None,
        api_key: SecretStr | None = None,
        *,
        timeouts: Timeouts | None = None,
        thinking: bool | None = False,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Prepare without connecting.

        Args:
            endpoint: what ``endpoint.parse_endpoint`` reads.
            model: the name to ask for; None or empty takes the first that the server lists.
            api_key: sent as a bearer token; appears in no log, error or repr.
            timeouts: the limits of each request.
            thinking: whether the chat template is to ask for thinking; None leaves it to the
                server. The FastContext models were trained without it (model card).
            transport: replaces the network, in tests.
            sleep: waits between attempts.

        Raises:
            ValueError: the endpoint cannot be read, or the key cannot stand in a header.
        """
        self._endpoint = parse_endpoint(endpoint)
        self._model = (model or "").strip()
        self._api_key = _checked_key(api_key)
        self._timeouts = timeouts or Timeouts()
        self._thinking = thinking
        self._transport = transport
        self._sleep = sleep
        self._failures = Failures(self._endpoint, self._api_key)
        self._refused: frozenset[str] = frozenset()
        self._client: HttpClient | None = None

    def __repr__(self) -> str:
        return f"HttpEngine({self._endpoint.shown!r}, {self._model!r})"

    async def __aenter__(self) -> Self:
        self._client = HttpClient(
            self._endpoint, self._api_key, self._failures, self._timeouts, self._transport
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        client, self._client = self._client, None
        if client:
            await client.close()

    @property
    def model(self) -> str:
        """The name that requests carry; empty until the server has been asked for one."""
        return self._model

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """Events of one completion, ending with exactly one ``Finished``.

        The request is sent when the first event is asked for; leaving the context closes it.

        Raises:
            EngineError: from iterating.
        """
        events = self._events(request)
        try:
            yield events
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await events.aclose()

    async def probe(self, timeout_s: float = 2.0) -> EngineState:
        """Whether the engine answers in time, and what it serves. Never raises an EngineError."""
        try:
            models = await self._list_models(Deadline(timeout_s))
        except EngineError as error:
            return EngineState(False, self._model, str(error))
        if not models and not self._model:
            return EngineState(False, "", str(self._failures.no_model()))
        name = self._model = self._model or models[0].id
        for model in models:
            if model.id == name:
                return EngineState(True, name, f"serves {name!r}", model.max_model_len)
        # Not an error: llama.cpp answers to any name, Ollama to one without its tag.
        listed = ", ".join(repr(model.id) for model in models[:3]) or "no model"
        return EngineState(True, name, f"lists {listed}, and is asked for {name!r}")

    async def _list_models(self, deadline: Deadline) -> list[_Model]:
        client = self._connected()
        async with client.response("GET", "/models", deadline) as response:
            body = await client.body(response, deadline)
        with suppress(ValidationError):
            return _Models.model_validate_json(body).data
        raise self._failures.unexpected(body.decode("utf-8", "replace"), "a list of models")

    def _connected(self) -> HttpClient:
        if self._client is None:
            raise RuntimeError("HttpEngine is used outside of its `async with` block")
        return self._client

    async def _events(self, request: Request) -> AsyncGenerator[EngineEvent, None]:
        """The completion's events, over as many attempts as are safe."""
        deadline = Deadline(self._timeouts.total_s)
        attempt = 1
        while True:
            passed_on = False
            try:
                async with aclosing(self._attempt(request, deadline)) as events:
                    async for event in events:
                        passed_on = True
                        yield event
                return
            except EngineError as error:
                if passed_on:
                    raise
                if refused := self._newly_refused(error):
                    logger.info("the engine refuses %s; asking without", ", ".join(sorted(refused)))
                    self._refused |= refused
                    continue
                delay_s = _retry_delay_s(error, attempt)
                if delay_s is None or delay_s > deadline.left_s:
                    raise
                logger.info("attempt %d failed, next in %g s: %s", attempt, delay_s, error)
            await self._sleep(delay_s)
            attempt += 1

    async def _attempt(
        self, request: Request, deadline: Deadline
    ) -> AsyncGenerator[EngineEvent, None]:
        client = self._connected()
        if not self._model:
            models = await self._list_models(deadline)
            if not models:
                raise self._failures.no_model()
            self._model = models[0].id
        body = _encoded(self._body(request))
        async with (
            client.response("POST", "/chat/completions", deadline, body) as response,
            aclosing(client.chunks(response, deadline)) as chunks,
            aclosing(self._read(chunks)) as events,
        ):
            async for event in events:
                yield event

    async def _read(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[EngineEvent, None]:
        stream = CompletionStream()
        failure: EngineError
        try:
            async for chunk in chunks:
                for event in stream.feed(chunk):
                    yield event
                if stream.done:
                    await _drain(chunks)
                    break
            for event in stream.close():
                yield event
            return
        except CompletionError as error:
            failure = self._failures.in_stream(str(error), error.code)
        except NotACompletion as error:
            failure = self._failures.unexpected(error.text, "a chat completion")
        except EventTooLarge:
            failure = self._failures.too_large(MAX_EVENT_BYTES)
        except CutShort:
            failure = self._failures.cut_short(nothing=stream.is_empty)
        raise failure

    def _body(self, request: Request) -> dict[str, Any]:
        """The request as JSON, without the fields that this server has refused.

        A server that parses no calls is sent the tools with the choice ``none``, and the model's
        calls are read from the text.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [dict(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            parsed = TOOL_CHOICE not in self._refused
            body |= {
                "tools": list(request.tools),
                TOOL_CHOICE: request.tool_choice if parsed else "none",
            }
        for name in ("temperature", "top_p", "top_k", "seed"):
            value = getattr(request.sampling, name)
            if value is not None:
                body[name] = value
        if self._thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": self._thinking}
        left_out = self._refused - {TOOL_CHOICE}
        return {key: value for key, value in body.items() if key not in left_out}

    def _newly_refused(self, error: EngineError) -> frozenset[str]:
        """The fields that the server named for the first time as unknown to it."""
        named = error.named_fields if isinstance(error, StatusRejected) else frozenset()
        return named - self._refused


def _checked_key(api_key: SecretStr | None) -> SecretStr | None:
    """The key without white space around it; None for an empty one."""
    key = api_key.get_secret_value().strip() if api_key else ""
    if any(not "!" <= char <= "~" for char in key):
        raise ValueError(
            "the API key holds characters that an HTTP header cannot carry; "
            "hint: copy it again, without line breaks"
        )
    return SecretStr(key) if key else None


def _encoded(body: dict[str, Any]) -> bytes:
    """The body as UTF-8; half a surrogate pair, which a file name can hold, becomes ``?``."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _retry_delay_s(error: EngineError, attempt: int) -> float | None:
    """How long to wait before the next attempt; None when the request is not sent again."""
    busy = isinstance(error, StatusRejected) and error.later
    if attempt >= ATTEMPTS or not (busy or isinstance(error, EngineUnreachable)):
        return None
    backoff_s = BACKOFF_S * 2.0 ** (attempt - 1)
    asked_s = error.retry_after_s if isinstance(error, StatusRejected) else None
    return backoff_s if asked_s is None else min(asked_s, RETRY_AFTER_MAX_S)


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read the end of a finished stream, if it has come."""
    with anyio.move_on_after(DRAIN_S):
        try:
            async for _ in chunks:
                pass
        except EngineError:
            pass  # The completion is complete; only its connection cannot be used again.
