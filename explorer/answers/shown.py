"""The code that an answer shows: of which places, and which of their lines.

The first places are shown as a whole up to some 45 lines; of a longer one its head and the lines
that matter. One or two are shown where the first is sure; where it is not, the likeliest of all
places, cited or not, with fewer lines each, in the room that the answer has. The model's places and
the scout's are shown alike.
"""

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from explorer.answers.excerpts import FENCE_BYTES, LEAST_LINES, cost, excerpts_of
from explorer.answers.links import Locate, links_of, shared_words
from explorer.answers.source import Source
from explorer.definitions import Definition, extent
from explorer.records import Citation, Excerpt, Exploration, Link, OutlineEntry, Span
from explorer.repository.paths import PathProblem
from explorer.repository.secrets import mask_secrets
from explorer.repository.workspace import Workspace

Choose = Callable[[str, Sequence[str], Sequence[Definition], int, int], Sequence[tuple[int, int]]]
"""For a path, its lines and definitions, and the ends of a range: the parts of it that matter."""

_LINES: Final = 45
"""The most lines of the first place."""
_PART_LINES: Final = 25
"""The most of the first place of each of several parts. Of 93 parts of 46 questions the code of a
right place is shown of 73 with 45, of 77 with 25."""
_FURTHER_LINES: Final = 10
"""The most of each other place if it is hardly likely; if it is as likely as the first ``_LINES``.

Of the hunks of 128 issues and 159 bug fixes 50% and 54% are shown so; with 20 lines of each, 48%
and 53%, and 45% and 53% where documentation has its share of these."""
_SHARE_POWER: Final = 0.75
"""How fast the lines of a place fall with its chance: with 0.25 49% of the issues' hunks are shown
and 54% of the bug fixes'."""
_WHOLE: Final = 26
"""A place of at most so many lines is shown as a whole."""
_WHOLE_SHARE: Final = 4 / 3
"""So is one that has at most so many times the lines that would be shown: what is left out of it
may be what decides."""
_FILLED_LINES: Final = 60
"""The most lines of a place where room is left when all have their code."""
_CALLED: Final = 2.0
"""How much likelier a short place is that is named in code that is shown. Of the hunks of 128
issues 50.4% are shown with 2, 49.6% with 1; of 159 bug fixes 54.0% and 54.3%."""
_NEXT_STEP: Final = 0.5
"""How likely, beside the first place, what it uses is that shares words with the question."""
_LONG_WORD: Final = 5
"""A shorter word, such as "show", is shared by chance."""
_WORD: Final = re.compile(r"\w+[!?]?")
_MOST: Final = 8
"""The most places that are shown. Of 345 tasks of other repositories 35.6% of the hunks are shown
with four (of 18 lines), 41.9% with six, 43.6% with eight, 44.2% with ten."""
_FEW: Final = 2
"""The most where the first is sure, and of each of several parts in its share of the room."""
_SAME_SHARE: Final = 0.6
_MOST_ENTRIES: Final = 300
"""The most definitions in an outline: more than a reader looks through."""


def linked(run: Exploration, workspace: Workspace, locate: Locate) -> Exploration:
    """The run with the names of its places, and with what is one step away from the first.

    What the first place uses is a place, too, if its name shares words with the question. Reads
    files, blocking.
    """
    files = _Files(workspace)
    citations = [files.named(each) for each in run.citations]
    if citations:
        first = citations[0]
        own = files.definition(first)
        found = links_of(first, own, workspace.listing.files, files.source, locate, run.query)
        citations[0] = replace(first, links=found)
    further = [files.named(each) for each in run.further]
    if citations and (step := files.next_step(citations[0], run.query)) is not None:
        begins = [(each.path, each.start) for each in further]
        if (step.path, step.start) in begins:
            at = begins.index((step.path, step.start))
            further[at] = max(further[at], step, key=lambda each: each.chance)
        elif not any(each.overlaps(step) for each in citations):
            further.append(step)
    return replace(run, citations=tuple(citations), further=tuple(further))


