"""Calls that a server without the right tool parser leaves in the text, in every family's form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.hermes.calls import Call
from explorer.hermes.parser import HermesParser
from explorer.hermes.untagged import holds_untagged_call, untagged_calls

ARGUMENTS = '{"path": "/testbed/r/a.py", "limit": 5}'
ONE = f'{{"name": "Read", "arguments": {ARGUMENTS}}}'
XML = (
    "<function=Read>\n<parameter=path>\n/testbed/r/a.py\n</parameter>\n"
    "<parameter=limit>\n5\n</parameter>\n</function>"
)
FORMS = {
    "bare": ONE,
    "bare with blanks": f"\n\n  {ONE}  \n",
    "parameters": ONE.replace("arguments", "parameters"),
    "tool": ONE.replace('"name"', '"tool"'),
    "OpenAI": f'{{"type": "function", "function": {ONE}}}',
    "list": f"[{ONE}]",
    "fence": f"```json\n{ONE}\n```",
    "fence without a language": f"```\n{ONE}\n```",
    "fence with a trailing comma": f"```json\n{ONE[:-1]},}}\n```",
    "single quotes": ONE.replace('"', "'"),
    "Llama": f"<|python_tag|>{ONE}<|eom_id|>",
    "Llama in XML": f"<function=Read>{ARGUMENTS}</function>",
    "Mistral": f"[TOOL_CALLS] [{ONE}]",
    "Mistral, named": f"[TOOL_CALLS]Read[ARGS]{ARGUMENTS}",
    "Mistral, named with an id": f"[TOOL_CALLS]Read[CALL_ID]a1b2c3d4e[ARGS]{ARGUMENTS}",
    "Qwen's coders": XML,
    "Qwen's coders, half tagged": f"{XML}\n</tool_call>",
    "invoke": '<function_calls>\n<invoke name="Read">\n<parameter name="path">/testbed/r/a.py'
    '</parameter>\n<parameter name="limit">5</parameter>\n</invoke>\n</function_calls>',
}  # fmt: skip

REPAIRED = ("fence with a trailing comma", "single quotes")


def is_tool(name: str) -> bool:
    return name in ("Read", "Grep")


def values(calls: list[Call]) -> list[tuple[str, dict[str, object]]]:
    return [(call.name, json.loads(call.arguments.replace("'", '"'))) for call in calls]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_message_that_is_nothing_but_calls_is_read(form: str, times: int) -> None:
    found = untagged_calls("\n".join([FORMS[form]] * times), is_tool)
    # What has to be repaired is read only as the whole message.
    wanted = 0 if times > 1 and form in REPAIRED else times

    assert [(name, given["path"], str(given["limit"])) for name, given in values(found)] == [
        ("Read", "/testbed/r/a.py", "5")
    ] * wanted


@pytest.mark.parametrize("form", FORMS)
def test_among_prose_a_call_is_recognised_and_not_run(form: str) -> None:
    for text in (f"I read the file.\n{FORMS[form]}", f"{FORMS[form]}\nThis reads the file."):
        assert untagged_calls(text, is_tool) == []
        assert holds_untagged_call(text, is_tool)


@pytest.mark.parametrize("form", FORMS)
def test_a_tool_that_was_not_offered_is_no_call(form: str) -> None:
    text = FORMS[form].replace("Read", "Bash")

    assert untagged_calls(text, is_tool) == []
    assert not holds_untagged_call(text, is_tool)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "where is it?",
        "{}",
        "[]",
        '{"path": "a.py"}',
        '["a.py:1-2"]',
        '{"name": "Read", "arguments": {"path": "/testbed/r/a',
        "<function=Read>\n<parameter=path>\n/testbed/r/a",
        "```python\nprint(1)\n```",
    ],
)
def test_what_is_no_complete_call_is_not_run(text: str) -> None:
    assert untagged_calls(text, is_tool) == []


@pytest.mark.parametrize("close", ["</tool_call>", ""])
def test_the_xml_of_qwens_coders_is_read_between_the_tags_too(close: str) -> None:
    parser = HermesParser()
    events = [*parser.feed(f"Look.\n<tool_call>\n{XML}\n{XML}\n{close}"), *parser.close()]
    calls = [event for event in events if isinstance(event, Call)]

    if close:
        assert [name for name, _ in values(calls)] == ["Read", "Read"]
        assert values(calls)[0][1] == {"path": "/testbed/r/a.py", "limit": "5"}
    else:
        assert calls == []


@given(
    st.lists(st.sampled_from([*FORMS.values(), "{", "[", '"', "<function=Read>", "</", "`", "x"]))
)
def test_any_text_can_be_looked_through(pieces: list[str]) -> None:
    text = "".join(pieces)

    assert all(is_tool(call.name) for call in untagged_calls(text, is_tool))
    holds_untagged_call(text, is_tool)


@pytest.mark.parametrize(
    "piece", ["{", "[", '{"name":', "<function=a>", "[TOOL_CALLS]", "```", " "]
)
def test_no_step_goes_back_over_what_it_has_read(piece: str) -> None:
    text = piece * (100_000 // len(piece))

    assert untagged_calls(text, is_tool) == []
    assert not holds_untagged_call(text, is_tool)
