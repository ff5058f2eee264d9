import json
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr

from explorer.engines.http import ATTEMPTS, RETRY_AFTER_MAX_S, HttpEngine, Timeouts
from explorer.engines.protocol import CallDelta, EngineEvent, Finished, Request, TextDelta
from explorer.errors import EngineError, EngineRejected, EngineTimeout, EngineUnreachable
from explorer.limits import Sampling, Usage
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import DONE, MODEL, FakeOpenAI, Reply, chunk, event

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret-0123456789"
TOOL = {"type": "function", "function": {"name": "Read", "parameters": {"type": "object"}}}
SOON = Timeouts(connect_s=5, first_s=10, read_s=0.05, total_s=30)


def request(**sampling: float) -> Request:
    return Request(
        messages=[{"role": "user", "content": "<query>wo? é</query>"}],
        tools=[TOOL],
        tool_choice="auto",
        max_tokens=64,
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
    )


class Waits:
    """Stands in for sleeping and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.slept.append(delay_s)


async def collect(engine: HttpEngine, asked: Request | None = None) -> list[EngineEvent]:
    async with engine.stream(asked or request()) as events:
        return [one async for one in events]


def text_of(events: list[EngineEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


async def answer(reply: Reply) -> list[EngineEvent]:
    async with FakeOpenAI([reply]) as server, HttpEngine(server.url, MODEL) as engine:
        return await collect(engine)


async def failure(
    *replies: fake.Answer, api_key: str | None = None, timeouts: Timeouts | None = None
) -> EngineError:
    """The error that the replies end in; none of them may be taken for an answer."""
    key = SecretStr(api_key) if api_key else None
    async with (
        FakeOpenAI(replies) as server,
        HttpEngine(server.url, MODEL, key, timeouts=timeouts, sleep=Waits()) as engine,
    ):
        with pytest.raises(EngineError) as caught:
            await collect(engine)
    assert "hint: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


# What is sent.


async def test_the_request_carries_what_the_caller_set_and_nothing_else() -> None:
    async with FakeOpenAI([fake.says("hi")]) as server, HttpEngine(server.url, "m") as engine:
        await collect(engine, request(temperature=0.2, top_k=20))
    (chat,) = server.chats
    assert chat.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "<query>wo? é</query>"}],
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [TOOL],
        "tool_choice": "auto",
        "temperature": 0.2,
        "top_k": 20,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert "authorization" not in chat.headers
    assert chat.headers["accept-encoding"] == "identity"


async def test_forbidding_tools_still_sends_their_schemas() -> None:
    asked = Request([{"role": "user", "content": "x"}], [TOOL], "none", 8, Sampling())
    async with FakeOpenAI([fake.says("hi")]) as server, HttpEngine(server.url, "m") as engine:
        await collect(engine, asked)
    assert server.chats[0].json["tool_choice"] == "none"
    assert server.chats[0].json["tools"] == [TOOL]


async def test_half_a_surrogate_pair_does_not_stop_the_request() -> None:
    asked = Request([{"role": "user", "content": "a\udcffb"}], [], "auto", 8, Sampling())
    async with FakeOpenAI([fake.says("hi")]) as server, HttpEngine(server.url, "m") as engine:
        await collect(engine, asked)
    assert server.chats[0].json["messages"][0]["content"] == "a?b"
    assert "tools" not in server.chats[0].json


async def test_the_key_is_sent_as_a_bearer_token() -> None:
    key = SecretStr(f" {KEY}\n")
    async with FakeOpenAI([fake.says("hi")]) as server, HttpEngine(server.url, "m", key) as engine:
        await collect(engine)
    assert server.chats[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("model", [None, "", "  "])
async def test_without_a_model_the_first_that_is_listed_is_asked_for_once(
    model: str | None,
) -> None:
    async with (
        FakeOpenAI([fake.says("hi")], models=["first", "second"]) as server,
        HttpEngine(server.url, model) as engine,
    ):
        assert engine.model == ""
        await collect(engine)
        await collect(engine)
        assert engine.model == "first"
    assert [one.json["model"] for one in server.chats] == ["first", "first"]
    assert len(server.requests) == 3


async def test_a_connection_is_used_again_for_the_next_turn() -> None:
    async with FakeOpenAI([fake.says("hi")]) as server, HttpEngine(server.url, "m") as engine:
        for _ in range(3):
            await collect(engine)
    assert server.connections == 1


async def test_a_unix_socket_is_an_endpoint(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    async with FakeOpenAI([fake.says("hi")], uds=path) as server:
        for url in (server.url, "http+unix://" + path.replace("/", "%2F") + "/v1"):
            async with HttpEngine(url, "m") as engine:
                assert text_of(await collect(engine)) == "hi"


async def test_a_proxy_in_the_environment_is_not_used_for_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{fake.closed_port()}")
    assert text_of(await answer(fake.says("direct"))) == "direct"


# What is read.


async def test_text_and_usage_come_back() -> None:
    events = await answer(fake.says("Grüße, wörld"))
    assert text_of(events) == "Grüße, wörld"
    assert events[-1] == Finished("stop", Usage(100, 64, 20, requests=1))
    assert sum(isinstance(one, Finished) for one in events) == 1


async def test_calls_that_the_server_parsed_come_back_in_pieces() -> None:
    arguments = '{"path": "src/a.py", "limit": 20}'
    events = await answer(fake.calls(("Read", arguments), ("Glob", "{}"), text="Look.\n"))
    deltas = [one for one in events if isinstance(one, CallDelta)]
    assert [(one.index, one.id, one.name) for one in deltas if one.name] == [
        (0, "call-0", "Read"),
        (1, "call-1", "Glob"),
    ]
    assert "".join(one.arguments for one in deltas if one.index == 0) == arguments
    assert text_of(events) == "Look.\n"
    assert events[-1] == Finished("tool_calls", Usage(100, 64, 20, requests=1))


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r"])
async def test_every_liberty_with_the_stream_format_is_read(ending: bytes) -> None:
    stream = b"".join(
        [
            b"\n: keep-alive\n\n",
            b"event: message\nid: 1\nretry: 5\n",
            b'data:{"choices": [{"delta":\ndata: {"content": "one "}}]}\n\n',
            b":\n\n",
            chunk({"content": "two é"}),
            b"data:[DONE]",
        ]
    ).replace(b"\n", ending)
    pieces = [stream[at : at + 1] for at in range(len(stream))]
    assert text_of(await answer(Reply(pieces))) == "one two é"
    assert text_of(await answer(Reply([stream]))) == "one two é"


@pytest.mark.parametrize(
    "sign_of_life",
    [
        b"\r\n" * 40,
        b"\n" * 5_000,
        b"data:\n\n",
        b"event: ping\ndata: {}\n\n",
        b'data: {"type": "ping"}\n\n',
        b'data: {"choices": null, "usage": null}\n\n',
    ],
)
async def test_signs_of_life_are_passed_over(sign_of_life: bytes) -> None:
    parts = [
        sign_of_life,
        chunk({"content": "one "}),
        sign_of_life,
        chunk({"content": "two"}),
        DONE,
    ]
    assert text_of(await answer(Reply(parts))) == "one two"
    assert text_of(await answer(Reply([b"".join(parts)]))) == "one two"


async def test_a_stream_of_nothing_but_signs_of_life_is_no_completion() -> None:
    error = await failure(Reply([b"event: ping\ndata: {}\n\n"]))
    assert isinstance(error, EngineRejected)
    assert "'{}'" in str(error)


async def test_a_stream_without_done_is_complete_with_its_finish_reason() -> None:
    events = await answer(Reply([chunk({"content": "x"}), chunk({}, reason="length")]))
    assert events == [TextDelta("x"), Finished("length", None)]


async def test_nothing_after_done_is_read() -> None:
    events = await answer(Reply([chunk({"content": "x"}), DONE, b"data: nonsense\n\n"]))
    assert events == [TextDelta("x"), Finished(None, None)]


async def test_done_ends_the_answer_though_the_server_keeps_the_connection_open() -> None:
    events = await answer(fake.hangs(chunk({"content": "x"}, reason="stop"), DONE))
    assert events == [TextDelta("x"), Finished("stop", None)]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "both"])
async def test_reasoning_is_kept_if_it_is_all_that_comes(field: str) -> None:
    def said(text: str) -> dict[str, str | None]:
        fields = ["reasoning_content", "reasoning"] if field == "both" else [field]
        return {"content": None, **dict.fromkeys(fields, text)}

    streamed = await answer(fake.streams(chunk(said("one ")), chunk(said("two"))))
    whole = await answer(fake.whole({**said("one two"), "content": "\n"}))
    assert [each.reasoning for each in (streamed[-1], whole[-1])] == ["one two", "one two"]


async def test_reasoning_beside_a_parsed_call_is_dropped() -> None:
    reply = fake.calls(("Read", "{}"))
    events = await answer(reply.with_parts(chunk({"reasoning_content": "hm"})))
    assert events[-1].reasoning == ""


async def test_reasoning_and_empty_deltas_are_dropped() -> None:
    events = await answer(
        fake.streams(
            chunk({"reasoning_content": "hm", "content": None}),
            chunk({"reasoning": "hm", "content": ""}),
            event({"choices": [{"delta": None}]}),
            event({"choices": [{"index": 1, "delta": {"content": "other"}}]}),
            chunk({"content": [{"type": "text", "text": "x"}, {"type": "image"}]}),
        )
    )
    assert events[:-1] == [TextDelta("x")]


async def test_a_whole_completion_is_read_though_a_stream_was_asked_for() -> None:
    message = {
        "role": "assistant",
        "content": "Look.",
        "tool_calls": [
            {"id": None, "function": {"name": "Read", "arguments": '{"path": "a"}'}},
            {"id": "x", "function": {"name": "Glob", "arguments": {"pattern": "*"}}},
        ],
    }
    events = await answer(fake.whole(message, reason="tool_calls"))
    assert events == [
        TextDelta("Look."),
        CallDelta(0, None, "Read", '{"path": "a"}'),
        CallDelta(1, "x", "Glob", '{"pattern": "*"}'),
        Finished("tool_calls", Usage(100, 64, 20, requests=1)),
    ]


def call_piece(index: int | None, call_id: object, name: str | None, arguments: object) -> bytes:
    function = {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{"index": index, "id": call_id, "function": function}]})


@pytest.mark.parametrize(
    "pieces",
    [
        # Each call whole under index 0, told apart by its id.
        [call_piece(0, "a", "Read", '{"n": 1}'), call_piece(0, "b", "Glob", '{"n": 2}')],
        # The same with neither index nor id: a name after complete arguments begins another call.
        [call_piece(None, None, "Read", '{"n": 1}'), call_piece(None, None, "Glob", '{"n": 2}')],
        # Duplicate ids under different indices.
        [call_piece(0, "a", "Read", '{"n": 1}'), call_piece(1, "a", "Glob", '{"n": 2}')],
        # Numbers as ids, arguments as objects, indices that do not begin at 0.
        [call_piece(3, 7, "Read", {"n": 1}), call_piece(5, 8, "Glob", {"n": 2})],
        # Id and name repeated with every piece; a piece without an index.
        [
            call_piece(0, "a", "Read", '{"n"'),
            call_piece(0, "a", "Read", ": 1}"),
            call_piece(1, "b", "Glob", None),
            call_piece(None, "", None, '{"n": 2}'),
        ],
    ],
)
async def test_calls_are_told_apart_whatever_the_server_does_with_index_and_id(
    pieces: list[bytes],
) -> None:
    deltas = [one for one in await answer(fake.streams(*pieces)) if isinstance(one, CallDelta)]
    for index, (name, arguments) in enumerate([("Read", {"n": 1}), ("Glob", {"n": 2})]):
        own = [one for one in deltas if one.index == index]
        assert [one.name for one in own if one.name] == [name]
        assert json.loads("".join(one.arguments for one in own)) == arguments


async def test_arguments_that_nest_too_deep_do_not_end_the_stream() -> None:
    deep = '{"n":' * 30_000 + "1" + "}" * 30_000
    pieces = [call_piece(None, None, "Read", deep), call_piece(None, None, "Read", "")]
    deltas = [one for one in await answer(fake.streams(*pieces)) if isinstance(one, CallDelta)]
    assert "".join(one.arguments for one in deltas) == deep


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3}, Usage(9, 0, 3, 1)),
        ({"prompt_tokens": 9, "total_tokens": 12}, Usage(9, 0, 3, 1)),
        (
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": None},
            Usage(9, 0, 3, 1),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {}},
            Usage(9, 0, 3, 1),
        ),
        ({"prompt_tokens": None, "completion_tokens": 3}, None),
        ({"prompt_tokens": 9}, None),
        ({"prompt_tokens": "many"}, None),
        ("none", None),
        (None, None),
    ],
)
async def test_usage_with_missing_parts_is_read_or_left_out(
    usage: object, read: Usage | None
) -> None:
    events = await answer(
        Reply([event({"choices": [], "usage": usage}), chunk({"content": "x"}), DONE])
    )
    assert events[-1] == Finished(None, read)


# What goes wrong.


async def test_a_port_on_which_nothing_listens_is_unreachable() -> None:
    waits = Waits()
    url = f"http://127.0.0.1:{fake.closed_port()}/v1"
    async with HttpEngine(url, "m", sleep=waits) as engine:
        with pytest.raises(EngineUnreachable, match="nothing listens there; hint: ") as caught:
            await collect(engine)
    assert url in str(caught.value)
    assert len(waits.slept) == ATTEMPTS - 1


async def test_a_socket_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async with HttpEngine(f"unix://{tmp_path}/none.sock", "m", sleep=Waits()) as engine:
        with pytest.raises(EngineUnreachable, match="there is no such socket"):
            await collect(engine)


async def test_a_server_without_tls_behind_an_https_endpoint_is_unreachable() -> None:
    async with FakeOpenAI([fake.says("hi")]) as server:
        url = server.url.replace("http:", "https:")
        async with HttpEngine(url, "m", sleep=Waits()) as engine:
            with pytest.raises(EngineUnreachable, match="cannot be reached: "):
                await collect(engine)
    assert server.chats == []


async def test_a_certificate_that_cannot_be_verified_says_so() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
        cause.verify_message = "self-signed certificate"
        raise httpx.ConnectError("all attempts failed") from cause

    async with HttpEngine(
        "https://127.0.0.1:1/v1", "m", transport=httpx.MockTransport(fail), sleep=Waits()
    ) as engine:
        with pytest.raises(EngineUnreachable, match=r"TLS failed \(self-signed certificate\)"):
            await collect(engine)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 422, 500, 501])
async def test_a_status_that_retrying_will_not_change_is_rejected_at_once(status: int) -> None:
    async with FakeOpenAI([fake.error(status, "out\nof  luck")]) as server:
        async with HttpEngine(server.url, MODEL, sleep=Waits()) as engine:
            with pytest.raises(EngineRejected, match="status .*'out of luck'; hint: ") as caught:
                await collect(engine)
    assert caught.value.status == status
    assert len(server.chats) == 1


async def test_a_404_without_version_in_the_endpoint_hints_at_it() -> None:
    async with FakeOpenAI([fake.says("hi")]) as server:
        url = server.url.removesuffix("/v1")
        async with HttpEngine(url + "/", MODEL) as engine:
            with pytest.raises(EngineRejected, match="usually ends in /v1") as caught:
                await collect(engine)
    assert server.url in str(caught.value)


async def test_a_redirect_is_not_followed() -> None:
    away = Reply((), 307, headers={"Location": "http://elsewhere.invalid/v1"})
    error = await failure(away)
    assert "redirects to 'http://elsewhere.invalid/v1'" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        fake.html(),
        Reply([b"Welcome to nginx"]),
        Reply([b"data: <html>\n\n"]),
        Reply([b"data: 7\n\n"]),
        Reply([b'{"detail": "hello"}']),
        Reply([b"{"]),
        Reply([b"\xff\xfe\x00garbage"]),
        Reply([b'data: {"choices": 5}\n\n']),
    ],
)
async def test_what_is_no_completion_is_rejected(reply: Reply) -> None:
    error = await failure(reply)
    assert isinstance(error, EngineRejected)
    assert "where a chat completion was due" in str(error)


async def test_html_is_named_and_quoted() -> None:
    assert "an HTML page" in str(await failure(fake.html()))


@pytest.mark.parametrize(
    "reply",
    [
        fake.streams(event({"error": {"message": "engine died", "code": 500}})),
        fake.streams(event({"object": "error", "message": "engine died", "code": 500})),
        fake.json_reply({"error": {"message": "engine died", "code": 500}}),
    ],
)
async def test_an_error_object_inside_a_good_answer_is_an_error(reply: Reply) -> None:
    error = await failure(reply)
    assert isinstance(error, EngineRejected)
    assert "engine died" in str(error)
    assert error.status == 500


async def test_an_engine_that_never_answers_times_out() -> None:
    error = await failure(fake.silent(), timeouts=Timeouts(0.5, 0.02, 1, 30))
    assert isinstance(error, EngineTimeout)
    assert "did not begin to answer" in str(error)


async def test_an_engine_that_stops_sending_times_out() -> None:
    error = await failure(fake.hangs(chunk({"content": "x"})), timeouts=SOON)
    assert isinstance(error, EngineTimeout)
    assert "sent nothing more within 0.05 s" in str(error)


async def test_the_total_time_bounds_an_engine_that_only_keeps_alive() -> None:
    async def breathe() -> None:
        await anyio.lowlevel.checkpoint()

    def endless(_: fake.Received) -> Reply:
        return Reply([b": keep-alive\n\n", breathe] * 1_000, hangs=True)

    error = await failure(endless, timeouts=Timeouts(5, 5, 5, 0.1))
    assert isinstance(error, EngineTimeout)
    assert "did not finish within 0.1 s" in str(error)


async def test_an_endless_body_is_cut() -> None:
    error = await failure(Reply([b": " + b"x" * 2**20 + b"\n"] * 20))
    assert isinstance(error, EngineRejected)
    assert "more than" in str(error)


@pytest.mark.parametrize("part", [b"data: " + b"x" * 9 * 2**20, b"x" * 9 * 2**20])
async def test_an_endless_line_is_cut(part: bytes) -> None:
    assert isinstance(await failure(Reply([part])), EngineRejected)


# What is tried again.


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_engine_is_asked_again(status: int) -> None:
    waits = Waits()
    async with FakeOpenAI([fake.error(status), fake.error(status), fake.says("hi")]) as server:
        async with HttpEngine(server.url, MODEL, sleep=waits) as engine:
            assert text_of(await collect(engine)) == "hi"
    assert waits.slept == [0.25, 0.5]


async def test_a_busy_engine_is_not_asked_for_ever() -> None:
    async with FakeOpenAI([fake.error(503, "loading")]) as server:
        async with HttpEngine(server.url, MODEL, sleep=Waits()) as engine:
            with pytest.raises(EngineRejected, match="busy or still loading") as caught:
                await collect(engine)
    assert caught.value.status == 503
    assert len(server.chats) == ATTEMPTS


@pytest.mark.parametrize(
    ("header", "waited"), [("2", 2.0), ("0", 0.0), ("86400", RETRY_AFTER_MAX_S), ("later", 0.25)]
)
async def test_retry_after_is_kept_to_up_to_a_cap(header: str, waited: float) -> None:
    waits = Waits()
    busy = fake.error(429, **{"Retry-After": header})
    async with FakeOpenAI([busy, fake.says("hi")]) as server:
        async with HttpEngine(server.url, MODEL, sleep=waits) as engine:
            await collect(engine)
    assert waits.slept == [waited]


@pytest.mark.parametrize(
    "reply",
    [
        fake.refuses(),
        fake.breaks(),
        fake.breaks(chunk({"role": "assistant", "content": ""})),
        Reply([chunk({"role": "assistant"})]),
        Reply(),
        Reply([b"HTTP/9 what\r\n\r\n"], raw=True),
    ],
)
async def test_a_connection_that_breaks_before_anything_came_is_tried_again(reply: Reply) -> None:
    async with FakeOpenAI([reply, fake.says("hi")]) as server:
        async with HttpEngine(server.url, MODEL, sleep=Waits()) as engine:
            assert text_of(await collect(engine)) == "hi"
    assert len(server.chats) == 2
    assert isinstance(await failure(reply), EngineUnreachable)


async def test_an_empty_stream_hints_at_a_prompt_beyond_the_context() -> None:
    # So llama-cpp-python 0.3.36 answered 9,031 tokens in a context of 8,192.
    headers = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    recorded = headers + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    error = await failure(Reply([recorded], raw=True))
    assert "nothing else" in str(error)
    assert "its context may be too small" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        fake.breaks(chunk({"content": "half"})),
        Reply([chunk({"content": "half"})]),
        fake.streams(chunk({"content": "half"}), event({"error": "died"})),
    ],
)
async def test_nothing_is_sent_again_once_something_of_the_answer_came(reply: Reply) -> None:
    async with FakeOpenAI([reply, fake.says("again")]) as server:
        async with HttpEngine(server.url, MODEL, sleep=Waits()) as engine:
            got: list[EngineEvent] = []

            async def keep() -> None:
                async with engine.stream(request()) as events:
                    async for one in events:
                        got.append(one)  # noqa: PERF401 - what came before the error is wanted

            with pytest.raises(EngineError):
                await keep()
    assert got == [TextDelta("half")]
    assert len(server.chats) == 1


async def test_fields_that_a_server_does_not_know_are_left_out_from_then_on() -> None:
    def picky(asked: fake.Received) -> Reply:
        for name in ("chat_template_kwargs", "top_k"):
            if name in asked.json:
                return fake.error(400, f"Unrecognized request argument supplied: {name}")
        return fake.says("hi")

    waits = Waits()
    async with FakeOpenAI([picky]) as server:
        async with HttpEngine(server.url, MODEL, sleep=waits) as engine:
            assert text_of(await collect(engine, request(top_k=20, top_p=0.9))) == "hi"
            await collect(engine, request(top_k=20, top_p=0.9))
    assert len(server.chats) == 4
    assert waits.slept == []
    for chat in server.chats[2:]:
        assert chat.json["top_p"] == 0.9
        assert "top_k" not in chat.json


async def test_a_server_without_a_tool_parser_is_asked_to_leave_the_calls_in_the_text() -> None:
    def without_parser(asked: fake.Received) -> Reply:
        if asked.json.get("tool_choice", "auto") == "auto":
            need = "--enable-auto-tool-choice and --tool-call-parser"
            return fake.error(400, f'"auto" tool choice requires {need} to be set')
        return fake.says("<tool_call>")

    async with (
        FakeOpenAI([without_parser]) as server,
        HttpEngine(server.url, MODEL) as engine,
    ):
        assert text_of(await collect(engine)) == "<tool_call>"
        await collect(engine)
    assert [chat.json["tool_choice"] for chat in server.chats] == ["auto", "none", "none"]
    assert all(chat.json["tools"] == [TOOL] for chat in server.chats)


async def test_a_server_that_refuses_whatever_is_left_out_is_asked_boundedly() -> None:
    names = "chat_template_kwargs, top_k, stream_options, seed"
    async with FakeOpenAI([fake.error(422, f"unknown: {names}")]) as server:
        async with HttpEngine(server.url, MODEL, sleep=Waits()) as engine:
            with pytest.raises(EngineRejected):
                await collect(engine)
    assert len(server.chats) == 2


# Leaving.


async def test_leaving_the_stream_closes_the_request() -> None:
    reply = fake.hangs(chunk({"content": "x"}))
    async with FakeOpenAI([reply]) as server, HttpEngine(server.url, MODEL) as engine:
        async with engine.stream(request()) as events:
            assert await anext(events) == TextDelta("x")
        with anyio.fail_after(5):
            await server.client_gone.wait()


@pytest.mark.parametrize(
    "reply", [fake.silent(), fake.hangs(), fake.hangs(chunk({"content": "x"}))]
)
async def test_cancelling_closes_the_request(reply: Reply) -> None:
    async with FakeOpenAI([reply]) as server, HttpEngine(server.url, MODEL) as engine:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, engine)
            with anyio.fail_after(5):
                while not server.chats:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await server.client_gone.wait()


async def test_an_error_of_the_caller_closes_the_request_and_is_passed_on() -> None:
    reply = fake.hangs(chunk({"content": "x"}))
    async with FakeOpenAI([reply]) as server, HttpEngine(server.url, MODEL) as engine:

        async def fails() -> None:
            async with engine.stream(request()) as events:
                await anext(events)
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await fails()
        with anyio.fail_after(5):
            await server.client_gone.wait()


async def test_an_engine_that_was_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await collect(HttpEngine("http://127.0.0.1:1/v1", "m"))


# Secrets.


@pytest.mark.parametrize(
    "reply",
    [
        fake.error(401, f"Incorrect API key provided: {KEY}. Try another"),
        fake.error(400, "x" * 185 + KEY),
        Reply([f"you sent Bearer {KEY}".encode()], 500, "text/plain"),
        Reply([f"<html>{KEY}".encode()]),
        Reply([f'data: {{"error": "{KEY}"}}\n\n'.encode()]),
        Reply([f"data: {KEY}\n\n".encode()]),
        Reply((), 302, headers={"Location": f"http://x.invalid/?key={KEY}"}),
        Reply([f"HTTP/1.1 {KEY}\r\n\r\n".encode()], raw=True),
    ],
)
async def test_the_key_appears_in_no_error_log_or_repr(
    reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "explorer")
    error = await failure(reply, api_key=KEY)
    shown = f"{error!s} {error!r} {error.__context__!r} {caplog.text}"
    for part in (KEY, KEY[:12], KEY[-8:]):
        assert part not in shown


async def test_the_key_is_in_no_repr_of_the_engine() -> None:
    async with HttpEngine("http://127.0.0.1:1/v1", "m", SecretStr(KEY)) as engine:
        assert KEY not in repr(engine) + repr(vars(engine)) + repr(vars(engine._client))


def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="hint") as caught:
        HttpEngine("http://127.0.0.1:1/v1", "m", SecretStr("sk-\nsecret"))
    assert "secret" not in str(caught.value)


async def test_a_long_answer_is_quoted_shortly_on_one_line() -> None:
    error = await failure(fake.error(400, "a\r\n\tb\x1b[31m\u202e " + "y" * 1000))
    assert "'a b [31m yyy" in str(error)
    assert len(str(error)) < 450


# Probing.


async def test_a_ready_engine_says_what_it_serves() -> None:
    async with FakeOpenAI() as server, HttpEngine(server.url) as engine:
        state = await engine.probe()
    assert (state.ready, state.model, state.context_tokens) == (True, MODEL, 131072)
    assert state.detail == f"serves '{MODEL}'"


async def test_a_model_that_is_not_listed_is_said_but_no_obstacle() -> None:
    async with FakeOpenAI(models=["a", "b"]) as server, HttpEngine(server.url, "c") as engine:
        state = await engine.probe()
    assert (state.ready, state.model) == (True, "c")
    assert state.detail == "lists 'a', 'b', and is asked for 'c'"


@pytest.mark.parametrize(
    ("models", "detail"),
    [
        (fake.html(), "an HTML page where a list of models was due"),
        (fake.error(401, "no key"), "hint: set the API key"),
        (fake.error(503, "loading"), "still loading"),
        (fake.model_list(), "lists no model"),
        (fake.silent(), "within 0.05 s"),
        (fake.refuses(), "broke"),
    ],
)
async def test_an_engine_that_is_not_ready_says_why(models: Reply, detail: str) -> None:
    async with FakeOpenAI(models=models) as server, HttpEngine(server.url) as engine:
        state = await engine.probe(timeout_s=0.05 if models.silent else 5)
    assert not state.ready
    assert detail in state.detail


async def test_probing_where_nothing_listens_says_so() -> None:
    async with HttpEngine(f"http://127.0.0.1:{fake.closed_port()}/v1", "m") as engine:
        state = await engine.probe()
    assert not state.ready
    assert "nothing listens there" in state.detail


@pytest.mark.parametrize(
    "make",
    [
        httpx.ReadError,
        httpx.WriteError,
        httpx.CloseError,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
        httpx.ProxyError,
        httpx.DecodingError,
        httpx.TooManyRedirects,
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.PoolTimeout,
        httpx.InvalidURL,
        OSError,
        lambda _: anyio.ClosedResourceError(),
        lambda _: anyio.BrokenResourceError(),
        lambda _: httpx.StreamClosed(),
    ],
)
async def test_every_failure_of_the_libraries_becomes_an_engine_error(
    make: Callable[[str], Exception],
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise make(f"it says {KEY}")

    transport = httpx.MockTransport(fail)
    url = "http://127.0.0.1:1/v1"
    async with HttpEngine(url, "m", SecretStr(KEY), transport=transport, sleep=Waits()) as engine:
        with pytest.raises((EngineUnreachable, EngineTimeout), match="hint: ") as caught:
            await collect(engine)
    assert KEY not in str(caught.value)


def test_the_fake_server_serves_tests_that_are_not_async() -> None:
    with fake.serving([fake.says("hi")]) as server:
        answered = httpx.post(
            f"{server.url}/chat/completions", json={"model": "m"}, trust_env=False
        )
    assert answered.status_code == 200
    assert server.chats[0].json == {"model": "m"}
