"""A question taken apart: terms with weights, code names, paths, quoted text, title and body."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.scout.essence import essence
from explorer.scout.folding import fold, plain, seamed
from explorer.scout.names import Name, names_in
from explorer.scout.tokens import Floats, Hashes, Indexes, Mask, words_of
from explorer.scout.trace import Trace, parse_trace

MAX_QUERY_CHARS: Final = 20_000
"""How much of a query is read: of a longer one the beginning and the end, where errors are."""

MAX_TERMS: Final = 400
"""How many distinct terms count; those said first and most often are kept."""

_STOP_WORDS: Final = """
a about above after again against all allow allows also although always am an and another any are
around as at back be became because been before being below better between both but by call called
came can cannot cause caused causes cause change changed changes changing com could currently did
do does doing done down due during each either else ensure ensures etc even every example expected
fail failed fails first fix fixed fixes fixing following follows for found from further get gets
getting given gives go got had has have having he hence her here him his how however http https i
ie if improve in instead into is issue issues it its itself just know known last later least less
let like look looking made make makes making may me might more most much must my need needed needs
never new no nor not note now of off often old on once one only onto or other others otherwise our
out over own per please possible previous previously problem problems pull put rather reason request
result resulting same see seem seems set she should show shows side similar since so some someone
something still such sure take taken than that the their them then there these they thing things
this those though through thus to together too two under unless until up upon us use used user uses
using usual usually very via want was way we well went were what when where whether which while who
whole whose why will with within without work working works would www yet you your
"""
_STOPPED: Final = frozenset(
    part for _, parts, whole in words_of(_STOP_WORDS) for part in (*parts, whole)
)
_NOUNS: Final = frozenset(
    part
    for _, parts, _ in words_of("call change example fix issue problem pull request result user")
    for part in parts
)
"""Words that say nothing in a message, "as a result of this change", but are asked about."""

_PATH: Final = re.compile(r"(?<![\w@:/])(?:[\w.+-]+[/\\])*[\w+-]+(?:\.[\w+-]+)*\.[A-Za-z]\w{0,7}\b")
_QUOTED: Final = re.compile(
    r"`([^`\n]{3,120})`|\"([^\"\n]{4,120})\"|(?<!\w)'([^'\n]{4,120})'(?!\w)"
)
_TICKED: Final = re.compile(r"(?<!`)`++[^`\n]{1,200}`++")
_CODE_WORD: Final = re.compile(
    r"[a-z0-9][A-Z]|[A-Za-z0-9]_[A-Za-z0-9]|^_+[a-z]|^[A-Z]{2,}\d*$|^[A-Z]+[A-Z][a-z]"
)
_SCOPE: Final = re.compile(r"\s*(?:\[([^\]\n]{2,40})\]|(?:\w+\()?([\w./*, -]{2,40}?)\)?!?:(?=\s))")
_LONG: Final = re.compile(r"[^\s/]{200,}|\S{600,}")
_PLAIN_CHARS: Final = 300
_SEEKS: Final = {
    "tests": re.compile(
        r"\btests? (?:for|of|that|which|cover\w*|check\w*)\b|\btested\b|\btest (?:suites?|cases?)\b"
        r"|\b(?:unit|integration|regression|e2e) tests?\b",
        re.IGNORECASE,
    ),
    "documents": re.compile(
        r"\b(?:docs|documentation|documented|readme|changelog)\b", re.IGNORECASE
    ),
    "settings": re.compile(
        r"\bCI\b|\b(?:github actions?|workflow files?|(?:docker|make|gem|rake)file|pyproject|tox"
        r"|pre-commit|package\.json|(?:build|lint\w*|project|release) (?:config\w*|settings)"
        r"|config(?:uration)? files?)\b|\bci\b",
        re.IGNORECASE,
    ),
}
_TITLE_WEIGHT: Final = 1.6
_CODE_WEIGHT: Final = 1.5


@dataclass(frozen=True, slots=True)
class Query:
    """What a question asks for. Arrays over its distinct terms are parallel, sorted by hash."""

    terms: Hashes
    weight: NDArray[np.float32]
    """How much a term counts before its rarity: more if it is said often, in the title, as code."""
    title: Mask
    """Whether the term is in the first line."""
    scope: Mask
    """Whether it is before a colon or in brackets at the beginning, as in ``net/http: ...``."""
    lead: Mask
    """Whether it is in the first third."""
    code: Mask
    """Whether it is, or is part of, something written as code."""
    whole: Mask
    """Whether it is the whole of a word of several parts."""
    words: tuple[str, ...]
    """How each term was first written."""
    sequence: Indexes
    """The indexes of the terms in the order in which they are said; -1 between sentences."""
    paths: tuple[str, ...]
    """File names and paths that are mentioned, ``/`` between parts, in lower case."""
    quoted: tuple[bytes, ...]
    """Texts in quotes or backticks, in lower case."""
    trace: Trace
    """The places that are named with a line number."""
    names: tuple[Name, ...]
    """The names that are asked for or mentioned."""
    text: str
    """What was read of the question."""

    @property
    def empty(self) -> bool:
        """True when there is nothing to look for."""
        return not len(self.terms) and not self.paths and not self.alone

    @property
    def alone(self) -> Name | None:
        """The name that the question consists of, if it is nothing else."""
        return self.names[0] if self.names and self.names[0].alone else None

    @property
    def seeks(self) -> frozenset[str]:
        """Which kinds of files other than sources it asks for: tests, documents, settings."""
        if not self.is_plain:
            return frozenset()
        return frozenset(kind for kind, asks in _SEEKS.items() if asks.search(self.text))

    @property
    def is_plain(self) -> bool:
        """Whether it is a question of one line, not a message, an issue or a trace."""
        return "\n" not in self.text and len(self.text) <= _PLAIN_CHARS and not self.trace.frames


def parse_query(text: str) -> Query:
    """The question's terms and parts. Any text is accepted; an empty one gives an empty query."""
    query = _parsed(text, essence)
    # What consists of an address, or of versions, is about these.
    return query if len(query.terms) else _parsed(text, str)


