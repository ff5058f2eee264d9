"""Which explorer answers a question, and how an engine is made from the settings.

A further kind of engine, such as one that this machine runs itself, becomes a further branch of
``choose_engine`` and a further factory.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from server.errors import ExplorationFailed
from server.render import Answerer
from server.settings import EngineChoice, Settings

if TYPE_CHECKING:
    from explorer.http_engine import HttpEngine


@dataclass(frozen=True, slots=True)
class Choice:
    """Which explorer is to answer, and why, as part of a sentence."""

    engine: Answerer
    reason: str


def choose_engine(settings: Settings, wanted: EngineChoice) -> Choice:
    """The explorer for a question: the one asked for, else the endpoint, else the scout.

    Raises:
        ExplorationFailed: the endpoint was asked for and none is configured.
    """
    if wanted == "scout":
        return Choice("scout", "the scout was asked for")
    if settings.endpoint:
        return Choice("endpoint", f"the endpoint {public_url(settings.endpoint)} is configured")
    if wanted == "endpoint":
        hint = "set FASTCONTEXT_ENDPOINT to the URL of an OpenAI-compatible API, up to /v1"
        raise ExplorationFailed("engine 'endpoint' needs an endpoint and none is set", hint)
    return Choice("scout", "no endpoint is configured")


def http_engine(settings: Settings) -> "HttpEngine":
    """The client of the configured endpoint, not yet connected."""
    from explorer.http_engine import HttpEngine

    return HttpEngine(settings.endpoint, settings.model or None, settings.api_key)


def public_url(url: str) -> str:
    """The URL without what may be secret: user, password, query and fragment."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
