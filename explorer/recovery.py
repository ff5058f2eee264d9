"""What can go wrong in a turn, and what is done about it: one row for each fault.

The rows are tried from the top; the first that applies and is not used up is followed. If there is
none, an engine error is raised, tool calls are observed, and an answer with citations ends the run.
Anything else ends it with the places that the model read (``explorer.answers.citations``), or with
an error if repeated requests brought no citation either.

Faults that need no further request are handled elsewhere: wrong names, types and JSON of calls in
``explorer.tools.arguments`` and ``explorer.hermes``, forms of citations in
``explorer.answers.parse``, repeated calls and oversized results in ``explorer.calls``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from explorer import prompt
from explorer.answers.citations import CheckedAnswer
from explorer.calls import Calls
from explorer.errors import EngineError, EngineRejected, EngineUnreachable, is_overflow
from explorer.limits import LoopSettings, Sampling
from explorer.prompt import Transcript, assistant, observation, user
from explorer.records import StopReason
from explorer.turn import Outcome

RETRY_TEMPERATURE = 0.7
"""Minimum temperature of a request at another seed: near zero, the seed changes nothing."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What came of a request."""

    outcome: Outcome
    answer: CheckedAnswer | None
    error: EngineError | None
    has_citations: bool
    """Whether this answer or an earlier one has a citation that holds."""
    is_last: bool
    """Whether the request forbade tools."""
    is_late: bool
    """Whether the time left is needed for the last request."""
    transcript: Transcript
    """As the request sent it."""
    calls: Calls

    @property
    def cites_nothing(self) -> bool:
        """Whether the model wrote nothing, or an answer while no citation so far holds."""
        if self.error:
            return False
        if self.answer is None:
            return self.outcome.is_empty
        return not self.has_citations

    @property
    def has_no_answer(self) -> bool:
        """Whether the model wrote something, but not an answer."""
        return not self.error and self.answer is None and not self.outcome.is_empty


@dataclass(frozen=True, slots=True)
class Recovery:
    """One row of the table."""

    fault: str
    applies: Callable[[Situation], bool]
    times: Callable[[LoopSettings], float]
    """How often this may be done in one run."""
    say: Callable[[Situation], None]
    """Appends to the transcript what the model is told; the next request sends it."""
    note: Callable[[Situation], str]
    """What the caller is told."""
    other_seed: bool = False
    """Whether the next request samples at another seed."""
    stop: StopReason | None = None
    """The limit that makes the next request the last; None if this row sets none."""


def _is_too_long(seen: Situation) -> bool:
    """Whether the request was refused for its length and ends with results to take back."""
    if not isinstance(seen.error, EngineRejected) or not is_overflow(seen.error):
        return False
    after_model = takewhile(lambda m: m["role"] != "assistant", reversed(seen.transcript.messages))
    return any(m["role"] == "tool" and m["content"] != prompt.CONTEXT_IS_FULL for m in after_model)


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


def _ask_for_tags(seen: Situation) -> None:
    seen.transcript.append(assistant(seen.outcome.text, ()))
    seen.transcript.append(user(prompt.UNTAGGED))


def _nothing(_seen: Situation) -> None:
    """Add nothing: the same request is sent again."""


def _asked_again(seen: Situation) -> str:
    if seen.answer is None:
        return "The model wrote nothing and was asked again."
    found = "No citation could be verified" if seen.answer.problems else "The answer cited nothing"
    return f"{found}; the model was asked again."


RECOVERIES = (
    Recovery(
        "the message holds a call without its tags, among other text",
        applies=lambda seen: seen.has_no_answer and seen.outcome.untagged and not seen.is_last,
        times=lambda settings: settings.nudges,
        say=_ask_for_tags,
        note=lambda _: "The model wrote a tool call without its tags and was told so.",
    ),
    Recovery(
        "the message has neither calls nor an answer",
        applies=lambda seen: seen.has_no_answer and not seen.is_last and not seen.outcome.calls,
        times=lambda settings: settings.nudges,
        say=_ask_for_answer,
        note=lambda _: "The model gave no answer and was asked for one.",
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
        note=_asked_again,
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
        "the server refuses the request for its length",
        applies=_is_too_long,
        times=lambda _: math.inf,
        say=_take_observations_back,
        note=lambda _: "The model's context was full; the last tool results were taken back.",
        stop="token_budget",
    ),
    Recovery(
        "the connection breaks while the model writes",
        applies=lambda seen: isinstance(seen.error, EngineUnreachable) and seen.outcome.received,
        times=lambda _: 1,
        say=_nothing,
        note=lambda _: "The connection broke while the model was writing; the turn was repeated.",
    ),
)


def recovery_for(
    seen: Situation, settings: LoopSettings, used: Mapping[str, int]
) -> Recovery | None:
    """The row to follow; None if no row applies, or all that apply are used up.

    ``used`` says how often each fault has been recovered from in this run.
    """
    for row in RECOVERIES:
        if row.applies(seen) and used.get(row.fault, 0) < row.times(settings):
            return row
    return None


def at_another_seed(sampling: Sampling, shift: int) -> Sampling:
    """The sampling of a request after ``shift`` repetitions; unchanged for 0."""
    if not shift:
        return sampling
    moved = replace(sampling, seed=(sampling.seed or 0) + shift)
    if moved.temperature is None:
        return moved
    return replace(moved, temperature=max(moved.temperature, RETRY_TEMPERATURE))
