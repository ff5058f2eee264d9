"""What the models are given to compare them: texts and recorded turns, as token ids."""

import importlib.util
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HELD_OUT = ("textwrap", "heapq", "difflib", "shlex")
"""Modules of Python's library whose sources are the texts."""
TEXT_TOKENS = 256
MOST_TURNS = 24
MOST_PROMPT_TOKENS = 16_384

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A recorded exploration: chat messages and the tools that were offered."""

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Probes:
    """Token ids to run."""

    texts: tuple[tuple[int, ...], ...]
    """Texts, for their logits."""
    turns: tuple[tuple[int, ...], ...]
    """Prompts, to be answered with greedy decoding."""


def held_out_texts() -> list[str]:
    """Source code that is the same on every machine with this Python, not used for calibration."""
    texts = []
    for name in HELD_OUT:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            texts.append(Path(spec.origin).read_text(encoding="utf-8"))
    return texts


def make_probes(
    tokenizer: Any, texts: Iterable[str], conversations: Iterable[Conversation]
) -> Probes:
    """Texts and ends of conversations, 256 tokens each, and turns of conversations, at most 24."""
    read = [tokenizer(text)["input_ids"][:TEXT_TOKENS] for text in texts]
    turns: list[tuple[int, ...]] = []
    for each in conversations:
        read.append(render(each, tokenizer)[-TEXT_TOKENS:])
        turns.extend(_prompts(each, tokenizer))
    kept = tuple(tuple(ids) for ids in read if len(ids) > 1)
    return Probes(kept, tuple(turns[:MOST_TURNS]))


def _prompts(conversation: Conversation, tokenizer: Any) -> Iterator[tuple[int, ...]]:
    for position, message in enumerate(conversation.messages):
        if message.get("role") == "assistant":
            before = replace(conversation, messages=conversation.messages[:position])
            ids = render(before, tokenizer, generate=True)
            if len(ids) <= MOST_PROMPT_TOKENS:
                yield tuple(ids)


def render(item: Conversation, tokenizer: Any, *, generate: bool = False) -> list[int]:
    """Token ids of a conversation under the chat template; ``generate`` opens the next turn."""
    ids = tokenizer.apply_chat_template(
        list(item.messages),
        tools=list(item.tools) or None,
        add_generation_prompt=generate,
        tokenize=True,
        return_dict=False,
        enable_thinking=False,
    )
    return list(ids)


def calls_in(text: str) -> tuple[str, ...]:
    """The tool calls in a turn's text, as JSON with sorted keys; unchanged if not JSON."""
    found = []
    for body in _CALL.findall(text):
        try:
            found.append(json.dumps(json.loads(body), sort_keys=True))
        except (ValueError, RecursionError):
            found.append(body)
    return tuple(found)
