"""The parts of a question that asks for several things, such as "where is X, and how is Y?".

Each part is asked in the context of the others, and the answers become one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from explorer.records import Citation
from explorer.scout.answer import ScoutAnswer, least_sure, sentence_of
from explorer.scout.query import Query, parse_query

MOST_PARTS: Final = 4
_LONGEST: Final = 800
"""A longer text is a report about one thing, however many questions it asks."""
_MOST_OF: Final = 0.7
"""How much of the text its parts have to be: a message that has a list is no list of questions."""
_LEAST_WORDS: Final = 2
_CONTEXT_WEIGHT: Final = 0.25
"""How much a word of the other parts counts. Of 93 parts of 46 questions the code of a right place
is shown of 78 with 0.25 and of 77 with 0.5; with 0.5 the parts of 19 of them have one heading, with
0.25 those of 12. Of 66 it was shown where each part was asked for itself."""
_FURTHER: Final = 10
"""The most less likely places."""
_ASKS: Final = r"(?:how|where|what|which|when|why|who)\b"
_ITEM: Final = re.compile(r"^\s*(?:\(?\d{1,2}[.)]|[-*•]|\(?[a-d][.)])\s+(.+)$", re.MULTILINE)
_INLINE_ITEM: Final = re.compile(r"(?:^|\s)\(?[1-9][.)]\s+")
_SENTENCE: Final = re.compile(r"[^?]+\?")
_CONJUNCTION: Final = re.compile(
    r"\s*(?:[,;]\s*(?:and|or|then|also|as well as)?|\s(?:and|as well as))\s+(?:also\s+)?"
    rf"(?={_ASKS})",
    re.IGNORECASE,
)
_BEGINS: Final = re.compile(
    rf"\s*(?:{_ASKS}|find\b|show\b|explain\b|tell\b|locate\b)", re.IGNORECASE
)
_CONDITION: Final = re.compile(
    r"\s*when\s+(?!(?:is|are|was|were|do|does|did|has|have|can|could|will|would|should|must|may)\b)"
    rf"[^,]*,\s*(?={_ASKS})",
    re.IGNORECASE,
)
"""What "when a job fails, how is it retried?" begins with, which asks for nothing."""
_REFERS: Final = re.compile(r"\b(?:it|its|they|them|their|this|that|those|these)\b", re.IGNORECASE)
_IT: Final = re.compile(r"\bit\b", re.IGNORECASE)


def parts_of(question: str) -> tuple[str, ...]:
    """The parts, at least two, in their order; empty for a question that is one.

    Parts are the items of a list, sentences that end in a question mark, or what follows "and" and
    a question word.
    """
    text = question.strip()
    if len(text) > _LONGEST or "```" in text or "Traceback" in text:
        return ()
    parts = [each.strip() for each in _ITEM.findall(text)]
    if len(parts) < 2:
        parts = _INLINE_ITEM.split(text)[1:] if len(_INLINE_ITEM.findall(text)) > 1 else []
    if len(parts) < 2:
        parts = _SENTENCE.findall(text)
    if len(parts) < 2 and "\n" not in text and _BEGINS.match(text):
        condition = _CONDITION.match(text)
        begin = condition.end() if condition else 0
        first, *others = _CONJUNCTION.split(text[begin:])
        parts = [text[:begin] + first, *others]
    parts = [" ".join(each.split()).strip(" ,;") for each in parts]
    if not 2 <= len(parts) <= MOST_PARTS or sum(map(len, parts)) < _MOST_OF * len(text):
        return ()
    return tuple(parts) if all(len(each.split()) >= _LEAST_WORDS for each in parts) else ()


def in_context(part: str, parts: Sequence[str]) -> Query:
    """The part as a question of its own, in which the words of the others count for less.

    A part that is nothing but a name stays that, and "it" is the name that another part is.
    """
    others = [each for each in parts if each != part]
    own = parse_query(part)
    if own.alone:
        return own
    for name in filter(None, (parse_query(each).alone for each in others)):
        own_name = parse_query(_IT.sub(".".join((*name.scope, name.last)), part, count=1))
        if own_name.alone:
            return own_name
    around = parse_query(" ".join([part, *others]))
    gain = np.where(np.isin(around.terms, own.terms), np.float32(1), np.float32(_CONTEXT_WEIGHT))
    return replace(
        around,
        weight=around.weight * gain,
        paths=own.paths,
        quoted=own.quoted,
        trace=own.trace,
        names=own.names,
        text=own.text,
    )


def refers(part: str) -> bool:
    """Whether the part speaks of something that another part names."""
    return bool(_REFERS.search(part))


def together(
    parts: Sequence[str], answers: Sequence[ScoutAnswer], whole: ScoutAnswer
) -> ScoutAnswer:
    """The answers to the parts, and to the question as a ``whole``, as one.

    Each place belongs to the part that it is likeliest for; parts with the same first place are
    answered together. The answer is as sure as the least sure of them.
    """
    groups: list[list[int]] = []
    for number, answer in enumerate(answers):
        if answer.citations:
            first = answer.citations[0]
            same = [each for each in groups if first.overlaps(answers[each[0]].citations[0])]
            if same:
                same[0].append(number)
            else:
                groups.append([number])
    silent = [part for part, each in zip(parts, answers, strict=True) if not each.citations]
    notes = tuple(f"Nothing was found for the part: {part}" for part in silent)
    if not groups:
        return ScoutAnswer((), answers[0].answer, notes)
    best, likely = _likeliest(answers), _likeliest([whole])

    def weighed(places: Iterable[Citation], part: str = "") -> list[Citation]:
        """The places with the chance for a part added to that for the whole, the best first."""
        added = [
            replace(
                each, part=part, chance=sum(of[key].chance for of in (best, likely) if key in of)
            )
            for each in places
            for key in [_beginning(each)]
        ]
        return sorted(added, key=lambda each: -each.chance)

    citations: list[Citation] = []
    for numbers in groups:
        own = _likeliest([answers[n] for n in numbers])
        # A part keeps its first place, though it may be likelier for another.
        first = answers[numbers[0]].citations[0]
        mine = [
            each
            for key, each in own.items()
            if key == _beginning(first) or each.chance == best[key].chance
        ]
        taken = [answers[each[0]].citations[0] for each in groups if each is not numbers]
        title = " / ".join(parts[n] for n in numbers)
        count = max(len(answers[n].citations) for n in numbers)
        citations += _apart(weighed(mine, title), [*citations, *taken])[:count]
    further = _apart(weighed(_likeliest([whole, *answers]).values()), citations)
    cited = {each.path for each in citations}
    # Of a file that is not cited only the best place is named.
    best_of = {each.path: each for each in reversed(further)}
    further = [each for each in further if each.path in cited or each is best_of[each.path]]
    asked = [each for each in (*answers, whole) if each.citations]
    return ScoutAnswer(
        tuple(citations),
        sentence_of(citations, is_read=whole.is_read),
        notes,
        least_sure(*(each.confidence for each in asked)),
        least_sure(*(each.place_confidence for each in asked)),
        tuple(further[:_FURTHER]),
        whole.is_read,
    )


_Beginning = tuple[str, int]


def _beginning(place: Citation) -> _Beginning:
    return place.path, place.start


def _likeliest(answers: Sequence[ScoutAnswer]) -> dict[_Beginning, Citation]:
    """All places of the answers by where they begin, each as likely as it is for one of them.

    Nothing in an answer is likelier than its first place.
    """
    found: dict[_Beginning, Citation] = {}
    for answer in answers:
        places = [*answer.citations, *answer.further]
        most = max((each.chance for each in places), default=0.0)
        for number, each in enumerate(places):
            place = each if number else replace(each, chance=most)
            key = _beginning(each)
            if key not in found or found[key].chance < place.chance:
                found[key] = place
    return found


def _apart(places: Sequence[Citation], others: Sequence[Citation]) -> list[Citation]:
    """The places that overlap neither the others nor a place before them."""
    kept: list[Citation] = []
    for each in places:
        if not any(each.overlaps(other) for other in (*others, *kept)):
            kept.append(each)
    return kept
