"""Definitions read off words and indentation, for languages that have no grammar here.

A definition begins at a line that looks like one in any common language. It ends at the last line
that is indented deeper, closing brackets and words included.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from explorer.repository.documents import is_definition

Found = tuple[str, int, int]
"""A name and the first and last line."""

_TAB: Final = 4
_CLOSER: Final = re.compile(
    r"[)\]}>{]|end\b|else\b|elif\b|except\b|finally\b|catch\b|rescue\b|then\b"
)
_LABEL: Final = re.compile(r"\w+:\s*(?://.*|/\*.*)?$")
_COMMENT: Final = re.compile(r"//|/\*|\*(?:[ /]|$)|#(?!\[)|--\s|<!--|;;|%%|\"\"\"$")
_KEYWORD_NAME: Final = re.compile(
    r"\b(?:def[a-z]?|class|func|fn|function\*?|interface|trait|struct|enum|union|impl|module"
    r"|namespace|mod|type|protocol|extension|object|record|sub|macro_rules!|defmodule|typedef"
    r"|TABLE|VIEW|FUNCTION|define)\b\s*\*?\s*([\w$.:!?-]+)"
)
_CALLED_NAME: Final = re.compile(r"([\w$.:~-]+)\s*(?:[:=]\s*(?:async\s*)?(?:function\b|\()|\()")


def plain_definitions(lines: Sequence[str]) -> Iterator[Found]:
    """The definitions in the lines; those inside others are included."""
    open_: list[tuple[int, int]] = []
    last = 0
    for number, line in enumerate(lines, 1):
        indent = _indent(line)
        if indent < 0:
            continue
        text = line.lstrip()
        if _COMMENT.match(text):
            # It belongs to what follows; inside a body that is the body itself.
            # (The stars of a block comment are one column deeper than its beginning.)
            if open_ and indent - (text[0] == "*") > open_[-1][1]:
                last = number
            continue
        if open_ and not (":" in text and _LABEL.match(text)):
            while open_ and _ends(open_[-1][1], indent, text):
                yield _found(lines, open_.pop()[0], last)
        if is_definition(line) and not _is_parameter(line):
            open_.append((number, indent))
        last = number
    for head, _ in reversed(open_):
        yield _found(lines, head, last)


def _found(lines: Sequence[str], head: int, last: int) -> Found:
    return name_in(lines[head - 1]), head, max(head, last)


def name_in(line: str) -> str:
    """The name that a line introduces; empty if none can be read off it."""
    match = _KEYWORD_NAME.search(line[:500]) or _CALLED_NAME.search(line[:500])
    return match[1].replace("::", ".").strip(".:") if match else ""


def _ends(own: int, indent: int, text: str) -> bool:
    """True when a line with this indentation is no longer part of the definition."""
    return indent < own or (indent == own and not _CLOSER.match(text))


def _is_parameter(line: str) -> bool:
    """True for a line within a signature: ``struct Cookie *co,`` defines nothing."""
    text = line.strip()
    return (text.endswith(",") and "(" not in text) or text.count(")") > text.count("(")


def _indent(line: str) -> int:
    """Columns before the text; -1 for a blank line."""
    text = line.lstrip()
    if not text:
        return -1
    lead = line[: len(line) - len(text)]
    return len(lead) + (_TAB - 1) * lead.count("\t") if lead else 0
