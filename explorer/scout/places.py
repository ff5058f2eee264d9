"""The places that are cited: the definitions of the likely files, ranked.

A definition is judged by its name, its own comment, what its body says and what it is handed: a
parameter list or an argument ``x=x`` that repeats a word of the question says little about what the
definition does. The cells of ``field`` say which lines of it matter. A class stands for its head,
unless it is small.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.definitions import Definition, outline
from explorer.scout.networks import Weights, score_all, sigmoid
from explorer.scout.query import Query
from explorer.scout.ranges import read_cells
from explorer.scout.tokens import PAD, Floats, is_among, lines_of, long_enough, scan

WHOLE_CLASS_LINES: Final = 30
"""A class of up to this size is a place as a whole, a longer one stands for its head."""
_FOCUS_CELLS: Final = 6
_HANDED: Final = 0.25
"""How much a word counts in a signature, or in an argument or field that only passes it on."""
_BESIDE: Final = 6
"""How many lines around a named one are cited where there is no definition, on each side."""
_LIKELY: Final = 0.3
"""A place is cited if its chance is at least this share of the best one's."""
_MOST_CITED: Final = 5
_MEMBERS: Final = 6
_OTHER_FILES: Final = 4
_MAX_DEFINITIONS: Final = 3_000
"""The most definitions of a file that are looked at; the first ones are kept."""
_HANDS_ON: Final = re.compile(
    rb"^\s*(?:(?:self|this)\.)?_?(\w+)\s*[:=]\s*(?:(?:self|this|options|kwargs|props)\.)?_?\1,?;?\s*$"
    rb"|^\s*\w+,\s*$|^\s*(?:import|from|use|using)\b"
)
_QUOTES: Final = (b'"""', b"'''", b'r"""')

FEATURES: Final = (
    "file cell cells name name_whole exact qualified parent doc body signature cover pairs"
    " size small function class value statements stub test dunder first rank"
).split()
"""What is known of each definition, by the columns of the array."""

_WEIGHTS: Final = {
    "file": 1.0,
    "cell": 0.45,
    "cells": 0.25,
    "name": 3.0,
    "name_whole": 0.8,
    "exact": 3.0,
    "qualified": 3.0,
    "parent": 0.6,
    "doc": 1.6,
    "body": 2.4,
    "signature": 0.0,
    "cover": 2.0,
    "pairs": 0.5,
    "size": 0.15,
    "small": -0.5,
    "function": 0.3,
    "class": -0.3,
    "value": -0.4,
    "statements": -0.8,
    "stub": -1.0,
    "test": -0.5,
    "dunder": -0.3,
    "first": 0.0,
    "rank": 0.3,
}
"""How much each feature counts, in log odds."""


@dataclass(frozen=True, slots=True)
class Place:
    """A definition of one candidate that may answer the question."""

    file: int
    definition: Definition
    start: int
    end: int
    chance: float
    """That it is the one sought first."""
    focus: tuple[tuple[int, int], ...]
    """The ranges of lines in it that matter, the one that matters most first."""


def rank_places(
    paths: Sequence[str],
    texts: Sequence[bytes],
    chances: NDArray[np.float64],
    query: Query,
    weight: Floats,
    described: Floats,
    weights: Weights,
    named: Mapping[int, Sequence[int]],
) -> list[Place]:
    """The definitions of all texts, best first.

    ``chances`` are those of the texts to be sought at all; ``named`` are the lines of each text
    that the query names: what is at these comes before all others, in their order.
    """
    outlines = [outline(path, text)[:_MAX_DEFINITIONS] for path, text in zip(paths, texts, strict=True)]
    field, known = read_cells(texts, query, weight, described)
    tables: list[NDArray[np.float64]] = []
    spans: list[tuple[int, Definition, int, int]] = []
    cells: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]] = []
    for index, (table, matches) in enumerate(known):
        begin, end = (int(each) for each in field.spans[index])
        own = sigmoid(score_all(weights.cells, table, matches).astype(np.float64))
        cells.append((field.first[begin:end], field.last[begin:end], own))
    hits = [_Hits(text, query, out) for text, out in zip(texts, outlines, strict=True)]
    rarity = _rarity(hits, query)
    for index, found in enumerate(outlines):
        for number, definition in enumerate(found):
            start, last = _range_of(definition)
            spans.append((index, definition, start, last))
            tables.append(
                hits[index].features(number, rarity, float(chances[index]), cells[index], start, last)
            )
    if not spans:
        return []
    table = np.array(tables)
    ranked = np.argsort(np.argsort(-table[:, FEATURES.index("body")], kind="stable"))
    table[:, FEATURES.index("rank")] = -np.log1p(ranked) / 2
    scores = table @ np.array([_WEIGHTS[name] for name in FEATURES])
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    order = np.argsort(-scores, kind="stable").tolist()
    places = []
    for number in order:
        index, definition, start, last = spans[number]
        focus = _focus(*cells[index], start, last)
        places.append(Place(index, definition, start, last, float(shares[number]), focus))
    said = [
        _at(index, outlines[index], texts[index], line)
        for index, lines in named.items()
        for line in lines
    ]
    return said + places


