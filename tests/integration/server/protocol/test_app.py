"""The MCP tools through the SDK's own client, in memory, in both protocol eras."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server.apps import APP_MIME_TYPE
from mcp.types import CallToolResult, Implementation, ListRootsResult, Root, TextContent

from explorer.engines.protocol import Engine
from explorer.engines.scripted import ScriptedEngine, Step, Turn
from explorer.errors import EngineUnreachable, RipgrepError
from explorer.records import Citation, Exploration
from server.protocol import descriptions
from server.protocol.app import build_server
from server.settings import Settings
from tests.serving import SHOWS_VIEWS
from tests.tooling import write_tree

pytestmark = pytest.mark.anyio

ERAS = ["legacy", "2026-07-28"]
ENDPOINT = "http://127.0.0.1:1/v1"
GREP = '<tool_call>\n{"name": "Grep", "arguments": {"pattern": "retry_delay"}}\n</tool_call>'
READ = '<tool_call>\n{"name": "Read", "arguments": {"path": "a.py"}}\n</tool_call>'
ANSWER = "It is in a.py.\n<final_answer>\na.py:1-2 (the delay)\n</final_answer>"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    tree = {
        ".git/HEAD": "ref: refs/heads/main\n",
        "a.py": "def retry_delay(attempt: int) -> float:\n    return 2.0**attempt\n",
        "b.py": "from a import retry_delay\n\nprint(retry_delay(3))\n",
        ".env": "retry_delay_secret=hunter2\n",
    }
    return write_tree(tmp_path / "repository", tree)


def connect(
    script: Sequence[Step] | None = None,
    *,
    mode: Any = "auto",
    roots: Any = None,
    views: bool = False,
    **settings: Any,
) -> Client:
    """A client of a server whose model follows the script; without one the scout answers.

    With ``views`` the client gets each answer as an object too.
    """
    factory: Callable[[Settings], Engine] | None = None
    if script is not None:
        engine = ScriptedEngine(script)
        factory = lambda _: engine  # noqa: E731
        settings.setdefault("endpoint", ENDPOINT)
    server = build_server(Settings(**settings), engine_factory=factory)
    extensions = [SHOWS_VIEWS] if views else None
    return Client(server, mode=mode, list_roots_callback=roots, extensions=extensions)


def text_of(result: Any) -> str:
    assert isinstance(result, CallToolResult)
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def replace(repository: Path) -> None:
    """Another directory at the same path."""
    repository.rename(repository.with_name("moved"))
    write_tree(repository, {".git/HEAD": "", "new.py": "def retry_delay(): ...\n"})


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_reads_the_answer_once_and_as_markdown(repository: Path, mode: Any) -> None:
    async with connect([GREP + READ, ANSWER], mode=mode) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "where is the delay?", "path": str(repository)}
        )
        status = await client.call_tool("engine_status", {})
        tools = (await client.list_tools()).tools
    for called in (result, status):
        assert called.structured_content is None
        assert "fastcontext" not in (called.meta or {})
        assert len(called.content) == 1
        wire = called.model_dump_json(by_alias=True, exclude_none=True, exclude={"meta"})
        assert len(wire) < len(json.dumps(text_of(called))) + 100
    assert text_of(result).startswith("It is in a.py.\n\n1. `a.py:1-2` `retry_delay` - ")
    assert [tool.output_schema for tool in tools] == [None, None]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_that_shows_the_view_gets_the_same_facts_as_an_object_too(
    repository: Path, mode: Any
) -> None:
    async with connect([GREP + READ, ANSWER], mode=mode, views=True) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "where is the delay?", "path": str(repository)}
        )
    facts = result.structured_content
    assert facts is not None
    assert "text" not in facts
    assert facts["engine"] == "endpoint"
    assert ENDPOINT in facts["engine_reason"]
    assert facts["citations"] == [
        {
            "path": "a.py",
            "start": 1,
            "end": 2,
            "name": "retry_delay",
            "reason": "the delay",
            "evidence": "def retry_delay(attempt: int) -> float:",
            "part": "",
            "code": [
                {
                    "start": 1,
                    "lines": ["def retry_delay(attempt: int) -> float:", "    return 2.0**attempt"],
                }
            ],
            "links": [{"relation": "used by", "path": "b.py", "line": 3, "name": ""}],
        }
    ]
    assert (facts["turns"], facts["tool_calls"]) == (2, 2)
    assert "`a.py:1-2`" in text_of(result)
    # Where hosts show it to the view alone.
    assert (result.meta or {})["fastcontext"] == {
        "colours": [[["k3_1f11_24", "_4k6_1m3_9"]]],
        "outlines": {"a.py": [{"name": "retry_delay", "start": 1, "end": 2, "depth": 0}]},
    }


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_resources_are_named_to_clients_that_show_the_view_alone(
    mode: Any, version: str
) -> None:
    for views in (False, True):
        async with connect(mode=mode, views=views) as client:
            assert client.protocol_version == version
            named = client.server_capabilities
            page = (await client.read_resource(descriptions.VIEW_URI)).contents[0]
        assert (named.resources is not None) is views
        assert named.tools is not None
        assert named.prompts is not None
        assert page.mime_type == APP_MIME_TYPE


@pytest.mark.parametrize("mode", ERAS)
async def test_the_prompt_holds_the_whole_question(mode: Any) -> None:
    async with connect(mode=mode) as client:
        (prompt,) = (await client.list_prompts()).prompts
        assert [each.name for each in prompt.arguments or []] == ["question"]
        got = await client.get_prompt("explore", {"question": "how is it computed?"})
    assert got.messages[0].content.text.endswith("Question: how is it computed?")  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ERAS)
async def test_claude_code_which_splits_arguments_at_blanks_gets_a_prompt_without_any(
    mode: Any,
) -> None:
    server = build_server(Settings())
    who = Implementation(name="claude-code", version="2.1.197")
    async with Client(server, mode=mode, client_info=who) as client:
        (prompt,) = (await client.list_prompts()).prompts
        assert not prompt.arguments
        got = await client.get_prompt("explore", {})
    assert got.messages[0].content.text.endswith(  # type: ignore[union-attr]
        "Question: all that was typed after this command, as its arguments."
    )


@pytest.mark.parametrize("mode", ERAS)
async def test_without_an_endpoint_the_scout_answers_and_says_why(
    repository: Path, mode: Any
) -> None:
    async with connect(mode=mode) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "retry delay", "path": str(repository)}
        )
    assert "Answered by the scout (no endpoint is configured" in text_of(result)
    assert "a.py:" in text_of(result)
    assert "hunter2" not in text_of(result)


@pytest.mark.parametrize("mode", ERAS)
async def test_the_tools_are_announced_flat_complete_and_short_enough(mode: Any) -> None:
    async with connect(mode=mode) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["explore_repository", "engine_status"]
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    # 2,098 characters were 486 tokens of o200k_base and 493 of Claude 2's tokenizer.
    assert len(json.dumps(wire, separators=(",", ":"))) <= 2_110
    for tool in tools:
        assert set(tool.input_schema) <= {"type", "properties", "required"}
        for name, each in tool.input_schema["properties"].items():
            optional = {"nullable"} if name != "query" else set()
            assert set(each) == {"type", "description"} | optional
        assert tool.description is not None
        assert tool.description.startswith("Use this ")
        assert " when " in tool.description.split(".")[0]
        assert tool.title
        hints = tool.annotations
        assert hints is not None
        assert (hints.read_only_hint, hints.destructive_hint) == (True, False)
        assert (hints.idempotent_hint, hints.open_world_hint) == (True, False)
    assert tools[0].input_schema["required"] == ["query"]
    assert "required" not in tools[1].input_schema
    assert tools[0].meta == {
        "anthropic/alwaysLoad": True,
        "anthropic/maxResultSizeChars": 50_000,
        "ui": {"resourceUri": "ui://fastcontext/answer.html"},
    }


def test_the_instructions_are_not_cut_by_clients() -> None:
    assert len(descriptions.INSTRUCTIONS) < 2_048
    assert "grep" in descriptions.INSTRUCTIONS


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": "retry delay", "max_turns": "3", "max_citations": "2"},
        {"query": "retry delay", "max_turns": -1, "max_citations": 10**9, "max_bytes": 1.5},
        {"query": ["retry", "delay"], "max_turns": None},
        {"question": "retry delay", "unknown": {"x": 1}},
        {"query": "retry delay", "include_hidden": "no"},
    ],
)
async def test_arguments_that_are_nearly_right_get_an_answer(
    repository: Path, arguments: dict[str, Any]
) -> None:
    async with connect() as client:
        result = await client.call_tool("explore_repository", arguments | {"repo": str(repository)})
    assert not result.is_error
    assert "a.py" in text_of(result)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"query": ""}, "the query is empty"),
        ({}, "the query is empty"),
        ({"query": " \n"}, "the query is empty"),
        ({"query": "x", "path": "/no/such/dir"}, "'/no/such/dir' does not exist"),
        ({"query": "x", "path": "/"}, "will not explore '/'"),
    ],
)
async def test_an_error_says_what_to_do(arguments: dict[str, Any], says: str) -> None:
    async with connect() as client:
        result = await client.call_tool("explore_repository", arguments)
    assert result.is_error
    assert says in text_of(result)
    assert "hint: " in text_of(result)
    assert "Traceback" not in text_of(result)


async def test_a_query_of_100_kilobytes_is_answered_and_the_cut_is_said(repository: Path) -> None:
    query = "where is the retry_delay? " + "blah " * 20_000
    async with connect() as client:
        result = await client.call_tool(
            "explore_repository", {"query": query, "path": str(repository)}
        )
    assert not result.is_error
    assert "left out" in text_of(result)
    assert len(text_of(result)) < 10_000


async def test_what_is_hidden_is_found_only_when_asked_for(repository: Path) -> None:
    arguments = {"query": "retry_delay_secret", "path": str(repository)}
    async with connect() as client:
        without = await client.call_tool("explore_repository", arguments)
        with_it = await client.call_tool("explore_repository", arguments | {"include_hidden": True})
    assert ".env" not in text_of(without)
    assert ".env" in text_of(with_it)


async def test_what_the_operator_forbids_is_hidden_whatever_the_client_asks(
    repository: Path,
) -> None:
    arguments = {"query": "retry_delay_secret", "include_hidden": True}
    async with connect(include_hidden=False) as client:
        whole = await client.call_tool("explore_repository", arguments | {"path": str(repository)})
        (repository / ".github").mkdir()
        part = await client.call_tool(
            "explore_repository", arguments | {"path": str(repository / ".github")}
        )
    assert ".env" not in text_of(whole)
    assert "Note: hidden, secret and ignored files were not searched: include_hidden is set" in (
        text_of(whole)
    )
    assert "it is hidden, and include_hidden is set to false" in text_of(part)


async def test_the_scout_answers_when_the_endpoint_fails_and_the_reason_is_told(
    repository: Path,
) -> None:
    script = [EngineUnreachable("no connection to the endpoint")]
    async with connect(script, views=True) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "retry delay", "path": str(repository)}
        )
    facts = result.structured_content
    assert facts is not None
    assert (facts["engine"], facts["stop_reason"]) == ("scout", "fallback")
    assert "no connection to the endpoint" in text_of(result)
    assert any(each["path"] == "a.py" for each in facts["citations"])


async def test_without_fallback_the_failure_is_an_error(repository: Path) -> None:
    script = [EngineUnreachable("no connection to the endpoint")]
    async with connect(script, fallback=False) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "retry delay", "path": str(repository)}
        )
    assert result.is_error
    assert "no connection to the endpoint" in text_of(result)


async def test_a_failure_nobody_foresaw_still_gets_an_answer_without_its_text(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(_request: Any) -> str:
        raise RuntimeError("secret detail")

    async with connect([crash]) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "retry delay", "path": str(repository)}
        )
    assert not result.is_error
    assert "a.py" in text_of(result)
    assert "secret detail" not in text_of(result)
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("mode", ERAS)
async def test_the_clients_root_is_explored_when_no_path_is_given(
    repository: Path, mode: Any
) -> None:
    async def roots(_context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=repository.as_uri())])  # type: ignore[arg-type]

    async with connect(mode=mode, roots=roots) as client:
        result = await client.call_tool("explore_repository", {"query": "retry delay"})
    assert f"`{repository}`" in text_of(result)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # The client's, of these roots.
@pytest.mark.parametrize("mode", ERAS)
async def test_roots_that_are_no_directory_of_this_machine_are_skipped(
    repository: Path, mode: Any
) -> None:
    uris = ["vscode-vfs://github/some/project", "untitled:x", "/no/uri", repository.as_uri()]

    async def roots(_context: Any) -> ListRootsResult:
        named = [Root.model_construct(uri=uri) for uri in uris]
        return ListRootsResult.model_construct(roots=named)

    async with connect(mode=mode, roots=roots) as client:
        result = await client.call_tool("explore_repository", {"query": "retry delay"})
    assert f"`{repository}`" in text_of(result)


@pytest.mark.parametrize("mode", ERAS)
async def test_cancelling_a_call_closes_the_models_stream(repository: Path, mode: Any) -> None:
    asked, closed = anyio.Event(), anyio.Event()

    async def hang() -> None:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            closed.set()

    async with connect([Turn("I am ", hang)], mode=mode) as client, anyio.create_task_group() as tg:

        async def call() -> None:
            await client.call_tool(
                "explore_repository", {"query": "retry delay", "path": str(repository)}
            )

        scope = anyio.CancelScope()

        async def cancellable() -> None:
            with scope:
                await call()

        tg.start_soon(cancellable)
        with anyio.fail_after(10):
            await asked.wait()
            scope.cancel()
            await closed.wait()


async def test_progress_tells_each_turn_and_call(repository: Path) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, _total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with connect([GREP, ANSWER]) as client:
        await client.call_tool(
            "explore_repository",
            {"query": "retry delay", "path": str(repository)},
            progress_callback=hear,
        )
    numbers = [number for number, _ in heard]
    assert numbers == sorted(set(numbers))
    said = " ".join(message or "" for _, message in heard)
    assert "turn 1" in said
    assert "turn 2" in said
    assert all(len(message or "") <= 120 for _, message in heard)


async def test_explorations_beyond_the_bound_wait_for_their_turn(repository: Path) -> None:
    running, most = 0, 0

    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.wait_all_tasks_blocked()
        running -= 1

    answer = Turn(count, "<final_answer>\na.py:1-2\n</final_answer>")
    results = []
    async with connect([READ, answer] * 20, max_concurrent=1) as client:

        async def call() -> None:
            arguments = {"query": "retry delay", "path": str(repository)}
            results.append(await client.call_tool("explore_repository", arguments))

        async with anyio.create_task_group() as tg:
            for _ in range(4):
                tg.start_soon(call)
    assert most == 1
    assert len(results) == 4
    assert not any(result.is_error for result in results)


@pytest.mark.parametrize("mode", ERAS)
async def test_the_status_says_who_answers_next(mode: Any) -> None:
    async with connect(mode=mode) as client:
        result = await client.call_tool("engine_status", {})
    assert "The next answer comes from the scout: no endpoint is configured" in text_of(result)
    assert "State: ready." in text_of(result)


async def test_a_repository_replaced_between_two_calls_is_opened_anew(repository: Path) -> None:
    arguments = {"query": "retry delay", "path": str(repository)}
    async with connect() as client:
        await client.call_tool("explore_repository", arguments)
        replace(repository)
        result = await client.call_tool("explore_repository", arguments)
    assert "new.py" in text_of(result)
    assert "a.py" not in text_of(result)


def ends_with(error: Exception, read: Citation) -> Callable[..., Any]:
    """A run by the model that reads one place and then fails on what no engine can raise."""
    partial = Exploration("q", "model", "deadline", "", (read,), turns=1, tool_calls=1)

    async def run(*_given: Any, **_named: Any) -> Exploration:
        error.partial = partial  # type: ignore[attr-defined]
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RipgrepError("ripgrep does not start: too many open files"), "too many open files"),
        (ZeroDivisionError("division by zero"), "internal error"),
    ],
    ids=["a known error", "an unknown error"],
)
async def test_whatever_ends_the_models_run_the_scout_answers_and_keeps_what_was_read(
    repository: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    read = Citation("b.py", 1, 3, reason="", evidence="from a import")
    monkeypatch.setattr("explorer.loop.explore_with_model", ends_with(error, read))
    async with connect([ANSWER], views=True) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "zzz", "path": str(repository)}
        )
    facts = result.structured_content
    assert facts is not None
    assert (facts["engine"], facts["stop_reason"]) == ("scout", "fallback")
    assert why in facts["engine_reason"]
    assert facts["citations"][0]["path"] == "b.py"


async def test_where_no_scout_may_answer_what_ended_the_models_run_is_the_error(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Citation("b.py", 1, 3, reason="", evidence="from a import")
    error = RipgrepError("ripgrep does not start: too many open files")
    monkeypatch.setattr("explorer.loop.explore_with_model", ends_with(error, read))
    async with connect([ANSWER], fallback=False) as client:
        result = await client.call_tool(
            "explore_repository", {"query": "zzz", "path": str(repository)}
        )
    assert result.is_error
    assert "too many open files" in text_of(result)
    assert "the endpoint" not in text_of(result)


async def test_a_file_written_between_two_calls_is_found(repository: Path) -> None:
    async with connect() as client:
        path = str(repository)
        await client.call_tool("explore_repository", {"query": "retry delay", "path": path})
        write_tree(repository, {"fresh.py": "def quaternion_slerp(a, b, t): ...\n"})
        result = await client.call_tool(
            "explore_repository", {"query": "quaternion slerp", "path": path}
        )
    assert "fresh.py" in text_of(result)


async def test_places_stand_alone_if_no_code_is_asked_for(repository: Path) -> None:
    arguments = {"query": "retry delay", "path": str(repository)}
    async with connect() as client:
        shown = text_of(await client.call_tool("explore_repository", arguments))
        alone = text_of(await client.call_tool("explore_repository", arguments | {"code": False}))
    assert "```\n1 def retry_delay(attempt: int) -> float:\n" in shown
    assert "```" not in alone
    assert "`a.py:1-2` `retry_delay`" in alone


async def test_the_code_stays_within_the_bytes_that_are_asked_for(repository: Path) -> None:
    (repository / "long.py").write_text(
        "def retry_delay_table():\n" + "".join(f"    add({n}, 'delay')\n" for n in range(400))
    )
    arguments = {"query": "retry_delay_table", "path": str(repository)}
    async with connect() as client:
        for most in (1_000, 2_000, 6_000):
            result = await client.call_tool("explore_repository", arguments | {"max_bytes": most})
            assert len(text_of(result).encode()) <= most
            assert "def retry_delay_table():" in text_of(result)
