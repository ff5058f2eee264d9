"""The code that an answer shows: of which places, and which of their lines.

The first places are shown as a whole up to some 45 lines; of a longer one its head and the lines
that matter. One or two are shown where the first is sure; where it is not, the likeliest of all
places, cited or not, with fewer lines each, in the room that the answer has. The model's places and
the scout's are shown alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from explorer.answers.links import Locate, links_of
from explorer.answers.source import Source
from explorer.definitions import Definition
from explorer.records import Citation, Excerpt, Exploration, OutlineEntry, Span
from explorer.repository.paths import PathProblem
from explorer.repository.secrets import mask_secrets
from explorer.repository.workspace import Workspace

Choose = Callable[[str, Sequence[str], Sequence[Definition], int, int], Sequence[tuple[int, int]]]
"""For a path, its lines and definitions, and the ends of a range: the parts of it that matter."""

_LINES: Final = 45
"""The most lines of the first place."""
_FURTHER_LINES: Final = 20
"""The most of each other place. Of 345 tasks of other repositories the hunks shown in 6,000 bytes
are 43.6% with 45 for each of at most 20 places, 44.5% with 26, 45.2% with 18, 45.1% with 12."""
_MOST: Final = 8
"""The most places that are shown. Of these tasks 35.6% of the hunks are shown with four (of 18
lines), 41.9% with six, 43.6% with eight, 44.2% with ten."""
_FEW: Final = 2
"""The most where the first is sure, and of each part of a question with several."""
_SAME_SHARE: Final = 0.6
_LEAST_LINES: Final = 3
_HEAD_LINES: Final = 8
_AROUND: Final = 3
"""How many lines on either side of a part that matters are shown with it."""
_SMALL_GAP: Final = 2
"""A gap of up to this size is shown: a line that says that it was left out takes as much room."""
_MASKED_BEFORE: Final = 80
_MOST_MASKED: Final = 5_000
"""The most lines of a place that are looked at: it can be a whole file."""
_LINE_CHARS: Final = 160
_NUMBER_BYTES: Final = 6
"""What a line costs besides its text: number, blank and line end."""
_FENCE_BYTES: Final = 24
_MOST_ENTRIES: Final = 300
"""The most definitions in an outline: more than a reader looks through."""


def linked(run: Exploration, workspace: Workspace, locate: Locate) -> Exploration:
    """The run with the names of its places, and with what is one step away from the first.

    Reads files, blocking.
    """
    files = _Files(workspace)
    citations = [files.named(each) for each in run.citations]
    if citations:
        first = citations[0]
        own = files.definition(first)
        found = links_of(first, own, workspace.listing.files, files.source, locate, run.query)
        citations[0] = replace(first, links=found)
    return replace(run, citations=tuple(citations), further=tuple(map(files.named, run.further)))


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
    for number, part in enumerate(parts):
        room = max_bytes // (len(parts) - number)
        max_bytes -= room
        most = _FEW if len(parts) > 1 or run.place_confidence == "high" else _MOST
        lines = _LINES
        # Further places belong to the question as a whole.
        own = [n for n, each in enumerate(places) if len(parts) == 1 or each.part == part]
        for at in own[:1] + sorted(own[1:], key=lambda n: -places[n].chance):
            if not most or room <= _FENCE_BYTES:
                break
            each = places[at]
            if files.is_shown(each):
                continue
            # A place that is named in a list of others gets a line of its own.
            taken = len(each.path.encode()) if at >= len(run.citations) else 0
            if code := files.excerpts(each, lines, room - taken):
                most, lines = most - 1, _FURTHER_LINES
                room -= sum(map(_cost, code)) + _FENCE_BYTES + taken
                places[at] = replace(each, code=code)
        max_bytes += room
    count = len(run.citations)
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


class _Files:
    """The cited files, each read once."""

    def __init__(self, workspace: Workspace, choose: Choose | None = None) -> None:
        self._workspace = workspace
        self._choose = choose
        self._files: dict[str, Source | None] = {}
        self._shown: list[frozenset[str]] = []

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

    def is_shown(self, citation: Citation) -> bool:
        """Whether most of the place's lines were shown of another; remembers its lines."""
        source = self.source(citation.path)
        lines = source.lines[citation.start - 1 : citation.end] if source else ()
        mine = frozenset(line.strip() for line in lines if line.strip())
        is_same = len(mine) >= _LEAST_LINES and any(
            len(mine & other) > _SAME_SHARE * len(mine) for other in self._shown
        )
        self._shown.append(mine)
        return is_same

    def named(self, citation: Citation) -> Citation:
        """The citation with the name of its definition, if it has none yet."""
        found = None if citation.name else self.definition(citation)
        name = found.name if found else citation.name
        return replace(citation, name=mask_secrets(name))

    def excerpts(self, citation: Citation, most: int, max_bytes: int) -> tuple[Excerpt, ...]:
        """At most ``most`` lines of the place, in at most ``max_bytes``."""
        file = self.source(citation.path)
        if file is None:
            return ()
        start, end = (
            citation.start,
            min(citation.end, citation.start + _MOST_MASKED, len(file.lines)),
        )
        focus = citation.focus
        if self._choose is not None and not focus and end - start >= most:
            parts = self._choose(citation.path, file.lines, file.outline, start, end)
            focus = tuple(Span(citation.path, *part) for part in parts)
        lines = _masked(file.lines, start, end)
        head, body = start, start + 1
        for each in file.outline:
            if each.start <= start <= each.head and each.end >= end:
                head, body = max(start, each.head), each.body
        while most >= _LEAST_LINES:
            numbers = chosen_lines(start, end, head, body, focus, most)
            excerpts = _excerpts(lines, numbers)
            if sum(map(_cost, excerpts)) + _FENCE_BYTES <= max_bytes:
                return excerpts
            most = min(most, len(numbers)) * 3 // 4
        return ()


