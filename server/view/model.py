"""What the page shows, worked out from the events of a recorded run."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from explorer.events import (
    CallFinished,
    CallStarted,
    LinesCited,
    Note,
    RunFinished,
    RunStarted,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from explorer.limits import Usage
from explorer.records import Citation, Exploration, OutlineEntry, ToolCall
from explorer.trajectory import TimedEvent
from server.exploring.recording import CODE_LINES_SHOWN

_NUMBERED = re.compile(r"^\s*(\d+)\|(.*)$")
_FENCE = re.compile(r"^`{3,}(?P<path>/.+):(?P<start>\d+)-(?P<end>\d+)$")


@dataclass(frozen=True, slots=True)
class CallView:
    """A tool call with its observation, its place in time relative to the run's start."""

    call: ToolCall
    text: str = ""
    ok: bool = True
    repeated: bool = False
    truncated: bool = False
    start_s: float = 0.0
    elapsed_s: float = 0.0

    @property
    def summary(self) -> str:
        """The call on one line: its most telling arguments, in the order in which they stand."""
        try:
            arguments = json.loads(self.call.arguments)
        except (ValueError, RecursionError):
            return self.call.arguments
        if not isinstance(arguments, dict):
            return self.call.arguments
        return "  ".join(
            f"{key}={value}" if key not in ("path", "pattern") else str(value)
            for key, value in arguments.items()
        )


@dataclass(frozen=True, slots=True)
class TurnView:
    """One model request, what it wrote, and its calls."""

    number: int
    final: bool
    start_s: float
    appended: tuple[Mapping[str, object], ...] = ()
    text: str = ""
    calls: tuple[CallView, ...] = ()
    notes: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    first_token_s: float | None = None
    model_s: float = 0.0
    elapsed_s: float = 0.0

    @property
    def new_tokens(self) -> int:
        """Prompt tokens that the server had to read anew."""
        return max(0, self.usage.prompt_tokens - self.usage.cached_tokens)


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A numbered line of code."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class CitationView:
    """A citation with the lines of it that the record holds."""

    citation: Citation
    code: tuple[CodeLine, ...]
    """The first lines, and all that the answer showed; empty where the record holds only the
    citation's evidence, without its line number."""
    outline: tuple[OutlineEntry, ...]
    """The definitions of its file; empty where the record does not hold them."""
    lines_left_out: int
    """Lines of the range that are neither in ``code`` nor the evidence."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A whole run."""

    query: str
    model: str
    settings: Mapping[str, object]
    system: str
    turns: tuple[TurnView, ...]
    corrections: tuple[str, ...]
    """What the loop corrected, dropped or retried."""
    notes: tuple[str, ...]
    """What else the caller was told."""
    citations: tuple[CitationView, ...]
    result: Exploration | None
    engine_reason: str
    """Why that explorer answered; empty in records that do not say."""
    elapsed_s: float

    @property
    def usage(self) -> Usage:
        """Token counts of the whole run."""
        return sum((turn.usage for turn in self.turns), Usage())


def run_view(events: Sequence[TimedEvent]) -> RunView:
    """The run that ``events`` tell of; a run that was cut off is shown as far as it went.

    Raises:
        ValueError: the first event is neither the start of a run nor the end of one.
    """
    started = _start_of(events)
    # The record is begun before the engine is asked whether it is there.
    zero_s = events[0].at_s
    turns: dict[int, TurnView] = {}
    noted: list[str] = []
    by_loop: set[str] = set()
    cited: list[LinesCited] = []
    finished: RunFinished | None = None
    for timed in events:
        event = timed.event
        if isinstance(event, RunFinished):
            finished = event
            if not event.engine_reason and event.result.explorer == "model":
                by_loop.update(event.result.notes)
        elif isinstance(event, LinesCited):
            cited.append(event)
        elif isinstance(event, Note) and event.turn not in turns:
            noted.append(event.text)
        elif not isinstance(event, RunStarted):
            turns[event.turn] = _updated(turns.get(event.turn), event, timed.at_s - zero_s)
    result = finished.result if finished else None
    seen = _lines_seen(turns.values(), started.virtual_root)
    outlines: dict[str, tuple[OutlineEntry, ...]] = {}
    for place in cited:
        seen.setdefault(place.path, {}).update(enumerate(place.lines, place.start))
        outlines.setdefault(place.path, tuple(place.outline))
    found = result.citations if result else ()
    told = result.notes if result else tuple(noted)
    by_loop.update(noted, *(turn.notes for turn in turns.values()))
    return RunView(
        query=started.query,
        model=started.model,
        settings=started.settings,
        system=_system_text(started),
        turns=tuple(turns[number] for number in sorted(turns)),
        corrections=tuple(note for note in told if note in by_loop),
        notes=tuple(note for note in told if note not in by_loop),
        citations=tuple(_citation_view(each, seen, outlines.get(each.path, ())) for each in found),
        result=result,
        engine_reason=finished.engine_reason if finished else "",
        elapsed_s=result.elapsed_s if result else events[-1].at_s - zero_s,
    )


