"""What is known of each definition of the candidate files, as numbers that say how well it answers.

A definition is judged by its name, its own comment, what its body says and what it is handed: a
parameter list, or an argument ``x=x`` that repeats a word of the question, says little about what
the definition does, so there words count for little. ``networks`` judges cells of a few lines,
which say which lines matter; here the definition is the unit.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.definitions import Definition, extent
from explorer.scout.query import Query
from explorer.scout.related import vocabulary, widened
from explorer.scout.scanned import Scanned, scanned
from explorer.scout.tokens import Floats, is_among, long_enough

FEATURES: Final = (
    "file cell cell_rank name name_share name_parts whole pairs exact qualified parent doc"
    " doc_share body_share body_rank cover cover_share handed size small function class value"
    " statements local stub test dunder asked_class asked_value asked_statements"
).split()
"""The columns of ``judge``."""

LEAST_CHANCE: Final = 1e-3
"""What is added to a file's chance before its logarithm is taken."""
_HANDED: Final = 0.25
"""How much a word counts in an argument or field that only passes it on."""
_SAID: Final = 0.5
"""The count from which on a definition says a term: it is more than handed on."""
_SUBJECT: Final = 0.8
"""What is asked for is said first: how much more the first word counts, the next ones less so."""
_MAX_TERMS: Final = 96
_USUAL_LINES: Final = 20
_LONG_LINES: Final = 40
_STUB_LINES: Final = 14
_HANDS_ON: Final = re.compile(
    rb"\s*(?:(?:self|this)\.)?_?(\w+)\s*[:=]\s*(?:(?:self|this|options|kwargs|props)\.)?_?\1,?;?\s*$"
    rb"|\s*\w+,\s*$|\s*(?:import|from|use|using)\b|[\s*/#-]*[@:\\]param\b"
)
_QUOTES: Final = (b'"""', b"'''", b'r"""')
_STUB: Final = re.compile(
    rb"(?:\.\.\.|pass|raise NotImplementedError.*|return NotImplemented|unimplemented!\(\)"
    rb"|todo!\(\))$"
)
_ASKS: Final = re.compile(r"\s*(?:how|where|when|why)\b", re.IGNORECASE)
_CODE: Final = re.compile(r"[A-Z_0-9.]|[a-z][A-Z]")


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one file: their lines, and the chance that each is sought if the file is."""

    first: NDArray[np.int32]
    last: NDArray[np.int32]
    chance: NDArray[np.float64]


def judge(
    texts: Sequence[bytes],
    scans: Sequence[Scanned],
    outlines: Sequence[Sequence[Definition]],
    cells: Sequence[Cells],
    chances: NDArray[np.float64],
    query: Query,
    weight: Floats,
) -> NDArray[np.float64]:
    """A row for each definition of each text, in their order, with the columns ``FEATURES``.

    ``scans`` have the words of the texts, in their order. ``chances`` are those of the texts to be
    sought at all; ``weight`` says how much each term of
    the query counts: its rarity among the files times how much the query says it.
    """
    asked = bool(_ASKS.match(query.text))
    heavy = np.sort(np.argsort(-weight, kind="stable")[:_MAX_TERMS])
    every = [each for found in outlines for each in found]
    if not every:
        return np.zeros((0, len(FEATURES)))
    terms, kin = widened(query, heavy.tolist(), vocabulary(scans))
    counted = [
        _counted(text, counts, found, kin)
        for text, counts, found in zip(texts, _line_counts(scans, terms), outlines, strict=True)
    ]
    parts = [np.concatenate(each) for each in zip(*(one.parts for one in counted), strict=True)]
    doc, handed, body, lines = parts
    last_names = [each.last_name for each in every]
    called = scanned(["\n".join(last_names).encode("utf-8", "replace")])
    in_names = _counts(called, terms)[called.firsts[0] :][: len(every)]
    names = np.minimum(1.0, in_names @ kin)
    # A term that most definitions have says little about which of them is sought.
    having = ((names + doc + body) >= _SAID).sum(axis=0)
    gains = weight[heavy] * np.log(1.0 + (len(every) - having + 0.5) / (having + 0.5))
    if asked:
        gains *= 1.0 + _SUBJECT / (1.0 + _order_said(query, heavy))
    gains /= max(1e-6, float(gains.sum()))
    in_name = names >= _SAID
    norm = 0.5 + 0.5 * lines[:, None] / _USUAL_LINES
    in_doc, in_body = doc / (doc + 1.0), body / (body + norm)
    covered = np.maximum(names, np.maximum(in_doc, np.minimum(body, 1.0)))
    name, said, done, cover = (each @ gains for each in (names, in_doc, in_body, covered))
    best = np.concatenate(
        [_best_cells(found, each) for found, each in zip(outlines, cells, strict=True)]
    )
    owner = np.repeat(np.arange(len(outlines)), [len(found) for found in outlines])
    above = np.array(_parents(outlines), np.int64)
    parent = np.where(above >= 0, name[above], 0.0)
    kinds = np.array([each.kind for each in every])
    sizes = np.array([np.diff(extent(each))[0] + 1 for each in every])
    size_of_name = _part_counts(called, len(every))
    # In a name, too, a word that most definitions have says nothing.
    telling = np.minimum(1.0, gains * len(gains)) * ~query.whole[heavy]
    columns = {
        "file": np.log(chances[owner] + LEAST_CHANCE),
        "cell": np.log(best + 1e-2),
        "cell_rank": _log_rank(best),
        "name": name,
        "name_share": name / max(1e-6, float(name.max())),
        "name_parts": np.minimum(1.0, in_name @ telling / size_of_name),
        "whole": (in_name & query.whole[heavy]).any(axis=1),
        "pairs": _pairs(in_name, heavy, query),
        "exact": [_is_named(each, query.text) for each in last_names],
        "qualified": [
            "." in each.name and _is_named(".".join(each.name.split(".")[-2:]), query.text)
            for each in every
        ],
        "parent": parent,
        "doc": said,
        "doc_share": said / max(1e-6, float(said.max())),
        "body_share": done / max(1e-6, float(done.max())),
        "body_rank": _log_rank(done),
        "cover": cover,
        "cover_share": cover / max(1e-6, float(cover.max())),
        "handed": np.minimum(handed * ~in_name, 1.0) @ gains,
        "size": np.log(np.minimum(sizes, _LONG_LINES)),
        "small": sizes <= 2,
        "function": kinds == "function",
        "class": kinds == "class",
        "value": np.isin(kinds, ["value", "field", "type"]),
        "statements": kinds == "statements",
        "local": _in_functions(outlines),
        "stub": np.concatenate([one.stubs for one in counted]),
        # In Rust a module of tests stands in the file that it tests.
        "test": [
            last.lower().startswith("test") or each.name.startswith("tests.")
            for each, last in zip(every, last_names, strict=True)
        ]
        | (kinds == "call"),
        "dunder": [_is_made_by_language(each) for each in every],
        "asked_class": asked & (kinds == "class"),
        "asked_value": asked & np.isin(kinds, ["value", "field", "type"]),
        "asked_statements": asked & (kinds == "statements"),
    }
    return np.stack([np.asarray(columns[key], np.float64) for key in FEATURES], axis=1)


@dataclass(frozen=True, slots=True)
class _Counted:
    """How often each term occurs in the parts of each definition of one file."""

    parts: tuple[Floats, Floats, Floats, Floats]
    """In its comments, its signature, its body; and the body's number of lines."""
    stubs: NDArray[np.bool_]


