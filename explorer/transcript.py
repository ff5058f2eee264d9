"""The conversation as it is sent: append-only, so that the engine's prefix cache always fits."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from explorer import lenient_json
from explorer.events import Message
from explorer.records import ToolCall


class Transcript:
    """Messages of one run; request n+1 is request n with more behind it.

    The one exception is ``take_back``: when the server refused a request for its length, the next
    one extends the last that it accepted.
    """

    def __init__(self, opening: Sequence[Message]) -> None:
        self.messages: list[Message] = []
        """What the next request sends; never changed but by appending and ``take_back``."""
        self.chars = 0
        """Characters of all messages as JSON, which token counts are estimated from."""
        self._sent = 0
        for message in opening:
            self.append(message)

    def append(self, message: Message) -> None:
        """Add one message behind all others."""
        self.messages.append(message)
        self.chars += size_of(message)

    def newly_sent(self) -> tuple[Message, ...]:
        """The messages that no request had before; counts them as sent."""
        new = tuple(self.messages[self._sent :])
        self._sent = len(self.messages)
        return new

    def take_back(self, length: int) -> tuple[Message, ...]:
        """The messages behind the first ``length``, which are removed."""
        removed = tuple(self.messages[length:])
        del self.messages[length:]
        self.chars -= sum(size_of(message) for message in removed)
        self._sent = min(self._sent, length)
        return removed


def assistant(text: str, parsed: Sequence[ToolCall]) -> Message:
    """The assistant's message as it goes back to the server.

    Without parsed calls the text stands verbatim, hermes tags and all: templates render it as the
    very tokens that were generated. With them, the arguments stay verbatim where they are a JSON
    object, and one line break before the first call is left to the template, which writes it again.
    """
    if not parsed:
        return {"role": "assistant", "content": text}
    return {
        "role": "assistant",
        "content": text.removesuffix("\n"),
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _object(call.arguments)},
            }
            for call in parsed
        ],
    }


def _object(arguments: str) -> str:
    """The arguments as the JSON object that every server demands of its own calls sent back.

    Verbatim if they are one; else as they are read, or empty. Servers refuse the whole request
    for anything else (llama.cpp, vLLM to 0.23) or empty it themselves (vLLM 0.32).
    """
    if lenient_json.is_whole(arguments, dict):
        return arguments
    try:
        value = lenient_json.parse(arguments)
    except ValueError:
        return "{}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "{}"


def observation(call_id: str, text: str) -> Message:
    """The tool message that answers a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def user(text: str) -> Message:
    """A message of ours to the model."""
    return {"role": "user", "content": text}


def size_of(part: Mapping[str, Any]) -> int:
    """Characters of a message or schema as JSON."""
    return len(json.dumps(part, ensure_ascii=False))