def show(
    run: Exploration, workspace: Workspace, *, max_bytes: int, choose: Choose | None = None
) -> Exploration:
    """The run with the code of its first place and of the likeliest others.

    ``max_bytes`` is the room for the code, in UTF-8; none is shown if it is 0. A place that is much
    the same as one that is shown, such as a method's asynchronous twin, is not shown. ``choose`` is
    asked about a place too long to be shown whole of which nobody said what matters, such as a
    whole file; without it, its beginning is shown. Reads files, blocking.
    """
    files = _Files(workspace, choose)
    parts = list(dict.fromkeys(each.part for each in run.citations))
    places = [*run.citations, *run.further]
    count = len(run.citations)
    # Of several parts each has a share of the room; what they leave all places have.
    turns = [*(parts if len(parts) > 1 else ()), None]
    for number, part in enumerate(turns):
        room = max_bytes // max(1, len(parts) - number)
        own = [n for n, each in enumerate(places) if part in (None, each.part)]
        is_few = part is not None or (len(turns) == 1 and run.place_confidence == "high")
        left = files.show(
            places, own, count, _FEW if is_few else _MOST, _PART_LINES if part else _LINES, room
        )
        max_bytes -= room - left
    files.fill(places, max_bytes)
    return replace(run, citations=tuple(places[:count]), further=tuple(places[count:]))


def outlines(run: Exploration, workspace: Workspace) -> dict[str, tuple[OutlineEntry, ...]]:
    """The outline of each cited file that has one, by its path. Reads files, blocking."""
    files = _Files(workspace)
    sources = {each.path: files.source(each.path) for each in run.citations}
    found = {path: entries(source.outline) for path, source in sources.items() if source}
    return {path: outlined for path, outlined in found.items() if outlined}


def entries(found: Sequence[Definition]) -> tuple[OutlineEntry, ...]:
    """The named definitions of a file.

    Of a file with more than ``_MOST_ENTRIES``: first without values and fields, then the first of
    what is left.
    """
    named = [number for number, each in enumerate(found) if each.name]
    if len(named) > _MOST_ENTRIES:
        named = [number for number in named if found[number].kind not in ("value", "field")]
    depths: dict[int, int] = {-1: -1}
    for number in named[:_MOST_ENTRIES]:
        parent = found[number].parent
        while parent not in depths:
            parent = found[parent].parent
        depths[number] = depths[parent] + 1
    return tuple(
        OutlineEntry(mask_secrets(each.last_name), each.start, each.end, depths[number])
        for number, each in enumerate(found)
        if number in depths
    )


def _lines_of(place: Citation, first: Citation) -> int:
    """How many lines of a longer place are shown, by how likely it is beside the first."""
    share = place.chance / first.chance if first.chance else 1.0
    return max(_FURTHER_LINES, min(_LINES, int(_LINES * share**_SHARE_POWER)))


def _standing(place: Citation, named: AbstractSet[str]) -> float:
    """How likely a place is among others, where code that has the words ``named`` is shown."""
    is_called = place.name.rpartition(".")[2] in named and place.end - place.start < _WHOLE
    return place.chance * (_CALLED if is_called else 1.0)


def _words(place: Citation) -> set[str]:
    return {word for each in place.code for line in each.lines for word in _WORD.findall(line)}


def _count(place: Citation) -> int:
    return sum(len(each.lines) for each in place.code)


