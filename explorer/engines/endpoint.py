"""The address of an engine: an OpenAI-compatible base URL, or a Unix socket that serves one."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

FORMS = "http://127.0.0.1:30000/v1, https://HOST/v1 or unix:///PATH/TO/SOCKET"
"""The forms of an endpoint, for hints."""

_API_PATHS = ("/chat/completions", "/completions", "/models")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked endpoint."""

    base_url: str
    """Without a slash at its end; ``/models`` and ``/chat/completions`` are appended to it."""
    uds: str | None
    """The path of the Unix socket, if it is one."""
    shown: str
    """The form for messages; never holds a secret."""
    local: bool
    """True for loopback addresses, ``localhost`` and Unix sockets."""

    @property
    def has_version(self) -> bool:
        """Whether the path ends in a version such as ``/v1``, as with most servers."""
        last = self.base_url.rpartition("/")[2]
        return last[:1] == "v" and last[1:2].isdigit()


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that the text names.

    Accepted are ``http://`` and ``https://`` URLs up to and including ``/v1`` (a path behind it,
    such as ``/chat/completions``, is removed), ``unix:///path`` and ``http+unix://%2Fpath/v1``; the
    API of a Unix socket named without one has the path ``/v1``.

    Raises:
        ValueError: anything else, or a URL with a user name or password. The message does not
            repeat a URL that may hold a secret.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"the endpoint is not a URL; hint: write {FORMS}") from None
    if "@" in parts.netloc:
        raise ValueError(
            "the endpoint's URL holds a user name or password; hint: leave it out of the URL and "
            "set the API key instead"
        )
    if parts.query or parts.fragment:
        raise ValueError(
            "the endpoint's URL holds a query or a fragment; hint: end it with the path, as in "
            + FORMS
        )
    if any(char <= " " or char == "\x7f" for char in text):
        raise ValueError(f"the endpoint {text!r} holds white space; hint: write {FORMS}")
    if parts.scheme == "unix":
        return _unix(unquote(parts.path), "/v1", text)
    if parts.scheme == "http+unix":
        return _unix(unquote(parts.netloc), parts.path or "/v1", text)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"the endpoint {text!r} is not an HTTP URL; hint: write {FORMS}")
    if not _has_host(parts):
        raise ValueError(f"the endpoint {text!r} names no valid host; hint: write {FORMS}")
    base = f"{parts.scheme}://{parts.netloc}{_api_root(parts)}"
    return Endpoint(base, None, base, is_loopback(parts.hostname))


def _has_host(parts: SplitResult) -> bool:
    """Whether the URL's host can be one: an address, or labels that the system can look up."""
    host = (parts.hostname or "").removesuffix(".")
    if "[" in parts.netloc:
        return _is_address(host)
    labels = host.split(".")
    if len(host) > 253 or not all(0 < len(label) < 64 for label in labels):
        return False
    if host.isascii() and not any(label.startswith("xn--") for label in labels):
        return True
    import httpx  # here, because it takes long to import and such names are rare

    try:
        return bool(httpx.URL(f"{parts.scheme}://{parts.netloc}").host)
    except (httpx.InvalidURL, UnicodeError):
        return False


def _unix(path: str, api_path: str, text: str) -> Endpoint:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(
            f"the endpoint {text!r} names no Unix socket; hint: write unix:///PATH/TO/SOCKET"
        )
    api = _api_root(urlsplit(api_path))
    return Endpoint(f"http://localhost{api}", path, f"unix://{path}", local=True)


def _api_root(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    for ending in _API_PATHS:
        path = path.removesuffix(ending)
    return path.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host of that name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