def _parsed(text: str, left: Callable[[str], str]) -> Query:
    """The parts of what ``left`` leaves of the question."""
    unseamed = plain(text)
    if len(unseamed) > MAX_QUERY_CHARS:
        half = MAX_QUERY_CHARS // 2
        unseamed = unseamed[:half] + "\n" + unseamed[-half:]
    trace = parse_trace(seamed(unseamed))
    unseamed = left(unseamed.strip())
    text = seamed(unseamed)
    title_end = _title_end(text)
    prefix = _SCOPE.match(text)
    scope_end = prefix.end() if prefix else 0
    ticked = bytearray(len(text) + 1)
    for match in _TICKED.finditer(text):
        ticked[match.start() : match.end() + 1] = b"\1" * (match.end() + 1 - match.start())
    names = names_in(text)
    named = {part for each in names for part in (each.last, *each.scope)}
    weights: dict[int, float] = {}
    written: dict[int, str] = {}
    marked = {mark: set[int]() for mark in ("title", "scope", "lead", "code", "whole")}
    sequence: list[int] = []
    position = 0
    stopped = _STOPPED - _NOUNS if "\n" not in text and len(text) <= _PLAIN_CHARS else _STOPPED
    for word, parts, complete in words_of(text):
        found = text.find(word, position)
        begins = True
        if found >= 0:
            begins = _breaks(text[position:found]) or not position
            if begins and position:
                sequence.append(-1)
            # Pairs of characters overlap: the second begins inside the first.
            position = found + (1 if len(word) == 2 and not word.isascii() else len(word))
        in_title = position <= title_end
        is_code = bool(_CODE_WORD.search(word)) or bool(ticked[position]) or word in named
        # In the middle of a sentence a capital says that a word is a name: ``the Request``.
        telling = is_code or (word[0].isupper() and not begins)
        terms = [part for part in parts if part not in stopped or telling]
        if len(parts) > 1:
            terms.append(complete)
            marked["whole"].add(complete)
        marks = {
            "title": in_title,
            "scope": 0 < position <= scope_end,
            "lead": 3 * position <= max(len(text), 600),
            "code": is_code,
        }
        gain = (_TITLE_WEIGHT if in_title else 1.0) * (_CODE_WEIGHT if is_code else 1.0)
        for term in terms:
            weights[term] = weights.get(term, 0.0) + gain
            written.setdefault(term, word)
        for mark, holds in marks.items():
            marked[mark].update(terms if holds else ())
        sequence += [part for part in parts if part in weights] or [-1]
    if names and names[0].alone and not weights:
        # A name of one letter has no part that is long enough to be a term.
        for word, _, complete in words_of(names[0].last):
            weights[complete], written[complete] = 1.0, word
    kept = sorted(sorted(weights, key=lambda term: -weights[term])[:MAX_TERMS])
    place = {term: index for index, term in enumerate(kept)}
    return Query(
        terms=np.array(kept, np.uint32),
        weight=np.array([_saturated(weights[term]) for term in kept], np.float32),
        **{
            mark: np.array([term in terms for term in kept], np.bool_)
            for mark, terms in marked.items()
        },
        words=tuple(written[term] for term in kept),
        sequence=np.array([place.get(term, -1) for term in sequence], np.int32),
        paths=_paths(f"{text}\n{unseamed}" if text != unseamed else text, trace),
        quoted=_quoted(unseamed),
        trace=trace,
        names=names,
        text=text,
    )


