"""The places that are cited: the definitions of the likely files, ranked.

A class stands for its head, unless it is small.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.definitions import Definition, extent, outline
from explorer.scout.cells import read_cells
from explorer.scout.judging import FEATURES, LEAST_CHANCE, Cells, judge
from explorer.scout.networks import Weights, score_all, sigmoid
from explorer.scout.query import Query
from explorer.scout.scanned import scans_of
from explorer.scout.tokens import Floats

_WEIGHTS: Final = {
    "file": 1.2,
    "cell": 0.74,
    "cell_rank": 0.15,
    "name": 1.65,
    "name_share": 0.2,
    "name_parts": 1.6,
    "whole": 0.2,
    "pairs": 0.0,
    "exact": 3.0,
    "qualified": 5.0,
    "parent": 5.0,
    "doc": 2.4,
    "doc_share": 0.0,
    "body_share": 0.35,
    "body_rank": 0.4,
    "cover": 0.95,
    "cover_share": 0.1,
    "handed": -0.2,
    "size": 0.85,
    "small": -0.5,
    "function": 0.6,
    "class": -0.5,
    "value": -1.0,
    "statements": -0.8,
    "local": 0.3,
    "stub": -1.0,
    "test": -0.5,
    "dunder": -1.9,
    "asked_class": -3.0,
    "asked_value": -1.3,
    "asked_statements": -1.0,
}
"""How much each of the ``FEATURES`` counts, in log odds.

A conditional logit, fitted on 80 questions about 26 repositories with a prior by hand.
Cross-validated by repository, the definition sought is first in 57%, among the first three in 75%,
the first five in 85%; by hand 51, 68 and 81."""

HIGH: Final = 0.93
"""The chance from which on the confidence in the first place is high.

