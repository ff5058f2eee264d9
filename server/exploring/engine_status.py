"""The state of the engine as a caller asks for it."""

from dataclasses import dataclass
from typing import Any

from server.exploring.explorer_choice import Choice


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
