"""The whole way: an MCP client, the server as a process, real vLLM, a model that calls tools."""

import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from explorer import trajectory
from explorer.events import CallFinished, TurnFinished, TurnStarted
from tests.e2e.recordings import DELAY, ENDLESS
from tests.e2e.vllm_server import MODEL, VllmServer
from tests.serving import MAIN, SHOWS_VIEWS, bare_environment, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LONGEST_ANSWER = 4_096
"""New tokens that the endless question may take: a quarter of the context."""


def settings(vllm: VllmServer) -> dict[str, str]:
    return {"FASTCONTEXT_ENDPOINT": vllm.endpoint, "FASTCONTEXT_TEMPERATURE": "0"}


async def explore(vllm: VllmServer, tree: Path, home: Path, **more: str) -> dict[str, Any]:
    """The object of the answer to the question that the model knows."""
    environment = bare_environment(home, **settings(vllm), **more)
    command = StdioServerParameters(command=sys.executable, args=[MAIN], env=environment, cwd="/")
    async with Client(command, extensions=[SHOWS_VIEWS]) as client:
        result = await client.call_tool(
            "explore_repository", {"query": DELAY.query, "path": str(tree)}
        )
    assert not result.is_error, result.content
    content: dict[str, Any] = result.structured_content or {}
    assert "`parcels/retry.py:6-8`" in result.content[0].text  # type: ignore[union-attr]
    return content


@pytest.mark.anyio
async def test_the_model_calls_grep_and_read_and_its_answer_comes_back_checked(
    vllm: VllmServer, tree: Path, tmp_path: Path
) -> None:
    records = tmp_path / "records"
    found = await explore(vllm, tree, tmp_path, FASTCONTEXT_RECORD_DIR=str(records))

    assert (found["engine"], found["stop_reason"]) == ("endpoint", "answered")
    assert (found["turns"], found["tool_calls"], found["notes"]) == (3, 3, [])
    assert found["answer"] == "The delay doubles with each attempt, up to a limit."
    places = [(each["path"], each["start"], each["end"]) for each in found["citations"]]
    assert places == [("parcels/retry.py", 6, 8), ("parcels/client.py", 12, 18)]
    assert found["citations"][0]["evidence"] == "def delay_s(attempt: int) -> float:"

    (record,) = records.iterdir()
    events = [timed.event for timed in trajectory.read(record)]
    calls = [event for event in events if isinstance(event, CallFinished)]
    assert sorted(event.call.name for event in calls) == ["Grep", "Read", "Read"]
    assert all(event.result.ok for event in calls)


@pytest.mark.anyio
async def test_the_parser_decides_who_reads_the_calls_and_the_model_sees_the_same_tokens(
    vllm: VllmServer,
    request: pytest.FixtureRequest,
    tree: Path,
    tmp_path: Path,
) -> None:
    records = tmp_path / "records"
    await explore(vllm, tree, tmp_path, FASTCONTEXT_RECORD_DIR=str(records))
    (record,) = records.iterdir()
    turns = [
        timed.event.message
        for timed in trajectory.read(record)
        if isinstance(timed.event, TurnFinished)
    ]
    parser_on = "parser on" in request.node.name
    assert ["tool_calls" in message for message in turns] == [parser_on, parser_on, False]
    # Had the server's rendering of either form other tokens than the recorded conversation, the
    # model, which knows nothing else, would have written other words.
    if not parser_on:
        assert tuple(message["content"] for message in turns) == DELAY.turns


@pytest.mark.anyio
async def test_later_turns_find_their_beginning_in_the_prefix_cache(
    vllm: VllmServer, tree: Path, tmp_path: Path
) -> None:
    records = tmp_path / "records"
    hits = vllm.metric("vllm:prefix_cache_hits_total")
    found = await explore(vllm, tree, tmp_path, FASTCONTEXT_RECORD_DIR=str(records))

    (record,) = records.iterdir()
    events = [timed.event for timed in trajectory.read(record)]
    usages = [event.usage for event in events if isinstance(event, TurnFinished)]
    assert not found["usage"]["estimated"]
    # Whole blocks of 32 tokens: all but the last ones of the request before.
    for before, after in zip(usages, usages[1:], strict=False):
        assert after.prompt_tokens > before.prompt_tokens
        assert before.prompt_tokens - 64 < after.cached_tokens <= after.prompt_tokens
    assert found["usage"]["cached_tokens"] == sum(usage.cached_tokens for usage in usages)
    assert vllm.metric("vllm:prefix_cache_hits_total") - hits == found["usage"]["cached_tokens"]
    sent = [event for event in events if isinstance(event, TurnStarted)]
    assert len(sent) == len(usages)


def test_cancelling_the_call_ends_the_models_generation(
    vllm: VllmServer, tree: Path, tmp_path: Path
) -> None:
    generated = vllm.metric("vllm:generation_tokens_total")
    with served(tmp_path, **settings(vllm), FASTCONTEXT_MAX_TOKENS=str(LONGEST_ANSWER)) as server:
        server.initialize()
        called = server.call("explore_repository", query=ENDLESS.query, path=str(tree))
        vllm.wait_until("vllm:generation_tokens_total", lambda now: now > generated + 20)
        assert vllm.metric("vllm:num_requests_running") == 1

        server.send("notifications/cancelled", {"requestId": called}, notify=True)
        vllm.wait_until("vllm:num_requests_running", lambda now: now == 0)
        assert vllm.metric("vllm:generation_tokens_total") - generated < LONGEST_ANSWER

        status = server.answer(server.call("engine_status"))["result"]["content"][0]["text"]
        assert "State: ready." in status
        assert f"Model: {MODEL}\nExplorations: 0 running" in status


def test_a_client_that_goes_away_ends_the_models_generation(
    vllm: VllmServer, tree: Path, tmp_path: Path
) -> None:
    generated = vllm.metric("vllm:generation_tokens_total")
    with served(tmp_path, **settings(vllm), FASTCONTEXT_MAX_TOKENS=str(LONGEST_ANSWER)) as server:
        server.initialize()
        server.call("explore_repository", query=ENDLESS.query, path=str(tree))
        vllm.wait_until("vllm:generation_tokens_total", lambda now: now > generated + 20)
        assert server.process.stdin is not None
        server.process.stdin.close()
        vllm.wait_until("vllm:num_requests_running", lambda now: now == 0)
    assert vllm.metric("vllm:generation_tokens_total") - generated < LONGEST_ANSWER
