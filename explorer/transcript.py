"""The conversation as it is sent, and the number of tokens that it leaves in the context.

It is append-only, so that the engine's prefix cache always matches. Token counts come from the
server; what it has not counted yet is estimated from characters.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer import lenient_json
from explorer.events import Message
from explorer.records import ToolCall, Usage


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


CHARS_PER_TOKEN = 3.2
"""For code with Qwen's tokenizer; deliberately low, until the server's counts correct it."""

_LEAST_CHARS_PER_TOKEN = 1.5
_MOST_CHARS_PER_TOKEN = 4.0
_MARGIN_TOKENS = 256
"""For what templates add between messages, and for the message that asks for the answer."""


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """Bounds in tokens."""

    context: int = 65_536
    """Prompt and answer of one request together: the trajectory's length in training."""
    answer: int = 2_048
    """New tokens of one request."""
    turn: int = 16_000
    """All observations of one turn together: a quarter of the context."""
    result: int = 8_000
    """One observation."""


class Budget:
    """Reserves what the last request needs, so that observations never use it up."""

    def __init__(self, limits: TokenLimits) -> None:
        self.limits = limits
        self.usage = Usage()
        """The sum of all requests."""
        self._known_tokens = 0
        self._known_chars = 0
        self._chars_per_token = CHARS_PER_TOKEN

    def record(self, usage: Usage | None, sent_chars: int, written_chars: int) -> Usage:
        """The usage of a request; counts that are missing are estimated from the characters."""
        counted = self._completed(usage, sent_chars, written_chars)
        self.usage += counted
        if not counted.estimated:
            ratio = sent_chars / max(1, counted.prompt_tokens)
            self._chars_per_token = min(max(ratio, _LEAST_CHARS_PER_TOKEN), _MOST_CHARS_PER_TOKEN)
        self._known_tokens = counted.prompt_tokens + counted.completion_tokens
        self._known_chars = sent_chars + written_chars
        return counted

    def _completed(self, usage: Usage | None, sent_chars: int, written_chars: int) -> Usage:
        if usage is None or usage.prompt_tokens <= 0:
            written = usage.completion_tokens if usage else 0
            return Usage(
                self.tokens_of(sent_chars), 0, written or self.tokens_of(written_chars), 1, True
            )
        if usage.completion_tokens <= 0 < written_chars:
            written = self.tokens_of(written_chars)
            return Usage(usage.prompt_tokens, usage.cached_tokens, written, 1, True)
        return Usage(
            usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, 1, usage.estimated
        )

    def tokens_of(self, chars: int) -> int:
        """An estimate, rounded up, at the ratio of the server's last counts."""
        return -int(-chars // self._chars_per_token)

    def turn_chars(self, sent_chars: int) -> int:
        """Maximum characters of a turn's observations together; 0 when no room is left.

        ``sent_chars`` is the transcript's length without them. Room is kept for two more answers:
        the one that the model writes next and, if it calls tools again, the last one.
        """
        room = self._room(sent_chars) - 2 * self.limits.answer - _MARGIN_TOKENS
        return int(max(0, min(room, self.limits.turn)) * self._chars_per_token)

    def result_chars(self) -> int:
        """Maximum characters of one observation."""
        return int(self.limits.result * self._chars_per_token)

    def must_answer(self, sent_chars: int) -> bool:
        """Whether the next request has to be the last one, for lack of room."""
        return self._room(sent_chars) < 2 * self.limits.answer + 2 * _MARGIN_TOKENS

    def answer_tokens(self, sent_chars: int) -> int:
        """Maximum new tokens of the next request, so that it fits into the context."""
        return max(64, min(self.limits.answer, self._room(sent_chars) - _MARGIN_TOKENS // 2))

    def _room(self, sent_chars: int) -> int:
        unseen = max(0, sent_chars - self._known_chars)
        return self.limits.context - self._known_tokens - self.tokens_of(unseen)


def fair_share(sizes: Sequence[int], room: int) -> int:
    """The maximum size of each result at which all of them together fit into ``room``.

    What short results leave of their share goes to the others. If all results fit as they are,
    this is the longest size.
    """
    for done, size in enumerate(ordered := sorted(sizes)):
        share = room // (len(ordered) - done)
        if size > share:
            return max(0, share)
        room -= size
    return max(sizes, default=0)
