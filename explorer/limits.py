"""What bounds a run: its settings, its deadline, and the tokens of the model's context.

Sources of the models' defaults: the training harness and code of ``microsoft/fastcontext`` (turns,
new tokens, trajectory length), the model card of ``microsoft/FastContext-1.0-4B-RL`` and the
measurements that its forks published (temperature: 14 of 15 tasks at 0.2, 12 of 15 at 0.7; few
samples, so the matter is not settled).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

CHARS_PER_TOKEN = 3.2
"""For code with Qwen's tokenizer; deliberately low, until the server's counts correct it."""

_LEAST_CHARS_PER_TOKEN = 1.5
_MOST_CHARS_PER_TOKEN = 4.0
_MARGIN_TOKENS = 256
"""For what templates add between messages, and for the message that asks for the answer."""
_LAST_STEP_SHARE = 0.35
"""Largest share of the total time that is reserved for the last step."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; ``None`` leaves a value to the server."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None


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


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """The limits and the sampling of one run; ``defaults_for`` says what suits a model."""

    max_turns: int = 8
    """Model requests, the last of them without tools."""
    sampling: Sampling = field(default_factory=Sampling)
    limits: TokenLimits = field(default_factory=TokenLimits)
    concurrency: int = 8
    """Maximum number of tools running at once."""
    max_citations: int = 10
    corrections: int = 2
    """How often wrong citations are sent back, while turns are left."""
    nudges: int = 1
    """How often the model is asked to go on after a message with neither calls nor an answer."""
    retries: int = 2
    """How often a request is repeated at another seed when its answer cites nothing that holds.
    A fork of the harness measured 88.2% of tasks answered instead of 76.7%, at 1.38 times the
    cost."""

    def plain(self) -> dict[str, Any]:
        """The settings as a flat JSON object, for the record of a run."""
        values: dict[str, Any] = asdict(self)
        limits: dict[str, int] = values.pop("limits")
        sampling: dict[str, Any] = values.pop("sampling")
        return {**values, **sampling, **{f"{name}_tokens": n for name, n in limits.items()}}


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """What a model was trained with, or does best with in measurements."""

    sampling: Sampling
    max_turns: int = 8
    """Model requests per exploration. RL training allowed 8, the last without tools."""
    max_tokens: int = 2_048
    """New tokens per request, as in RL training."""
    context_tokens: int = 65_536
    """Prompt and answer together, as in RL training. With 4k, 60% of requests fail; 128k is no
    better than 64k."""


FASTCONTEXT = ModelDefaults(Sampling(temperature=0.2, top_p=0.95, top_k=20))
"""Near-greedy: a citation is either right or wrong, and each question gets only one run."""

OTHER = ModelDefaults(Sampling())
"""For an unknown model the server chooses the sampling."""


def defaults_for(model: str) -> ModelDefaults:
    """The defaults of the model that is served under ``model``."""
    return FASTCONTEXT if "fastcontext" in model.replace("-", "").casefold() else OTHER


class Deadline:
    """A time limit of ``total_s`` seconds, which begins to run when the object is made.

    ``now`` is the clock, in seconds. Cancel scopes are made from ``left_s``.
    """

    def __init__(self, total_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self.total_s = total_s
        self._now = now
        self._began = now()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the deadline began to run."""
        return self._now() - self._began

    @property
    def left_s(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.total_s - self.elapsed_s)

    def earlier(self, reserve_s: float) -> Self:
        """A deadline that begins now and ends ``reserve_s`` before this one."""
        return type(self)(max(0.0, self.left_s - reserve_s), now=self._now)

    def is_short_for(self, last_step_s: float) -> bool:
        """Whether the time left is needed for a last step of ``last_step_s`` seconds."""
        return self.left_s < min(_LAST_STEP_SHARE * self.total_s, last_step_s)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request or, added up, of a run."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    estimated: bool = False
    """True when the server left out a count, which was then estimated from the text's length."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.requests + other.requests,
            self.estimated or other.estimated,
        )


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


class Pace:
    """How far a run has come, and which limit makes its next request the last."""

    def __init__(self, settings: LoopSettings, deadline: Deadline, budget: Budget) -> None:
        self.deadline = deadline
        self.budget = budget
        self.turns = 0
        self._max_turns = settings.max_turns
        self._slowest_turn_s = 0.0

    def turn_took(self, duration_s: float) -> None:
        """Count a turn that the model completed: the last one may take as long."""
        self._slowest_turn_s = max(self._slowest_turn_s, duration_s)

    def limit(self, sent_chars: int) -> Literal["max_turns", "token_budget", "deadline"] | None:
        """The limit that makes the next request the last; None if there is none."""
        if self.turns >= self._max_turns - 1:
            return "max_turns"
        if self.budget.must_answer(sent_chars):
            return "token_budget"
        return "deadline" if self.turns and self.is_late else None

    @property
    def is_late(self) -> bool:
        """Whether the time left is needed for the last request."""
        return self.deadline.is_short_for(max(1.0, 1.25 * self._slowest_turn_s))


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
