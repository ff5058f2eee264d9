import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.hermes.parser import (
    Call,
    FinalAnswer,
    HermesEvent,
    HermesParser,
    Malformed,
    Prose,
    Thought,
)

READ = '{"name": "Read", "arguments": {"path": "a.py"}}'
READ_CALL = Call("Read", '{"path": "a.py"}')


def merged(events: Iterable[HermesEvent]) -> list[HermesEvent]:
    """The events with neighbouring prose joined: its pieces depend on the chunks."""
    joined: list[HermesEvent] = []
    for event in events:
        if isinstance(event, Prose) and joined and isinstance(joined[-1], Prose):
            joined[-1] = Prose(joined[-1].text + event.text)
        else:
            joined.append(event)
    return joined


def read(*chunks: str) -> list[HermesEvent]:
    parser = HermesParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return merged([*events, *parser.close()])


def without_prose(events: Iterable[HermesEvent]) -> list[HermesEvent]:
    return [event for event in events if not isinstance(event, Prose)]


MESSAGES = [
    "",
    "Only prose, with a < b && c > d and <b>tags</b>.",
    f"Looking.\n<tool_call>\n{READ}\n</tool_call>\n<tool_call>\n{READ}\n</tool_call>",
    f"<tool_call>{READ}<tool_call>{READ}</tool_call>",
    f"<tool_call>\n{READ}\nNow I wait.",
    f"<tool_call>\n{READ[:-2]}",
    f"<Tool_Call>{READ[:-1]}</TOOL_CALL> then `<tool_call>`!",
    '<tool_call>{"name": "Grep", "arguments": {"pattern": "</tool_call>|<think>"}}</tool_call>',
    '<tool_call>{"name": "Grep", "arguments": {"pattern": "a\\\\"}}</tool_call>',
    '<tool_call>{"name": "Grep", "arguments": {"pattern": "\\"}</tool_call>"}}</tool_call>',
    f'<tool_call>\n{{"name": "Read", "path": "a}}\n</tool_call>\n<tool_call>\n{READ}',
    f'<tool_call>{{"name": "Read", "arguments": {{"path": "a}}}}</tool_call> <tool_call>{READ}',
    "<tool_call>{'name': 'Grep', 'arguments': {'pattern': '</tool_call>'}}</tool_call>",
    "&lt;tool_call&gt;{&quot;name&quot;: &quot;Read&quot;}&lt;/tool_call&gt;&lt;",
    "&LT;final_answer&GT;a.py:1-2 (x &lt; y)&lt;/final_answer&gt;",
    "<final_answer>\na.py:1-2\n</final_answer>\n<final_answer>b.py:3-4",
    f"<final_answer>\na.py:1-2\n<tool_call>{READ}</tool_call>\nb.py:1-2",
    "<tool_call>\n<final_answer>a.py:1-2</final_answer>\n</tool_call>",
    "<final_answer>a.py:1-2 (handles `</final_answer>` and <tool_call> text)\n</final_answer >",
    f"<think>\n<tool_call>{READ}</tool_call>\n</think>\nDone. <think> is dropped.",
    "</think></tool_call></final_answer>",
    "<tool_call></tool_call><tool_call>",
    "<tool_call>Read(a.py)</tool_call><tool_call>  ",
    f"<tool_call>[{READ}, {READ}]</tool_call><tool_call>{READ}\n{READ}</tool_call>",
    '<tool_call>{"a": "</tool_call>            ',
    '<tool_call>{"a": "</tool_call>                                                  ',
    '<tool_call>{"a": "<tool_call>{"name"',
    '<tool_call>{"a": "x\\',
    "<tool_call><",
    "<tool_call>&l",
    "`<final_answer>",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_no_split_in_two_changes_the_events(message: str) -> None:
    whole = read(message)
    for cut in range(len(message) + 1):
        assert read(message[:cut], message[cut:]) == whole


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_no_chunk_size_changes_the_events(message: str, size: int) -> None:
    chunks = [message[at : at + size] for at in range(0, len(message), size)]
    assert read(*chunks) == read(message)


FRAGMENTS = [
    *("<tool_call>", "</tool_call>", "<final_answer>", "</final_answer>", "<think>", "</think>"),
    *("&lt;tool_call&gt;", "&lt;/tool_call &gt;", "<TOOL_CALL", ">", "<", "&", "&lt;", "`", "\n"),
    *('{"name": "Read", "arguments": ', '{"path": "a"}', "}", "]", "[", "{", '"', "'", "\\", " "),
    *(READ, "a.py:1-2", ",", "name", "            "),
]
messages = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


@settings(deadline=None, max_examples=300)
@given(st.data(), messages)
def test_no_split_of_any_message_changes_the_events(data: st.DataObject, message: str) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=8)))
    edges = [0, *cuts, len(message)]
    chunks = [message[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    assert read(*chunks) == read(message)


@settings(deadline=None, max_examples=300)
@given(messages)
def test_one_character_at_a_time_gives_the_events_of_the_whole(message: str) -> None:
    assert read(*message) == read(message)


json_arguments = st.dictionaries(
    st.text(min_size=1),
    st.text()
    | st.integers()
    | st.booleans()
    | st.sampled_from(["</tool_call>", "<tool_call>{", "</final_answer>", "`<tool_call>`", '"}']),
    max_size=4,
)


@settings(deadline=None)
@given(st.lists(json_arguments, min_size=1, max_size=4), st.booleans())
def test_whatever_the_arguments_hold_every_call_comes_back_verbatim(
    calls: list[dict[str, object]], ascii_only: bool
) -> None:
    texts = [json.dumps(arguments, ensure_ascii=ascii_only) for arguments in calls]
    message = "\n".join(
        f'<tool_call>\n{{"name": "Grep", "arguments": {text}}}\n</tool_call>' for text in texts
    )
    assert without_prose(read(message)) == [Call("Grep", text) for text in texts]


def test_prose_comes_out_at_once_and_a_possible_tag_is_held_back() -> None:
    parser = HermesParser()
    assert parser.feed("I look") == [Prose("I look")]
    assert parser.feed(" at <tool") == [Prose(" at ")]
    assert parser.feed("box>") == [Prose("<toolbox>")]


def test_a_call_comes_out_the_moment_its_tag_closes() -> None:
    parser = HermesParser()
    assert parser.feed(f"<tool_call>\n{READ}\n</tool_call") == []
    assert parser.feed(">") == [READ_CALL]


def test_a_call_without_closing_tag_comes_out_when_the_next_one_opens() -> None:
    parser = HermesParser()
    assert parser.feed(f"<tool_call>\n{READ}\n") == []
    assert parser.feed("<tool_call>") == [READ_CALL]


def test_a_complete_call_at_the_end_needs_no_closing_tag() -> None:
    assert read(f"<tool_call>\n{READ}") == [READ_CALL]


@pytest.mark.parametrize("cut", range(len("<tool_call>"), len("<tool_call>" + READ)))
def test_a_call_cut_off_anywhere_is_malformed(cut: int) -> None:
    events = read(f"<tool_call>{READ}"[:cut])
    assert [type(event) for event in events] == [Malformed]
    assert events[0].problem == "the call was cut off before its end"


def test_prose_after_an_unclosed_call_is_not_part_of_it() -> None:
    events = read(f'<tool_call>\n{READ}\nLet me see "it".\n<tool_call>\n{READ}\n</tool_call>')
    assert events == [READ_CALL, Prose('Let me see "it".\n'), READ_CALL]


@pytest.mark.parametrize(
    "message",
    [
        f"<TOOL_CALL>{READ}</Tool_Call>",
        f"&lt;tool_call&gt;{READ}&lt;/tool_call&gt;",
        f"&LT;tool_call&GT;{READ}</tool_call>",
        f"<tool_call >{READ}</tool_call >",
        f"&lt;tool_call&gt;{READ.replace(chr(34), '&quot;')}&lt;/tool_call&gt;",
        f"<tool_call>```json\n{READ}\n```</tool_call>",
        f"<tool_call>{READ[:-1]}</tool_call>",
        f"<tool_call>{READ}}}</tool_call>",
        f"<tool_call>{json.dumps(READ)}</tool_call>",
        f"<tool_call>[{READ}]</tool_call>",
        f'<tool_call>{{"tool_calls": [{READ}]}}</tool_call>',
        '<tool_call>{"name": "Read", "parameters": {"path": "a.py"}}</tool_call>',
        '<tool_call>{"name": "Read", "arguments": "{\\"path\\": \\"a.py\\"}"}</tool_call>',
        '<tool_call>{"name": "Read", "path": "a.py"}</tool_call>',
        '<tool_call>{"id": "1", "type": "function", "function": {"name": "Read", '
        '"arguments": {"path": "a.py"}}}</tool_call>',
        "<tool_call>{'name': 'Read', 'arguments': {'path': 'a.py'},}</tool_call>",
        f"<tool_call>\n<tool_call>\n{READ}\n</tool_call>",
    ],
)
def test_a_call_is_read_in_every_form_that_models_write(message: str) -> None:
    assert without_prose(read(message)) == [READ_CALL]


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ('{"name": "Glob"}', "{}"),
        ('{"name": "Glob", "arguments": null}', "{}"),
        ('{"name": "Glob", "arguments": ""}', "{}"),
        ('{"name": "Glob", "arguments": "*.py"}', "*.py"),
        ('{"name": "Glob", "arguments": ["*.py"]}', '["*.py"]'),
        ('{"name": "Glob", "arguments": {"b":1,  "a":2}}', '{"b":1,  "a":2}'),
        ('{"arguments": {"a": 1.50}, "name": "Glob"}', '{"a": 1.50}'),
    ],
)
def test_arguments_are_passed_on_as_the_model_wrote_them(body: str, arguments: str) -> None:
    assert read(f"<tool_call>{body}</tool_call>") == [Call("Glob", arguments)]