def _start_of(events: Sequence[TimedEvent]) -> RunStarted:
    """The start of the run; one is made up for a run that has only an end."""
    first = events[0].event if events else None
    if isinstance(first, RunStarted):
        return first
    last = events[-1].event if events else None
    if isinstance(first, LinesCited | RunFinished) and isinstance(last, RunFinished):
        return RunStarted(last.result.query, "", last.result.explorer, (), (), {})
    raise ValueError("the record does not begin with the start of a run")


def _updated(
    turn: TurnView | None,
    event: TurnStarted | CallStarted | CallFinished | TurnFinished | TurnFailed | Note,
    at_s: float,
) -> TurnView:
    if turn is None:
        turn = TurnView(event.turn, final=False, start_s=at_s)
    match event:
        case TurnStarted():
            return replace(turn, final=event.final, start_s=at_s, appended=tuple(event.appended))
        case CallStarted():
            return replace(turn, calls=(*turn.calls, CallView(event.call, start_s=at_s)))
        case CallFinished():
            return replace(turn, calls=_with_result(turn.calls, event, at_s))
        case TurnFinished():
            return replace(
                turn,
                text=str(event.message.get("content") or ""),
                usage=event.usage,
                finish_reason=event.finish_reason,
                first_token_s=event.first_token_s,
                model_s=event.model_s,
                elapsed_s=event.elapsed_s,
            )
        case TurnFailed():
            return replace(turn, notes=(*turn.notes, f"the request failed: {event.text}"))
        case Note():
            return replace(turn, notes=(*turn.notes, event.text))


def _with_result(
    calls: tuple[CallView, ...], event: CallFinished, at_s: float
) -> tuple[CallView, ...]:
    done = CallView(
        event.call,
        event.result.text,
        event.result.ok,
        event.repeated,
        event.result.truncated,
        at_s - event.elapsed_s,
        event.elapsed_s,
    )
    ids = [view.call.id for view in calls]
    if event.call.id not in ids:
        return (*calls, done)
    at = ids.index(event.call.id)
    return (*calls[:at], replace(done, start_s=calls[at].start_s), *calls[at + 1 :])


def _system_text(started: RunStarted) -> str:
    return "\n\n".join(
        str(message.get("content") or "")
        for message in started.messages
        if message.get("role") == "system"
    )


def _lines_seen(turns: Iterable[TurnView], virtual_root: str) -> dict[str, dict[int, str]]:
    """Every numbered line that a Read showed, by repository-relative path."""
    seen: dict[str, dict[int, str]] = {}
    for turn in turns:
        for call in turn.calls:
            current: dict[int, str] | None = None
            # Not splitlines: a separator inside a line of code ends no line of it.
            for line in call.text.split("\n"):
                if fence := _FENCE.match(line):
                    path = fence["path"].removeprefix(virtual_root).lstrip("/")
                    current = seen.setdefault(path, {})
                elif current is not None and (row := _NUMBERED.match(line)):
                    current[int(row[1])] = row[2]
    return seen


def _citation_view(
    citation: Citation,
    seen: Mapping[str, Mapping[int, str]],
    outline: tuple[OutlineEntry, ...],
) -> CitationView:
    answered = {
        number: line for each in citation.code for number, line in enumerate(each.lines, each.start)
    }
    # A recorded line is cut later than one of an answer.
    lines = answered | dict(seen.get(citation.path, {}))
    numbers = range(citation.start, citation.end + 1)
    known = [number for number in numbers if number in lines]
    first = set(known[:CODE_LINES_SHOWN])
    shown = [n for n in known if n in first or n in answered]
    code = tuple(CodeLine(number, lines[number]) for number in shown)
    told = len(code) or int(bool(citation.evidence))
    return CitationView(citation, code, outline, max(0, len(numbers) - told))
