"""The records that the explorer's parts exchange, all frozen.

Paths are relative to the repository root, with ``/`` between parts, unless a field says virtual.
Line numbers are 1-based and ranges include both ends.
"""

from dataclasses import dataclass, field
from typing import Literal

from explorer.limits import Usage

StopReason = Literal["answered", "max_turns", "deadline", "token_budget", "malformed", "fallback"]

Confidence = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Span:
    """A range of lines of one file."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in the repository that answers the query.

    The range lies in the file, and the explorer read every line of it.
    """

    path: str
    start: int
    end: int
    reason: str = ""
    """Why it was cited, in the explorer's words; may be empty."""
    evidence: str = ""
    """The first definition in the range, or else its first telling line, stripped; may be empty."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as the model wrote it, unchecked."""

    id: str
    name: str
    arguments: str
    """The JSON text of the arguments, verbatim."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned for a call."""

    text: str
    """The observation that the model reads. Paths in it are virtual."""
    ok: bool = True
    """False when the text is an error sentence: bad arguments, no such path, a refused path."""
    observed: tuple[Span, ...] = ()
    """The lines whose content is in the text."""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Exploration:
    """One finished exploration, by the model or by the scout."""

    query: str
    explorer: Literal["model", "scout"]
    stop_reason: StopReason
    answer: str
    """A short explanation in prose; may be empty. Never contains the citations."""
    citations: tuple[Citation, ...]
    """Best first."""
    turns: int = 0
    tool_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()
    """What was dropped, corrected, cut or retried, one plain sentence each."""
    elapsed_s: float = 0.0
    confidence: Confidence | None = None
    """How likely it is that the first file is right, from how well search and model agree."""
    observed: tuple[Span, ...] = ()
    """The lines that the model saw in observations; empty for the scout."""
