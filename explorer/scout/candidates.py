"""The files that are read for a question, and what is known of each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.definitions.languages import language_of
from explorer.repository.workspace import Workspace
from explorer.scout.definers import (
    NOTHING,
    OUTLINED,
    OUTLINED_BYTES,
    Defining,
    defining,
    files_that_define,
    likely_definers,
    outlined,
    standing,
)
from explorer.scout.field import build_field
from explorer.scout.habits import of_other_system
from explorer.scout.index import RepositoryIndex
from explorer.scout.literal import DECIDES, files_that_hold, held, literals_of
from explorer.scout.matches import Matches, describe_terms, file_features, match_files
from explorer.scout.message import (
    Message,
    Told,
    first_raising,
    lines_that_say,
    lines_that_use,
    messages_of,
    told,
)
from explorer.scout.names import FOLDED, KEY, MODULE, VALUE, Name, composed_line
from explorer.scout.query import Query
from explorer.scout.reads import reading_lines
from explorer.scout.rows import IndexRows, Postings, find, read_files
from explorer.scout.scores import (
    GENERATED_GAIN,
    PathIndex,
    choose_candidates,
    first_ranking,
    score_files,
    share,
)
from explorer.scout.second import extra_features
from explorer.scout.tokens import Floats, distinct, is_among, words_of
from explorer.scout.trace import resolve, tail_of

_NAMED_FILES: Final = 12
"""The most files that are read because a stack trace names them."""
_ONE_LETTER: Final = 64
_HOLDING: Final = 48
"""The most files that are read because they have a text that is quoted."""
_HAVING: Final = 3
"""How many files at least are looked at that have the name and seem not to define it."""
_SAYING: Final = 16
"""The most files that are looked at for a text that may be a message."""
_RAISERS: Final = 8
"""The most files that are read because they raise the exception of a message."""
_READERS, _LINES_READ = 2, 2
"""The most files that are cited because they read a setting, and the most lines of each."""
_BEHIND: Final = 0.1
"""How much a file stands out that is one step from what is asked for: less than any that has it."""
_LEAST_READ: Final = 0.8
_SAME_LANGUAGE: Final = 0.5
_DEFINERS: Final = 12
"""The most files that are ranked only because they define a name of the question."""
_OTHER_SYSTEM_GAIN: Final = 0.1
"""What a file for Windows or a rare system is worth in a question that names no system: its twin
for Unix is what most people mean. Of 440 questions hit@1 is 0.9 [0.2, 1.8] better on the source
folder, 1.4 [0.5, 2.5] on the whole checkout; all of the difference is in libuv, curl and tokio."""
_OLD_GAIN: Final = 0.15
"""The same for a file of an older version where none is named: hit@1 is 0.5 [0.0, 1.1] better on
both; all of the difference is in zod and pydantic."""
_SAYS_OLD: Final = re.compile(r"(?i)\bv\d|\b(?:versions?|legacy|deprecat\w*|old\w*|compat\w*)\b")


@dataclass(frozen=True, slots=True)
class Candidates:
    """The files that were read for a query, best by the first ranking first."""

    paths: list[str]
    texts: list[bytes]
    features: Floats
    matches: Matches
    described: Floats
    """What is known of each term of the query."""
    weight: Floats
    """The rarity of each term of the query times how much the query says it."""
    gains: NDArray[np.float64]
    """What the chance of each candidate is multiplied by: less than 1 for one that tools wrote or
    that is for another system, unless the query names it."""
    named: dict[int, list[int]]
    """The candidates that the query names with line numbers, and the lines, in its order."""
    defining: list[Defining]
    """How plainly each candidate defines a name of the query, and where."""
    extra: Floats
    """What the ranking networks do not know of each candidate, a row for each."""
    standing: Floats
    """How much each candidate stands out as the place of the one name that is asked for, or of the
    message or route that is quoted."""
    is_exact: bool
    """Whether some do."""
    is_whole: bool
    """Whether the one that stands out most has the whole of what is asked for, not a part."""


def candidates(index: RepositoryIndex, query: Query, rows: IndexRows) -> Candidates | None:
    """The files worth reading for the query, read; None when there are none.

    ``rows`` are those of the index, or what stands in for them.
    """
    paths = index.path_index(rows.paths)
    postings = find(rows, query.terms)
    scores, weight = score_files(postings, rows.lengths, paths, query)
    ranking = first_ranking(scores, paths, query.seeks)
    frames = _frames(query, rows.paths)
    named = list(dict.fromkeys(row for row, _ in frames))[:_NAMED_FILES]
    chosen = list(dict.fromkeys([*named, *choose_candidates(ranking).tolist()]))
    likely = likely_definers(query, postings, paths, ranking)
    if query.alone is not None and len(query.alone.last) == 1:
        defined_in = files_that_define(index.workspace, query.alone)
        likely += [row for row, path in enumerate(rows.paths) if path in defined_in][:_ONE_LETTER]
    literals = () if query.alone else literals_of(query)
    if literals:
        holding = files_that_hold(index.workspace, literals)
        likely += [row for row, path in enumerate(rows.paths) if path in holding][:_HOLDING]
    messages = _messages(query, postings, paths, ranking, index.workspace)
    saying, raising = lines_that_say(index.workspace, messages) if messages else ({}, {})
    raisers = _raisers(raising, paths, ranking)
    likely += [row for row, path in enumerate(rows.paths) if path in saying] + raisers
    read = {
        path: text
        for path, _, text in read_files(
            index.workspace, sorted(rows.paths[row] for row in {*chosen, *likely})
        )
    }
    defines = {
        row: defining(rows.paths[row], read[rows.paths[row]], query.names)
        for row in (dict.fromkeys([*likely, *chosen]) if query.names else ())
    }
    quoting = {
        row: Defining(*held(path, read[path], literals))
        for row in (dict.fromkeys([*likely, *chosen]) if literals else ())
        for path in (rows.paths[row],)
    }
    # A document that quotes a message too does not say where it comes from.
    if any(
        each.plainness >= DECIDES and not paths.is_document[row] for row, each in quoting.items()
    ):
        defines = quoting
    if saying:
        said = _said(saying, messages, paths, read)
        sources = [row for row in said if not _is_mention(paths, row)]
        first = max(sources, key=lambda row: said[row].level, default=None)
        if first is not None:
            if constant := said[first].constant:
                raising = lines_that_use(index.workspace, constant, rows.paths[first])
                raisers = _raisers(raising, paths, ranking)
                new = sorted({rows.paths[row] for row in raisers} - read.keys())
                read |= {path: text for path, _, text in read_files(index.workspace, new)}
            raised = {row: first_raising(raising, read, rows.paths[row]) for row in raisers}
            is_raised = said[first].is_raised
            defines = quoting = _quoting(said, {} if is_raised else raised, paths)
    definers = _by_standing(defines, paths, ranking)
    if query.alone is not None:
        for row in _to_outline(definers, likely, rows.paths, read, query.alone):
            path = rows.paths[row]
            defines[row] = outlined(path, read[path], query.alone, defines[row])
        if not any(_is_plain(each, paths, row) for row, each in defines.items()):
            defines |= _composed(chosen, rows.paths, read, query.alone, defines)
        definers = _by_standing(defines, paths, ranking)
        defines |= _readers(
            definers, [*likely, *chosen], read, query.alone, defines, paths, ranking
        )
        definers = _by_standing(defines, paths, ranking)
    further = [row for row, each in defines.items() if each.is_next]
    chosen = list(dict.fromkeys([*named, *definers[:_DEFINERS], *further, *chosen]))
    chosen = [row for row in chosen if read[rows.paths[row]]]
    if not chosen:
        return None
    texts = [read[rows.paths[row]] for row in chosen]
    at = np.array(chosen, np.int64)
    field = build_field(texts, query, weight)
    features = file_features(scores, paths, rows.lengths, at, ranking[at], field)
    lines: dict[int, list[int]] = {}
    for row, line in frames:
        place = chosen.index(row) if row in chosen else -1
        if place >= 0 and line <= field.line_counts[place]:
            lines.setdefault(place, []).append(line)
    known = postings, rows.lengths, paths, at, query
    defined = [defines.get(row, NOTHING) for row in chosen]
    stand = standing(defined, paths, chosen, ranking)
    stand = np.where([each.is_next for each in defined], np.minimum(stand, _BEHIND), stand)
    described = describe_terms(*known)
    return Candidates(
        paths=[rows.paths[row] for row in chosen],
        texts=texts,
        features=features,
        matches=match_files(*known, field, described),
        described=described,
        weight=weight,
        gains=np.where(scores["mention"][at] > 0, 1.0, _gains(query, paths, chosen)),
        named=lines,
        defining=defined,
        extra=extra_features(query, paths, chosen, scores),
        standing=stand,
        is_exact=bool(stand.any()) and (query.alone is not None or defines is quoting),
        is_whole=defined[int(np.argmax(stand))].is_whole,
    )


def _messages(
    query: Query, found: Postings, paths: PathIndex, ranking: Floats, workspace: Workspace
) -> tuple[Message, ...]:
    """The messages that the query quotes or consists of.

    What does not even sound like one is one only if a source has its words, most of them side by
    side: that is known from the index and a few files, and saves most plain questions a search.
    """
    messages = messages_of(query)
    if not messages or any(each.is_marked or each.sounds for each in messages):
        return messages
    fixed = distinct(part for _, parts, _ in words_of(messages[0].fixed) for part in parts)
    is_fixed = is_among(query.terms, fixed)
    held = np.bincount(found.file[is_fixed[found.term]], minlength=len(paths.paths))
    rows = np.flatnonzero((held == is_fixed.sum()) & ~(paths.is_test | paths.is_document)).tolist()
    first = sorted(rows, key=lambda row: -ranking[row])[:_SAYING]
    texts = read_files(workspace, sorted(paths.paths[row] for row in first))
    return messages if any(messages[0].is_likely_in(text) for _, _, text in texts) else ()


def _raisers(raising: Mapping[str, Sequence[int]], paths: PathIndex, ranking: Floats) -> list[int]:
    """The sources that raise the exception of a message, those that rank highest first."""
    rows = [
        row
        for row, path in enumerate(paths.paths)
        if path in raising and paths.is_code[row] and not _is_mention(paths, row)
    ]
    return sorted(rows, key=lambda row: -ranking[row])[:_RAISERS]


def _is_mention(paths: PathIndex, row: int) -> bool:
    """Whether a file only quotes a message: a test that expects it, a document."""
    return bool(paths.is_test[row] or paths.is_document[row])


def _said(
    saying: Mapping[str, Sequence[int]],
    messages: Sequence[Message],
    paths: PathIndex,
    read: dict[str, bytes],
) -> dict[int, Told]:
    """The rows that have one of the messages."""
    found: dict[int, Told] = {}
    for row, path in enumerate(paths.paths):
        if path in saying and (each := told(read[path], saying[path], messages)).level:
            found[row] = each
    return found


def _quoting(
    said: Mapping[int, Told],
    raising: Mapping[int, int],
    paths: PathIndex,
) -> dict[int, Defining]:
    """The rows that have a message, and those that raise it, by the lines that do; 0 is none.

    A mention counts for less than any source.
    """
    further = {row: line for row, line in raising.items() if line}
    found = {row: Defining(KEY, line, is_next=True) for row, line in further.items()}
    for row, each in said.items():
        level = min(each.level, FOLDED) if _is_mention(paths, row) else each.level
        line, *also = (*each.lines, *([further[row]] if row in further else []))
        found[row] = Defining(level, line, also=tuple(also), is_whole=each.is_whole)
    return found


def _by_standing(defines: dict[int, Defining], paths: PathIndex, ranking: Floats) -> list[int]:
    """The rows that define something, those that stand out most first."""
    definers = [row for row in defines if defines[row].plainness]
    ranks = standing([defines[row] for row in definers], paths, definers, ranking)
    return [definers[place] for place in np.argsort(-ranks, kind="stable").tolist()]


def _is_plain(each: Defining, paths: PathIndex, row: int) -> bool:
    """Whether it is more than a key, in a source."""
    is_source = not (paths.is_test[row] or paths.is_aside[row] or paths.is_document[row])
    return each.plainness > KEY and is_source


def _readers(
    definers: Sequence[int],
    rows: Sequence[int],
    read: Mapping[str, bytes],
    name: Name,
    known: Mapping[int, Defining],
    paths: PathIndex,
    ranking: Floats,
) -> dict[int, Defining]:
    """The rows that read the setting of that name, and the one that defines it with such lines.

    Empty for a constant, a type or a module, which is no setting.
    """
    first = known[definers[0]] if definers else NOTHING
    is_type = first.plainness >= VALUE and name.last[:1].isupper()
    if first.plainness < KEY or first.plainness == MODULE or is_type:
        return {}
    near, language = share(ranking), language_of(paths.paths[definers[0]])
    found: dict[int, list[int]] = {}
    worth: dict[int, float] = {}
    for row in dict.fromkeys(rows):
        is_aside = paths.is_aside[row] or paths.is_generated[row] or paths.is_old[row]
        if _is_mention(paths, row) or is_aside or not paths.is_code[row]:
            continue
        text = read[paths.paths[row]]
        lines = reading_lines(text, name, in_strings=first.plainness > VALUE)
        lines = [each for each in lines if row != definers[0] or each[1] != first.line]
        if lines and lines[0][0] >= _LEAST_READ:
            found[row] = [line for level, line in lines if level == lines[0][0]][:_LINES_READ]
            worth[row] = lines[0][0] + float(near[row])
            worth[row] += _SAME_LANGUAGE * (language_of(paths.paths[row]) == language)
    own = (
        {definers[0]: replace(first, also=tuple(found.pop(definers[0])))}
        if definers[0] in found
        else {}
    )
    best = sorted(found, key=lambda row: -worth[row])[:_READERS]
    return own | {
        row: replace(
            known[row],
            plainness=max(FOLDED, known[row].plainness),
            line=found[row][0],
            also=tuple(found[row][1:]),
            is_next=True,
        )
        for row in best
    }


def _composed(
    rows: Sequence[int],
    paths: Sequence[str],
    read: dict[str, bytes],
    name: Name,
    known: dict[int, Defining],
) -> dict[int, Defining]:
    """The rows that put the name together more plainly than they define it."""
    lines = {row: composed_line(paths[row], read[paths[row]], name) for row in rows}
    return {
        row: Defining(level, line, is_whole=False)
        for row, (level, line) in lines.items()
        if level > known[row].plainness
    }


def _to_outline(
    definers: Sequence[int],
    likely: Sequence[int],
    paths: Sequence[str],
    read: dict[str, bytes],
    name: Name,
) -> list[int]:
    """The rows whose outlines are worth looking at: the best, and some that only have the name."""
    last = name.last.encode("utf-8", "replace")
    having = (row for row in likely if row not in definers and last in read[paths[row]])
    first = definers[: OUTLINED - _HAVING]
    found: list[int] = []
    left = OUTLINED_BYTES
    for row in (*first, *islice(having, OUTLINED - len(first))):
        left -= len(read[paths[row]])
        found += [row] if left >= 0 else []
    return found


def _gains(query: Query, paths: PathIndex, rows: Sequence[int]) -> NDArray[np.float64]:
    """What the chance of each row is multiplied by where the query does not name its file."""
    at = np.asarray(rows, np.int64)
    gains = np.where(paths.is_generated[at], GENERATED_GAIN, 1.0)
    if not query.is_plain:
        return gains
    elsewhere = [of_other_system(paths.paths[row], query.text) for row in rows]
    gains = gains * np.where(elsewhere, _OTHER_SYSTEM_GAIN, 1.0)
    is_old = paths.is_old[at] & (_SAYS_OLD.search(query.text) is None)
    return gains * np.where(is_old, _OLD_GAIN, 1.0)


def _frames(query: Query, paths: Sequence[str]) -> list[tuple[int, int]]:
    """The files that the query names with a line number, by their rows, and the lines."""
    if not query.trace.frames:
        return []
    tails = {tail_of(frame.path) for frame in query.trace.frames}
    by_tail: dict[str, list[str]] = {}
    row_of: dict[str, int] = {}
    for row, path in enumerate(paths):
        tail = tail_of(path)
        if tail in tails:
            by_tail.setdefault(tail, []).append(path)
            row_of[path] = row
    resolved = ((resolve(frame, by_tail), frame.line) for frame in query.trace.frames)
    return [(row_of[path], line) for path, line in resolved if path is not None]
