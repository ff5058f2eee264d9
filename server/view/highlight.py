"""Code cut into pieces that are coloured alike, for a page, a client's view and a terminal.

The lexers are those of Pygments. They are given little text at a time, and only the lexers of
common languages are taken: the lines are a stranger's, and what a lexer makes of them may be slow.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from pygments.lexers import find_lexer_class_for_filename, get_lexer_by_name
from pygments.token import Token
from pygments.util import ClassNotFound

Kind = Literal["", "k", "s", "c", "m", "f"]
"""Other text, a keyword, a string, a comment, a number or constant, the name of a definition."""
Piece = tuple[Kind, str]

MOST_CHARS: Final = 6_000
"""Longer code has one colour: some lexers take time by the square of what is hostile to them."""

_KINDS: Final[tuple[tuple[Any, Kind], ...]] = (
    (Token.Comment.Preproc, "k"),
    (Token.Comment, "c"),
    (Token.Keyword.Constant, "m"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Literal.String, "s"),
    (Token.Literal, "m"),
    (Token.Name.Function, "f"),
    (Token.Name.Class, "f"),
    (Token.Name.Tag, "k"),
    (Token.Name.Attribute, "f"),
    (Token.Name.Decorator, "f"),
    (Token.Generic.Heading, "f"),
    (Token.Generic.Subheading, "f"),
)
_LEXERS: Final = frozenset(
    "bash c clojure cmake cpp csharp css dart docker elixir erlang go graphql groovy haskell html"
    " ini java javascript json jsx julia kotlin less lua make markdown nix objective-c ocaml perl"
    " php powershell protobuf python r restructuredtext ruby rust sass scala scss sql svelte swift"
    " terraform toml tsx typescript vue xml yaml zig".split()
)
_OTHERS: Final = {"pl": "perl", "pm": "perl", "r": "r", "sql": "sql", "svelte": "html"}
"""What Pygments takes for another language, going by the file's name alone, or does not know."""


def pieces(path: str, lines: Sequence[str]) -> list[list[Piece]]:
    """The pieces of each of the lines, which follow each other in the file at ``path``.

    Together the pieces of a line are that line; it is one piece where its language is not known.
    """
    text = "\n".join(lines)
    plain: list[list[Piece]] = [[("", line)] if line else [] for line in lines]
    lexer = _lexer(path.rpartition("/")[2]) if len(text) <= MOST_CHARS else None
    if lexer is None:
        return plain
    found: list[list[Piece]] = [[]]
    before = _left_open(text)
    # Some lexers know a comment by the end of its line.
    for token, value in lexer.get_tokens(f"{before}\n{text}\n"):
        kind = _kind(token)
        first, *others = value.split("\n")
        _add(found[-1], kind, first)
        for other in others:
            found.append([])
            _add(found[-1], kind, other)
    # A lexer may change what it reads, such as a lone carriage return.
    is_same = ["".join(text for _, text in line) for line in found] == [before, *lines, ""]
    return found[1:-1] if is_same else plain


_COMMENT_ENDS: Final = re.compile(r"(\*/|-->)[ \t]*$", re.MULTILINE)
_COMMENT_BEGINS: Final = re.compile(r"/\*|<!--")
_QUOTES: Final = re.compile(r"\"\"\"|'''")
_OPENS_TEXT: Final = re.compile(r"(?:^|[=(\[{,:+]|\breturn|\bf|\br|\bb)\s*\w{0,2}$")


def _left_open(text: str) -> str:
    """What begins the comment or the string of several lines in which the text begins, or empty.

    Without it all colours would be the wrong way round up to the end of the text.
    """
    ends, begins = _COMMENT_ENDS.search(text), _COMMENT_BEGINS.search(text)
    if ends and not (begins and begins.start() < ends.start()):
        return "/*" if ends[1] == "*/" else "<!--"
    quotes = _QUOTES.search(text)
    if quotes and text.count(quotes[0]) % 2:
        above, _, line = text[: quotes.start()].rpartition("\n")
        is_alone = not line.strip() and text[quotes.end() :].lstrip(" ").startswith("\n")
        opens = above.endswith(":") if is_alone else _OPENS_TEXT.search(line)
        return "" if opens else quotes[0]
    return ""


def _add(line: list[Piece], kind: Kind, text: str) -> None:
    if line and line[-1][0] == kind:
        line[-1] = (kind, line[-1][1] + text)
    elif text:
        line.append((kind, text))


@lru_cache(maxsize=256)
def _kind(token: Any) -> Kind:
    return next((kind for above, kind in _KINDS if token in above), "")


@lru_cache(maxsize=64)
def _lexer(name: str) -> Any:
    """The lexer for a file of that name; None if there is none to be taken."""
    # Excerpts of PHP seldom hold the tag that begins it.
    options = {"stripnl": False, "ensurenl": False, "startinline": True}
    known = _OTHERS.get(name.rpartition(".")[2].lower())
    try:
        if known:
            return get_lexer_by_name(known, **options)
        found = find_lexer_class_for_filename(name)
    except ClassNotFound:
        return None
    return found(**options) if found and _LEXERS & set(found.aliases) else None
