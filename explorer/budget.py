"""How many tokens are left, from the server's own counts and estimates of what it has not seen."""

from dataclasses import dataclass

from explorer.records import Usage

CHARS_PER_TOKEN = 3.2
"""Of code under Qwen's tokenizer; deliberately low, until the server's counts correct it."""

_LEAST_CHARS_PER_TOKEN = 1.5
_MOST_CHARS_PER_TOKEN = 4.0
_MARGIN_TOKENS = 256
"""For what templates add between messages, and for our last message."""


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """Bounds in tokens."""

    context: int = 65_536
    """Prompt and answer of one request together: the trajectory's length in training."""
    answer: int = 2_048
    """New tokens of one request."""
    turn: int = 16_000
    """All observations of one turn: a quarter of the context."""
    result: int = 8_000
    """One observation."""


class Budget:
    """Keeps the last request affordable: what it needs is never given to observations."""

    def __init__(self, limits: TokenLimits) -> None:
        self.limits = limits
        self.usage = Usage()
        """The sum of all requests."""
        self._known_tokens = 0
        self._known_chars = 0
        self._chars_per_token = CHARS_PER_TOKEN

    def record(self, usage: Usage | None, sent_chars: int, written_chars: int) -> Usage:
        """The usage of a request that sent and got so many characters, estimated where missing."""
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
        """An estimate, rounded up, at the ratio that the server's counts last showed."""
        return -int(-chars // self._chars_per_token)

    def turn_chars(self, sent_chars: int) -> int:
        """Characters that the observations of a turn may have together; 0 when nothing is left.

        ``sent_chars`` is the transcript's length without them. Room is kept for two more answers:
        the one that the model writes next and, if it calls tools again, the last one.
        """
        room = self._room(sent_chars) - 2 * self.limits.answer - _MARGIN_TOKENS
        return int(max(0, min(room, self.limits.turn)) * self._chars_per_token)

    def result_chars(self) -> int:
        """Characters that one observation may have."""
        return int(self.limits.result * self._chars_per_token)

    def must_answer(self, sent_chars: int) -> bool:
        """Whether the next request has to be the last one."""
        return self._room(sent_chars) < 2 * self.limits.answer + 2 * _MARGIN_TOKENS

    def answer_tokens(self, sent_chars: int) -> int:
        """New tokens that the next request may ask for, so that it fits the context."""
        return max(64, min(self.limits.answer, self._room(sent_chars) - _MARGIN_TOKENS // 2))

    def _room(self, sent_chars: int) -> int:
        unseen = max(0, sent_chars - self._known_chars)
        return self.limits.context - self._known_tokens - self.tokens_of(unseen)
