"""What the scout's answer says about the model's: agreement, doubt, and what was overlooked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from explorer.records import Citation, Confidence, Span


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
    cited = {citation.path for citation in model if citation.verified}
    first = scout[0]
    if model[0].path == first.path and model[0].verified:
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
