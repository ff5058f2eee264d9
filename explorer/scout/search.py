"""The scout: answers a question about a repository from its words alone, without a model."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from explorer.limits import Deadline
from explorer.records import Citation, Confidence, Span
from explorer.repository.documents import evidence_of, split_lines
from explorer.repository.ripgrep import RgHandle, in_thread
from explorer.repository.workspace import Workspace
from explorer.scout.answer import ScoutAnswer
from explorer.scout.definers import (
    NOTHING,
    Defining,
    defining,
    files_that_define,
    likely_definers,
    standing,
)
from explorer.scout.field import build_field
from explorer.scout.first_look import count_words
from explorer.scout.index import RepositoryIndex, Stop
from explorer.scout.matches import Matches, describe_terms, file_features, match_files
from explorer.scout.networks import Weights, how_many_files, load_weights, score_all
from explorer.scout.parts import in_context, parts_of
from explorer.scout.places import HIGH as PLACE_HIGH
from explorer.scout.places import MEDIUM as PLACE_MEDIUM
from explorer.scout.places import Place, choose_places, rank_places, sureness
from explorer.scout.query import Query, parse_query
from explorer.scout.rows import IndexRows, build_rows, empty_rows, find, merge_rows, read_files
from explorer.scout.scores import GENERATED_GAIN, choose_candidates, first_ranking, score_files
from explorer.scout.second import PLAIN_HIGH, chances_of, extra_features
from explorer.scout.tokens import Floats, Mask, words_of
from explorer.scout.trace import resolve, tail_of

INLINE_BYTES: Final = 4 << 20
"""How much source is indexed before an answer; if there is more, ripgrep looks first."""

_ANSWER_SHARE: Final = 0.15
"""The share of the time left that is kept for the search itself, not for indexing."""
_LOOK_S: Final = 5.0
_MOST_FILES: Final = 6
"""The most files that are cited; more than a reader will open."""
_NAMED_FILES: Final = 12
"""The most files that are read because a stack trace names them."""
_EQUAL: Final = 0.5
"""Files that define the name asked for and stand out less by at most this are cited too."""
_ONE_LETTER: Final = 64
_DEFINERS: Final = 12
"""The most files that are ranked only because they define a name of the question."""
_PART_FURTHER: Final = 3
_KNOWN_SHARE: Final = 0.34
"""A part of a question of whose words fewer occur in the repository has found nothing."""
_UNSURE: Final[tuple[Confidence, ...]] = ("high", "medium", "low")
_LOOKED_AT: Final = 8
"""The files whose definitions are ranked."""


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
    is_generated: Mask
    """Whether tools wrote each candidate, and the query does not name it."""
    named: dict[int, list[int]]
    """The candidates that the query names with line numbers, and the lines, in its order."""
    defining: list[Defining]
    """How plainly each candidate defines a name of the query, and where."""
    extra: Floats
    """What the ranking networks do not know of each candidate, a row for each."""
    standing: Floats
    """How much each candidate stands out as the place of the one name that is asked for."""


def search(
    index: RepositoryIndex,
    query: str,
    paths: tuple[str, ...],
    *,
    most: int,
    deadline: Deadline,
    cancelled: Stop,
    look_first: bool = False,
) -> ScoutAnswer:
    """At most ``most`` citations for the query from the files at ``paths``, which are sorted.

    With ``look_first``, if much is not indexed, the answer goes by ripgrep's counts, and
    ``index.pending`` has what is left to be indexed.

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
    answer = _parts_searched(index, query, parsed, rows, most, cancelled)
    notes = index.notes(len(paths), looked=looked, found=bool(answer.citations))
    return replace(answer, notes=(*notes, *answer.notes))


