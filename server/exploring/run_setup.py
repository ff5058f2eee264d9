"""What a run by the model is given: its limits, and who listens to it."""

import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from explorer.budget import TokenLimits
from explorer.engines.protocol import Sampling
from explorer.events import Event, LinesCited, Listener, RunStarted, ignore
from explorer.loop_settings import LoopSettings, defaults_for
from explorer.records import Citation
from explorer.repository.paths import PathProblem
from explorer.trajectory import TrajectoryError, TrajectoryWriter
from server.errors import UsageError
from server.exploring.progress import Narrator, Say
from server.exploring.question import Ask
from server.settings import Settings

if TYPE_CHECKING:
    from explorer.repository.workspace import Workspace

T = TypeVar("T")

_LONGEST_NAME = 40
_LINE_CHARS = 500
"""Of a cited line in the record; minified files have lines of megabytes."""


def loop_settings(
    settings: Settings, ask: Ask, *, model: str, window: int | None, deadline_s: float
) -> LoopSettings:
    """The limits of one run: what is set, else what the model was made for.

    ``window`` is the context that the server says it has, in tokens; the run stays within it.
    """
    defaults = defaults_for(model)
    context = settings.context_tokens or defaults.context_tokens
    if window:
        context = min(context, window)
    standard = TokenLimits()
    sampling = Sampling(
        temperature=_first(settings.temperature, defaults.sampling.temperature),
        top_p=_first(settings.top_p, defaults.sampling.top_p),
        top_k=_first(settings.top_k, defaults.sampling.top_k),
        seed=_first(settings.seed, defaults.sampling.seed),
    )
    limits = TokenLimits(
        context=context,
        answer=min(settings.max_tokens or defaults.max_tokens, context // 4),
        turn=min(standard.turn, context // 4),
        result=min(standard.result, context // 8),
    )
    return LoopSettings(
        max_turns=ask.max_turns or defaults.max_turns,
        deadline_s=deadline_s,
        sampling=sampling,
        limits=limits,
        max_citations=ask.max_citations,
    )


@contextmanager
def recording(ask: Ask, also: Listener = ignore) -> Iterator[Listener]:
    """A listener that keeps the trajectory in a new file, if that was asked for, and tells another.

    Raises:
        UsageError: it cannot be written.
    """
    if ask.record_dir is None:
        yield also
        return
    slug = re.sub(r"[^a-z0-9]+", "-", ask.query[:200].lower()).strip("-")[:_LONGEST_NAME]
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug}-{secrets.token_hex(3)}.jsonl"
    try:
        writer = TrajectoryWriter(ask.record_dir / name, repository=ask.repository.root)
    except TrajectoryError as error:
        raise UsageError(str(error), "give a directory that can be written") from None
    with writer:

        def listen(event: Event) -> None:
            writer(event)
            also(event)

        yield listen


def begun_by_scout(ask: Ask) -> RunStarted:
    """The beginning of a run by the scout, which has no prompt."""
    settings = {"max_citations": ask.max_citations, "deadline_s": ask.deadline_s}
    return RunStarted(ask.query, "", "scout", (), (), settings)


def lines_cited(citations: Iterable[Citation], workspace: "Workspace") -> list[LinesCited]:
    """What a page shows of the cited places that can still be read. Reads files, blocking."""
    # Only records need it, and every question imports this module.
    from server.view.model import CODE_LINES_SHOWN

    found: list[LinesCited] = []
    for each in citations:
        count = min(each.end - each.start + 1, CODE_LINES_SHOWN)
        try:
            window = workspace.window(each.path, each.start, count, line_bytes=_LINE_CHARS)
        except PathProblem:
            continue
        lines = tuple(line[:_LINE_CHARS] for line in window.lines)
        if lines:
            found.append(LinesCited(each.path, window.start, lines))
    return found


def telling(say: Say, record: Listener) -> Listener:
    """A listener that records each event and says what is worth saying."""
    narrate = Narrator()

    def listen(event: Event) -> None:
        record(event)
        if message := narrate(event):
            say(message)

    return listen


def _first(given: T | None, default: T | None) -> T | None:
    return default if given is None else given
