from typing import Any

from launch.verify.probes import (
    MOST_TURNS,
    TEXT_TOKENS,
    Conversation,
    calls_in,
    held_out_texts,
    make_probes,
)

CALL = '<tool_call>\n{"name": "Read", "arguments": {"path": "a.py", "limit": 3}}\n</tool_call>'


class Letters:
    """A tokenizer with a token for each character."""

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}

    def apply_chat_template(self, messages: list[dict[str, Any]], **options: Any) -> list[int]:
        text = "".join(message["content"] for message in messages)
        return [ord(letter) for letter in text + (">" if options["add_generation_prompt"] else "")]


def text_of(ids: tuple[int, ...]) -> str:
    return "".join(map(chr, ids))


def say(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_calls_are_equal_whatever_the_order_of_their_arguments() -> None:
    other = '<tool_call>{"arguments": {"limit": 3, "path": "a.py"}, "name": "Read"}</tool_call>'
    assert calls_in(f"I look.\n{CALL}") == calls_in(other)
    assert calls_in(CALL) != calls_in(CALL.replace("3", "4"))


def test_calls_are_told_apart_by_number_and_order() -> None:
    glob = '<tool_call>{"name": "Glob", "arguments": {}}</tool_call>'
    assert len(calls_in(CALL + glob)) == 2
    assert calls_in(CALL + glob) != calls_in(glob + CALL)


def test_a_call_that_is_no_json_is_kept_as_it_is() -> None:
    assert calls_in("<tool_call>\n{oops\n</tool_call>") == ("{oops",)
    assert calls_in("no call at all") == ()


def test_every_turn_of_a_conversation_is_asked_and_its_end_is_read() -> None:
    messages = [
        say("user", "q"),
        say("assistant", "one"),
        say("tool", "t"),
        say("assistant", "two"),
    ]
    probes = make_probes(Letters(), ["some text"], [Conversation(tuple(messages))])
    assert [text_of(ids) for ids in probes.turns] == ["q>", "qonet>"]
    assert [text_of(ids) for ids in probes.texts] == ["some text", "qonettwo"]


def test_texts_and_turns_are_bounded() -> None:
    messages = [say("user", "q"), *[say("assistant", "a")] * (2 * MOST_TURNS)]
    probes = make_probes(Letters(), ["x" * 10_000, ""], [Conversation(tuple(messages))])
    assert len(probes.turns) == MOST_TURNS
    assert max(map(len, probes.texts)) == TEXT_TOKENS
    assert all(probes.texts)


def test_there_is_text_to_read_without_being_given_any() -> None:
    texts = held_out_texts()
    assert len(texts) == 4
    assert all(len(text) > 4 * TEXT_TOKENS for text in texts)