class _Files:
    """The cited files, each read once."""

    def __init__(self, workspace: Workspace, choose: Choose | None = None) -> None:
        self._workspace = workspace
        self._choose = choose
        self._files: dict[str, Source | None] = {}
        self._shown: list[frozenset[str]] = []
        self._chosen: dict[Span, tuple[Span, ...]] = {}

    def source(self, path: str) -> Source | None:
        """The file, None if it cannot be read."""
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: str) -> Source | None:
        try:
            lines = self._workspace.read(path).lines
        except PathProblem:
            return None
        return Source(path, lines)

    def definition(self, citation: Citation) -> Definition | None:
        """The definition that the citation is, or lies in."""
        source = self.source(citation.path)
        return innermost(source.outline, citation.start, citation.end) if source else None

    def next_step(self, first: Citation, query: str) -> Citation | None:
        """The function that the first place uses whose name shares most words with the query."""
        own = first.name.rpartition(".")[2]

        def shared(link: Link) -> int:
            return shared_words(link.name.rpartition(".")[2], query, own, _LONG_WORD)

        uses = [each for each in first.links if each.relation == "uses" and shared(each)]
        for link in sorted(uses, key=shared, reverse=True):
            source = self.source(link.path)
            for each in source.outline if source else ():
                if each.head == link.line and each.kind == "function":
                    return Citation(
                        link.path,
                        *extent(each),
                        name=mask_secrets(link.name),
                        part=first.part,
                        chance=_NEXT_STEP * first.chance,
                    )
        return None

    def is_shown(self, citation: Citation) -> bool:
        """Whether most of the place's lines were shown of another; remembers its lines."""
        source = self.source(citation.path)
        lines = source.lines[citation.start - 1 : citation.end] if source else ()
        mine = frozenset(line.strip() for line in lines if line.strip())
        is_same = len(mine) >= LEAST_LINES and any(
            len(mine & other) > _SAME_SHARE * len(mine) for other in self._shown
        )
        self._shown.append(mine)
        return is_same

    def named(self, citation: Citation) -> Citation:
        """The citation with the name of its definition, if it has none yet."""
        found = None if citation.name else self.definition(citation)
        name = found.name if found else citation.name
        return replace(citation, name=mask_secrets(name))

    def show(
        self,
        places: list[Citation],
        own: Sequence[int],
        cited: int,
        most: int,
        lines: int,
        room: int,
    ) -> int:
        """Give their code to at most ``most`` of the places ``own``; the bytes of room left.

        The first of them has ``lines`` lines, and the likeliest come next. Places from number
        ``cited`` on are not cited.
        """
        shown = [at for at in own if places[at].code]
        left = [at for at in own if not places[at].code]
        named = {word for at in shown for word in _words(places[at])}
        while left and len(shown) < most and room > FENCE_BYTES:
            at = max(left, key=lambda n: _standing(places[n], named)) if shown else left[0]
            left.remove(at)
            each = places[at]
            if not each.chance or self.is_shown(each):
                continue
            # A place that is named in a list of others gets a line of its own.
            taken = len(each.path.encode()) if at >= cited else 0
            share = _lines_of(each, places[shown[0]]) if shown else lines
            whole = max(_WHOLE, int(share * _WHOLE_SHARE))
            if code := self.excerpts(each, whole, share, room - taken):
                shown.append(at)
                room -= cost(code) + taken
                places[at] = replace(each, code=code)
                named.update(_words(places[at]))
        return room

    def fill(self, places: list[Citation], room: int) -> None:
        """Give the room that is left to the places that are cut, the first of them first."""
        for at, each in enumerate(places):
            if not each.code or _count(each) == each.end - each.start + 1:
                continue
            room += cost(each.code)
            if code := self.excerpts(each, _FILLED_LINES, _FILLED_LINES, room):
                places[at] = max(each, replace(each, code=code), key=_count)
            room -= cost(places[at].code)

    def excerpts(
        self, citation: Citation, whole: int, most: int, max_bytes: int
    ) -> tuple[Excerpt, ...]:
        """What is shown of the place in ``max_bytes``, as ``excerpts_of`` says."""
        file = self.source(citation.path)
        if file is None:
            return ()
        place = Span(citation.path, citation.start, min(citation.end, len(file.lines)))
        focus = citation.focus
        if self._choose is not None and not focus and place.end - place.start >= whole:
            if place not in self._chosen:
                found = self._choose(place.path, file.lines, file.outline, place.start, place.end)
                self._chosen[place] = tuple(Span(place.path, *part) for part in found)
            focus = self._chosen[place]
        return excerpts_of(
            file.lines,
            file.outline,
            place,
            focus,
            whole=whole,
            most=most,
            max_bytes=max_bytes,
        )


def innermost(found: Sequence[Definition], start: int, end: int) -> Definition | None:
    """The smallest definition that holds the lines, or else the largest that they hold most of."""
    around = [each for each in found if each.start <= start and end <= each.end and each.name]
    if around:
        return min(around, key=lambda each: each.size)
    inside = [each for each in found if start <= each.head and each.end <= end and each.name]
    return max(inside, key=lambda each: each.size) if inside else None
