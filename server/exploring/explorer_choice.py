"""Which explorer answers a question, how an engine is made from the settings, and its status."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.engines.endpoint import parse_endpoint
from server.errors import ExplorationFailed, UsageError
from server.exploring.report import Answerer
from server.settings import EngineChoice, Settings

if TYPE_CHECKING:
    from explorer.engines.http import HttpEngine
    from server.exploring.endpoint_pool import PooledEngine
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """Which explorer is to answer, and why, as part of a sentence."""

    engine: Answerer
    reason: str


def choose_engine(settings: Settings, wanted: EngineChoice) -> Choice:
    """The explorer for a question: the one asked for, the endpoint, else this machine's engine.

    ``local`` is what is to be tried: whether that engine runs is its keeper's to say.

    Raises:
        UsageError: the endpoint was asked for and none is configured.
    """
    if wanted == "scout":
        return Choice("scout", "the scout was asked for")
    if wanted == "local":
        return Choice("local", "this machine's engine was asked for")
    if settings.endpoint:
        return Choice("endpoint", f"the endpoint {public_url(settings.endpoint)} is configured")
    if wanted == "endpoint":
        hint = "set FASTCONTEXT_ENDPOINT to the URL of an OpenAI-compatible API, up to /v1"
        raise UsageError("engine 'endpoint' needs an endpoint and none is set", hint)
    return Choice("local", "no endpoint is configured")


def http_engine(settings: Settings) -> "HttpEngine | PooledEngine":
    """The client of the configured endpoint or endpoints, not yet connected.

    Raises:
        ExplorationFailed: the key cannot stand in a header.
    """
    from explorer.engines.http import HttpEngine
    from explorer.engines.http_client import Timeouts

    timeouts = Timeouts(
        connect_s=settings.connect_timeout_s,
        first_s=settings.first_token_timeout_s,
        read_s=settings.read_timeout_s,
    )
    try:
        engines = {
            url: HttpEngine(url, settings.model, settings.api_key, timeouts=timeouts)
            for url in settings.endpoint.split(",")
        }
    except ValueError as error:
        message, _, hint = str(error).partition("; hint: ")
        raise ExplorationFailed(message, hint or "correct FASTCONTEXT_API_KEY") from None
    if len(engines) == 1:
        return next(iter(engines.values()))
    from server.exploring.endpoint_pool import PooledEngine

    return PooledEngine(engines)


def public_url(endpoint: str) -> str:
    """How messages name the endpoint; holds no secret."""
    return ", ".join(parse_endpoint(url).shown for url in endpoint.split(","))


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the next exploration can count on."""

    choice: Choice
    ready: bool
    model: str
    detail: str
    running: int
    """Explorations by the model at this moment."""
    waiting: int
    """Explorations that queue."""

    def text(self) -> str:
        """The status for a reader."""
        who = "the scout" if self.choice.engine == "scout" else "the model"
        state = "ready" if self.ready else "not ready; the scout answers instead"
        lines = [f"Next answer by {who}: {self.choice.reason}.", f"State: {state}. {self.detail}"]
        if self.model:
            lines.append(f"Model: {self.model}")
        if self.choice.engine != "scout":
            lines.append(f"Explorations: {self.running} running, {self.waiting} waiting.")
        return "\n".join(lines)

    def to_object(self) -> dict[str, Any]:
        """The same as JSON types."""
        return {
            "engine": self.choice.engine,
            "engine_reason": self.choice.reason,
            "ready": self.ready,
            "model": self.model,
            "detail": self.detail,
            "running": self.running,
            "waiting": self.waiting,
        }
