"""The outline of one file: its definitions, by tree-sitter or, where no grammar is, by its text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from explorer.definitions.formats import COMPONENTS, blocks, reader_of, suffix_of
from explorer.definitions.grammars import definitions_in
from explorer.definitions.languages import LANGUAGES, language_of
from explorer.definitions.plain import plain_definitions

if TYPE_CHECKING:
    import tree_sitter

Kind = Literal["function", "class", "type", "value", "field", "call", "section", "statements"]

WHOLE_CLASS_LINES: Final = 30
"""A class of up to this size is a place as a whole, a longer one stands for its head."""
MAX_BYTES: Final = 1 << 20
"""A larger file has no outline: it is data, or generated."""
_DOCUMENTS: Final = frozenset("md markdown mdx rst adoc asciidoc mkd qmd ipynb html htm".split())
_IS_CPP: Final = re.compile(rb"\b(?:class|namespace|template|typename|public:|private:|std::)\b")
_NAME_CHARS: Final = 120
_LEAD_LINES: Final = 60
"""How many lines of comments and attributes above a definition count as its own."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition and the lines that it takes, 1-based and inclusive."""

    name: str
    """Qualified with dots: ``Class.method``. Empty for statements between definitions."""
    kind: Kind
    start: int
    """With the comments, decorators and attributes above it."""
    end: int
    head: int
    """The line that its own text begins at."""
    body: int
    """The first line after its name and parameters; ``end`` at most."""
    parent: int = -1
    """The index of the definition that it stands in; -1 for none."""
    own_end: int = 0
    """Its last line before the first function or class inside it; ``end`` if there is none."""

    @property
    def size(self) -> int:
        """How many lines it has."""
        return self.end - self.start + 1

    @property
    def last_name(self) -> str:
        """Its name without what it stands in."""
        return self.name.rpartition(".")[2] if self.kind != "section" else self.name


def extent(definition: Definition) -> tuple[int, int]:
    """The lines that stand for the definition: all of them, or a large class's head."""
    if definition.kind == "class" and definition.size > WHOLE_CLASS_LINES:
        return definition.start, definition.own_end
    return definition.start, definition.end


@lru_cache(maxsize=64)
def outline(path: str, text: bytes) -> tuple[Definition, ...]:
    """The definitions of a file in UTF-8, by their beginning, those around others before these.

    Empty for a file that has none, or is larger than ``MAX_BYTES``.
    """
    if not text or len(text) > MAX_BYTES:
        return ()
    lines = text.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    found = _component(path, lines) if suffix_of(path) in COMPONENTS else _parts(path, lines)
    if found:
        return found
    language = language_in(path, text)
    parsed = _parsed(language, text, lines) if language else None
    if parsed is None:
        parsed = [
            Definition(name, "function", start, end, start, min(start + 1, end))
            for name, start, end in plain_definitions(lines)
        ]
    return _completed(parsed, lines)


def language_in(path: str, text: bytes) -> str:
    """The language that ``language_of`` says; of a header, by what it has, C or C++."""
    language = language_of(path)
    is_c = language == "cpp" and path.endswith(".h") and not _IS_CPP.search(text)
    return "c" if is_c else language


def _parts(path: str, lines: Sequence[str]) -> tuple[Definition, ...]:
    """The parts of a file that is no program; empty for a program."""
    reader = reader_of(path)
    if reader is None:
        return ()
    parts = [
        Definition(name[:_NAME_CHARS], "section", start, end, start, min(start + 1, end))
        for name, start, end in reader(lines)
    ]
    # In documents a line with a hash is a heading, not a comment.
    leads = suffix_of(path) not in _DOCUMENTS
    return _completed(parts, lines, qualified=True, leads=leads, statements=False)


