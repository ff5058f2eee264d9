"""Which files define the names of a question, and how much each stands out among them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from explorer.definitions import Definition, outline
from explorer.definitions.languages import language_of
from explorer.repository.ripgrep import current_handle, rg_output
from explorer.repository.workspace import Workspace
from explorer.scout.names import (
    EXTENDS,
    FOLDED,
    KEY,
    MODULE,
    TYPE,
    VALUE,
    Name,
    defining_line,
    is_module,
    stem_is,
    within_scope,
)
from explorer.scout.query import Query
from explorer.scout.rows import Postings
from explorer.scout.scores import PathIndex, share
from explorer.scout.tokens import Floats, words_of

_MOST_ALONE: Final = 64
"""The most files that are searched for the definition of the one name that is asked for."""
_MOST_EACH: Final = 6
_MOST: Final = 32
"""The most files that are read because they may define a name mentioned."""


_LOOK_S: Final = 1.0
_MAX_OUTPUT_BYTES: Final = 1 << 20
_PRIVATE: Final = re.compile(r"(?:^|/)_?(?:private|internals?|compat|contrib)(?:/|\.)")


@dataclass(frozen=True, slots=True)
class Defining:
    """What a file defines of the names in a question."""

    plainness: float
    """How plainly, by ``names.defining_line``; 0 for not at all."""
    line: int
    """1-based; 0 for none."""
    scope: float = 1.0
    """The share of what stands before the name that the file is in, or defines."""
    is_stem: bool = False
    """Whether the file is called like the name."""
    also: tuple[int, ...] = ()
    """Other lines of the file that are worth citing."""
    is_whole: bool = True
    """Whether the whole of what is asked for stands there, not a part of it."""
    is_next: bool = False
    """Whether it is one step from what is asked for: raises the message's exception, reads the key.
    """

    @property
    def lines(self) -> list[int]:
        """The lines worth citing, the best first."""
        return [self.line, *self.also]


NOTHING: Final = Defining(0.0, 0, 0.0)

OUTLINED: Final = 8
OUTLINED_BYTES: Final = 400_000
"""The most files whose outline is looked at for the one name that is asked for, and their size
together: a parser reads about 1 MB a second. Most of them are looked into afterwards anyway."""
_UNKNOWN: Final = KEY + 0.4
"""What a line is worth at most that looks like a definition where the grammar knows of none."""
_DECLARED: Final = VALUE - 0.4
"""A function without a body: of an interface, or in a header."""
_IN_FUNCTION, _IN_TESTS, _OF_CLASS = 0.8, 1.0, 1.0
"""How much less a definition in a function counts, one in a module of tests, and the constructor
that has its class's name."""
_KINDS: Final = {"class": TYPE, "function": TYPE, "type": TYPE - 0.1, "value": VALUE}
_EXTENDS: Final = re.compile(rb"\s*(?:[\w@]+\s+)*?(?:impl\b|extension\s)")
_SPECIALIZES: Final = re.compile(rb".*\b(?:struct|class)\s[^{:]*<")
"""In C++ alone; elsewhere these are the parameters of the type itself."""
_IN_PATH, _ELSEWHERE = 0.8, 0.3
"""How much it counts that the path has what stands before the name, or another line of the file."""
_SIGILS: Final = "$@#:&*"


def likely_definers(query: Query, found: Postings, paths: PathIndex, ranking: Floats) -> list[int]:
    """The rows of files that may define the query's names, the likeliest of each name first."""
    rows: dict[int, None] = {}
    for name in query.names:
        _, parts, whole = (words_of(name.last) or [("", [], 0)])[0]
        term = whole if len(parts) > 1 else (parts or [0])[0]
        at = int(np.searchsorted(query.terms, np.uint32(term)))
        known = at < len(query.terms) and int(query.terms[at]) == term
        value = np.zeros(len(paths.paths), np.float32)
        if known:
            here = found.term == at
            value[found.file[here]] = 0.1 + 4.0 * (found.symbol[here] > 0)
        value[paths.stem_whole == whole] += 3.0
        value *= np.where(paths.is_test | paths.is_aside | ~paths.is_code, 0.5, 1.0)
        value += 0.5 * share(ranking) * (value > 0)
        most = _MOST_ALONE if name.alone else _MOST_EACH
        order = np.argsort(-value, kind="stable")[:most]
        rows.update(dict.fromkeys(order[value[order] > (0.0 if name.alone else 1.5)].tolist()))
        if len(rows) >= _MOST and not name.alone:
            break
    return list(rows)