def _counted(text: bytes, in_lines: Floats, found: Sequence[Definition], kin: Floats) -> _Counted:
    """``in_lines`` is how often each term occurs in each line of the text."""
    lines = text.split(b"\n")
    # Lines are counted from 1, and the one after the last is asked about too.
    counts = np.zeros((len(lines) + 2, in_lines.shape[1]), np.float32)
    counts[1 : len(in_lines) + 1] = in_lines
    counts = counts @ kin
    for number in np.flatnonzero(counts.any(axis=1)).tolist():
        if _HANDS_ON.match(lines[number - 1][:300]):
            counts[number] *= _HANDED
    totals = np.zeros((len(counts) + 1, counts.shape[1]), np.float32)
    np.cumsum(counts, axis=0, out=totals[1:])

    def between(first: Sequence[int], last: Sequence[int]) -> Floats:
        begin = np.array(first, np.int64).reshape(-1)
        end = np.maximum(np.array(last, np.int64).reshape(-1), begin - 1)
        between: Floats = totals[end + 1] - totals[begin]
        return between

    extents = [extent(each) for each in found]
    docs = [_doc_end(each, lines) for each in found]
    heads = [each.head for each in found]
    bodies = [each.body for each in found]
    doc = between([each.start for each in found], [head - 1 for head in heads])
    doc += between(bodies, [_summary_end(a, b, lines) for a, b in zip(bodies, docs, strict=True)])
    ends = [end for _, end in extents]
    begins = [
        max(end + 1, min(body, last)) for end, body, last in zip(docs, bodies, ends, strict=True)
    ]
    body = between(begins, ends)
    size = np.maximum(1, np.array(ends) - np.array(begins) + 1).astype(np.float32).reshape(-1)
    stubs = [
        each.size <= _STUB_LINES
        and bool(_STUB.search(lines[min(each.end, len(lines)) - 1].strip()))
        for each in found
    ]
    return _Counted(
        (doc, between(heads, [each - 1 for each in bodies]), body, size),
        np.array(stubs, np.bool_),
    )


def _line_counts(scans: Sequence[Scanned], terms: NDArray[np.uint32]) -> Iterator[Floats]:
    """For each text how often each term occurs in each of its lines."""
    for each in scans:
        counts = _counts(each, terms)
        for first, count in zip(each.firsts, each.counts, strict=True):
            yield counts[first : first + count]


