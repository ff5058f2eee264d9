"""Compares the model's answer with the scout's: how far they agree, and what was overlooked."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from explorer.records import Citation, Confidence, Exploration, Span


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """How likely the model's answer is right, judged by the scout's."""

    confidence: Confidence
    notes: tuple[str, ...]
    """At most one note, which names a strong match that the model never looked at."""


def second_opinion(
    model: Sequence[Citation],
    scout: Sequence[Citation],
    scout_confidence: Confidence,
    observed: Iterable[Span] = (),
) -> SecondOpinion:
    """The confidence in the model's citations in the light of the scout's.

    If both name the same file first, it is high, or medium if the scout's own confidence is low.
    If they share any file, it is medium. If they share no file, it is low, or medium if the scout's
    own confidence is low. A note names the scout's first file if the scout's confidence is high and
    the model neither cited nor read that file. ``observed`` is what the model read.
    """
    if not model or not scout:
        return SecondOpinion("medium" if model else scout_confidence, ())
    cited = {citation.path for citation in model}
    first = scout[0]
    if model[0].path == first.path:
        return SecondOpinion("medium" if scout_confidence == "low" else "high", ())
    shared = cited & {citation.path for citation in scout}
    confidence: Confidence = "medium" if shared or scout_confidence == "low" else "low"
    looked_at = cited | {span.path for span in observed}
    if scout_confidence != "high" or first.path in looked_at:
        return SecondOpinion(confidence, ())
    place = f"{first.path}:{first.start}-{first.end}"
    return SecondOpinion(
        confidence, (f"The best lexical match is {place}, which the model did not look at.",)
    )


def with_opinion(run: Exploration, scout: Exploration | None) -> Exploration:
    """The model's run with a confidence, and with a note if it overlooked a strong match.

    Its places are neither changed nor reordered. ``scout`` is None if the scout gave no answer.
    """
    found = scout.citations if scout is not None else ()
    sure = (scout.confidence if scout is not None else None) or "low"
    opinion = second_opinion(run.citations, found, sure, run.observed)
    return dataclasses.replace(
        run, confidence=opinion.confidence, notes=(*run.notes, *opinion.notes)
    )


def with_scout_behind(partial: Exploration | None, scout: Exploration, limit: int) -> Exploration:
    """The fallback answer: what the model cited or read before it failed, then the scout's places.

    ``partial`` is None if the model had read nothing; ``limit`` is the maximum number of places.
    """
    if partial is None:
        return dataclasses.replace(scout, stop_reason="fallback")
    kept = partial.citations
    rest = tuple(each for each in scout.citations if not _overlaps_any(each, kept))
    notes = (*partial.notes, *scout.notes)
    confidence = scout.confidence
    if kept:
        which = "first place was" if len(kept) == 1 else f"first {len(kept)} places were"
        notes = (f"the {which} read by the model before it failed", *notes)
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