def _masked(lines: Sequence[str], start: int, end: int) -> list[str]:
    """The lines of the file, those from ``start`` to ``end`` without secrets."""
    # A key may begin above: what stands there says whether the lines are its inside.
    low = max(0, start - 1 - _MASKED_BEFORE)
    return [*lines[:low], *mask_secrets("\n".join(lines[low:end])).split("\n")]


def innermost(found: Sequence[Definition], start: int, end: int) -> Definition | None:
    """The smallest definition that holds the lines, or else the largest that they hold most of."""
    around = [each for each in found if each.start <= start and end <= each.end and each.name]
    if around:
        return min(around, key=lambda each: each.size)
    inside = [each for each in found if start <= each.head and each.end <= end and each.name]
    return max(inside, key=lambda each: each.size) if inside else None


def chosen_lines(
    start: int, end: int, head: int, body: int, focus: Sequence[Span], most: int
) -> list[int]:
    """The numbers of at most ``most`` lines of a range: all, or its head and what matters in it.

    ``head`` and ``body`` are the lines at which the definition and its body begin.
    """
    if end - start < most:
        return list(range(start, end + 1))
    chosen: set[int] = set(range(head, min(max(body, head + 1), head + _HEAD_LINES, end + 1)))
    for reach in (0, _AROUND, 2 * _AROUND, most):
        for part in focus or (Span("", head, head),):
            wanted = set(range(max(start, part.start - reach), min(end, part.end + reach) + 1))
            extra = sorted(wanted - chosen)
            chosen.update(extra[: max(0, most - len(chosen))])
    # With the lines that lie between two parts that are near.
    numbers = sorted(chosen)
    for one, other in zip(numbers, numbers[1:], strict=False):
        if 1 < other - one <= _SMALL_GAP + 1:
            chosen.update(range(one, other))
    return sorted(chosen)


def _excerpts(lines: Sequence[str], numbers: Sequence[int]) -> tuple[Excerpt, ...]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    runs = [_without_blank_ends(run, lines) for run in runs]
    return tuple(Excerpt(run[0], tuple(_shown(lines[n - 1]) for n in run)) for run in runs if run)


def _without_blank_ends(run: list[int], lines: Sequence[str]) -> list[int]:
    while run and not lines[run[-1] - 1].strip():
        run = run[:-1]
    while run and not lines[run[0] - 1].strip():
        run = run[1:]
    return run


def _shown(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _LINE_CHARS else line[: _LINE_CHARS - 3].rstrip() + "..."


def _cost(excerpt: Excerpt) -> int:
    """The bytes that an excerpt takes in an answer, with the line that separates two."""
    return _NUMBER_BYTES + sum(len(line.encode()) + _NUMBER_BYTES for line in excerpt.lines)
