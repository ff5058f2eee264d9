import json
from pathlib import Path
from typing import Any

import pytest

from launch.errors import QuantizeError
from launch.quantize.calibration import (
    Item,
    batches,
    read_items,
    token_windows,
)
from launch.verify.probes import Conversation, render


class Words:
    """A tokenizer that gives every word its length."""

    def __init__(self) -> None:
        self.rendered: list[dict[str, Any]] = []

    def __call__(self, text: str, *, truncation: bool, max_length: int) -> dict[str, list[int]]:
        assert truncation
        return {"input_ids": [len(word) for word in text.split()][:max_length]}

    def apply_chat_template(self, messages: list[dict[str, Any]], **options: Any) -> list[int]:
        self.rendered.append(options)
        text = " ".join(message["content"] for message in messages)
        return [len(word) for word in text.split()]


def chat(text: str) -> Conversation:
    return Conversation(({"role": "user", "content": text},), ({"type": "function"},))


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "calibration.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_a_line_is_a_text_an_object_with_text_or_a_conversation(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "hi"}]
    path = written(
        tmp_path,
        json.dumps("one"),
        json.dumps({"text": "two", "id": 7}),
        "",
        json.dumps({"messages": messages, "tools": [{"type": "function"}]}),
        json.dumps({"messages": messages}),
    )
    items: list[Item] = [
        "one",
        "two",
        Conversation(tuple(messages), ({"type": "function"},)),
        Conversation(tuple(messages)),
    ]
    assert read_items(path) == items


@pytest.mark.parametrize("line", ["not json", "7", '{"prompt": "x"}', '{"messages": []}'])
def test_any_other_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(QuantizeError, match="line 2 ") as caught:
        read_items(written(tmp_path, '"fine"', line))
    assert "messages" in caught.value.hint


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="no calibration text"):
        read_items(written(tmp_path, "", " "))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="cannot be read"):
        read_items(tmp_path / "none.jsonl")


def test_a_text_gives_its_beginning_and_a_conversation_all_of_itself() -> None:
    windows = list(token_windows(["a bb ccc", chat("a bb ccc dddd eeeee")], Words(), 2))
    assert windows == [[1, 2], [1, 2], [3, 4], [5]]


def test_the_pieces_of_conversations_alternate() -> None:
    long, short = chat("a a a a a a"), chat("bb bb bb")
    windows = list(token_windows([long, short], Words(), 2))
    assert windows == [[1, 1], [2, 2], [1, 1], [2], [1, 1]]


def test_a_conversation_is_rendered_with_its_tools_and_without_thinking() -> None:
    words = Words()
    render(chat("x"), words)
    (options,) = words.rendered
    assert options["tools"] == [{"type": "function"}]
    assert options["enable_thinking"] is False
    assert options["add_generation_prompt"] is False


def test_batches_are_padded_on_the_right_and_masked() -> None:
    made = batches([[1, 2, 3], [4], [5, 6]], samples=10, batch=2, padding=9)
    assert made == [
        ([[1, 2, 3], [4, 9, 9]], [[1, 1, 1], [1, 0, 0]]),
        ([[5, 6]], [[1, 1]]),
    ]


def test_no_more_than_the_samples_asked_for_are_used_and_empty_ones_do_not_count() -> None:
    made = batches([[], [1], [2], [3]], samples=2, batch=8, padding=0)
    assert made == [([[1], [2]], [[1], [1]])]


def test_texts_without_a_token_are_refused() -> None:
    with pytest.raises(QuantizeError, match="no token"):
        batches([[], []], samples=4, batch=2, padding=0)