def _component(path: str, lines: Sequence[str]) -> tuple[Definition, ...]:
    """The parts of a single-file component; its scripts with their own definitions."""
    found: list[Definition] = []
    covered: set[int] = set()
    for tag, attributes, start, end in blocks(lines):
        covered.update(range(start, end + 1))
        if tag != "script" or end - start < 2:
            found.append(Definition(tag, "section", start, end, start, min(start + 1, end)))
            continue
        inner = "\n".join(["" for _ in range(start)] + list(lines[start : end - 1]))
        language = "typescript" if re.search(r"lang\s*=\s*[\"']ts", attributes) else "javascript"
        scripts = _parsed(language, inner.encode("utf-8", "replace"), lines) or []
        found += _completed(scripts, ["", *lines[: end - 1]][1:], statements=False)
        found += _statements_around(found, lines, start + 1, end - 1)
    if suffix_of(path) == "astro" and lines[0].strip() == "---":
        end = next((n for n, line in enumerate(lines[1:], 2) if line.strip() == "---"), 1)
        inner = "\n".join(["", *lines[1 : end - 1]])
        found += _parsed("typescript", inner.encode("utf-8", "replace"), lines) or []
        covered.update(range(1, end + 1))
    left = [n for n, line in enumerate(lines, 1) if n not in covered and line.strip()]
    if left and suffix_of(path) != "vue":
        found.append(Definition("markup", "section", left[0], left[-1], left[0], left[0]))
    return _completed(found, lines, qualified=True, leads=False, statements=False)


def _statements_around(
    found: Sequence[Definition], lines: Sequence[str], first: int, last: int
) -> list[Definition]:
    """The paragraphs of statements in the lines that no definition takes."""
    taken = {n for each in found for n in range(each.start, each.end + 1)}
    left = ["" if n in taken else line for n, line in enumerate(lines, 1)]
    return _statements(left, first, last)


def _parsed(language: str, text: bytes, lines: Sequence[str]) -> list[Definition] | None:
    captured = definitions_in(language, text)
    if captured is None:
        return None
    wrappers = LANGUAGES[language].wrappers
    found: list[Definition] = []
    for kind, node, name, scope in captured:
        outer = node
        while (above := outer.parent) is not None and above.type in wrappers:
            outer = above
        start, end = outer.start_point.row + 1, _end_row(outer)
        body = _body(node)
        found.append(
            Definition(
                _named(name, scope, kind),
                kind,  # type: ignore[arg-type]
                start,
                min(end, len(lines)),
                node.start_point.row + 1,
                min(body, end),
            )
        )
    return found


def _end_row(node: "tree_sitter.Node") -> int:
    end = node.end_point
    return max(node.start_point.row + 1, end.row + (end.column > 0))


def _body(node: "tree_sitter.Node") -> int:
    """The first line after the node's signature."""
    inner = node.child_by_field_name("body")
    if inner is None:
        # ``const f = () => {}``: the function is the value of what is declared.
        holder = next((n for n in node.named_children if n.child_by_field_name("value")), node)
        value = holder.child_by_field_name("value") or node
        inner = value.child_by_field_name("body")
    if inner is None:
        return node.start_point.row + 1
    first = inner.start_point.row + 1
    # A brace ends the signature's line, Python's body begins the next.
    return first + 1 if first < _end_row(inner) and _opens(inner) else first


def _opens(body: "tree_sitter.Node") -> bool:
    return body.child_count > 0 and body.child(0).type in ("{", "(")


_SPACE: Final = re.compile(r"\s+")


def _named(name: bytes, scope: bytes, kind: str) -> str:
    text = _SPACE.sub(" ", name.decode("utf-8", "replace")).strip()
    before = _SPACE.sub(" ", scope.decode("utf-8", "replace")).strip()
    if kind == "call":
        # Of a chain of calls the last one.
        called = before.rpartition(".")[2] if "(" in before else before
        text = f"{called} {text}"
    elif before:
        text = f"{before.lstrip('*&').partition('[')[0]}.{text}"
    elif kind == "class":
        # Without type parameters, which would be in every member's name.
        text = text.partition("<")[0].partition("[")[0]
    return text.replace("::", ".")[:_NAME_CHARS]


