"""What the scout makes of the model's answer: how sure it is, what was overlooked or is missing."""

import dataclasses
from collections.abc import Iterable

from explorer.events import CallFinished, Event, Listener
from explorer.records import Citation, Exploration, Span
from explorer.scout.agreement import second_opinion


class LookedAt:
    """A listener that hands each event on and keeps what the model was shown."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.spans: list[Span] = []
        """The lines that stood in the model's tool results."""

    def __call__(self, event: Event) -> None:
        """Hand the event on."""
        self._listener(event)
        if isinstance(event, CallFinished):
            self.spans += event.result.observed


def with_opinion(
    run: Exploration, scout: Exploration | None, looked_at: Iterable[Span]
) -> Exploration:
    """The model's run with a confidence, and with a note where it overlooked a strong place.

    Its places are neither changed nor put in another order. ``scout`` is None where the scout
    could not be asked.
    """
    found = scout.citations if scout is not None else ()
    sure = (scout.confidence if scout is not None else None) or "low"
    opinion = second_opinion(run.citations, found, sure, looked_at)
    return dataclasses.replace(
        run, confidence=opinion.confidence, notes=(*run.notes, *opinion.notes)
    )


def with_scout_behind(partial: Exploration | None, scout: Exploration, limit: int) -> Exploration:
    """The scout's answer behind what the model cited before it failed, as a fallback.

    ``partial`` is None where the model had read nothing; ``limit`` is the most places.
    """
    if partial is None:
        return dataclasses.replace(scout, stop_reason="fallback")
    kept = tuple(each for each in partial.citations if each.verified)
    rest = tuple(each for each in scout.citations if not _overlaps_any(each, kept))
    notes = (*partial.notes, *scout.notes)
    confidence = scout.confidence
    if kept:
        notes = (f"the first {len(kept)} of the places were read by the model", *notes)
        confidence = second_opinion(kept, scout.citations, scout.confidence or "low").confidence
    return dataclasses.replace(
        partial,
        explorer="scout",
        stop_reason="fallback",
        answer=scout.answer,
        citations=(*kept, *rest)[:limit],
        notes=notes,
        confidence=confidence,
    )


def _overlaps_any(one: Citation, others: tuple[Citation, ...]) -> bool:
    return any(
        one.path == other.path and one.start <= other.end and other.start <= one.end
        for other in others
    )
