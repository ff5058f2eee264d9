"""What can go wrong in a turn, and what is done about it: one row for each fault.

The rows are tried from the top; the first that applies and has not been used up is taken. Where no
row is left, an answer with citations ends the run, a failure of the engine is raised, and anything
else ends the run with the places that the model read (``explorer.answers.salvage``).

Faults that need no further request have their rows elsewhere: names, types and JSON of a call in
``explorer.tools.arguments`` and ``explorer.hermes``, forms of a citation in
``explorer.answers.parse``, repeated and oversized calls in ``explorer.calls``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from explorer import prompt
from explorer.answers.citations import CheckedAnswer
from explorer.calls import Calls
from explorer.engines.protocol import Sampling
from explorer.errors import EngineError, EngineRejected, EngineUnreachable, is_overflow
from explorer.loop_settings import LoopSettings
from explorer.records import StopReason
from explorer.transcript import Transcript, assistant, observation, user
from explorer.turn import Outcome

RETRY_TEMPERATURE = 0.7
"""The least temperature of a request at another seed: near zero another seed changes nothing."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a request came to."""

    outcome: Outcome
    answer: CheckedAnswer | None
    error: EngineError | None
    has_citations: bool
    """Whether this answer or one before cited something that holds."""
    is_last: bool
    """Whether the request forbade tools."""
    is_late: bool
    """Whether the time that is left is needed for the last request."""
    transcript: Transcript
    """As the request sent it."""
    calls: Calls

    @property
    def cites_nothing(self) -> bool:
        """Whether the model wrote nothing, or an answer before any citation that holds."""
        if self.error:
            return False
        if self.answer is None:
            return self.outcome.is_empty
        return not self.has_citations

    @property
    def has_no_answer(self) -> bool:
        """Whether the model wrote something that is no answer."""
        return not self.error and self.answer is None and not self.outcome.is_empty


@dataclass(frozen=True, slots=True)
class Recovery:
    """One row."""

    fault: str
    applies: Callable[[Situation], bool]
    times: Callable[[LoopSettings], float]
    """How often in one run."""
    say: Callable[[Situation], None]
    """Adds to the transcript what the model is told; the next request sends it."""
    note: Callable[[Situation], str]
    """What the caller is told."""
    other_seed: bool = False
    """Whether the next request samples at another seed."""
    stop: StopReason | None = None
    """Why the next request is the last; None where it is as before."""


def _observed_last(transcript: Transcript) -> list[str]:
    """The ids of the calls whose observations the last message of the model was followed by."""
    ids: list[str] = []
    for message in reversed(transcript.messages):
        if message["role"] == "assistant":
            return ids[::-1]
        if message["role"] == "tool" and message["content"] != prompt.CONTEXT_IS_FULL:
            ids.append(message["tool_call_id"])
    return []


def _too_long(seen: Situation) -> bool:
    is_refused = isinstance(seen.error, EngineRejected) and is_overflow(seen.error)
    return is_refused and bool(_observed_last(seen.transcript))


def _take_observations_back(seen: Situation) -> None:
    seen.calls.forget_unsent()
    for call_id in seen.transcript.take_back_observations():
        seen.transcript.append(observation(call_id, prompt.CONTEXT_IS_FULL))


def _send_back(seen: Situation) -> None:
    assert seen.answer is not None
    seen.transcript.append(assistant(seen.outcome.text, ()))
    seen.transcript.append(user(prompt.correction(seen.answer.problems)))


def _forbid_tools(seen: Situation) -> None:
    seen.transcript.append(assistant(seen.outcome.text, seen.outcome.parsed_calls))
    for call in seen.outcome.parsed_calls:
        seen.transcript.append(observation(call.id, prompt.ONCE_MORE))
    seen.transcript.append(user(prompt.ONCE_MORE))


def _ask_for_answer(seen: Situation) -> None:
    seen.transcript.append(assistant(seen.outcome.text, ()))
    seen.transcript.append(user(prompt.NUDGE))


def _nothing(_seen: Situation) -> None:
    """The same request is sent again."""


def _why_nothing(seen: Situation) -> str:
    if seen.answer is None:
        return "The model wrote nothing"
    return "No citation could be verified" if seen.answer.problems else "The answer cited nothing"


RECOVERIES = (
    Recovery(
        "the server refuses the request for its length",
        applies=_too_long,
        times=lambda _: math.inf,
        say=_take_observations_back,
        note=lambda _: "The model's context was full; the last results were taken back.",
        stop="token_budget",
    ),
    Recovery(
        "the connection breaks while the model writes",
        applies=lambda seen: isinstance(seen.error, EngineUnreachable) and seen.outcome.received,
        times=lambda _: 1,
        say=_nothing,
        note=lambda _: "The connection broke while the model wrote; the turn was repeated.",
    ),
    Recovery(
        "the answer cites lines that were never read, or files that are not there",
        applies=lambda seen: bool(seen.answer and seen.answer.problems) and not seen.is_last,
        times=lambda settings: settings.corrections,
        say=_send_back,
        note=lambda seen: f"{seen.answer.failed if seen.answer else ''} sent back to the model.",
    ),
    Recovery(
        "the model writes nothing, or an answer without a citation that holds",
        applies=lambda seen: seen.cites_nothing and not seen.is_late,
        times=lambda settings: settings.retries,
        say=_nothing,
        note=lambda seen: f"{_why_nothing(seen)}; it was asked again.",
        other_seed=True,
    ),
    Recovery(
        "the model calls tools or goes on talking where only an answer is allowed",
        applies=lambda seen: seen.has_no_answer and seen.is_last,
        times=lambda _: 1,
        say=_forbid_tools,
        note=lambda _: "The model gave no answer in its last turn and was asked once more.",
    ),
    Recovery(
        "the message holds neither calls nor an answer",
        applies=lambda seen: seen.has_no_answer and not seen.is_last and not seen.outcome.calls,
        times=lambda settings: settings.nudges,
        say=_ask_for_answer,
        note=lambda _: "The model was asked for its answer, which was missing.",
    ),
)


def recovery_for(
    seen: Situation, settings: LoopSettings, used: Mapping[str, int]
) -> Recovery | None:
    """The row to follow; None where none applies that may be used once more.

    ``used`` says how often the row of each fault was followed in this run.
    """
    for row in RECOVERIES:
        if row.applies(seen) and used.get(row.fault, 0) < row.times(settings):
            return row
    return None


def at_another_seed(sampling: Sampling, shift: int) -> Sampling:
    """The sampling of a request that is repeated for the ``shift``-th time."""
    if not shift:
        return sampling
    moved = replace(sampling, seed=(sampling.seed or 0) + shift)
    if moved.temperature is None:
        return moved
    return replace(moved, temperature=max(moved.temperature, RETRY_TEMPERATURE))