def test_half_a_surrogate_pair_never_leaves_its_escape() -> None:
    (call,) = read('<tool_call>{"name": "Grep", "arguments": {"pattern": "\\ud83d",}}</tool_call>')
    assert isinstance(call, Call)
    assert json.loads(call.arguments.encode()) == {"pattern": "\ud83d"}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "the call is empty"),
        (" \n ", "the call is empty"),
        ("Read(path='a.py')", "not valid JSON"),
        ('{"name": "Read", "arguments": {"path": "say "hi""}}', "not escaped"),
        ('{"arguments": {"path": "a.py"}}', "the call has no name"),
        ('{"name": "", "arguments": {}}', "the call has no name"),
        ('{"name": 5}', "the call has no name"),
        ('["Read"]', "not a JSON object"),
        ("[]", "the list of calls is empty"),
        ("7", "not a JSON object"),
        ('{"name": "Grep"}, "arguments": {"pattern": "x"}}', "not valid JSON"),
    ],
)
def test_a_malformed_call_says_why_and_its_siblings_are_read(body: str, problem: str) -> None:
    message = f"<tool_call>{body}</tool_call>\n<tool_call>\n{READ}\n</tool_call>"
    bad, good = without_prose(read(message))
    assert isinstance(bad, Malformed)
    assert problem in bad.problem
    assert good == READ_CALL


