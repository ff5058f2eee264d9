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
class Excerpt:
    """Consecutive lines of a cited place."""

    start: int
    lines: tuple[str, ...]
    """Without line ends; secrets are masked, and long lines cut."""


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """A definition in the outline of a file."""

    name: str
    """Without what it stands in; secrets are masked."""
    start: int
    end: int
    depth: int = 0
    """In how many others of the outline it stands."""


Relation = Literal["used by", "uses", "same name", "beside"]


@dataclass(frozen=True, slots=True)
class Link:
    """A place one step away from a cited one."""

    relation: Relation
    """What it is to the cited place: the line that uses it; the definition of a name that it uses;
    a method of that name in a base class or a subclass; a schema or template beside it."""
    path: str
    line: int
    name: str = ""
    """The qualified name of the definition at, or around, the line; may be empty."""


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
    name: str = ""
    """The qualified name of the definition that the range is or lies in; empty without one."""
    code: tuple[Excerpt, ...] = ()
    """The lines that the answer shows of it, in their order; empty for one that is only named."""
    focus: tuple[Span, ...] = ()
    """The parts of it that matter, the one that matters most first; for whoever shows a part."""
    links: tuple[Link, ...] = ()
    """What is one step away; only for the first place."""
    part: str = ""
    """The part of the question that it answers; empty if the question has one part."""
    chance: float = 1.0
    """That it is what is sought, as far as the scout knows: where its code goes first."""

    def overlaps(self, other: "Citation") -> bool:
        """Whether both have a line in common."""
        return self.path == other.path and self.start <= other.end and other.start <= self.end


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
    place_confidence: Confidence | None = None
    """How likely it is that the first place is right."""
    further: tuple[Citation, ...] = ()
    """Less likely places: other members of the files cited, then the best of each next file."""
    observed: tuple[Span, ...] = ()
    """The lines that the model saw in observations; empty for the scout."""
