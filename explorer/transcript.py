"""The conversation as it is sent, and the number of tokens that it leaves in the context.

It is append-only, so that the engine's prefix cache always matches. Token counts come from the
server; what it has not counted yet is estimated from characters.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from explorer import lenient_json
from explorer.events import Message
from explorer.records import ToolCall


class Transcript:
    """The messages of one run; request n+1 is request n with messages appended.

    The one exception is ``take_back_observations``: after the server refused a request for its
    length, the next request extends the last one that was accepted.
    """

    def __init__(
        self, opening: Sequence[Message] = (), schemas: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.messages: list[Message] = []
        """What the next request sends."""
        self.chars = sum(map(size_of, schemas))
        """Characters of the tools' schemas and all messages as JSON, for estimating tokens."""
        self._sent = 0
        for message in opening:
            self.append(message)

    def append(self, message: Message) -> None:
        """Append one message."""
        self.messages.append(message)
        self.chars += size_of(message)

    def newly_sent(self) -> tuple[Message, ...]:
        """The messages that no request has carried yet; from now on they count as sent."""
        new = tuple(self.messages[self._sent :])
        self._sent = len(self.messages)
        return new

    def take_back_observations(self) -> list[str]:
        """Remove all messages after the model's last one; returns the ids of the calls answered."""
        length = len(self.messages)
        while length and self.messages[length - 1]["role"] != "assistant":
            length -= 1
        removed = self.messages[length:]
        del self.messages[length:]
        self.chars -= sum(map(size_of, removed))
        self._sent = min(self._sent, length)
        return [each["tool_call_id"] for each in removed if each["role"] == "tool"]


def assistant(text: str, parsed: Sequence[ToolCall]) -> Message:
    """The assistant's message as it goes back to the server.

    Without parsed calls the text is kept verbatim, hermes tags included, so that templates render
    it as the tokens that were generated. With parsed calls, arguments that are a JSON object are
    kept verbatim, and a line break at the end of the text is removed, because the template writes
    one before the first call.
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
    """The arguments as a JSON object, which servers require in the calls that are sent back.

    Verbatim if they are one, otherwise repaired, or empty if that fails. For anything else,
    llama.cpp and vLLM up to 0.23 refuse the whole request; vLLM 0.32 empties the arguments.
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
    """A user message."""
    return {"role": "user", "content": text}


def size_of(part: Mapping[str, Any]) -> int:
    """Characters of a message or schema as JSON."""
    return len(json.dumps(part, ensure_ascii=False))
