"""What a run says while it goes on."""

from functools import partial

import anyio
import pytest

from explorer.events import CallStarted, Note, TurnStarted
from explorer.records import ToolCall
from server.exploring.progress import (
    MESSAGE_CHARS,
    Feed,
    Narrator,
    Say,
    beside,
    following,
    reporting,
)


def started(name: str, arguments: str) -> CallStarted:
    return CallStarted(3, ToolCall("id", name, arguments))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (TurnStarted(1, (), False), "turn 1: the model is thinking"),
        (TurnStarted(8, (), True), "turn 8: writing the answer"),
        (started("Grep", '{"pattern": "retry"}'), "turn 3: grep retry"),
        (started("Read", '{"path": "/testbed/x/a.py"}'), "turn 3: read a.py"),
        (started("Glob", "not JSON"), "turn 3: glob"),
        (started("Glob", "[" * 100_000), "turn 3: glob"),
        (started("Read", '["a list"]'), "turn 3: read"),
        (Note(2, "asked again"), "turn 2: asked again"),
    ],
)
def test_each_event_is_told_in_a_few_words(event: object, says: str) -> None:
    assert Narrator()(event) == says  # type: ignore[arg-type]


def test_the_calls_of_one_turn_are_told_together() -> None:
    tell = Narrator()
    tell(started("Grep", '{"pattern": "retry|backoff"}'))
    told = tell(started("Read", '{"path": "/testbed/x/src/client.py"}'))
    assert told == "turn 3: grep retry|backoff, read client.py"
    tell(TurnStarted(4, (), False))
    again = tell(CallStarted(4, ToolCall("id", "Glob", '{"pattern": "*.py"}')))
    assert again == "turn 4: glob *.py"


def test_many_calls_are_told_by_the_latest_and_a_number() -> None:
    tell = Narrator()
    for number in range(12):
        told = tell(started("Grep", f'{{"pattern": "a_rather_long_pattern_{number}"}}'))
    assert len(told) < MESSAGE_CHARS
    assert " more, " in told
    assert told.endswith("grep a_rather_long_pattern_11")


@pytest.mark.anyio
async def test_what_does_not_change_is_said_again_with_a_higher_number() -> None:
    sent: list[tuple[float, str]] = []
    with anyio.CancelScope() as scope:

        async def send(number: float, message: str) -> None:
            sent.append((number, message))
            if len(sent) == 3:
                scope.cancel()

        with anyio.fail_after(10):
            await Feed(send, heartbeat_s=0.001).run()
    numbers = [number for number, _ in sent]
    assert numbers == sorted(set(numbers))
    assert all(message.startswith("starting") for _, message in sent)


@pytest.mark.anyio
async def test_a_message_is_one_short_line_whatever_it_quotes() -> None:
    sent: list[str] = []

    async def send(_number: float, message: str) -> None:
        sent.append(message)

    async def work(say: Say) -> str:
        say("turn 1: Grep '" + "x\n" * 500)
        await anyio.wait_all_tasks_blocked()
        return "done"

    assert await reporting(send, work) == "done"
    assert len(sent[-1]) <= MESSAGE_CHARS
    assert "\n" not in sent[-1]


@pytest.mark.anyio
async def test_the_works_own_error_comes_out_as_it_was_raised() -> None:
    async def send(_number: float, _message: str) -> None:
        pass

    async def work(_say: Say) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await reporting(send, work)


@pytest.mark.anyio
async def test_a_listener_that_has_gone_does_not_end_the_work() -> None:
    async def send(_number: float, _message: str) -> None:
        raise ConnectionError

    async def work(_say: Say) -> str:
        await anyio.wait_all_tasks_blocked()
        return "done"

    assert await reporting(send, work) == "done"


@pytest.mark.anyio
async def test_what_is_looked_at_is_told_when_it_changes_until_the_work_is_done() -> None:
    said: list[str] = []
    seen = iter(["searching", "indexing", "indexing", "searching"])
    through = anyio.Event()

    def look() -> str:
        state = next(seen, "")
        if not state:
            through.set()
        return state or "searching"

    async def work() -> str:
        await through.wait()
        return "done"

    with anyio.fail_after(10):
        assert await beside(partial(following, look, said.append, 0.0), work) == "done"
    assert said == ["searching", "indexing", "searching"]


@pytest.mark.anyio
async def test_what_the_work_raises_comes_out_alone() -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await beside(anyio.sleep_forever, work)