def _counts(text: Scanned, terms: NDArray[np.uint32]) -> Floats:
    """How often each term occurs in each line."""
    words = text.words
    keep = np.flatnonzero(long_enough(words, text.array))
    part = keep[is_among(words.term[keep], terms)]
    whole = np.flatnonzero(words.compound)
    whole = whole[is_among(words.word_term[whole], terms)]
    at = np.concatenate([words.start[part], words.word_start[whole]])
    term = np.concatenate([words.term[part], words.word_term[whole]])
    line, size = np.searchsorted(text.lines.newlines, at), len(text.lines.newlines)
    key = line.astype(np.int64) * max(1, len(terms)) + np.searchsorted(terms, term)
    flat = np.bincount(key, minlength=size * max(1, len(terms)))
    return flat.astype(np.float32).reshape(size, -1)


def _part_counts(names: Scanned, count: int) -> NDArray[np.int64]:
    """How many parts the word in each line has, at least 1."""
    line = np.searchsorted(names.lines.newlines, names.words.start) - names.firsts[0]
    return np.maximum(1, np.bincount(line, minlength=count)[:count])


def _doc_end(each: Definition, lines: Sequence[bytes]) -> int:
    """The last line of the comment at the beginning of the body; the line before it if none."""
    first = lines[each.body - 1].strip() if each.body <= len(lines) else b""
    if not first.startswith(_QUOTES):
        return each.body - 1
    quote, end = first.lstrip(b"r")[:3], each.body
    if first.count(quote) < 2:
        while end < each.end and quote not in lines[end]:
            end += 1
        end += 1
    return min(end, each.end)


def _summary_end(first: int, last: int, lines: Sequence[bytes]) -> int:
    """The last line of a comment before its first blank one: what follows is about parameters."""
    for number in range(first, last):
        if not lines[number].strip():
            return number
    return last


def _best_cells(found: Sequence[Definition], cells: Cells) -> NDArray[np.float64]:
    """The chance of the best cell of each definition."""
    extents = np.array([extent(each) for each in found], np.int64).reshape(-1, 2)
    low = np.searchsorted(cells.last, extents[:, 0])
    high = np.searchsorted(cells.first, extents[:, 1], side="right")
    return np.array(
        [
            cells.chance[a:b].max(initial=0.0)
            for a, b in zip(low.tolist(), high.tolist(), strict=True)
        ]
    )


def _parents(outlines: Sequence[Sequence[Definition]]) -> list[int]:
    """The row of each definition's parent; -1 for none."""
    found: list[int] = []
    for each in outlines:
        begin = len(found)
        found += [begin + one.parent if one.parent >= 0 else -1 for one in each]
    return found


def _in_functions(outlines: Sequence[Sequence[Definition]]) -> list[bool]:
    """Whether each definition stands in a function."""
    return [
        each.parent >= 0 and found[each.parent].kind == "function"
        for found in outlines
        for each in found
    ]


def _log_rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(-values)
    return -np.log1p(np.searchsorted(ordered, -values, side="left"))


def _order_said(query: Query, heavy: NDArray[np.int64]) -> NDArray[np.float64]:
    """The place of each term among those of the question, 0 for the one said first."""
    said = list(dict.fromkeys(query.sequence[query.sequence >= 0].tolist()))
    place = {term: number for number, term in enumerate(said)}
    return np.array([place.get(term, len(said)) for term in heavy.tolist()], np.float64)


def _pairs(
    in_name: NDArray[np.bool_], heavy: NDArray[np.int64], query: Query
) -> NDArray[np.float64]:
    """How many neighbouring words of the query each name has both of, at most 2."""
    place = np.full(len(query.terms) + 1, -1)
    place[heavy] = np.arange(len(heavy))
    said = query.sequence
    left, right = place[said[:-1]], place[said[1:]]
    both = (left >= 0) & (right >= 0) & (left != right)
    if not both.any():
        return np.zeros(len(in_name))
    count = (in_name[:, left[both]] & in_name[:, right[both]]).sum(axis=1)
    return np.asarray(np.minimum(2.0, count), np.float64)


_CONSTRUCTORS: Final = frozenset(("constructor", "initialize", "init", "__construct"))


def _is_made_by_language(each: Definition) -> bool:
    """Whether its name says nothing about what it does: that of ``__init__``, or of a constructor.

    A constructor has the name of its class, or the same one in all classes.
    """
    name = each.last_name
    if name.startswith("__") and name.endswith("__"):
        return True
    holder = each.name.rpartition(".")[0].rpartition(".")[2]
    return each.kind == "function" and bool(holder) and (name == holder or name in _CONSTRUCTORS)


def _is_named(name: str, text: str) -> bool:
    """Whether the text has the name as a word that is written as code."""
    if len(name) < 2 or name not in text:
        return False
    marked = f"`{name}" in text or f"{name}(" in text or _CODE.search(name.strip("_"))
    # ``Class.method`` names the method, not the class.
    return bool(marked) and bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w|\.\w)", text))
