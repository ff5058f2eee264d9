"""What the reader reads at once: a definition, or a part of a long one, under its headings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from explorer.definitions import Definition, extent

MOST_LINES: Final = 26
"""Of a passage. At about 6 tokens a line they fit into the reader's window beside the headings."""
_LINE_CHARS: Final = 160
_HEADS: Final = 2


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines of one definition, 1-based and inclusive."""

    definition: int
    """The number of its definition in the outline."""
    start: int
    end: int


def passages_of(outline: Sequence[Definition]) -> list[Passage]:
    """The passages of all definitions of a file, in their order."""
    return [part for number in range(len(outline)) for part in parts_of(outline, number)]


def parts_of(outline: Sequence[Definition], number: int) -> list[Passage]:
    """The passages of one definition, as even as can be."""
    start, end = extent(outline[number])
    size = end - start + 1
    parts = max(1, -(-size // MOST_LINES))
    edges = [start + size * part // parts for part in range(parts + 1)]
    return [
        Passage(number, begin, after - 1) for begin, after in zip(edges, edges[1:], strict=False)
    ]


def passage_text(
    path: str,
    lines: Sequence[str],
    outline: Sequence[Definition],
    passage: Passage,
    instead: Sequence[str] | None = None,
) -> str:
    """The passage under its path, its name and the first lines of what encloses it.

    ``lines`` are those of the file; ``instead`` are lines to stand for those of the passage.
    """
    each = outline[passage.definition]
    heads: list[str] = []
    if passage.start > each.head:
        heads.append(_line(lines, each.head))
    parent = each.parent
    while parent >= 0 and len(heads) < _HEADS:
        heads.append(_line(lines, outline[parent].head))
        parent = outline[parent].parent
    shown = lines[passage.start - 1 : passage.end] if instead is None else instead
    body = [line[:_LINE_CHARS] for line in shown]
    return "\n".join([f"{path} {each.name}", *reversed(heads), *body])


def _line(lines: Sequence[str], number: int) -> str:
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    return re.sub(r"\s+", " ", line).strip()[:_LINE_CHARS]