def files_that_define(workspace: Workspace, name: Name) -> frozenset[str]:
    """The files that may define a name of one letter, which the index does not have.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    last = re.escape(name.last)
    pattern = rf"(?:^|\s)(?:def|class|type|fn|func|fun|function|var|let|const|val)\s+{last}\b"
    options = ["--files-with-matches", "--null", "--color=never", *workspace.listing.rules]
    output, _ = rg_output(
        [*options, f"--regexp={pattern}|^{last}\\s*(?::|=[^=])", "--", "./"],
        cwd_fd=workspace.descriptor,
        max_bytes=_MAX_OUTPUT_BYTES,
        timeout_s=_LOOK_S,
        handle=current_handle(),
    )
    found = output.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(path.strip().removeprefix("./") for path in found if path.strip())


def defining(path: str, text: bytes, names: Sequence[Name]) -> Defining:
    """What the file defines of the names: the most plainly defined one counts."""
    best = NOTHING
    for name in names:
        plainness, line = defining_line(text, name)
        if plainness < MODULE and is_module(path, name.last):
            plainness, line = MODULE, line or 1
        if plainness:
            # That a file is called like the name is what makes it a module.
            is_stem = plainness != MODULE and stem_is(path, [name.last])
            each = Defining(plainness, line, within_scope(path, text, name), is_stem)
            if each.plainness + 2 * each.scope > best.plainness + 2 * best.scope:
                best = each
    return best


def outlined(path: str, text: bytes, name: Name, found: Defining) -> Defining:
    """What the file defines of the name by its outline; ``found`` is what its lines say.

    A grammar tells a declaration, an import or an assignment in a constructor from a definition,
    and knows what a method belongs to. Where the outline has nothing of that name the line stays,
    and counts for less.
    """
    known = outline(path, text)
    best, where = (0.0, 0.0), 0
    lines = text.split(b"\n") if known else []
    extends = _SPECIALIZES if language_of(path) == "cpp" else _EXTENDS
    for each in known:
        level = _level(each, name, known, lines, extends)
        if level and (rank := (_scope_share(path, each, name), level)) > best:
            best, where = rank, each.head
    if where and best[1] >= min(found.plainness, _DECLARED):
        is_stem = stem_is(path, [name.last])
        return Defining(best[1], where, max(best[0], _ELSEWHERE * found.scope), is_stem)
    if where:
        return found
    if known and language_of(path) and found.plainness >= VALUE and found.plainness != MODULE:
        return replace(found, plainness=min(found.plainness, _UNKNOWN))
    return found


def _level(
    each: Definition,
    name: Name,
    known: Sequence[Definition],
    lines: list[bytes],
    extends: re.Pattern[bytes],
) -> float:
    """How plainly the definition is one of that name; 0 for another name.

    A class whose first line matches ``extends`` adds to one that is defined elsewhere.
    """
    if each.kind not in _KINDS and each.kind != "field":
        return 0.0
    own = each.last_name.lstrip(_SIGILS)
    if own != name.last and own.rstrip("?!=") != name.last:
        return 0.0
    level = _KINDS.get(each.kind, VALUE - 0.1) - 0.3 * (own != name.last + name.mark)
    outer = known[each.parent] if each.parent >= 0 else None
    if outer is not None and outer.kind == "function" and each.kind != "class":
        level -= _IN_FUNCTION
    if each.kind == "class" and extends.match(lines[each.head - 1]):
        return EXTENDS
    if outer is not None and outer.last_name == own and each.kind == "function":
        level -= _OF_CLASS
    if any(part.lower() in ("test", "tests") for part in each.name.split(".")[:-1]):
        level -= _IN_TESTS
    if each.kind == "function" and lines[each.end - 1].rstrip().endswith(b";"):
        if not any(b"{" in line or b"=" in line for line in lines[each.head - 1 : each.end]):
            level = min(level, _DECLARED)
    return level


def _scope_share(path: str, each: Definition, name: Name) -> float:
    """How much of what stands before the name the definition is in, or else its file."""
    if not name.scope:
        return 1.0
    own = {_plain(part) for part in each.name.split(".")[:-1]}
    folders = {_plain(part) for part in re.split(r"[/.]", path)}
    held = [
        1.0 if part in own else _IN_PATH * (part in folders) for part in map(_plain, name.scope)
    ]
    return sum(held) / len(held)


def _plain(part: str) -> str:
    return re.sub(r"[\W_]", "", part).lower()


def standing(
    defines: Sequence[Defining], paths: PathIndex, rows: Sequence[int], ranking: Floats
) -> Floats:
    """How much each file stands out as the place of the one name that is asked for.

    Exact before partial, definition before use, source before test. 0 for files that define
    nothing by that name.
    """
    near = share(ranking)
    values = [
        0.0
        if each.plainness < FOLDED
        else each.plainness
        + 3.0 * each.scope
        + 1.2 * each.is_stem
        - 1.6 * bool(paths.is_test[row])
        - 1.0 * bool(paths.is_aside[row])
        - 1.5 * bool(paths.is_document[row])
        - 0.8 * (not paths.is_code[row])
        - 1.6 * bool(paths.is_old[row])
        - 0.3 * bool(_PRIVATE.search(paths.paths[row]))
        - 0.1 * float(paths.depth[row])
        + 1.0 * float(near[row])
        + 4.0
        for each, row in zip(defines, rows, strict=True)
    ]
    return np.array(values, np.float32)
