import anyio
import pytest

from explorer.engines.protocol import CallDelta, EngineEvent, Finished, Request, TextDelta
from explorer.engines.scripted import ParsedCall, ScriptedEngine, Turn
from explorer.errors import EngineRejected, EngineTimeout, EngineUnreachable
from explorer.hermes.parser import Call, HermesParser
from explorer.limits import Sampling, Usage

pytestmark = pytest.mark.anyio


def request(*texts: str) -> Request:
    messages = [{"role": "user", "content": text} for text in texts or ("where?",)]
    return Request(messages, [], "auto", 64, Sampling())


async def collect(engine: ScriptedEngine, asked: Request | None = None) -> list[EngineEvent]:
    async with engine.stream(asked or request()) as events:
        return [event async for event in events]


async def test_text_is_streamed_in_chunks_and_finished_once() -> None:
    engine = ScriptedEngine(["abcdefgh"], chunk_chars=3)
    *texts, last = await collect(engine)
    assert texts == [TextDelta("abc"), TextDelta("def"), TextDelta("gh")]
    assert isinstance(last, Finished)
    assert last.reason == "stop"


async def test_parsed_calls_are_streamed_as_deltas() -> None:
    turn = Turn(
        "Look.",
        ParsedCall("Read", '{"path": "a"}', id="x"),
        ParsedCall("Glob", id=None),
        chunk_chars=8,
    )
    events = await collect(ScriptedEngine([turn]))
    assert events[:-1] == [
        TextDelta("Look."),
        CallDelta(0, "x", "Read"),
        CallDelta(0, arguments='{"path":'),
        CallDelta(0, arguments=' "a"}'),
        CallDelta(1, None, "Glob"),
        CallDelta(1, arguments="{}"),
    ]
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "tool_calls"


async def test_usage_is_estimated_scripted_or_left_out() -> None:
    scripted = Usage(10, 5, 2, requests=1)
    engine = ScriptedEngine([Turn("x", usage=scripted), Turn("x", usage=None), "four" * 3])
    ends = [(await collect(engine))[-1] for _ in range(3)]
    assert ends[:2] == [Finished("stop", scripted), Finished("stop", None)]
    assert isinstance(ends[2], Finished)
    assert ends[2].usage is not None
    assert ends[2].usage.completion_tokens == 3
    assert ends[2].usage.estimated


async def test_what_a_request_shares_with_the_one_before_counts_as_cached() -> None:
    engine = ScriptedEngine(["a", "b"])
    await collect(engine, request("x" * 400))
    last = (await collect(engine, request("x" * 400, "y" * 400)))[-1]
    assert isinstance(last, Finished)
    assert last.usage is not None
    assert 100 <= last.usage.cached_tokens < last.usage.prompt_tokens - 90


async def test_requests_are_recorded_as_they_were_sent() -> None:
    messages = [{"role": "user", "content": "first"}]
    asked = Request(messages, [], "auto", 64, Sampling())
    engine = ScriptedEngine(["a", "b"])
    await collect(engine, asked)
    messages[0]["content"] = "changed"
    messages.append({"role": "assistant", "content": "a"})
    await collect(engine, asked)
    assert [len(one.messages) for one in engine.requests] == [1, 2]
    assert engine.requests[0].messages[0]["content"] == "first"


async def test_a_failure_comes_at_the_start_or_midway() -> None:
    engine = ScriptedEngine(
        [EngineUnreachable("gone"), Turn("half", EngineTimeout("slow"), "more"), "after"]
    )
    with pytest.raises(EngineUnreachable, match="gone"):
        await collect(engine)
    got: list[EngineEvent] = []

    async def keep() -> None:
        async with engine.stream(request()) as events:
            async for event in events:
                got.append(event)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(EngineTimeout, match="slow"):
        await keep()
    assert got == [TextDelta("half")]
    assert (await collect(engine))[0] == TextDelta("after")


async def test_a_script_that_is_over_is_an_engine_error() -> None:
    with pytest.raises(EngineRejected, match="no turn for request 1; hint"):
        await collect(ScriptedEngine([]))


async def test_a_step_may_answer_to_the_request() -> None:
    engine = ScriptedEngine([lambda asked: Turn(f"{len(asked.messages)} messages")])
    assert (await collect(engine, request("a", "b")))[0] == TextDelta("2 messages")


async def test_a_test_can_hold_the_stream_until_a_tool_has_started() -> None:
    started = anyio.Event()
    call = '<tool_call>{"name": "Read", "arguments": {}}</tool_call>'
    engine = ScriptedEngine([Turn(call, started.wait, "I go on.")])
    parser = HermesParser()
    seen: list[str] = []
    async with engine.stream(request()) as events:
        with anyio.fail_after(5):
            async for event in events:
                if isinstance(event, TextDelta):
                    if any(isinstance(one, Call) for one in parser.feed(event.text)):
                        started.set()
                        seen.append("tool")
                    if event.text == "I go on.":
                        seen.append("more text")
    assert seen == ["tool", "more text"]


async def test_a_stream_that_is_left_counts_as_abandoned() -> None:
    engine = ScriptedEngine(["a long text that is not read to its end", "read"])
    async with engine.stream(request()) as events:
        await anext(events)
    assert engine.abandoned == 1
    await collect(engine)
    assert engine.abandoned == 1


def test_a_chunk_holds_at_least_one_character() -> None:
    with pytest.raises(ValueError, match="hint: at least 1"):
        ScriptedEngine([], chunk_chars=0)
