"""The words that stand for words of a question."""

import numpy as np
import pytest

from explorer.scout.query import parse_query
from explorer.scout.related import rephrased
from explorer.scout.tokens import stems_of


def term_of(word: str) -> int:
    [(_, term)] = stems_of(word)
    return term


def test_synonyms_and_abbreviations_of_a_word_count_less_than_the_word() -> None:
    query = parse_query("where is the directory of attempts removed")
    other = rephrased(query)
    assert other is not None
    assert (np.diff(other.terms.astype(np.int64)) > 0).all()
    weights = dict(zip(other.terms.tolist(), other.weight.tolist(), strict=True))
    own = weights[term_of("removed")]
    assert weights[term_of("delete")] == pytest.approx(0.4 * own)
    assert weights[term_of("dir")] == pytest.approx(0.7 * weights[term_of("directory")])
    assert term_of("retry") in weights
    kept = np.isin(other.terms, query.terms)
    assert (other.weight[kept] == query.weight).all()
    for mark in ("title", "scope", "lead", "code", "whole"):
        marks = getattr(other, mark)
        assert (marks[kept] == getattr(query, mark)).all()
        assert not marks[~kept].any()
    assert [word for word, own in zip(other.words, kept, strict=True) if own] == list(query.words)


@pytest.mark.parametrize("text", ["", "quokka"])
def test_what_has_no_synonyms_is_not_rephrased(text: str) -> None:
    assert rephrased(parse_query(text)) is None
