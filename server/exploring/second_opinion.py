"""What the scout makes of the model's answer: agreement, doubt, and what was overlooked."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from explorer.records import Citation, Confidence, Exploration, Span


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """How sure the two explorers are together. The model's citations stay as they are."""

    confidence: Confidence
    notes: tuple[str, ...]
    """At most one line, naming a strong place that the model never looked at."""


def second_opinion(
    model: Sequence[Citation],
    scout: Sequence[Citation],
    scout_confidence: Confidence,
    observed: Iterable[Span] = (),
) -> SecondOpinion:
    """The confidence of the model's citations in the light of the scout's.

    Where both name the same first file it is high, or medium when the scout is of low confidence;
    where they share a file, medium; where they share none it is low, unless the scout is unsure
    itself. A file that the scout names with high confidence and the model neither cited nor read
    is named in a note. ``observed`` is what the model read.
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
        confidence, (f"The words of the query point to {place}, which the model did not look at.",)
    )


def with_opinion(run: Exploration, scout: Exploration | None) -> Exploration:
    """The model's run with a confidence, and with a note where it overlooked a strong place.

    Its places are neither changed nor put in another order. ``scout`` is None where the scout
    could not be asked.
    """
    found = scout.citations if scout is not None else ()
    sure = (scout.confidence if scout is not None else None) or "low"
    opinion = second_opinion(run.citations, found, sure, run.observed)
    return dataclasses.replace(
        run, confidence=opinion.confidence, notes=(*run.notes, *opinion.notes)
    )


def with_scout_behind(partial: Exploration | None, scout: Exploration, limit: int) -> Exploration:
    """The scout's answer behind what the model cited before it failed, as a fallback.

    ``partial`` is None where the model had read nothing; ``limit`` is the most places.
    """
    if partial is None:
        return dataclasses.replace(scout, stop_reason="fallback")
    kept = partial.citations
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