Of the 80 questions 7 reach 0.9, and all of those are right; of the 35 from 0.5 on 83% are."""
MEDIUM: Final = 0.5

_COLUMN_WEIGHTS: Final = np.array([_WEIGHTS[name] for name in FEATURES])

_DEFINITION_SHARE: Final = 0.3
"""How much its best definition says about a file. Of 171 questions of ``benchmarks questions`` the
first file is right in 64.3% with 0, 69.0% with 0.3, 66.7% with 1."""
_FOCUS_CELLS: Final = 6
_BESIDE: Final = 6
"""How many lines around a named one are cited where there is no definition, on each side."""
_MOST_STATEMENTS: Final = 30
"""Of more statements than this, only those around the line that matters most are cited."""
LIKELY: Final = 0.3
"""A place is cited if its chance is at least this share of the best one's."""
MOST_CITED: Final = 5
_MOST_SHOWN: Final = 8
"""An answer shows the code of at most so many; so many of the likeliest are among its places."""
_LEAST_CITED: Final = 4
LONG_TEXT_LINES: Final = 100
"""An answer can show about so many. Of 128 issues, with the reader, the F1 of functions is 39 with
likely places alone and this bound, 30 with at least four places. Of 83 bug fixes, without it, the
line F1 is 13.5 without this bound, 17.1 with it, 18.4 with 60 lines, which would show less."""
_TWIN_LINES: Final = 2
_NAMED: Final = 0.5
"""The chance that what is sought is at the lines that a long text names: in 9 of 17 issues that
name one place it is. Frames of a trace share it."""
_BEGINNING: Final = 12
"""The most lines at the beginning of a file that stand for it."""
_MEMBERS: Final = 6
_OTHER_FILES: Final = 7
"""Of 440 questions the NDCG@10 is 85.0 with five files named in all, 86.3 with eight."""
_MAX_DEFINITIONS: Final = 3_000
"""The most definitions of a file that are looked at; the first ones are kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """A definition of one candidate that may answer the question."""

    file: int
    definition: Definition
    start: int
    end: int
    chance: float
    """That it is the one sought first."""
    cells: Cells | None = None
    """Those of its file."""
    lines: tuple[int, ...] = ()
    """The lines in it that the question names, or that have what it quotes."""
    best: tuple[int, int] = (0, 0)
    """The lines in it that the reader likes best."""
    outline: Sequence[Definition] = ()
    """Of its file."""

    @property
    def heading(self) -> "Place":
        """What it lies in: the head of its class, or else the beginning of its file.

        It stands for the file where no place in it is likely.
        """
        each = self.definition
        while each.parent >= 0:
            each = self.outline[each.parent]
            if each.kind == "class":
                return Place(self.file, each, each.start, each.own_end, 0.0)
        first = min((one.start for one in self.outline if one.name), default=1)
        end = min(max(1, first - 1), _BEGINNING)
        return Place(self.file, Definition("", "statements", 1, end, 1, 1), 1, end, 0.0)

    @property
    def focus(self) -> tuple[tuple[int, int], ...]:
        """The ranges of lines in it that matter, the one that matters most first."""
        if self.cells is None:
            return tuple((line, line) for line in self.lines)
        return _focus(self.cells, self.start, self.end, self.best)


@dataclass(frozen=True, slots=True)
class Looked:
    """The definitions of the files that are likeliest, and what is known of each."""

    texts: Sequence[bytes]
    outlines: Sequence[Sequence[Definition]]
    cells: Sequence[Cells]
    table: NDArray[np.float64]
    """A row for each definition of each text, in their order, with the columns ``FEATURES``."""
    owner: NDArray[np.int64]
    """The text that each row is of."""

    @property
    def definitions(self) -> list[tuple[int, Definition]]:
        """The definition of each row, behind the number of its text."""
        return [(n, each) for n, found in enumerate(self.outlines) for each in found]


def look_into(
    paths: Sequence[str],
    texts: Sequence[bytes],
    chances: NDArray[np.float64],
    query: Query,
    weight: Floats,
    described: Floats,
    weights: Weights,
) -> Looked:
    """The definitions of all texts; ``chances`` are those of the texts to be sought at all."""
    outlines = [
        outline(path, text)[:_MAX_DEFINITIONS] for path, text in zip(paths, texts, strict=True)
    ]
    scans = scans_of(texts)
    field, known = read_cells(scans, query, weight, described)
    cells: list[Cells] = []
    for (begin, end), (table, matches) in zip(field.spans.tolist(), known, strict=True):
        own = sigmoid(score_all(weights.cells, table, matches).astype(np.float64))
        cells.append(Cells(field.first[begin:end], field.last[begin:end], own))
    return Looked(
        texts,
        outlines,
        cells,
        judge(texts, scans, outlines, cells, chances, query, weight),
        np.repeat(np.arange(len(texts)), [len(found) for found in outlines]),
    )


def word_weights() -> list[float]:
    """How much each of the ``FEATURES`` counts where the reader reads nothing."""
    return [_WEIGHTS[name] for name in FEATURES]


def scores_of(looked: Looked) -> NDArray[np.float64]:
    """The log odds of each definition to be the one sought first."""
    return np.asarray(looked.table @ _COLUMN_WEIGHTS, np.float64)


def rank_places(
    looked: Looked,
    chances: NDArray[np.float64],
    scores: NDArray[np.float64],
    named: Mapping[int, Sequence[int]],
    liked: Mapping[int, tuple[int, int]] | None = None,
    *,
    is_long: bool = False,
) -> list[Place]:
    """The definitions of all texts, best first.

    ``chances`` are those of the texts to be sought at all, ``scores`` the log odds of the
    definitions; ``named`` are the lines of each text that the query names: what is at these comes
    before all others, in their order. A long text names lines beside others that it does not name:
    there what is at them has together the chance ``_NAMED``. ``liked`` are the lines of each row
    that the reader likes best.
    """
    owner, outlines, cells = looked.owner, looked.outlines, looked.cells
    likely = np.log(chances + LEAST_CHANCE) * _WEIGHTS["file"]
    best = np.full(len(outlines), -np.inf)
    np.maximum.at(best, owner, scores - likely[owner])
    first = int(np.argmax(likely + _DEFINITION_SHARE * best))
    shares = np.exp(scores - scores.max(initial=0.0))
    shares /= max(1e-9, float(shares.sum()))
    every = looked.definitions
    places: list[Place] = []
    order = np.argsort(-scores, kind="stable")
    leading = order[owner[order] == first][:1]
    for number in [*leading.tolist(), *order[order != leading].tolist()]:
        index, each = every[number]
        start, last = extent(each)
        if each.kind == "statements" and each.size > _MOST_STATEMENTS:
            first_line, last_line = _focus(cells[index], start, last)[0]
            start, last = max(start, first_line - _BESIDE), min(last, last_line + _BESIDE)
        best_lines = (liked or {}).get(number, (0, 0))
        share = float(shares[number])
        places.append(
            Place(
                index,
                each,
                start,
                last,
                share,
                cells[index],
                best=best_lines,
                outline=outlines[index],
            )
        )
    said = _joined(
        _at(index, outlines[index], looked.texts[index], line)
        for index, lines in named.items()
        for line in lines
    )
    if not is_long or not said:
        return said + places
    chance = _NAMED / len(_apart(said, len(said)))
    said = [replace(each, chance=chance) for each in said]
    return sorted(said + places, key=lambda each: -each.chance)


def _at(index: int, found: Sequence[Definition], text: bytes, line: int) -> Place:
    """The innermost definition at a line, or the lines around it."""
    around = [
        each
        for each in found
        if each.start <= line <= each.end
        and (each.kind != "statements" or each.size <= _MOST_STATEMENTS)
    ]
    if around:
        each = min(around, key=lambda each: each.size)
        start, end = extent(each)
        if line > end:
            start, end = each.start, each.end
        return Place(index, each, start, end, 1.0, lines=(line,), outline=found)
    count = text.count(b"\n") + 1
    start, end = max(1, line - _BESIDE), min(count, line + _BESIDE)
    none = Definition("", "statements", start, end, start, start)
    return Place(index, none, start, end, 1.0, lines=(line,))


def _joined(places: Iterable[Place]) -> list[Place]:
    """The places in their order, each once, with all lines that are named in it."""
    found: dict[tuple[int, int, int], Place] = {}
    for each in places:
        key = each.file, each.start, each.end
        known = found.setdefault(key, each)
        if known is not each:
            found[key] = replace(known, lines=(*known.lines, *each.lines))
    return list(found.values())


def choose_places(
    places: Sequence[Place], order: Sequence[int], files: int, most: int, *, plain: bool = True
) -> tuple[list[Place], list[Place]]:
    """The places to cite, and less likely ones: members of the files cited, then other files.

    ``order`` are all files, the likeliest first, ``files`` is how many of them are worth citing,
    ``most`` how many places. Of a ``plain`` question there are at least ``_LEAST_CITED`` of them
    that are no twins, unless the first is sure. Of a long text they are those that are likely, with
    at most ``LONG_TEXT_LINES`` together, or only one; a file worth citing in which no function is
    likely is cited by the heading of its best one. Last come those of the ``_MOST_SHOWN`` likeliest
    places that are not among these.
    """
    least = _LEAST_CITED if plain and places and sureness(places) < HIGH else 1
    worth = frozenset(order[:files])
    cited: list[Place] = []
    rest: list[Place] = []
    for each in places:
        known = {other.file for other in cited}
        if any(_overlap(each, other) for other in cited):
            continue
        is_likely = each.chance >= LIKELY * places[0].chance
        # Whether a file is worth citing is known from its own chance, which knows more about files.
        if each.file not in known and cited and each.file not in worth and each.chance < 1.0:
            rest.append(each)
            continue
        is_first = each.file not in known
        apart = [one for n, one in enumerate(cited) if not any(_twins(one, o) for o in cited[:n])]
        is_wanted = each.file in known and len(apart) < least
        is_likely = is_wanted or (is_likely and len(cited) < MOST_CITED)
        is_claimed = is_likely or (is_first and (plain or each.definition.kind != "function"))
        if len(cited) < most and is_claimed:
            cited.append(each)
            continue
        rest.append(each)
        if len(cited) < most and is_first:
            cited.append(each.heading)
    if not plain:
        cited, long = _within(cited, LONG_TEXT_LINES)
        rest = long + rest
    known = {each.file for each in cited}
    members = [each for each in rest if each.file in known and each.definition.name]
    others = {each.file: each for each in reversed(rest) if each.file not in known}
    firsts = [others[file] for file in order if file in others]
    further = _apart(members, _MEMBERS) + firsts[:_OTHER_FILES]
    likely = _apart(sorted(rest, key=lambda each: -each.chance), _MOST_SHOWN - 1)
    return cited, further + [one for one in likely if not any(_overlap(one, o) for o in further)]


def _within(places: Sequence[Place], lines: int) -> tuple[list[Place], list[Place]]:
    """The first place and those that fit beside it into so many lines, and the others.

    Places at lines that the question names always fit.
    """
    kept: list[Place] = []
    others: list[Place] = []
    for each in places:
        size = each.end - each.start + 1
        if kept and size > lines and each.chance < 1.0:
            others.append(each)
        else:
            kept.append(each)
            lines -= size
    return kept, others


def sureness(places: Sequence[Place]) -> float:
    """The chance that the first place, or a twin of it in another file, is the one sought."""
    first = places[0]
    return sum(each.chance for each in places if each is first or _twins(each, first))


def _twins(one: Place, other: Place) -> bool:
    """Whether both are versions of one thing, such as a method and its asynchronous form."""
    a, b = one.definition, other.definition
    return (
        a.last_name == b.last_name != ""
        and (one.file != other.file or a.parent != b.parent)
        and a.kind == b.kind
        and abs(a.size - b.size) <= _TWIN_LINES
    )


def _apart(places: Sequence[Place], most: int) -> list[Place]:
    """The first ``most`` places, without those that overlap a better one."""
    kept: list[Place] = []
    for each in places:
        if len(kept) == most:
            break
        if not any(_overlap(each, other) for other in kept):
            kept.append(each)
    return kept


def _overlap(one: Place, other: Place) -> bool:
    return one.file == other.file and one.start <= other.end and other.start <= one.end


def _focus(
    cells: Cells, start: int, end: int, best: tuple[int, int] = (0, 0)
) -> tuple[tuple[int, int], ...]:
    """The likeliest cells between the lines, those that begin in ``best`` before all others."""
    inside = np.flatnonzero((cells.last >= start) & (cells.first <= end))
    liked = (cells.first[inside] >= best[0]) & (cells.first[inside] <= best[1])
    order = inside[np.lexsort((-cells.chance[inside], ~liked))][:_FOCUS_CELLS]
    return tuple((max(start, int(cells.first[at])), min(end, int(cells.last[at]))) for at in order)
