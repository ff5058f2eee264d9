"""What is said of single occurrences of a query's terms, in files and in cells."""

import numpy as np
import pytest

from explorer.scout.cells import tests_from as rust_tests_from
from explorer.scout.field import FINE_CELL_LINES, build_field
from explorer.scout.matches import (
    describe_cells,
    describe_terms,
    match_cells,
    match_files,
)
from explorer.scout.query import WORD_GROUPS, parse_query, words_said
from explorer.scout.rows import NO_FILE, build_rows, find
from explorer.scout.scores import index_paths, score_files

POOL = b"""\
class Pool:
    def close(self):
        for conn in self.conns:
            conn.drop()

    def borrow(self, limit):
        if limit is None:
            raise ValueError(limit)
        return self.conns.pop()
"""
OTHER = b"def other():\n    return conn\n"
FILES = {"net/pool.py": POOL, "net/tcp.py": OTHER, "net/udp.py": OTHER, "zoo.py": b"x = 1\n"}
WHAT = 17
"""Columns that say what a term is, before those that say how it occurs."""


@pytest.fixture
def known():
    query = parse_query("Pool: borrow leaks conn\n\nWhen the limit is None, borrow raises.")
    rows = build_rows([(path, NO_FILE, text) for path, text in FILES.items()])
    paths = index_paths(tuple(FILES))
    chosen = np.array([0, 1, 3])
    postings = find(rows, query.terms)
    _, weight = score_files(postings, rows.lengths, paths, query)
    texts = [FILES[rows.paths[index]] for index in chosen]
    field = build_field(texts, query, weight, FINE_CELL_LINES)
    described = describe_terms(postings, rows.lengths, paths, chosen, query)
    files = match_files(postings, rows.lengths, paths, chosen, query, field, described)
    return query, field, described, files


def term(query, word):
    return next(index for index, each in enumerate(query.words) if each.lower() == word)


def row(matches, owner, described, index):
    """What is said of one term's occurrences in one thing; None when it has none."""
    mine = (matches.owner == owner) & (matches.values[:, :WHAT] == described[index]).all(axis=1)
    found = matches.values[mine][:, WHAT:]
    return found[0].tolist() if len(found) else None


def test_terms_are_rare_or_common_and_said_in_the_title_or_not(known):
    query, _, described, _ = known
    borrow, conn, limit = (described[term(query, word)] for word in ("borrow", "conn", "limit"))

    assert borrow[0] > conn[0] > 0
    assert borrow[3] == conn[3] == 1
    assert limit[3] == 0
    assert described[term(query, "pool")][4] == 1
    assert borrow[11] == 1
    assert limit[11] == 0


def test_files_are_said_to_have_a_term_in_text_name_and_definitions(known):
    query, _, described, files = known
    pool = row(files, 0, described, term(query, "pool"))
    conn = row(files, 1, described, term(query, "conn"))

    assert pool[2] > 0
    assert pool[4:6] == [1, 1]
    assert conn[2:6] == [0, 0, 0, 0]
    assert row(files, 1, described, term(query, "borrow")) is None
    assert 2 not in files.owner
    assert np.all(np.diff(files.owner) >= 0)


def test_cells_are_said_to_have_a_term_in_them_near_them_and_in_their_block(known):
    query, field, described, _ = known
    cells = match_cells(field, 0, described)
    begin, end = field.spans[0]
    heads = field.first[begin:end].tolist()
    limit = term(query, "limit")
    borrow = heads.index(6)
    inside, before = (row(cells, index, described, limit) for index in (borrow, borrow - 1))

    assert inside[0] == pytest.approx(np.log1p(3))
    assert before[0] == 0
    assert before[1] == pytest.approx(np.log1p(3))
    assert inside[6] > before[6] == 0
    assert np.all(np.diff(cells.owner) >= 0)


def test_cells_are_described_by_shape_and_kinds_of_words(known):
    query, field, _, _ = known
    said = words_said(query.text)
    table = describe_cells(field, 0, said, 1 << 30)
    null = next(index for index, words in enumerate(WORD_GROUPS) if words.startswith("null"))
    marks = table[:, -2 * len(WORD_GROUPS) : -len(WORD_GROUPS)]
    both = table[:, -len(WORD_GROUPS) :]

    assert said[null] == 1
    assert marks[:, null].max() > 0
    assert np.array_equal(both[:, null], marks[:, null])
    assert np.array_equal(both[:, said == 0], np.zeros_like(both[:, said == 0]))
    assert np.isfinite(table).all()
    assert len(table) == field.spans[0][1] - field.spans[0][0]


def test_a_query_of_few_words_has_matches_of_the_same_width(known):
    query = parse_query("unheard")
    rows = build_rows([(path, NO_FILE, text) for path, text in FILES.items()])
    paths, chosen = index_paths(tuple(FILES)), np.array([0, 1])
    postings = find(rows, query.terms)
    field = build_field([POOL, OTHER], query, np.zeros(1, np.float32))
    described = describe_terms(postings, rows.lengths, paths, chosen, query)
    files = match_files(postings, rows.lengths, paths, chosen, query, field, described)

    assert files.values.shape == (0, known[3].values.shape[1])
    assert len(match_cells(field, 0, described).owner) == 0


def test_tests_within_a_file_of_rust_are_found():
    assert rust_tests_from(b"fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n") == 3
    assert rust_tests_from(b"fn a() {}\n") > 1_000_000
