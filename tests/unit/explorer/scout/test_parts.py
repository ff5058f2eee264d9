"""Questions that ask for several things."""

from dataclasses import replace

import pytest

from explorer.records import Citation
from explorer.scout.answer import ScoutAnswer
from explorer.scout.parts import in_context, parts_of, together
from explorer.scout.query import Query, parse_query


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "Where are redirects followed, and how are proxies read?",
            ("Where are redirects followed", "how are proxies read?"),
        ),
        (
            "where is the cache filled and where is it emptied?",
            ("where is the cache filled", "where is it emptied?"),
        ),
        (
            "1. Where are tokens made?\n2. Where are they checked?",
            ("Where are tokens made?", "Where are they checked?"),
        ),
        ("- the lexer\n- the parser state", ("the lexer", "the parser state")),
        (
            "Find 1) where users log in 2) where sessions end",
            ("where users log in", "where sessions end"),
        ),
        (
            "How is the index built? Which files does it skip?",
            ("How is the index built?", "Which files does it skip?"),
        ),
        (
            "When a job fails, how is it retried, and how is the delay computed?",
            ("When a job fails, how is it retried", "how is the delay computed?"),
        ),
        ("When a job fails, how is it retried?", ()),
        (
            "When is a job retried, and how is the delay computed?",
            ("When is a job retried", "how is the delay computed?"),
        ),
        ("Where are redirects followed and limited?", ()),
        ("how is a request path matched against a route's pattern?", ()),
        ("the parser fails and nobody knows why it does", ()),
        ("Fix the lexer. Does it work? " + "It is broken. " * 80 + "Is it?", ()),
        (
            "Mend the lexer after the last release broke it for files without a line end.\n"
            "- tests for empty files\n- a changelog entry",
            (),
        ),
        ("", ()),
    ],
)
def test_parts_are_found_and_one_question_stays_one(question: str, parts: tuple[str, ...]) -> None:
    assert parts_of(question) == parts


def weight_of(query: Query, word: str) -> float:
    terms = parse_query(word).terms.tolist()
    return float(query.weight[query.terms.tolist().index(terms[0])])


def test_the_words_of_the_other_parts_count_for_less_in_a_part() -> None:
    parts = ("where is the cache filled", "when is it emptied?")
    asked = in_context(parts[1], parts)
    assert asked.text == parts[1]
    assert 0 < weight_of(asked, "cache") < weight_of(asked, "emptied")


def test_it_is_the_name_that_another_part_is() -> None:
    parts = ("what does the config option maxPeers do", "where is it applied?")
    name = in_context(parts[1], parts).alone
    assert name is not None
    assert name.last == "maxPeers"


def test_a_part_that_is_a_name_stays_one() -> None:
    asked = in_context("where is Router defined?", ("where is Router defined?", "how is it made?"))
    assert asked.alone is not None
    assert "made" not in asked.words


def place(name: str, start: int, chance: float, path: str = "a.py") -> Citation:
    return Citation(path, start, start + 5, name=name, chance=chance)


def found(*cited: Citation, further: tuple[Citation, ...] = ()) -> ScoutAnswer:
    return ScoutAnswer(cited, "c.py fits best.", (), "high", "medium", further)


def names(answer: ScoutAnswer) -> list[tuple[str, str]]:
    return [(each.part, each.name) for each in answer.citations]


def test_a_place_belongs_to_the_part_that_it_is_likeliest_for() -> None:
    fill, drop, both = place("fill", 1, 0.5), place("drop", 11, 0.5), place("both", 21, 0.2)
    answers = [found(fill, both), found(drop, replace(both, chance=0.4))]
    assert names(together(("a?", "b?"), answers, found())) == [
        ("a?", "fill"),
        ("b?", "drop"),
        ("b?", "both"),
    ]


def test_what_the_whole_question_finds_comes_first_in_its_part() -> None:
    answers = [found(place("fill", 1, 0.5), place("drop", 11, 0.4)), found(place("c", 21, 0.5))]
    whole = found(place("drop", 11, 0.6), further=(place("next", 1, 0.1, "b.py"),))
    answer = together(("a?", "b?"), answers, whole)
    assert names(answer) == [("a?", "drop"), ("a?", "fill"), ("b?", "c")]
    assert answer.answer.startswith("a.py fits the words of the question best")
    assert [each.name for each in answer.further] == ["next"]


def test_parts_that_find_the_same_first_share_a_heading() -> None:
    fill, drop = place("fill", 1, 0.5), place("drop", 11, 0.4)
    answer = together(("a?", "b?"), [found(fill), found(fill, drop)], found(fill))
    assert names(answer) == [("a? / b?", "fill"), ("a? / b?", "drop")]


def test_a_part_keeps_its_first_place_though_it_is_likelier_for_another() -> None:
    fill, drop = place("fill", 1, 0.5), place("drop", 11, 0.4)
    answers = [found(fill, drop), found(replace(drop, chance=0.2))]
    assert names(together(("a?", "b?"), answers, found())) == [("a?", "fill"), ("b?", "drop")]


def test_no_place_is_named_twice_and_of_another_file_only_the_best_one() -> None:
    fill, over = place("fill", 1, 0.5), place("over", 4, 0.3)
    others = tuple(place(name, at, at / 100, "b.py") for name, at in (("x", 1), ("y", 11)))
    answer = together(("a?", "b?"), [found(fill, over), found()], found(fill, further=others))
    assert names(answer) == [("a?", "fill")]
    assert [each.name for each in answer.further] == ["y"]
    assert answer.notes == ("Nothing was found for the part: b?",)


def test_where_no_part_is_found_nothing_is_cited() -> None:
    answer = together(("a?", "b?"), [found(), found()], found(place("fill", 1, 0.5)))
    assert (answer.citations, answer.further, len(answer.notes)) == ((), (), 2)
