"""Streamable HTTP for clients that have the token, on the loopback interface by default."""

import hmac
import logging
import re
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer.engines.endpoint import is_loopback
from server.errors import UsageError
from server.process import lifecycle
from server.protocol.http_connections import (
    BACKLOG,
    BoundedConnection,
    Waiting,
    most_connections,
)
from server.settings import Settings

logger = logging.getLogger(__name__)

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8931
PATH = "/mcp"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_TOKEN_BYTES = 32
MAX_SESSIONS = 64
SESSION_IDLE_S = 600.0
"""A session without a request or an open stream ends after this time; its client begins anew."""
_GRACE_S = 1
"""Time for open streams to end, in whole seconds; ``lifecycle.CLEANUP_S`` comes after."""


def run_http(
    server: MCPServer, settings: Settings, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT
) -> NoReturn:
    """Serve until a signal comes, then leave the process. Port 0 takes a free one.

    Says on stderr where it listens, and the token if none was set.

    Raises:
        UsageError: the address cannot be used, or is not loopback and no token is set.
    """
    token = settings.http_token
    if token is None and not is_loopback(host):
        raise UsageError(
            f"will not listen on {host!r} without a token: others could reach it",
            "set FASTCONTEXT_HTTP_TOKEN, or listen on 127.0.0.1",
        )
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    shown = token is None
    token = token or SecretStr(secrets.token_urlsafe(_TOKEN_BYTES))
    _announce(host, port, token.get_secret_value() if shown else "<the token that is set>")
    app = http_app(server, settings, host, token)
    lifecycle.run_to_end(partial(_serve, app, listening), watch_parent=False)


def http_app(server: MCPServer, settings: Settings, host: str, token: SecretStr) -> ASGIApp:
    """The ASGI application: the token is checked first, then Host and Origin."""
    names = [*_LOOPBACK, *settings.http_hosts]
    if host not in ("0.0.0.0", "::", *names):
        names.append(f"[{host}]" if ":" in host else host)
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        # KnownNames checks Host and Origin: the SDK takes 127.0.0.1:1:evil.com for a loopback name.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        session_idle_timeout=SESSION_IDLE_S,
        max_sessions=MAX_SESSIONS,
        host=host,
    )
    return BearerToken(KnownNames(app, names), token)


class KnownNames:
    """ASGI middleware that lets a request pass only if Host and Origin are names of this server.

    That keeps out pages in a browser, as after DNS rebinding.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        host = rf"(?:{'|'.join(map(re.escape, names))})(?::\d{{1,5}})?"
        self._host = re.compile(host, re.IGNORECASE)
        self._origin = re.compile(rf"https?://{host}", re.IGNORECASE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403, or pass the request on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = None
            if not self._host.fullmatch(headers.get("host", "")):
                hint = "hint: FASTCONTEXT_HTTP_HOSTS lists further host names to serve"
                refusal = PlainTextResponse(f"unknown host name\n{hint}\n", 421)
            elif (origin := headers.get("origin")) and not self._origin.fullmatch(origin):
                refusal = PlainTextResponse("unknown origin\n", 403)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BearerToken:
    """ASGI middleware that lets a request pass only with ``Authorization: Bearer <token>``."""

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass the request on."""
        if scope["type"] == "http" and not self._allowed(Headers(scope=scope)):
            refusal = PlainTextResponse(
                "missing or wrong bearer token\n", 401, {"WWW-Authenticate": "Bearer"}
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        expected = self._token.get_secret_value().encode()
        # Headers are latin-1 on the wire; compare_digest takes the same time for any wrong token.
        right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), expected)
        return right and scheme.lower() == "bearer"


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, ``[v6]:PORT``, ``:PORT`` or ``PORT``.

    Raises:
        UsageError: the text has none of these forms.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or DEFAULT_HOST
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"{text!r} is not an address to listen on", "give HOST:PORT")
    return host, int(port)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        problem = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise UsageError(problem, "choose another port, or stop what uses this one") from None


def _announce(host: str, port: int, token: str) -> None:
    name = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"fastcontext serves MCP on http://{name}:{port}{PATH}\n")
    sys.stderr.write(f"clients send the header: Authorization: Bearer {token}\n")
    sys.stderr.flush()


class _Server(uvicorn.Server):
    """Leaves the signals to ``lifecycle``."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(app: ASGIApp, listening: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_S,
        http=partial(BoundedConnection, waiting=Waiting(most_connections())),  # type: ignore[arg-type]
        backlog=BACKLOG,
    )
    # It warns of each request that is none, which anybody can send.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = _Server(config)

    async def stop_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            server.should_exit = True

    async with anyio.create_task_group() as group:
        group.start_soon(stop_when_cancelled)
        # The connections and the SDK's sessions are separate tasks, which only the server's own
        # shutdown ends; a cancelled serve() would leave them running.
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=[listening])
        group.cancel_scope.cancel()
