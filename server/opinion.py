"""What the scout thinks of the model's answer: how sure it is, and what was overlooked."""

import dataclasses
from collections.abc import Iterable, Sequence

from explorer.events import CallFinished, Event, Listener
from explorer.records import Citation, Confidence, Exploration, Span
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


def confidence_of(kept: Sequence[Citation], scout: Exploration) -> Confidence:
    """How sure the places are that a model had read before it failed, with the scout's behind."""
    return second_opinion(kept, scout.citations, scout.confidence or "low").confidence
