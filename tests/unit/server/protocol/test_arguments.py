"""Tool arguments as agents write them."""

import pytest

from server.exploring.question import QUERY_CHARS, clean_query
from server.protocol.app import tolerant


def test_nothing_given_means_every_default() -> None:
    assert tolerant({}) == {
        "query": "",
        "path": "",
        "code": True,
        "include_hidden": False,
        "max_turns": 0,
        "max_citations": 0,
        "max_bytes": 0,
    }


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("5", 5),
        (5.9, 5),
        (-3, 0),
        (10_000, 64),
        (None, 0),
        ("many", 0),
        ([], 0),
        (True, 0),
        (float("nan"), 0),
        (float("inf"), 64),
        ("1e400", 64),
        (10**400, 64),
        (-(10**400), 0),
    ],
)
def test_a_number_is_read_where_it_can_be_and_clamped(given: object, taken: int) -> None:
    assert tolerant({"max_turns": given})["max_turns"] == taken


@pytest.mark.parametrize("given", [True, "true", "Yes", 1, "1"])
def test_a_flag_may_be_written_in_words(given: object) -> None:
    assert tolerant({"include_hidden": given})["include_hidden"] is True


@pytest.mark.parametrize("given", [False, "false", "no", 0, None, ""])
def test_a_flag_that_says_no_is_no(given: object) -> None:
    assert tolerant({"include_hidden": given})["include_hidden"] is False


def test_other_names_for_an_argument_are_taken_and_the_exact_one_wins() -> None:
    assert tolerant({"question": "why?", "Repo": "/r"}) | {} == tolerant(
        {"query": "why?", "path": "/r"}
    )
    assert tolerant({"question": "other", "query": "exact"})["query"] == "exact"


def test_unknown_arguments_and_nulls_are_dropped() -> None:
    assert tolerant({"path": None, "colour": "red"}) == tolerant({})


def test_a_list_of_texts_becomes_one_text() -> None:
    assert tolerant({"query": ["retry", "delay"]})["query"] == "retry delay"


def test_a_huge_query_keeps_its_beginning_and_its_end() -> None:
    text, note = clean_query("BEGIN " + "x" * 100_000 + " END")
    assert len(text) <= QUERY_CHARS + 10
    assert text.startswith("BEGIN")
    assert text.endswith("END")
    assert "left out" in note


def test_a_query_that_cannot_be_sent_is_made_so_that_it_can() -> None:
    text, note = clean_query("  where\x00 is \ud800 é?\n")
    assert text == "where is ? é?"
    assert note == ""