def test_one_bad_item_of_a_list_leaves_the_others() -> None:
    bad, good = read(f'<tool_call>[{{"arguments": {{}}}}, {READ}]</tool_call>')
    assert isinstance(bad, Malformed)
    assert good == READ_CALL


@pytest.mark.parametrize(
    "separator", ["\n</tool_call>\n<tool_call>\n", "</tool_call><tool_call>", "\n<tool_call>\n"]
)
def test_a_forgotten_quote_spoils_only_its_own_call(separator: str) -> None:
    broken = '{"name": "Read", "arguments": {"path": "a.py}}'
    bad, good = without_prose(read(f"<tool_call>\n{broken}{separator}{READ}\n</tool_call>"))
    assert isinstance(bad, Malformed)
    assert good == READ_CALL


@pytest.mark.parametrize(
    "pattern",
    [
        "</tool_call>",
        "<tool_call>",
        "<final_answer>",
        "</final_answer> x",
        "<think>",
        "}}</tool_call>",
    ],
)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_tag_inside_a_json_string_is_text(pattern: str, quote: str) -> None:
    body = f'{{"name": "Grep", "arguments": {{"pattern": "{pattern}"}}}}'.replace('"', quote)
    (call,) = read(f"<tool_call>\n{body}\n</tool_call>")
    assert isinstance(call, Call)
    assert json.loads(call.arguments) == {"pattern": pattern}