_COMMENT: Final = re.compile(r"//|/\*|\*(?:[ /]|$)|#(?!!)|--|<!--|;;|%%|@\w|\[[A-Z]|\"\"\"$")


def _completed(
    found: Iterable[Definition],
    lines: Sequence[str],
    *,
    qualified: bool = False,
    leads: bool = True,
    statements: bool = True,
) -> tuple[Definition, ...]:
    """The definitions with leads, full names, parents and the statements between them.

    ``qualified``: they have their full names already.
    """
    ordered = sorted(found, key=lambda each: (each.start, -each.end, each.head))
    result: list[Definition] = []
    open_: list[int] = []
    top = 0
    for each in ordered:
        while open_ and result[open_[-1]].end < each.start:
            open_.pop()
        parent = open_[-1] if open_ else -1
        if parent >= 0 and each.end > result[parent].end:
            # Indentation misled: no definition ends in the middle of another.
            continue
        lowest = result[parent].head + 1 if parent >= 0 else 1
        before = next((r.end for r in reversed(result) if r.end < each.start), 0)
        start = each.start
        if leads:
            start = _with_lead(lines, start, max(lowest, before + 1))
        name = each.name
        if qualified or not name:
            pass
        elif parent >= 0 and result[parent].kind != "call":
            above = result[parent].name
            name = f"{above}.{name}" if above else name
        elif parent >= 0:
            name = f"{result[parent].name} > {name}"
        if parent < 0 and statements:
            result += _statements(lines, top + 1, start - 1)
        top = max(top, each.end)
        result.append(replace(each, name=_shortened(name), start=start, parent=parent))
        open_.append(len(result) - 1)
    if statements:
        result += _statements(lines, top + 1, len(lines))
    return tuple(_with_own_ends(result))


def _shortened(name: str) -> str:
    """The last parts of a qualified name that is too long."""
    cut = name[-_NAME_CHARS:]
    return cut if len(cut) == len(name) else re.split(r"\.| > ", cut, maxsplit=1)[-1]


def _with_own_ends(found: Sequence[Definition]) -> list[Definition]:
    ends = [each.end for each in found]
    for each in found:
        if each.parent >= 0 and each.kind in ("function", "class", "call"):
            ends[each.parent] = min(ends[each.parent], each.start - 1)
    return [
        replace(each, own_end=max(each.head, end)) for each, end in zip(found, ends, strict=True)
    ]


def _with_lead(lines: Sequence[str], start: int, lowest: int) -> int:
    """The first of the lines of comments and attributes directly above."""
    at = start
    lowest = max(lowest, start - _LEAD_LINES)
    while at > lowest:
        text = lines[at - 2].strip()
        if not _COMMENT.match(text) and not text.endswith("*/"):
            break
        at -= 1
    return at


_IMPORT: Final = re.compile(
    r"(?:import|from|use|using|package|require|include|extern crate|require_relative)\b"
    r"|#\s*(?:include\b|pragma once)|namespace\s[^{]*;$"
    r"|[\"']use \w+[\"'];?$|<\?php$|declare\(strict_types"
    r"|(?:const|var|let)\s.*=\s*require\(|export\s*(?:\*|\{.*)\s*from\b"
)


def _statements(lines: Sequence[str], first: int, last: int) -> list[Definition]:
    """The paragraphs of statements in the lines, without imports and comments."""
    found: list[Definition] = []
    start = end = 0
    importing = commented = False
    for number in range(first, last + 2):
        text = lines[number - 1].strip() if number <= last else ""
        if commented and number <= last:
            commented = "*/" not in text
            continue
        if text.startswith("/*") and "*/" not in text:
            commented = True
            continue
        if importing:
            importing = not text.endswith((")", "}", ";")) and bool(text)
            continue
        if _IMPORT.match(text):
            importing = text.endswith(("(", "{", "\\", ","))
            continue
        if text and not _COMMENT.match(text):
            start, end = start or number, number
        elif start and not text:
            if re.search(r"\w", "".join(lines[start - 1 : end])):
                found.append(Definition("", "statements", start, end, start, start))
            start = end = 0
    return found