def _parts_searched(
    index: RepositoryIndex, text: str, query: Query, rows: IndexRows, most: int, cancelled: Stop
) -> ScoutAnswer:
    """The answer to all parts of a question; ``query`` is its ``text`` as a whole."""
    if not rows.paths or most <= 0:
        return ScoutAnswer((), index.workspace.listing.why_empty() or _sentence(()))
    parts = parts_of(text)
    if not parts:
        return _search(index, query, rows, most, cancelled)
    answers = []
    for part in parts:
        asked = parse_query(in_context(part, parts[0]))
        if _says_nothing(asked, rows):
            answers.append(ScoutAnswer((), ""))
            continue
        answers.append(_search(index, asked, rows, max(1, most // len(parts)), cancelled))
    return _together(parts, answers)


def _search(
    index: RepositoryIndex, query: Query, rows: IndexRows, most: int, cancelled: Stop
) -> ScoutAnswer:
    """The answer to one question, or one part of a question, from the rows."""
    found = None if query.empty or cancelled() else candidates(index, query, rows)
    if found is None or cancelled():
        return ScoutAnswer((), index.workspace.listing.why_empty() or _sentence(()))
    return _answer(query, found, load_weights(), most)


def _says_nothing(query: Query, rows: IndexRows) -> bool:
    """Whether most of what the question says occurs nowhere."""
    found = np.zeros(len(query.terms), np.bool_)
    found[find(rows, query.terms).term] = True
    known = float(query.weight[found].sum())
    return not query.paths and known < _KNOWN_SHARE * float(query.weight.sum())


def _together(parts: Sequence[str], answers: Sequence[ScoutAnswer]) -> ScoutAnswer:
    """The answers to the parts of a question as one; as sure as the least sure of them."""
    citations: list[Citation] = []
    further: dict[tuple[str, int], Citation] = {}
    notes: list[str] = []
    for part, answer in zip(parts, answers, strict=True):
        citations += [replace(each, part=part) for each in answer.citations]
        further.update({(each.path, each.start): each for each in answer.further[:_PART_FURTHER]})
        if not answer.citations:
            notes.append(f"Nothing was found for the part: {part}")
    found = [each for each in answers if each.citations]
    known = {(each.path, each.start) for each in citations}
    return ScoutAnswer(
        tuple(citations),
        _sentence(citations),
        tuple(notes),
        max((each.confidence for each in found), key=_UNSURE.index, default="low"),
        max((each.place_confidence for each in found), key=_UNSURE.index, default="low"),
        tuple(each for key, each in further.items() if key not in known),
    )


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
    return merge_rows(rows, *index.index_first(wanted, stopped))


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
    definers = [row for row in defines if defines[row].plainness]
    ranks = standing([defines[row] for row in definers], paths, definers, ranking)
    definers = [definers[place] for place in np.argsort(-ranks, kind="stable").tolist()]
    chosen = list(dict.fromkeys([*named, *definers[:_DEFINERS], *chosen]))
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
    described = describe_terms(*known)
    return Candidates(
        paths=[rows.paths[row] for row in chosen],
        texts=texts,
        features=features,
        matches=match_files(*known, field, described),
        described=described,
        weight=weight,
        is_generated=paths.is_generated[at] & (scores["mention"][at] == 0),
        named=lines,
        defining=[defines.get(row, NOTHING) for row in chosen],
        extra=extra_features(query, paths, chosen, scores),
        standing=standing([defines.get(row, NOTHING) for row in chosen], paths, chosen, ranking),
    )


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


def _answer(query: Query, found: Candidates, weights: Weights, most: int) -> ScoutAnswer:
    """The answer from the candidates.

    Files that a bare stack trace names come first, the innermost frame first, with its lines.
    """
    raw = score_all(weights.files, found.features, found.matches)
    chances = chances_of(
        query, raw.astype(np.float64), found.extra, found.standing, weights.calibration
    )
    chances = np.where(found.is_generated, GENERATED_GAIN * chances, chances)
    order = np.argsort(-chances, kind="stable").tolist()
    count = min(how_many_files(chances, _MOST_FILES), most)
    if query.trace.bare:
        order = list(dict.fromkeys([*found.named, *order]))
    elif query.alone is not None and found.standing.any():
        count = min(most, max(1, int((found.standing >= found.standing.max() - _EQUAL).sum())))
        for index in order[:count]:
            found.named.setdefault(index, [found.defining[index].line])
    looked = list(dict.fromkeys([*order[:count], *found.named, *order]))[:_LOOKED_AT]
    places = rank_places(
        [found.paths[index] for index in looked],
        [found.texts[index] for index in looked],
        chances[looked],
        query,
        found.weight,
        found.described,
        weights,
        {file: found.named[index] for file, index in enumerate(looked) if index in found.named},
    )
    if not places:
        return ScoutAnswer((), _sentence(()))
    cited, further = choose_places(places, count, most)
    high = PLAIN_HIGH if query.is_plain else weights.high
    paths = [found.paths[index] for index in looked]
    citations = tuple(_citation(each, paths, found.texts[looked[each.file]]) for each in cited)
    return ScoutAnswer(
        citations,
        _sentence(citations),
        (),
        _confidence(float(chances[looked[cited[0].file]]), high, weights.medium),
        _confidence(sureness(places), PLACE_HIGH, PLACE_MEDIUM),
        tuple(_citation(each, paths, found.texts[looked[each.file]]) for each in further),
    )


def _citation(place: Place, paths: Sequence[str], text: bytes) -> Citation:
    path, name = paths[place.file], place.definition.name
    lines = split_lines(text.decode("utf-8", "replace"))
    return Citation(
        path,
        place.start,
        place.end,
        evidence=evidence_of(lines, place.start, place.end),
        name=name,
        focus=tuple(Span(path, start, end) for start, end in place.focus),
    )


def _confidence(chance: float, high: float, medium: float) -> Confidence:
    if chance >= high:
        return "high"
    return "medium" if chance >= medium else "low"


def _sentence(citations: Sequence[Citation]) -> str:
    if not citations:
        return "No file shares a telling word with the query; use words that the code would use."
    return "Found by the words of the question, without reasoning."


def locate(rows: IndexRows, names: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
    """For each name the files of ``rows`` that have it, and whether they define it."""
    terms: dict[str, int] = {}
    for name in names:
        words = words_of(name)
        if len(words) == 1:
            _, parts, whole = words[0]
            terms[name] = whole if len(parts) > 1 else (parts or [whole])[0]
    known = np.unique(np.array(list(terms.values()), np.uint32))
    found = find(rows, known)
    places: dict[int, list[tuple[str, bool]]] = {term: [] for term in known.tolist()}
    for file, term, symbol in zip(
        found.file.tolist(), found.term.tolist(), found.symbol.tolist(), strict=True
    ):
        places[int(known[term])].append((rows.paths[file], symbol > 0))
    return {name: places[term] for name, term in terms.items()}


_FINISH_S = 0.25
"""How long closing waits for the index: as much as a command may take longer for it."""
_JOIN_S = 5.0
_LOCATE_S: Final = 0.2


class Scout:
    """Answers questions about one workspace; its index stays warm between them.

    It works on one question at a time, in a worker thread; others wait. Each question looks up
    which files have changed.
    """

    def __init__(self, workspace: Workspace, cache_dir: Path | None = None) -> None:
        """``cache_dir`` is where the index is kept between processes; None keeps it nowhere."""
        self._workspace = workspace
        self._cache_dir = cache_dir
        self._index: RepositoryIndex | None = None
        self._lock = threading.Lock()
        self._behind: _Behind | None = None

    @property
    def is_indexing(self) -> bool:
        """True while files are indexed behind an answer."""
        return self._behind is not None

    def close(self) -> None:
        """Stop indexing and keep what is indexed for the next process.

        Waits for what can be indexed in ``_FINISH_S``: a command that answers one question leaves
        a small repository indexed as a whole, and of a larger one more with every question. To be
        called before the workspace is closed.
        """
        with self._lock:
            behind, self._behind = self._behind, None
        if behind is not None:
            behind.thread.join(_FINISH_S)
            behind.stop.set()
            behind.thread.join(_JOIN_S)
        with self._lock:
            if self._index is not None:
                self._index.save()

    async def index(self, deadline_s: float = 600.0) -> bool:
        """Bring the index up to date; True when all files are in it.

        Raises:
            WorkspaceError: the root is gone or cannot be listed.
            RipgrepError: rg is missing or does not start.
        """
        deadline = Deadline(deadline_s)
        paths = await self._workspace.files()

        def work(handle: RgHandle) -> bool:
            with self._lock:
                index = self._opened()
                index.refresh(paths, lambda: handle.killed or not deadline.left_s)
                return not index.pending.paths

        return await in_thread(work)

    async def answer(
        self, query: str, *, max_citations: int = 10, deadline_s: float = 10.0
    ) -> ScoutAnswer:
        """The places that resemble the query, within about ``deadline_s``.

        If much of the repository is not indexed, ripgrep looks first, and a thread of its own
        indexes behind the answer. What could not be read in time is left out, and the notes say
        so. Cancelling ends the work at its next step.

        Raises:
            WorkspaceError: the root is gone or cannot be listed.
            RipgrepError: rg is missing or does not start.
        """
        deadline = Deadline(deadline_s)
        paths = await self._workspace.files()
        return await in_thread(partial(self._answer, query, paths, max_citations, deadline))

    def locate(self, names: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
        """For each name the indexed files that have it, and whether they define it.

        A file may be among them that has only a word of the same stem. Empty while others ask.
        """
        if not self._lock.acquire(timeout=_LOCATE_S):
            return {}
        try:
            rows = self._index.rows if self._index is not None else empty_rows()
            return locate(rows, names)
        finally:
            self._lock.release()

    def _answer(
        self,
        query: str,
        paths: tuple[str, ...],
        most: int,
        deadline: Deadline,
        handle: RgHandle,
    ) -> ScoutAnswer:
        with self._lock:
            if handle.killed:
                return ScoutAnswer((), "The search was cancelled.")
            index = self._opened()
            answer = search(
                index,
                query,
                paths,
                most=most,
                deadline=deadline,
                cancelled=lambda: handle.killed,
                look_first=True,
            )
            if index.pending.paths and self._behind is None:
                self._behind = _Behind(self._index_behind)
        return answer

    def _opened(self) -> RepositoryIndex:

        if self._index is None:
            self._index = RepositoryIndex(self._workspace, self._cache_dir)
        return self._index

    def _index_behind(self, behind: "_Behind") -> None:
        """Index what is pending, a batch at a time, so that questions can come in between."""
        index = self._opened()
        while not behind.stop.is_set():
            with self._lock:
                batch = index.next_batch()
                if not batch:
                    index.save()
                    if self._behind is behind:
                        self._behind = None
                    return
            try:
                rows = build_rows(read_files(self._workspace, batch, behind.stop.is_set))
            except RuntimeError:
                # The interpreter is shutting down and starts no more threads.
                return
            with self._lock:
                index.take_in(rows)


class _Behind:
    """A thread that indexes behind the answers."""

    def __init__(self, work: Callable[["_Behind"], None]) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=work, args=(self,), name="scout-behind", daemon=True)
        self.thread.start()
