"""The one place where whatever goes wrong with an endpoint becomes an ``EngineError``.

A message says what happened and then ``hint: what to do``. It never holds the API key, whether a
server's error body, a header or a library's exception repeats it. Foreign exceptions are neither
cause nor context of an ``EngineError``, because their texts may hold headers.
"""

import errno
import json
import re
import socket
import ssl

import anyio
import httpx
from pydantic import SecretStr

from explorer.engines.endpoint import Endpoint
from explorer.errors import EngineError, EngineRejected, EngineTimeout, EngineUnreachable

QUOTE_CHARS = 200
"""How much of a server's text is quoted: enough for a sentence, not for a page."""

RETRY_STATUSES = frozenset({429, 502, 503, 504})
"""The statuses by which a server, or a proxy before it, says "later"."""

FOREIGN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    OSError,
    EOFError,
    ValueError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What httpx, ssl, sockets, JSON and anyio raise. ``TimeoutError`` is an ``OSError``."""

_CONTROLS = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\u200b-\u200f\u202a-\u202e]+")
_BEARER = re.compile(r"(?i)\bbearer\s+[^\s'\"<>,;]+")
_MIN_KEY_CHARS = 4
"""A shorter key, such as the placeholder ``x``, is no secret; hiding it would garble the text."""

OPTIONAL_FIELDS = ("chat_template_kwargs", "top_k", "stream_options", "seed")
"""Fields of a request that a server may refuse; without them a completion is as good."""

TOOL_CHOICE = "tool_choice"
NO_TOOL_PARSER = "--tool-call-parser"
"""What vLLM (0.32) names when it is asked for parsed calls but was started without a parser. With
the tool choice ``none`` it still renders the schemas, and leaves the calls in the text."""


class StatusRejected(EngineRejected):
    """An HTTP status other than 200, with what decides whether the request is sent again."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        retry_after_s: float | None = None,
        named_fields: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message, status=status)
        self.retry_after_s = retry_after_s
        """How long the server asks to wait; None if it does not say."""
        self.named_fields = named_fields
        """The fields that its message names and that can be left out, or be ``none``."""

    @property
    def later(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in RETRY_STATUSES


class Failures:
    """Makes the errors of one endpoint."""

    def __init__(self, endpoint: Endpoint, api_key: SecretStr | None) -> None:
        self._endpoint = endpoint
        self._api_key = api_key
        self._engine = f"the engine at {endpoint.shown!r}"

    def quoted(self, text: str) -> str:
        """The text on one line without control characters and the key, at most 200 characters."""
        text = _CONTROLS.sub(" ", text).strip()
        key = self._api_key.get_secret_value() if self._api_key else ""
        if len(key) >= _MIN_KEY_CHARS:
            text = text.replace(key, "[API key]")
        text = _BEARER.sub("Bearer [API key]", text)
        return text if len(text) <= QUOTE_CHARS else text[: QUOTE_CHARS - 3] + "..."

    def timeout(self, what: str, limit_s: float) -> EngineTimeout:
        """The error for a limit that ran out; ``what`` is a clause such as ``sent nothing``."""
        return EngineTimeout(
            f"{self._engine} {what} within {limit_s:g} s; "
            "hint: see whether it is still loading or overloaded"
        )

    def foreign(self, error: Exception, doing: str) -> EngineError:
        """The error for a library's exception; ``doing`` is a phrase such as ``waiting``."""
        if isinstance(error, httpx.ConnectTimeout):
            return EngineTimeout(
                f"{self._engine} did not accept a connection in time; "
                "hint: check its host and port, and any firewall between"
            )
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return EngineTimeout(
                f"{self._engine} did not take the request in time; "
                "hint: see whether it is overloaded"
            )
        reason = self._reason(error)
        if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol):
            return EngineUnreachable(
                f"{self._engine} cannot be reached: {reason}; "
                "hint: start the engine, or correct the endpoint"
            )
        return EngineUnreachable(
            f"the connection to {self._engine} broke while {doing}: {reason}; "
            "hint: see the engine's log"
        )

    def _reason(self, error: Exception) -> str:
        """A clause that names the deepest known cause."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError):
                detail = getattr(cause, "verify_message", "") or cause.reason or "handshake failed"
                return f"TLS failed ({self.quoted(str(detail))})"
            if isinstance(cause, socket.gaierror):
                return "its host name is not known"
            if isinstance(cause, OSError) and cause.errno in _OS_REASONS:
                return _OS_REASONS[cause.errno]
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx.RemoteProtocolError):
            return f"it does not keep to HTTP ({self.quoted(str(error))})"
        return self.quoted(str(error)) or type(error).__name__

    def status(self, response: httpx.Response, body: str) -> StatusRejected:
        """The error for an HTTP status other than 200."""
        status = response.status_code
        said = self.quoted(_error_text(body))
        said = f": {said!r}" if said else ""
        if response.is_redirect:
            where = self.quoted(response.headers.get("location", ""))
            return StatusRejected(
                f"{self._engine} redirects to {where!r}, which is not followed; "
                "hint: set the endpoint to the final address",
                status=status,
            )
        message = f"{self._engine} answered with HTTP status {status}{said}; hint: "
        if status in RETRY_STATUSES:
            message += "it is busy or still loading, so try again later"
        else:
            message += self._status_hint(status)
        named = {name for name in OPTIONAL_FIELDS if status in (400, 422) and name in body}
        if status == 400 and NO_TOOL_PARSER in body:
            named.add(TOOL_CHOICE)
        return StatusRejected(
            message,
            status=status,
            retry_after_s=_retry_after_s(response.headers.get("retry-after", "")),
            named_fields=frozenset(named),
        )

    def _status_hint(self, status: int) -> str:
        if status in (401, 403):
            return "set the API key that this engine expects"
        if status == 404 and not self._endpoint.has_version:
            return f"the endpoint usually ends in /v1, as in {self._endpoint.base_url + '/v1'!r}"
        if status == 404:
            return "check the endpoint's path and the model's name"
        if status >= 500:
            return "see the engine's log"
        return "check that the endpoint is OpenAI-compatible and serves this model"

    def unexpected(self, body: str, due: str) -> EngineRejected:
        """The error for a body with status 200 that is not what was asked for."""
        kind = "an HTML page" if body.lstrip().startswith("<") else "something else"
        said = self.quoted(body)
        return EngineRejected(
            f"{self._engine} answered with {kind} where {due} was due: {said!r}; "
            "hint: the endpoint has to be an OpenAI-compatible API, usually ending in /v1"
        )

    def in_stream(self, message: str, code: int | None) -> EngineRejected:
        """The error for an error object inside a completion."""
        return EngineRejected(
            f"{self._engine} reported an error while answering: {self.quoted(message)!r}; "
            "hint: see the engine's log",
            status=code,
        )

    def cut_short(self, *, nothing: bool = False) -> EngineUnreachable:
        """The error for a stream that ends before the completion does; ``nothing``: at once.

        The server of llama-cpp-python (0.3.36) sends status 200 and an empty stream when the
        prompt is longer than its context.
        """
        if nothing:
            return EngineUnreachable(
                f"{self._engine} answered with status 200 and nothing else: "
                "its context may be too small for the prompt; "
                "hint: see its log, or raise its context"
            )
        return EngineUnreachable(
            f"{self._engine} ended the stream before the completion was finished; "
            "hint: see the engine's log"
        )

    def too_large(self, limit_bytes: int) -> EngineRejected:
        """The error for a body beyond every sensible size."""
        return EngineRejected(
            f"{self._engine} answered with more than {limit_bytes} bytes; "
            "hint: check that the endpoint is an OpenAI-compatible API"
        )

    def no_model(self) -> EngineRejected:
        """The error for an empty list of models."""
        return EngineRejected(f"{self._engine} lists no model; hint: name the model to ask for")


_OS_REASONS = {
    errno.ECONNREFUSED: "nothing listens there",
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "access to it is not permitted",
    errno.ECONNRESET: "the other side closed the connection",
    errno.EPIPE: "the other side closed the connection",
    errno.EHOSTUNREACH: "no route leads there",
    errno.ENETUNREACH: "no route leads there",
}


def _error_text(body: str) -> str:
    """The message in an error body of any known form, else the body itself."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(value, dict) and isinstance(value.get("error"), dict | str):
        value = value["error"]
    if isinstance(value, dict):
        for key in ("message", "detail"):
            if isinstance(value.get(key), str):
                return str(value[key])
    return value if isinstance(value, str) else body


def _retry_after_s(header: str) -> float | None:
    """The seconds in a Retry-After header; a date in it is not read."""
    header = header.strip()
    return float(header) if header.isascii() and header.isdigit() and len(header) < 7 else None
