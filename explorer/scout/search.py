"""The search: the files and definitions that resemble a question, best first, as an answer."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.limits import Deadline
from explorer.records import Citation, Confidence, Span
from explorer.repository.documents import evidence_of, split_lines
from explorer.scout.answer import ScoutAnswer, least_sure, sentence_of
from explorer.scout.candidates import Candidates, candidates
from explorer.scout.first_look import count_words
from explorer.scout.fusion import Levels, fuse, load_fusion
from explorer.scout.index import RepositoryIndex, Stop
from explorer.scout.networks import Weights, how_many_files, load_weights, score_all
from explorer.scout.parts import in_context, parts_of, refers, together
from explorer.scout.places import HIGH as PLACE_HIGH
from explorer.scout.places import MEDIUM as PLACE_MEDIUM
from explorer.scout.places import Place, choose_places, look_into, rank_places, scores_of, sureness
from explorer.scout.query import Query, parse_query
from explorer.scout.reading import LOOKED_AT, Desk
from explorer.scout.rows import IndexRows, find, merge_rows
from explorer.scout.scores import choose_candidates, first_ranking, score_files
from explorer.scout.second import PLAIN_HIGH, chances_of

INLINE_BYTES: Final = 4 << 20
"""How much source is indexed before an answer; if there is more, ripgrep looks first."""

_ANSWER_SHARE: Final = 0.15
"""The share of the time left that is kept for the search itself, not for indexing."""
_LOOK_S: Final = 5.0
_MOST_FILES: Final = 6
"""The most files that are cited; more than a reader will open."""
_EQUAL: Final = 0.5
"""Files that define the name asked for and stand out less by at most this are cited too."""
_NEXT: Final = 2
"""The most files that are cited because they are one step from what is asked for."""
_KNOWN_SHARE: Final = 0.34
"""A part of a question of whose words fewer occur in the repository has found nothing."""
_LOOKED_AT: Final = 8
"""The files whose definitions are ranked where nothing is read."""


def search(
    index: RepositoryIndex,
    query: str,
    paths: tuple[str, ...],
    *,
    most: int,
    deadline: Deadline,
    cancelled: Stop,
    look_first: bool = False,
    desk: Desk | None = None,
) -> ScoutAnswer:
    """At most ``most`` citations for the query from the files at ``paths``, which are sorted.

    With ``look_first``, if much is not indexed, the answer goes by ripgrep's counts, and
    ``index.pending`` has what is left to be indexed. Without a ``desk`` nothing is
    read.

    Raises:
        RipgrepError: rg is missing or does not start.
    """
    parsed = parse_query(query)
    if parsed.empty:
        return ScoutAnswer(
            (), "The query has no words to search for; name what the code does or is called."
        )
    indexing = deadline.earlier(_ANSWER_SHARE * deadline.left_s)

    def stopped() -> bool:
        return cancelled() or not indexing.left_s

    index.find_pending(paths)
    looked = look_first and index.pending.source_bytes > INLINE_BYTES and not stopped()
    if looked:
        rows = _look(index, parsed, stopped, min(_LOOK_S, indexing.left_s))
    else:
        index.index_pending(stopped)
        rows = index.rows
    # While something is read, another question may use the index.
    notes = {found: index.notes(len(paths), looked=looked, found=found) for found in (True, False)}
    answer = _parts_searched(index, query, parsed, rows, most, cancelled, desk)
    return replace(answer, notes=(*notes[bool(answer.citations)], *answer.notes))


def _parts_searched(
    index: RepositoryIndex,
    text: str,
    query: Query,
    rows: IndexRows,
    most: int,
    cancelled: Stop,
    desk: Desk | None,
) -> ScoutAnswer:
    """The answer to all parts of a question; ``query`` is its ``text`` as a whole.

    Something is read for the question as a whole alone: read for each part too, no more of 93 right
    places are shown, and it takes longer.
    """
    if not rows.paths or most <= 0:
        return ScoutAnswer((), index.workspace.listing.why_empty() or sentence_of(()))
    parts = parts_of(text)
    if not parts:
        return _search(index, query, rows, most, cancelled, desk)
    whole = _search(index, parse_query(" ".join(parts)), rows, most, cancelled, desk)
    answers = []
    for part in parts:
        asked = in_context(part, parts)
        if _says_nothing(asked if refers(part) else parse_query(part), rows):
            answers.append(ScoutAnswer((), sentence_of(())))
            continue
        answers.append(_search(index, asked, rows, max(1, most // len(parts)), cancelled, None))
    return together(parts, answers, whole)


def _search(
    index: RepositoryIndex,
    query: Query,
    rows: IndexRows,
    most: int,
    cancelled: Stop,
    desk: Desk | None,
) -> ScoutAnswer:
    """The answer to one question, or one part of a question, from the rows."""
    found = None if query.empty or cancelled() else candidates(index, query, rows)
    if found is None or cancelled():
        return ScoutAnswer((), index.workspace.listing.why_empty() or sentence_of(()))
    return _answer(query, found, load_weights(), most, desk)


def _says_nothing(query: Query, rows: IndexRows) -> bool:
    """Whether most of what the question says occurs nowhere."""
    found = np.zeros(len(query.terms), np.bool_)
    found[find(rows, query.terms).term] = True
    known = float(query.weight[found].sum())
    return not query.paths and known < _KNOWN_SHARE * float(query.weight.sum())


def _look(index: RepositoryIndex, query: Query, stopped: Stop, timeout_s: float) -> IndexRows:
    """Rows of all files: those of the index, and ripgrep's counts for those that it lacks.

    The best of the latter are indexed before the answer.
    """
    pending = index.pending
    with ThreadPoolExecutor(1, "scout-look") as pool:
        # In this context, so that rg ends with the question.
        counting = pool.submit(
            copy_context().run, count_words, index.workspace, query, pending, stopped, timeout_s
        )
        # rg is a process of its own: meanwhile the paths are looked at here.
        index.path_index(tuple(sorted({*pending.paths, *index.rows.paths})))
        counted = counting.result()
    rows = merge_rows(index.rows, counted)
    paths = index.path_index(rows.paths)
    scores, _ = score_files(find(rows, query.terms), rows.lengths, paths, query)
    best = choose_candidates(first_ranking(scores, paths, query.seeks), len(rows.paths)).tolist()
    lacking = frozenset(pending.paths)
    wanted = [rows.paths[row] for row in best if rows.paths[row] in lacking]
    return merge_rows(rows, index.index_first(wanted, stopped))


@dataclass(frozen=True, slots=True)
class Likely:
    """The files whose definitions are ranked, the likeliest first."""

    paths: list[str]
    texts: list[bytes]
    chances: NDArray[np.float64]
    gains: NDArray[np.float64]
    """What their chances are multiplied by, as ``Candidates.gains``."""
    named: dict[int, list[int]]
    """The lines of them that the query names, or that define its name."""
    count: int
    """How many of them are worth citing."""


def likely_files(query: Query, found: Candidates, weights: Weights, most: int, room: int) -> Likely:
    """The ``room`` likeliest of the candidates; ``most`` is the most that are worth citing.

    Files that a bare stack trace names come first, the innermost frame first, with its lines.
    """
    raw = score_all(weights.files, found.features, found.matches)
    chances = chances_of(
        query,
        raw.astype(np.float64),
        found.extra,
        found.standing,
        weights.calibration,
        is_exact=found.is_exact,
    )
    gains = found.gains
    chances = gains * chances
    order = np.argsort(-chances, kind="stable").tolist()
    count = min(how_many_files(chances, _MOST_FILES), most)
    named = dict(found.named)
    if found.is_exact and (found.is_whole or not named):
        order, count = _leading(found, order, most)
        named = {index: found.defining[index].lines for index in order[:count]} | named
    elif query.trace.bare:
        order = list(dict.fromkeys([*named, *order]))
    chosen = list(dict.fromkeys([*order[:count], *named, *order]))[:room]
    return Likely(
        [found.paths[index] for index in chosen],
        [found.texts[index] for index in chosen],
        chances[chosen],
        gains[chosen],
        {file: named[index] for file, index in enumerate(chosen) if index in named},
        count,
    )


def _leading(found: Candidates, order: list[int], most: int) -> tuple[list[int], int]:
    """The candidates that stand out first, then all others; and how many of them are cited.

    Behind the first come those that are one step from it, then its equals.
    """
    least = found.standing.max() - _EQUAL
    further = [index for index in order[1:] if found.defining[index].is_next]
    equal = [index for index in order if found.standing[index] >= least and index not in further]
    leading = [order[0], *further[:_NEXT], *equal[1:]]
    return list(dict.fromkeys([*leading, *order])), min(most, len(leading))


def _answer(
    query: Query, found: Candidates, weights: Weights, most: int, desk: Desk | None
) -> ScoutAnswer:
    """The answer from the candidates."""
    # Where a name, a quoted text or the lines of a trace decide, nothing has to be read; and of
    # tests, documents and settings the reader was not trained to know anything.
    is_known = found.is_exact or query.trace.bare
    if desk is not None and (is_known or query.seeks or not desk.is_ready()):
        desk = None
    files = likely_files(query, found, weights, most, _LOOKED_AT if desk is None else LOOKED_AT)
    looked = look_into(
        files.paths,
        files.texts,
        files.chances,
        query,
        found.weight,
        found.described,
        weights,
    )
    scores, chances, count = scores_of(looked), files.chances, files.count
    levels = Levels(
        PLAIN_HIGH if query.is_plain else weights.high, weights.medium, PLACE_HIGH, PLACE_MEDIUM
    )
    order = list(range(len(chances)))
    liked: dict[int, tuple[int, int]] = {}
    if desk is not None:
        read = desk.read(query.text, looked, scores, files.paths)
        liked = {row: (part.start, part.end) for row, part in read.passages.items()}
        if liked:
            fusion = load_fusion()["plain" if query.is_plain else "long"]
            known = looked.table, looked.owner, read.scores
            chances, scores = fuse(fusion, chances, *known, gains=files.gains)
            count, levels = min(how_many_files(chances, _MOST_FILES), most), fusion.levels
            order = np.argsort(-chances, kind="stable").tolist()
    is_long = not (query.is_plain or is_known)
    places = rank_places(looked, chances, scores, files.named, liked, is_long=is_long)
    if not places:
        return ScoutAnswer((), sentence_of(()))
    cited, further = choose_places(places, order, count, most, plain=query.is_plain)
    citations = tuple(_citation(each, files) for each in cited)
    # Who finds a part of what is quoted has found it only perhaps.
    least: Confidence = "high" if found.is_whole else "medium"
    file = _confidence(float(chances[cited[0].file]), levels.high, levels.medium)
    place = _confidence(sureness(places), levels.place_high, levels.place_medium)
    return ScoutAnswer(
        citations,
        sentence_of(citations, is_read=bool(liked)),
        (),
        least_sure(file, least),
        least_sure(place, least),
        tuple(_citation(each, files) for each in further),
        bool(liked),
    )


def _citation(place: Place, files: Likely) -> Citation:
    path, name = files.paths[place.file], place.definition.name
    lines = split_lines(files.texts[place.file].decode("utf-8", "replace"))
    return Citation(
        path,
        place.start,
        place.end,
        evidence=evidence_of(lines, place.start, place.end),
        name=name,
        focus=tuple(Span(path, start, end) for start, end in place.focus),
        chance=place.chance,
    )


def _confidence(chance: float, high: float, medium: float) -> Confidence:
    if chance >= high:
        return "high"
    return "medium" if chance >= medium else "low"
