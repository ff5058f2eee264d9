"""What a run by the model is given: its limits, and who listens to it."""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from explorer.budget import TokenLimits
from explorer.engine import Sampling
from explorer.events import Event, Listener, RunFinished, RunStarted, ignore
from explorer.loop_settings import LoopSettings
from explorer.models import defaults_for
from explorer.records import Exploration
from explorer.trajectory import TrajectoryError, TrajectoryWriter
from server.ask import Ask
from server.errors import UsageError
from server.progress import Narrator, Say
from server.settings import Settings

T = TypeVar("T")

_LONGEST_NAME = 40


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


def record_scout(ask: Ask, run: Exploration) -> None:
    """Keep what the scout found, if that was asked for: its question and its answer.

    Raises:
        UsageError: it cannot be written.
    """
    settings = {"max_citations": ask.max_citations, "deadline_s": ask.deadline_s}
    with recording(ask) as record:
        record(RunStarted(ask.query, "", "scout", (), (), settings))
        record(RunFinished(run))


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
