import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.lenient_json import MAX_DEPTH, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"path": "a", "limit": 2}', {"path": "a", "limit": 2}),
        (' \n["a", null, 1.5e3, -2]\t', ["a", None, 1500.0, -2]),
        ('"plain"', "plain"),
        ("true", True),
    ],
)
def test_valid_json_is_read_as_it_is(text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": {"b": 1}', {"a": {"b": 1}}),
        ('{"a": [1, 2', {"a": [1, 2]}),
        ('{"a": 1}}', {"a": 1}),
        ('[{"a": 1}]]}', [{"a": 1}]),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ("{'a': 'x \"y\"', 'b': 'it\\'s'}", {"a": 'x "y"', "b": "it's"}),
        ('{"a": "x\ny\tz"}', {"a": "x\ny\tz"}),
        ('{"a": True, "b": False, "c": None}', {"a": True, "b": False, "c": None}),
        ("{path: 'a'}", {"path": "a"}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('{"p": "\\d+\\.py"}', {"p": "\\d+\\.py"}),
        ('{"p": "\\bdef\\s+\\w+"}', {"p": r"\bdef\s+\w+"}),
        ('{"p": "a\\u00e9\\ud83d\\ude00\\/",}', {"p": "aé😀/"}),
        ("{}}", {}),
        ("{", {}),
    ],
)
def test_what_has_one_reading_is_repaired(text: str, value: object) -> None:
    assert parse(text) == value


def test_json_inside_json_strings_is_opened() -> None:
    arguments = {"pattern": 'say "hi"'}
    assert parse(json.dumps(json.dumps(arguments))) == arguments


def test_a_string_that_only_starts_like_json_stays_a_string() -> None:
    assert parse('"{foo"') == "{foo"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        ("  \n", "it is empty"),
        ('{"a": "x}', "the string that starts at character 7 never ends"),
        ('{"a": "say "hi" now"}', "not escaped"),
        ('{"a": 1 "b": 2}', "a comma or '}' is missing"),
        ('{"a": 1,', "it ends after a comma"),
        ('{"a":', "it ends where a value has to follow"),
        ('{"a" 1}', "a colon is missing after the key 'a'"),
        ('{"a": [1, 2}', "a comma or ']' is missing"),
        ('{"a": 01}', "a value is missing at character 7"),
        ('{"a": NaN}', "a value is missing"),
        ('{"a": 1} and more', "unexpected text 'and more' after the value"),
        ('"a"}', "unexpected text '}'"),
        ("Read(path)", "a value is missing at character 1"),
        ("{1: 2}", "a key is missing"),
        ("[" * 100_000, f"deeper than {MAX_DEPTH}"),
        ('{"a":' * 100_000, f"deeper than {MAX_DEPTH}"),
        ("[" * 100 + "]" * 100, f"deeper than {MAX_DEPTH}"),
        ("9" * 100_000, "a value is missing"),
    ],
)
def test_what_has_no_single_reading_is_refused_in_one_clause(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^\S.*") as caught:
        parse(text)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_any_json_document_is_read_as_the_standard_reader_does(value: object) -> None:
    assert parse(json.dumps(value)) == value


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text()), min_size=1))
def test_cutting_the_last_brace_changes_nothing(value: dict[str, object]) -> None:
    assert parse(json.dumps(value)[:-1]) == value


@settings(deadline=None)
@given(st.text(alphabet="{}[]\"'\\,: \n1atruefNone-`", max_size=40))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        json.dumps(parse(text))
