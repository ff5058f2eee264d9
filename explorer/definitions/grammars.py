"""Parses with tree-sitter: each grammar is loaded when a file first needs it.

A grammar that is missing, or is another version than its query was written for, is no error: the
file is then read without it.
"""

import importlib
import logging
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from explorer.definitions.languages import LANGUAGES

if TYPE_CHECKING:
    import tree_sitter

logger = logging.getLogger(__name__)

PARSE_S: Final = 0.25
"""Maximum time for one file; usual ones take 1 to 10 ms."""
_CHUNK_BYTES: Final = 1 << 16
_MAX_PIECES: Final = 2_000
"""What cannot be parsed is a node with as many pieces; a query takes quadratic time for these."""
_MAX_MATCHES: Final = 20_000
"""Maximum number of definitions of one file; source written by hand has fewer."""

Captured = tuple[str, "tree_sitter.Node", bytes, bytes]
"""A definition's kind, its node, its name and what its name stands in."""


@cache
def _loaded(name: str) -> "tuple[tree_sitter.Language, tree_sitter.Query] | None":
    language = LANGUAGES[name]
    try:
        import tree_sitter

        module = importlib.import_module(language.module)
        grammar = tree_sitter.Language(getattr(module, language.function)())
        return grammar, tree_sitter.Query(grammar, language.query)
    except (ImportError, AttributeError, ValueError, OSError) as error:
        logger.warning("files in %s are read without a grammar: %s", name, error)
        return None


def definitions_in(name: str, text: bytes) -> "list[Captured] | None":
    """The nodes that the language's query finds, by their beginning; None if it cannot be parsed.

    ``name`` is a key of ``LANGUAGES``.
    """
    loaded, root = _loaded(name), root_of(name, text)
    if loaded is None or root is None:
        return None
    import tree_sitter

    cursor = tree_sitter.QueryCursor(loaded[1], match_limit=_MAX_MATCHES)
    # Given a progress callback, this call ends the process (tree-sitter 0.26.1).
    return list(_captured(cursor.matches(root)))


@lru_cache(maxsize=2)
def root_of(name: str, text: bytes) -> "tree_sitter.Node | None":
    """The tree of a text in a language of ``LANGUAGES``; None if it cannot be parsed.

    Parsing ends after ``PARSE_S``. The last two trees are kept: the names of a file are read after
    its definitions.
    """
    loaded = _loaded(name)
    if loaded is None:
        return None
    import tree_sitter

    until = time.monotonic() + PARSE_S

    def over(_offset: int, _failed: bool) -> bool:
        return time.monotonic() > until

    def read(offset: int, _point: object) -> bytes:
        return text[offset : offset + _CHUNK_BYTES]

    try:
        root = tree_sitter.Parser(loaded[0]).parse(read, progress_callback=over).root_node
    except ValueError:
        # It was cancelled.
        return None
    return None if root.has_error and root.child_count > _MAX_PIECES else root


def _captured(
    matches: "list[tuple[int, dict[str, list[tree_sitter.Node]]]]",
) -> "Iterator[Captured]":
    seen: set[tuple[int, int]] = set()
    # A query's first pattern that fits a node counts.
    for _, captures in sorted(matches, key=lambda match: match[0]):
        names, scopes = captures.pop("name", ()), captures.pop("scope", ())
        kind = next((each for each in captures if each[0] != "_"), "")
        if not kind:
            continue
        node = captures[kind][0]
        name = names[0].text if names else b""
        scope = scopes[0].text if scopes else b""
        if node.byte_range not in seen:
            seen.add(node.byte_range)
            yield kind, node, name or b"", scope or b""
