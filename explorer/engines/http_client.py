"""HTTP to one endpoint: every wait is bounded, every failure is an ``EngineError``.

It connects to the endpoint alone or, where that is not local, to the proxy that the environment
names (``HTTPS_PROXY`` and so on, with ``NO_PROXY``); loopback addresses and Unix sockets are never
reached through a proxy. TLS certificates are verified, redirects are not followed.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import httpx
from pydantic import SecretStr

from explorer.engines.endpoint import Endpoint
from explorer.engines.failures import FOREIGN, Failures
from explorer.errors import EngineError
from explorer.limits import Deadline

MAX_BODY_BYTES = 16 * 2**20
"""The most that is read of one answer. 2,048 tokens in chunks of 300 bytes are 0.6 MB."""

MAX_ERROR_BYTES = 64 * 2**10
"""The most that is read of an error's body; only its message is quoted."""

CLOSE_S = 2.0
"""How long closing may take; it closes sockets and waits for no answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each part of a request may take, in seconds; a run's own deadline may be sooner."""

    connect_s: float = 5.0
    """Connecting: loopback needs milliseconds, a server across the world less than a second."""
    first_s: float = 120.0
    """From connecting to the first byte of the answer's body: the queue, waking a sleeping engine,
    and the prefill of a long prompt on a slow machine."""
    read_s: float = 60.0
    """Between two pieces of an answer. Even a CPU writes several tokens a second; after a minute
    without one the engine is stuck."""
    total_s: float = 600.0
    """One completion with its retries: 2,048 tokens at 4 tokens/s, and some room."""


class _BearerAuth(httpx.Auth):
    """Adds the key only when a request is sent, so that no mapping of headers keeps it."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        yield request


class HttpClient:
    """Requests to one endpoint over connections that are kept open until ``close``."""

    def __init__(
        self,
        endpoint: Endpoint,
        api_key: SecretStr | None,
        failures: Failures,
        timeouts: Timeouts,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._endpoint = endpoint
        self._failures = failures
        self._timeouts = timeouts
        if transport is None and endpoint.uds:
            transport = httpx.AsyncHTTPTransport(uds=endpoint.uds, trust_env=False)
        self._client = httpx.AsyncClient(
            # Loading the certificate store takes 16 ms, and plain HTTP to this machine, without
            # proxies or redirects, never comes to TLS.
            verify=not endpoint.local or endpoint.base_url.startswith("https:"),
            transport=transport,
            trust_env=not endpoint.local,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=timeouts.connect_s),
            auth=_BearerAuth(api_key) if api_key else None,
            # Compression would hold events back until a block is full.
            headers={"User-Agent": "fastcontext-mcp", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection, even those with a request under way."""
        with anyio.move_on_after(CLOSE_S, shield=True):
            await self._client.aclose()

    @asynccontextmanager
    async def response(
        self, method: str, path: str, deadline: Deadline, body: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer to a request, with status 200 and an unread body; closed with the context.

        Raises:
            EngineError: no connection, no answer in time, or another status.
        """
        request = self._client.build_request(
            method,
            self._endpoint.base_url + path,
            content=body,
            headers={"Content-Type": "application/json"} if body is not None else None,
        )
        response = await self._bounded(
            lambda: self._client.send(request, stream=True),
            self._timeouts.connect_s + self._timeouts.first_s,
            "did not begin to answer",
            deadline,
        )
        try:
            if response.status_code != 200:
                raise self._failures.status(response, await self._error_body(response, deadline))
            yield response
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await response.aclose()

    async def chunks(
        self, response: httpx.Response, deadline: Deadline
    ) -> AsyncGenerator[bytes, None]:
        """The body's pieces as they arrive.

        Raises:
            EngineError: nothing came in time, the connection broke, or the body is too large.
        """
        limit_s, what = self._timeouts.first_s, "did not begin to answer"
        size = 0
        pieces = aiter(response.aiter_bytes())
        while piece := await self._bounded(lambda: anext(pieces, b""), limit_s, what, deadline):
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise self._failures.too_large(MAX_BODY_BYTES)
            yield piece
            limit_s, what = self._timeouts.read_s, "sent nothing more"

    async def body(self, response: httpx.Response, deadline: Deadline) -> bytes:
        """The whole body.

        Raises:
            EngineError: as in ``chunks``.
        """
        async with aclosing(self.chunks(response, deadline)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def _error_body(self, response: httpx.Response, deadline: Deadline) -> str:
        """As much of an error's body as comes: a failure to read it must not hide the status."""
        body = b""
        try:
            async with aclosing(aiter(response.aiter_bytes())) as pieces:  # type: ignore[type-var]
                while len(body) < MAX_ERROR_BYTES:
                    piece = await self._bounded(
                        lambda: anext(pieces, b""), self._timeouts.connect_s, "", deadline
                    )
                    if not piece:
                        break
                    body += piece
        except EngineError:
            pass
        return body[:MAX_ERROR_BYTES].decode("utf-8", "replace")

    async def _bounded(
        self,
        operation: Callable[[], Awaitable[T]],
        limit_s: float,
        what: str,
        deadline: Deadline,
    ) -> T:
        """What the operation returns, if that is before the limit and the deadline."""
        left_s = deadline.left_s
        if left_s <= limit_s:
            failure: EngineError = self._failures.timeout("did not finish", deadline.total_s)
        else:
            failure = self._failures.timeout(what, limit_s)
        try:
            with anyio.move_on_after(min(limit_s, left_s)):
                return await operation()
        except FOREIGN as error:
            failure = self._failures.foreign(error, "waiting for its answer")
        # Raised out here, without a foreign exception as context: its text may hold headers.
        raise failure
