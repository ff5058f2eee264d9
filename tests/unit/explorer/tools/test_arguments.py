import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.records import ToolCall
from explorer.tools.arguments import (
    ArgumentProblem,
    GlobArguments,
    GrepArguments,
    ReadArguments,
    canonical_key,
    parse_call,
)
from tests.tooling import call


def grep(**named: object) -> GrepArguments:
    _, arguments = parse_call(call("Grep", named))
    assert isinstance(arguments, GrepArguments)
    return arguments


def said(name: str, arguments: object) -> str:
    try:
        parse_call(call(name, arguments))
    except ArgumentProblem as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("name", ["Read", "READ", "read", " Read ", "read_file", "functions.Read"])
def test_a_tool_is_known_in_any_case(name: str) -> None:
    assert parse_call(call(name, {"path": "a"})) == ("Read", ReadArguments(path="a"))


def test_an_unknown_tool_is_told_the_three_there_are() -> None:
    with pytest.raises(ArgumentProblem, match="no tool 'Bash'; use Read, Glob or Grep"):
        parse_call(call("Bash", {}))


@pytest.mark.parametrize(
    "alias", ["path", "file_path", "filePath", "FILE_PATH", "file", "filename"]
)
def test_a_path_has_many_names(alias: str) -> None:
    assert parse_call(call("Read", {alias: "a.py"}))[1] == ReadArguments(path="a.py")


@pytest.mark.parametrize("alias", ["pattern", "query", "regex", "Pattern"])
def test_a_pattern_has_many_names(alias: str) -> None:
    assert grep(**{alias: "x"}).pattern == "x"


def test_a_proper_name_wins_over_an_alias() -> None:
    assert grep(query="wrong", pattern="right").pattern == "right"


def test_glob_takes_path_for_directory() -> None:
    _, arguments = parse_call(call("Glob", {"pattern": "*.py", "path": "src"}))
    assert arguments == GlobArguments(pattern=("*.py",), directory="src")


@pytest.mark.parametrize("value", [5, "5", " 5 ", 5.0, "5.0", [5]])
def test_numbers_may_be_written_in_any_way(value: object) -> None:
    assert grep(pattern="x", head_limit=value).head_limit == 5


@pytest.mark.parametrize("value", [True, "True", "true", "yes", 1, "1"])
def test_flags_may_be_written_in_any_way(value: object) -> None:
    assert grep(pattern="x", **{"-i": value}).ignore_case is True


def test_dashes_may_be_left_out() -> None:
    arguments = grep(pattern="x", A=1, B="2", i=True, n=False)
    assert (arguments.after, arguments.before) == (1, 2)
    assert (arguments.ignore_case, arguments.numbers) == (True, False)


def test_context_is_what_neither_side_says() -> None:
    assert grep(pattern="x", **{"-C": 3, "-A": 1}).context_lines() == (3, 1)
    assert grep(pattern="x", **{"-C": -3, "-A": 10_000}).context_lines() == (0, 200)


def test_defaults_are_the_trained_ones() -> None:
    arguments = grep(pattern="x")
    assert arguments.output_mode == "content"
    assert arguments.numbers is True
    assert arguments.ignore_case is False
    assert arguments.multiline is False
    assert arguments.head_limit == 0


@pytest.mark.parametrize("mode", ["files_with_matches", "files-with-matches", "FILES", "paths"])
def test_an_output_mode_may_be_shortened(mode: str) -> None:
    assert grep(pattern="x", output_mode=mode).output_mode == "files_with_matches"


def test_a_list_of_one_is_the_one_and_globs_may_be_several() -> None:
    arguments = grep(pattern=["x"], path=["src"], glob=["*.py", "*.js"])
    assert (arguments.pattern, arguments.path) == ("x", "src")
    assert arguments.glob == ("*.py", "*.js")


def test_null_and_unknown_arguments_count_as_left_out() -> None:
    assert grep(pattern="x", path=None, head_limit=None, colour="red") == grep(pattern="x")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.dumps({"path": "a"})),
        json.dumps([{"path": "a"}]),
        json.dumps({"arguments": {"path": "a"}}),
        '{"path": "a"',
        "{'path': 'a',}",
    ],
)
def test_wrapped_or_slightly_broken_json_is_read(text: str) -> None:
    assert parse_call(call("Read", text))[1] == ReadArguments(path="a")


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("Read", {}, "Read: path is missing."),
        ("Read", "", "Read: path is missing."),
        ("Read", {"path": ["a", "b"]}, "Read: path must be one string, not ['a', 'b']."),
        ("Read", {"path": {"a": 1}}, "Read: path must be one string, not {'a': 1}."),
        ("Read", {"path": "a", "offset": "top"}, "Read: offset must be a number, not 'top'."),
        ("Read", {"path": "a", "limit": True}, "Read: limit must be a number, not True."),
        ("Read", {"path": "a", "limit": "1e999"}, "Read: limit must be a number, not '1e999'."),
        ("Grep", {"pattern": ""}, "Grep: pattern must not be empty."),
        ("Glob", {"pattern": ""}, "Glob: pattern must not be empty."),
        ("Grep", {"pattern": "a\0b"}, "Grep: pattern must be valid Unicode without NUL."),
        ("Grep", {"pattern": "a\ud800"}, "Grep: pattern must be valid Unicode without NUL."),
        (
            "Grep",
            {"pattern": "x", "output_mode": "json", "-i": "perhaps"},
            "Grep: output_mode must be content, files_with_matches or count, not 'json'; "
            "-i must be true or false, not 'perhaps'.",
        ),
        ("Grep", "[1, 2]", "Grep: the arguments must be a JSON object."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(name: str, arguments: object, sentence: str) -> None:
    with pytest.raises(ArgumentProblem) as caught:
        parse_call(call(name, arguments))
    assert str(caught.value) == sentence


def test_text_that_is_no_json_says_why() -> None:
    with pytest.raises(ArgumentProblem, match=r"^Read: the arguments are not valid JSON: .+\.$"):
        parse_call(call("Read", "path=a.py"))


def test_arguments_nested_without_end_are_refused() -> None:
    with pytest.raises(ArgumentProblem):
        parse_call(call("Read", '{"path": ' + "[" * 100_000))


@given(
    st.text(max_size=30),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
        ),
    ),
)
def test_any_arguments_are_understood_or_refused_in_valid_text(name: str, value: object) -> None:
    for tool in (name, "Read", "Glob", "Grep"):
        for arguments in (value, {"path": value, "pattern": value, "-A": value, "glob": value}):
            said(tool, arguments).encode("utf-8")


def test_calls_that_mean_the_same_share_a_key() -> None:
    keys = {
        canonical_key(call(name, arguments))
        for name, arguments in [
            ("Read", {"path": "src/a.py"}),
            ("read", '{"file_path":  "./src//a.py/", "offset": "1"}'),
            ("READ", {"path": ["src/a.py"], "limit": None}),
        ]
    }
    assert len(keys) == 1
    assert keys != {canonical_key(call("Read", {"path": "/src/a.py"}))}
    assert keys != {canonical_key(call("Read", {"path": "src/a.py", "offset": 2}))}


def test_a_call_that_means_nothing_has_no_key() -> None:
    assert canonical_key(ToolCall("1", "Read", "{}")) is None
