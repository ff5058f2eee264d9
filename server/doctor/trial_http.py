"""A server that a client reaches by its URL, greeted over streamable HTTP.

It is asked no question: it sees repositories of its own, not a tree that is made here.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

from explorer.engines.sse import SseDecoder
from server.doctor.trial import PROTOCOL, Trial, greet
from server.protocol.http_server import is_loopback


def try_url(url: str, headers: Mapping[str, str], *, timeout_s: float) -> Trial:
    """The outcome of greeting the server at ``url``; nothing else is sent to it."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return Trial(problem="its URL cannot be read")
    # A proxy that the environment names is for other machines.
    by_proxy = not is_loopback(host)
    return anyio.run(_within, url, headers, by_proxy, timeout_s)


async def _within(url: str, headers: Mapping[str, str], by_proxy: bool, timeout_s: float) -> Trial:
    with anyio.move_on_after(timeout_s):
        try:
            async with _talking(url, headers, by_proxy) as talk:
                started = time.monotonic()
                tools = await greet(talk)
                return Trial(tools, time.monotonic() - started, unasked="it is reached by its URL")
        except httpx.HTTPStatusError as error:
            return _refused(error.response)
        except (httpx.LocalProtocolError, UnicodeEncodeError):
            # The error's own text may hold the header, which may be a secret.
            return Trial(problem="a header of its entry cannot be sent")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Trial(problem=str(error) or type(error).__name__)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return Trial(problem=f"its answer is no MCP: {error}")
    return Trial(problem=f"no answer within {timeout_s:g} s")


def _refused(response: httpx.Response) -> Trial:
    said = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    if response.status_code in (401, 403):
        return Trial(problem=said, hint="correct the Authorization header in the client's file")
    return Trial(problem=said)


@asynccontextmanager
async def _talking(
    url: str, headers: Mapping[str, str], by_proxy: bool
) -> AsyncIterator["_Posted"]:
    accepted = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": PROTOCOL}
    # One limit holds for the whole of it, not one for each request.
    async with httpx.AsyncClient(
        headers={**headers, **accepted}, trust_env=by_proxy, timeout=None
    ) as client:
        talk = _Posted(client, url)
        try:
            yield talk
        finally:
            if talk.session:
                with suppress(httpx.HTTPError):
                    await client.delete(url, headers=talk.headers())


@dataclass(slots=True)
class _Posted:
    """JSON-RPC by requests. The server may give the conversation a name, to be repeated."""

    client: httpx.AsyncClient
    url: str
    session: str = ""
    number: int = 0

    def headers(self) -> dict[str, str]:
        return {"Mcp-Session-Id": self.session} if self.session else {}

    async def send(self, message: dict[str, Any]) -> None:
        async for _ in self._messages(message):
            pass

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a request; notifications before it are passed over."""
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        async for message in self._messages(request):
            if message.get("id") == self.number:
                if "error" in message:
                    raise ValueError(str(message["error"].get("message")))
                result: dict[str, Any] = message["result"]
                return result
        raise ValueError(f"no answer to {method!r}")

    async def _messages(self, message: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        body = {"jsonrpc": "2.0", **message}
        async with self.client.stream(
            "POST", self.url, json=body, headers=self.headers()
        ) as response:
            response.raise_for_status()
            self.session = response.headers.get("mcp-session-id", self.session)
            if "text/event-stream" not in response.headers.get("content-type", ""):
                if content := await response.aread():
                    yield json.loads(content)
                return
            decoder = SseDecoder()
            async for chunk in response.aiter_bytes():
                for event in decoder.feed(chunk):
                    if event:
                        yield json.loads(event)