def _at(index: int, found: Sequence[Definition], text: bytes, line: int) -> Place:
    """The innermost definition at a line, or the lines around it."""
    around = [each for each in found if each.start <= line <= each.end]
    if around:
        each = min(around, key=lambda each: each.size)
        return Place(index, each, each.start, each.end, 1.0, ((line, line),))
    count = text.count(b"\n") + 1
    start, end = max(1, line - _BESIDE), min(count, line + _BESIDE)
    none = Definition("", "statements", start, end, start, start)
    return Place(index, none, start, end, 1.0, ((line, line),))


def choose_places(
    places: Sequence[Place], files: int, most: int
) -> tuple[list[Place], list[Place]]:
    """The places to cite, and less likely ones: members of the files cited, then other files.

    ``files`` is how many files are worth citing, ``most`` how many places.
    """
    cited: list[Place] = []
    rest: list[Place] = []
    for each in places:
        known = {other.file for other in cited}
        if any(_overlap(each, other) for other in cited):
            continue
        is_likely = each.chance >= _LIKELY * places[0].chance
        is_first = each.file not in known and len(known) < files
        if len(cited) < most and (is_first or (is_likely and len(cited) < _MOST_CITED)):
            cited.append(each)
        else:
            rest.append(each)
    known = {each.file for each in cited}
    members = [each for each in rest if each.file in known and each.definition.name]
    others = {each.file: each for each in reversed(rest) if each.file not in known}
    firsts = sorted(others.values(), key=lambda each: -each.chance)
    return cited, _apart(members)[:_MEMBERS] + firsts[:_OTHER_FILES]


def _apart(places: Sequence[Place]) -> list[Place]:
    """The places without those that overlap a better one."""
    kept: list[Place] = []
    for each in places:
        if not any(_overlap(each, other) for other in kept):
            kept.append(each)
    return kept


def _overlap(one: Place, other: Place) -> bool:
    return one.file == other.file and one.start <= other.end and other.start <= one.end


def _range_of(definition: Definition) -> tuple[int, int]:
    """The lines that stand for the definition: all of them, or a large class's head."""
    if definition.kind == "class" and definition.size > WHOLE_CLASS_LINES:
        return definition.start, definition.own_end
    return definition.start, definition.end


def _focus(
    first: NDArray[np.int32], last: NDArray[np.int32], own: NDArray[np.float64], start: int, end: int
) -> tuple[tuple[int, int], ...]:
    inside = np.flatnonzero((last >= start) & (first <= end))
    best = inside[np.argsort(-own[inside], kind="stable")][:_FOCUS_CELLS]
    return tuple((max(start, int(first[at])), min(end, int(last[at]))) for at in best)


_STUB: Final = re.compile(
    rb"(?:\.\.\.|pass|raise NotImplementedError.*|return NotImplemented|unimplemented!\(\)|todo!\(\))\s*$"
)


