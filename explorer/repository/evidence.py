"""One line that shows what a cited range holds, so that it can be judged without opening it."""

import re
from collections.abc import Sequence

EVIDENCE_CHARS = 160
"""Longest evidence line; what is longer ends in three dots."""

_LOOKED_AT_LINES = 400
"""Lines of a range that are looked at: a range can be a whole file."""

_LOOKED_AT_CHARS = 500
"""Characters of a line that are looked at: minified files have lines of megabytes."""

_MODIFIERS = (
    r"(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|async"
    r"|override|virtual|inline|extern|unsafe|const|sealed|partial|synchronized|pub(?:\([^)]*\))?"
    r"|open|data|suspend|readonly|local|global|mutable|constexpr|template\s*<[^>]*>)\s+)*"
)
_KEYWORD_DEFINITION = re.compile(
    rf"^\s*{_MODIFIERS}"
    r"(?:def|class|func|fn|function\*?|interface|trait|struct|enum|union|impl|module|namespace|mod"
    r"|type|protocol|extension|object|record|sub|macro_rules!|defmodule|defp?|typedef"
    r"|CREATE\s+(?:TABLE|VIEW|FUNCTION)|#\s*define)\b\s*[^\s=;]"
)
_BOUND_FUNCTION = re.compile(
    rf"^\s*{_MODIFIERS}(?:(?:let|var|const)\s+)?[\w$.]+\s*[:=]\s*"
    r"(?:async\s*)?(?:function\b|\([^()]*\)\s*(?::[^=]+)?=>|[\w$]+\s*=>|lambda\b)"
)
# A C, Java, C# or TypeScript head: words, a name, parentheses and an opening brace or a line's end.
_BRACE_DEFINITION = re.compile(
    r"^\s*(?!(?:if|for|while|switch|catch|return|else|do|try|throw|new|await|yield|case|assert"
    r"|elif|when|until|unless|not|and|or|in|with|delete|sizeof)\b)"
    r"(?:[\w:<>,*&\[\]?@~.$]+\s+)*[\w:~$*&]+\s*\([^;={}]*\{$"
)
_UNTELLING = re.compile(
    r"^(?:[\W_]*$|//|/\*|\*|#(?!\s*(?:define|if|include|\[))|--|;;|<!--|\"\"\"|'''|"
    r"@\w+$|(?:else|try|do|begin|end|fi|done|then|pass|break|continue|finally|return)\b\W*$)"
)


def is_definition(line: str) -> bool:
    """True when the line opens a function, class, type or the like, in any common language."""
    line = line[:_LOOKED_AT_CHARS]
    return bool(
        _KEYWORD_DEFINITION.match(line)
        or _BOUND_FUNCTION.match(line)
        or _BRACE_DEFINITION.match(line.rstrip())
    )


def evidence_of(lines: Sequence[str], start: int, end: int) -> str:
    """The first definition in the range, else its first telling line, stripped, 160 characters.

    A telling line is more than brackets, a comment or a bare keyword. A range of none but those
    gives its first line with any text; an empty one gives "". ``lines`` are the whole file's,
    ``start`` and ``end`` 1-based and inclusive; what lies outside the file is ignored.
    """
    first = max(start, 1) - 1
    chosen = lines[first : min(end, first + _LOOKED_AT_LINES)]
    for line in chosen:
        if is_definition(line):
            return _shortened(line)
    texts = [line for line in chosen if line[:_LOOKED_AT_CHARS].strip()]
    for line in texts:
        if not _UNTELLING.match(line[:_LOOKED_AT_CHARS].strip()):
            return _shortened(line)
    return _shortened(texts[0]) if texts else ""


def _shortened(line: str) -> str:
    """The line on one line: stripped, runs of white space as one blank, cut with three dots."""
    text = " ".join(line[:_LOOKED_AT_CHARS].split())
    if len(text) <= EVIDENCE_CHARS:
        return text
    return text[: EVIDENCE_CHARS - 3].rstrip() + "..."
