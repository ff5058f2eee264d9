"""Request n+1 extends request n, so that the engine's prefix cache holds everything before it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.engines.scripted import ParsedCall, ScriptedEngine, Turn
from explorer.errors import ExplorerError
from explorer.limits import LoopSettings
from tests.integration.explorer.loops import ANSWER, answer, call, explore, make_tree, read_turn

pytestmark = pytest.mark.anyio


def rendered(request: Any) -> str:
    """A request as templates put it together: tools first, then every message."""
    return "\n".join(
        json.dumps(part, sort_keys=True) for part in (*request.tools, *request.messages)
    )


def assert_prefixes(engine: ScriptedEngine) -> None:
    texts = [rendered(request) for request in engine.requests]
    for before, after in zip(texts, texts[1:], strict=False):
        assert after.startswith(before)


pieces = st.sampled_from(
    [
        call("hermes", "Read", path="src/net/client.py"),
        call("parsed", "Read", path="src/net/client.py"),
        call("hermes", "Grep", pattern="backoff"),
        call("parsed", "Grep", pattern="(", path="x"),
        ParsedCall(None, "{", None),
        "<tool_call>{broken</tool_call>",
        "<tool_call>unclosed",
        "some prose ",
        answer("src/none.py:1-2"),
        ANSWER,
        "",
    ]
)
turns = st.builds(lambda parts: Turn(*parts), st.lists(pieces, max_size=3))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(turns, min_size=14, max_size=14))
async def test_every_request_extends_the_one_before_whatever_the_model_writes(
    tmp_path: Path, script: list[Turn]
) -> None:
    root = tmp_path / "proj"
    if not root.exists():
        make_tree(root)
    engine = ScriptedEngine(script)
    try:
        result, _ = await explore(root, engine)
    except ExplorerError:
        assert engine.requests
    else:
        assert result.citations
    assert len(engine.requests) <= 12
    assert_prefixes(engine)


async def test_the_prompt_of_a_second_run_begins_with_the_same_bytes(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "proj")
    _, one = await explore(root, [read_turn("hermes"), ANSWER], query="where is a?")
    _, two = await explore(root, [read_turn("hermes"), ANSWER], query="where is b?")
    assert one.requests[0].tools == two.requests[0].tools
    assert one.requests[0].messages[0] == two.requests[0].messages[0]


async def test_equal_runs_send_equal_requests(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "proj")
    runs = []
    for _ in range(2):
        script = [
            Turn(call("hermes", "Grep", pattern="backoff"), call("hermes", "Glob", pattern="*")),
            read_turn("hermes"),
            ANSWER,
        ]
        _, engine = await explore(root, script, settings=LoopSettings())
        runs.append([rendered(request) for request in engine.requests])
    assert runs[0] == runs[1]