def test_a_tag_between_backticks_is_a_mention() -> None:
    text = "The parser reads `<tool_call>` and `&lt;/tool_call&gt;`."
    assert read(text) == [Prose(text)]


def test_an_opening_tag_that_no_json_follows_is_a_mention() -> None:
    text = "Calls in <tool_call> blocks are read by the parser.\n"
    answer = "<final_answer>\na.py:1-2\n</final_answer>"
    assert read(text + answer) == [Prose(text), FinalAnswer("a.py:1-2", True)]
    assert read(text) == [Prose(text)]


def test_a_mention_inside_an_answer_stays_in_it() -> None:
    text = "a.py:1-2 (ends at `</final_answer>`, reads <tool_call> and <think> blocks)"
    assert read(f"<final_answer>\n{text}\n</final_answer>") == [FinalAnswer(text, True)]


@pytest.mark.parametrize("answer", ["<final_answer>", "&lt;final_answer&gt;", "<Final_Answer>"])
def test_an_answer_is_read_in_every_form_of_its_tag(answer: str) -> None:
    close = answer.replace("final", "/final").replace("Final", "/FINAL")
    assert read(f"Found.\n{answer}\na.py:1-2\n{close}") == [
        Prose("Found.\n"),
        FinalAnswer("a.py:1-2", True),
    ]


def test_an_unclosed_answer_is_taken_to_the_end() -> None:
    assert read("<final_answer>\na.py:1-2\nb.py:3") == [FinalAnswer("a.py:1-2\nb.py:3", False)]


def test_two_answers_are_two_events() -> None:
    assert read("<final_answer>a</final_answer><final_answer>b</final_answer>") == [
        FinalAnswer("a", True),
        FinalAnswer("b", True),
    ]
    assert read("<final_answer>a<final_answer>b") == [
        FinalAnswer("a", False),
        FinalAnswer("b", False),
    ]


def test_an_empty_answer_is_an_event_only_when_it_was_closed() -> None:
    assert read("<final_answer>\n</final_answer>") == [FinalAnswer("", True)]
    assert read("<final_answer>\n") == []


def test_an_escaped_answer_is_unescaped_once() -> None:
    message = "&lt;final_answer&gt;a.py:1-2 (x &lt; y &amp;lt; z)&lt;/final_answer&gt;"
    assert read(message) == [FinalAnswer("a.py:1-2 (x < y &lt; z)", True)]


def test_a_call_inside_an_answer_is_taken_out_of_it() -> None:
    message = f"<final_answer>\na.py:1-2\n<tool_call>{READ}</tool_call>\nb.py:3-4\n</final_answer>"
    assert read(message) == [READ_CALL, FinalAnswer("a.py:1-2\n\nb.py:3-4", True)]


