"""Questions that ask for several things."""

import pytest

from explorer.scout.parts import in_context, parts_of


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


def test_a_part_that_refers_to_the_first_is_asked_with_its_words() -> None:
    first = "where is the cache filled"
    assert first in in_context("where is it emptied?", first)
    assert in_context("how are proxies read?", first) == "how are proxies read?"