class _Hits:
    """Where the query's terms occur in one file."""

    def __init__(self, text: bytes, query: Query, found: Sequence[Definition]) -> None:
        self._query, self._found = query, found
        self._lines = text.split(b"\n")
        array = np.frombuffer(PAD + text + PAD, np.uint8)
        lines, words = lines_of(array), scan(array)
        keep = np.flatnonzero(long_enough(words, array))
        part = keep[is_among(words.term[keep], query.terms)]
        whole = np.flatnonzero(words.compound)
        whole = whole[is_among(words.word_term[whole], query.terms)]
        at = np.concatenate([words.start[part], words.word_start[whole]])
        term = np.concatenate([words.term[part], words.word_term[whole]])
        # The pad before the text has as many line ends as bytes.
        line = np.searchsorted(lines.newlines, at) - len(PAD)
        terms = len(query.terms)
        counts = np.zeros((len(self._lines) + 2, max(1, terms)), np.float32)
        np.add.at(counts, (line, np.searchsorted(query.terms, term)), 1.0)
        handed = [bool(_HANDS_ON.match(each[:300])) for each in self._lines]
        counts[: len(handed)][handed] *= _HANDED
        self._counts = counts
        self._totals = np.zeros((len(counts) + 1, counts.shape[1]), np.float32)
        np.cumsum(counts, axis=0, out=self._totals[1:])
        self.names = [_terms_of(each.last_name, query) for each in found]
        self.said = np.array([self._present(number) for number in range(len(found))]).reshape(
            len(found), counts.shape[1]
        )

    def _between(self, start: int, end: int) -> Floats:
        """The counts in the 1-based lines from ``start`` to ``end``."""
        total: Floats = self._totals[max(start - 1, end)] - self._totals[start - 1]
        return total

    def _present(self, number: int) -> NDArray[np.bool_]:
        each = self._found[number]
        start, end = _range_of(each)
        present = self._between(start, end) > 0
        present[self.names[number][0]] = True
        return present

    def _doc(self, each: Definition) -> tuple[int, int, int, int]:
        """The comment above, and the one at the beginning of the body; empty ranges if none."""
        first = self._lines[each.body - 1].strip() if each.body <= len(self._lines) else b""
        if not first.startswith(_QUOTES):
            return each.start, each.head - 1, each.body, each.body - 1
        end = each.body
        quote = first.lstrip(b"r")[:3]
        if first.count(quote) < 2:
            while end < each.end and quote not in self._lines[end]:
                end += 1
            end += 1
        return each.start, each.head - 1, each.body, min(end, each.end)

    def features(
        self,
        number: int,
        rarity: Floats,
        chance: float,
        cells: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]],
        start: int,
        end: int,
    ) -> list[float]:
        """The definition's row; what compares it with all others is 0."""
        each, query = self._found[number], self._query
        first, last, own = cells
        low, high = np.searchsorted(last, start), np.searchsorted(first, end, side="right")
        inside = own[low:high] if high > low else np.zeros(1)
        best = np.sort(inside)[::-1][:3]
        weights = rarity * query.weight
        total = max(1e-6, float(weights.sum()))
        lead, before, doc, doc_end = self._doc(each)
        said_above = self._between(lead, before) + self._between(doc, doc_end)
        handed = self._between(each.head, max(each.head, each.body - 1))
        body = self._between(max(doc_end + 1, each.head), end)
        body_size = max(1, end - max(doc_end, each.head))
        norm = 0.5 + 0.5 * body_size / 20
        names, whole, parts = self.names[number]
        in_name = np.zeros(len(weights), np.bool_)
        in_name[names] = True
        in_doc = said_above / (said_above + 1.0)
        in_body = body / (body + norm)
        covered = np.maximum.reduce([in_name.astype(np.float32), in_doc, np.minimum(body, 1.0), _HANDED * np.minimum(handed, 1)])
        name = float(weights[in_name].sum()) / total
        last_name = each.last_name
        lines = end - start + 1
        stub = bool(lines <= 14 and _STUB.match(self._lines[each.end - 1].strip()))
        return [
            float(np.log(chance + 1e-3)),
            float(np.log(best[0] + 1e-2)),
            float(np.log(best.mean() + 1e-2)),
            name,
            len(names) / max(1, parts),
            float(_is_named(last_name, query.text)),
            float("." in each.name and _is_named(".".join(each.name.split(".")[-2:]), query.text)),
            self._parent_share(each, weights, total),
            float(in_doc @ weights) / total,
            float(in_body @ weights) / total,
            float(np.minimum(handed, 1) @ weights) / total,
            float(covered @ weights) / total,
            float(whole) + _pairs(names, query),
            float(np.log1p(lines)),
            float(lines <= 2),
            float(each.kind == "function"),
            float(each.kind == "class"),
            float(each.kind in ("value", "field", "type")),
            float(each.kind == "statements"),
            float(stub),
            float(last_name.lower().startswith("test") or each.kind == "call"),
            float(last_name.startswith("__") and last_name.endswith("__")),
            float(number == 0),
            0.0,
        ]

    def _parent_share(self, each: Definition, weights: Floats, total: float) -> float:
        if each.parent < 0:
            return 0.0
        names = self.names[each.parent][0]
        return float(weights[names].sum()) / total if len(names) else 0.0


def _terms_of(name: str, query: Query) -> tuple[NDArray[np.int64], bool, int]:
    """Which of the query's terms are in a name, whether it is one whole, and how many parts it has."""
    from explorer.scout.tokens import words_of

    words = words_of(name)
    parts = [part for _, inner, _ in words for part in inner]
    wholes = [whole for _, inner, whole in words if len(inner) > 1]
    known = np.array(sorted({*parts, *wholes}), np.uint32)
    at = np.flatnonzero(is_among(query.terms, known)) if len(known) else np.zeros(0, np.int64)
    is_whole = any(query.whole[index] for index in at.tolist())
    return at, is_whole, len(set(parts))


def _rarity(hits: Sequence[_Hits], query: Query) -> Floats:
    """How rare each term is among the definitions."""
    said = np.concatenate([each.said for each in hits])
    count, having = len(said), said.sum(axis=0)
    return np.log(1.0 + (count - having + 0.5) / (having + 0.5)).astype(np.float32)[
        : len(query.terms)
    ]


def _pairs(names: NDArray[np.int64], query: Query) -> float:
    """How many neighbouring words of the query the name has both of."""
    if len(names) < 2:
        return 0.0
    said = query.sequence
    both = np.isin(said[:-1], names) & np.isin(said[1:], names) & (said[:-1] != said[1:])
    return float(min(2, np.count_nonzero(both)))


def _is_named(name: str, text: str) -> bool:
    """Whether the text has the name as a word, written as code."""
    if len(name) < 2 or not re.search(r"[A-Z_0-9.]|[a-z][A-Z]", name.strip("_")) and f"`{name}" not in text and f"{name}(" not in text:
        return False
    return bool(re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text))