def test_an_answer_inside_a_call_is_an_answer() -> None:
    message = "<tool_call>\n<final_answer>\na.py:1-2\n</final_answer>\n</tool_call>"
    assert without_prose(read(message)) == [FinalAnswer("a.py:1-2", True)]


def test_an_answer_ends_an_unclosed_call() -> None:
    message = f"<tool_call>\n{READ[:-1]}\n<final_answer>a.py:1-2</final_answer>"
    assert read(message) == [READ_CALL, FinalAnswer("a.py:1-2", True)]


def test_thinking_is_dropped_with_the_calls_that_it_drafts() -> None:
    message = f"<think>\nMaybe <tool_call>{READ}</tool_call>\n</think>\nDone."
    assert read(message) == [Prose("\nDone.")]
    assert read("<think>never closed <final_answer>a") == []


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_all_but_the_thinking_is_kept_verbatim(message: str, size: int) -> None:
    parser = HermesParser()
    for at in range(0, len(message), size):
        parser.feed(message[at : at + size])
    parser.close()
    if "think>" not in message.lower():
        assert parser.kept() == message
    else:
        assert len(parser.kept()) <= len(message)


def test_what_is_kept_holds_no_thinking_but_its_mention() -> None:
    parser = HermesParser()
    parser.feed("<think>\nso <tool_call>{</tool_call></think>\nI `<think>` of\n<thinking>no")
    parser.close()
    assert parser.kept() == "\nI `<think>` of\n"


def test_the_end_of_thinking_that_the_template_opened_drops_the_prose_before_it() -> None:
    thought = "Maybe a.py.\n<final_answer>draft.py:1-2</final_answer>\n"
    message = f"{thought}<tool_call>{READ}</tool_call>\n</think>\n\nDone. </think> again"
    events = read(message)
    assert events[-2:] == [Thought(), Prose("\n\nDone.  again")]
    assert READ_CALL in events
    for size in (1, 7, 10_000):
        parser = HermesParser()
        for at in range(0, len(message), size):
            parser.feed(message[at : at + size])
        parser.close()
        call = f"<tool_call>{READ}</tool_call>"
        assert parser.kept() == f"{call}\n\nDone. </think> again"


def test_the_end_of_thinking_between_backticks_is_a_mention() -> None:
    assert read("It strips `</think>`.") == [Prose("It strips `</think>`.")]


def test_thinking_in_the_middle_of_a_line_is_a_mention() -> None:
    text = "It drops <think> blocks.\n"
    assert read(text + "<final_answer>a</final_answer>") == [Prose(text), FinalAnswer("a", True)]


def test_tags_that_close_nothing_are_dropped() -> None:
    assert read("a</tool_call>b</final_answer>c<think>d</think>e</think>f") == [
        Prose("abc<think>def")
    ]


@pytest.mark.parametrize(
    "unit",
    [
        "prose without end ",
        "<",
        "&lt;",
        "<tool_call>",
        "<tool_call> ",
        '<tool_call>{"a": "</tool_call>',
        '<tool_call>{"a": "</tool_call>\n',
        "<final_answer>",
        "<think>\n",
        "{",
        '"',
        "\\",
        "\n",
        "`",
    ],
)
@pytest.mark.parametrize("opening", ["", "<final_answer>", "<tool_call>{", '<tool_call>{"a": "'])
def test_what_is_looked_at_again_is_bounded(opening: str, unit: str) -> None:
    parser = HermesParser()
    held = 0
    for char in opening + unit * (3_000 // len(unit)):
        parser.feed(char)
        held = max(held, len(parser._tail))
    assert held <= 64


def test_a_megabyte_in_single_characters_is_read_within_the_timeout() -> None:
    parser = HermesParser()
    body = '{"name": "Grep", "arguments": {"pattern": "' + "x<" * 500_000 + '"}}'
    events = [event for char in f"<tool_call>{body}</tool_call>" for event in parser.feed(char)]
    assert [type(event) for event in events] == [Call]