def _saturated(weight: float) -> float:
    """(k + 1) w / (k + w) with k = 2: a term said three times counts less than three times."""
    return 3.0 * weight / (2.0 + weight)


def _title_end(text: str) -> int:
    """Where the first line ends; in a text of one paragraph the first sentence is the title."""
    line = text.find("\n")
    end = len(text) if line < 0 else line
    if end > 120:
        stop = text.find(". ", 0, end)
        end = stop if stop > 0 else min(end, 120)
    return end


def _breaks(between: str) -> bool:
    return len(between) > 3 or any(mark in between for mark in ".;!?\n")


def _paths(text: str, trace: Trace) -> tuple[str, ...]:
    found: dict[str, None] = {}
    # No path has names of that length, and looking for one there takes quadratic time.
    for match in _PATH.finditer(_LONG.sub(" ", text)):
        found[match[0].replace("\\", "/").removeprefix("./").casefold()] = None
    for frame in trace.frames:
        found[frame.path.casefold()] = None
    return tuple(found)[:100]


def _quoted(text: str) -> tuple[bytes, ...]:
    found: dict[bytes, None] = {}
    for match in _QUOTED.finditer(text):
        inner = next(group for group in match.groups() if group is not None)
        found[fold(inner.encode("utf-8", "replace")).strip().lower()] = None
    return tuple(found)[:40]


WORD_GROUPS: Final = (
    "if elif elsif unless when cond",
    "else otherwise default",
    "return yield",
    "for while loop each foreach do",
    "try catch except rescue finally ensure",
    "throw throws raise panic abort error err exception errors fail goto",
    "null nil none undefined nullptr optional some",
    "new make malloc calloc alloc create init constructor",
    "switch case match",
    "true false",
    "self this super",
    "import use require include package from",
    "const final let var val auto mut",
    "static public private protected pub internal export override virtual",
    "class struct enum interface trait impl type module",
    "def fn func function fun sub",
    "assert check verify require debug_assert expect",
    "log warn debug info trace print printf logger",
    "lock unlock mutex synchronized atomic",
    "async await promise future channel",
    "len length size count num",
    "close free release delete drop dispose destroy remove",
    "todo fixme xxx hack",
    "license copyright author",
    "param returns args example note see since",
    "not and or is in instanceof typeof isinstance",
    "string str int bool char void float double uint8 u8 u32 i32 usize size_t",
    "get set add put push append insert",
)
"""Words of code, grouped by their use: fixes change conditions more often than imports."""


def _groups() -> dict[int, int]:
    known: dict[int, int] = {}
    for index, words in enumerate(WORD_GROUPS):
        for _, _, whole in words_of(words):
            known.setdefault(whole, index)
    return dict(sorted(known.items()))


WORD_GROUP: Final = _groups()
"""The group of each word of ``WORD_GROUPS``, by its hash, in ascending order of these."""


def words_said(query_text: str) -> Floats:
    """How many words of each group of ``WORD_GROUPS`` the text has."""
    counts = np.zeros(len(WORD_GROUPS), np.float32)
    for _, parts, whole in words_of(query_text):
        for term in {*parts, whole}:
            group = WORD_GROUP.get(term)
            if group is not None:
                counts[group] += 1
    return counts
