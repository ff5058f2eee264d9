"""How an exploration runs: side by side, in order, bounded, ended at once when it has to."""

import math
import shutil
from pathlib import Path

import anyio
import pytest

from explorer.engines.scripted import ScriptedEngine, Turn
from explorer.errors import EngineTimeout, WorkspaceError
from explorer.events import CallFinished, CallStarted, Event, RunFinished, RunStarted, TurnFinished
from explorer.limits import Deadline, LoopSettings
from explorer.loop import explore_with_model
from explorer.records import ToolCall, ToolResult
from explorer.repository.workspace import Workspace
from explorer.tools import SCHEMAS, ToolBox
from tests.integration.explorer.loops import (
    ANSWER,
    FORMS,
    READ,
    answer,
    call,
    explore,
    kinds,
    make_tree,
    observations,
    places,
    read_turn,
)

pytestmark = pytest.mark.anyio
both_forms = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "proj")


class HeldTools:
    """Tools that wait until the test lets each call go."""

    schemas = SCHEMAS

    def __init__(self, inner: ToolBox) -> None:
        self.inner = inner
        self.started: dict[str, anyio.Event] = {}
        self.release: dict[str, anyio.Event] = {}
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.running = 0
        self.most = 0

    def hold(self, *names: str) -> None:
        for name in names:
            self.started[name] = anyio.Event()
            self.release[name] = anyio.Event()

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if call.name in self.started:
                self.started[call.name].set()
                await self.release[call.name].wait()
            result = await self.inner.run(call, max_chars=max_chars)
            self.finished.append(call.name)
            return result
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(call.name)
            raise
        finally:
            self.running -= 1


@both_forms
async def test_an_exploration_ends_with_checked_citations_and_their_evidence(
    root: Path, form: str
) -> None:
    result, engine = await explore(root, [read_turn(form), ANSWER])
    assert result.stop_reason == "answered"
    assert result.explorer == "model"
    assert result.answer == "Computed here."
    (citation,) = result.citations
    assert (citation.path, citation.start, citation.end) == ("src/net/client.py", 4, 5)
    assert citation.evidence == "def backoff(attempt):"
    assert citation.reason == "the delay"
    assert (result.turns, result.tool_calls, result.usage.requests) == (2, 1, 2)
    assert engine.abandoned == 0


@both_forms
async def test_a_tool_starts_while_the_model_still_writes(root: Path, form: str) -> None:
    with Workspace.open(root) as workspace:
        tools = HeldTools(ToolBox(workspace))
        tools.hold("Read")
        # The stream goes on only when the tool has started, so a loop that waits would hang.
        turn = Turn(
            call(form, "Read", **READ), tools.started["Read"].wait, "more text", chunk_chars=3
        )
        engine = ScriptedEngine([turn, ANSWER])

        async def let_go() -> None:
            await tools.started["Read"].wait()
            tools.release["Read"].set()

        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            result = await explore_with_model(
                "q",
                engine=engine,
                workspace=workspace,
                settings=LoopSettings(),
                deadline=Deadline(45.0),
                tools=tools,
            )
    assert places(result) == ["src/net/client.py:4-5"]


@both_forms
async def test_observations_come_in_call_order_whatever_ends_first(root: Path, form: str) -> None:
    with Workspace.open(root) as workspace:
        tools = HeldTools(ToolBox(workspace))
        tools.hold("Grep")
        calls = (
            call(form, "Grep", pattern="backoff"),
            call(form, "Read", **READ),
            call(form, "Glob", pattern="*.md"),
        )

        async def let_go() -> None:
            while len(tools.finished) < 2:
                await anyio.lowlevel.checkpoint()
            tools.release["Grep"].set()

        engine = ScriptedEngine([Turn(*calls), ANSWER])
        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            await explore_with_model(
                "q",
                engine=engine,
                workspace=workspace,
                settings=LoopSettings(),
                deadline=Deadline(45.0),
                tools=tools,
            )
    assert tools.finished[-1] == "Grep"
    grep, read, glob = observations(engine)
    assert grep.startswith("/testbed/proj/src/net/client.py\n4:def backoff")
    assert read.startswith("```/testbed/proj/src/net/client.py:1-10")
    assert glob == "/testbed/proj/README.md"


@both_forms
async def test_no_more_tools_run_at_once_than_allowed(root: Path, form: str) -> None:
    with Workspace.open(root) as workspace:
        tools = HeldTools(ToolBox(workspace))
        calls = [call(form, "Grep", pattern=f"word{n}") for n in range(12)]
        engine = ScriptedEngine([Turn(*calls), Turn(call(form, "Read", **READ)), ANSWER])
        await explore_with_model(
            "q",
            engine=engine,
            workspace=workspace,
            settings=LoopSettings(concurrency=3),
            deadline=Deadline(45.0),
            tools=tools,
        )
    assert tools.most == 3
    assert len(observations(engine, 1)) == 12


@both_forms
async def test_a_failing_call_leaves_its_siblings_alone(root: Path, form: str) -> None:
    calls = (
        call(form, "Nonsense", a=1),
        call(form, "Read", path="/etc/passwd"),
        call(form, "Grep", pattern="("),
        call(form, "Read", **READ),
    )
    result, engine = await explore(root, [Turn(*calls), ANSWER])
    texts = observations(engine)
    assert len(texts) == 4
    assert "Nonsense" in texts[0]
    assert "passwd" in texts[1]
    assert "def backoff" in texts[3]
    assert places(result) == ["src/net/client.py:4-5"]


@both_forms
async def test_an_answer_ends_the_calls_that_still_run(root: Path, form: str) -> None:
    with Workspace.open(root) as workspace:
        tools = HeldTools(ToolBox(workspace))
        tools.hold("Grep")
        both = Turn(call(form, "Grep", pattern="x"), tools.started["Grep"].wait, ANSWER)
        engine = ScriptedEngine([read_turn(form), both])
        result = await explore_with_model(
            "q",
            engine=engine,
            workspace=workspace,
            settings=LoopSettings(),
            deadline=Deadline(45.0),
            tools=tools,
        )
    assert tools.cancelled == ["Grep"]
    assert places(result) == ["src/net/client.py:4-5"]


@both_forms
async def test_cancelling_closes_the_request_and_ends_the_tools(root: Path, form: str) -> None:
    with Workspace.open(root) as workspace:
        tools = HeldTools(ToolBox(workspace))
        tools.hold("Read")
        never = anyio.Event()
        engine = ScriptedEngine([Turn(call(form, "Read", **READ), never.wait)])
        async with anyio.create_task_group() as group:

            async def run() -> None:
                await explore_with_model(
                    "q",
                    engine=engine,
                    workspace=workspace,
                    settings=LoopSettings(),
                    deadline=Deadline(45.0),
                    tools=tools,
                )

            group.start_soon(run)
            await tools.started["Read"].wait()
            group.cancel_scope.cancel()
    assert tools.cancelled == ["Read"]
    assert engine.abandoned == 1


@both_forms
async def test_the_deadline_gives_what_was_read_so_far(root: Path, form: str) -> None:
    never = anyio.Event()
    script = [read_turn(form), Turn("I think", never.wait)]
    result, engine = await explore(root, script, deadline=Deadline(0.5))
    assert result.stop_reason == "deadline"
    assert places(result) == ["src/net/client.py:1-10"]
    assert engine.abandoned == 1
    assert any("deadline of 0.5 s" in note for note in result.notes)


async def test_a_model_that_never_answers_is_a_timeout(root: Path) -> None:
    never = anyio.Event()
    with pytest.raises(EngineTimeout, match="within 0.2 s"):
        await explore(root, [Turn(never.wait)], deadline=Deadline(0.2))


@both_forms
async def test_when_time_runs_short_the_next_call_is_the_last(root: Path, form: str) -> None:
    clock = {"now": 0.0}

    async def slow() -> None:
        clock["now"] += 30.0

    script = [Turn(slow, "Look.\n", call(form, "Read", **READ)), ANSWER]
    result, engine = await explore(root, script, deadline=Deadline(45.0, now=lambda: clock["now"]))
    assert [request.tool_choice for request in engine.requests] == ["auto", "none"]
    assert result.stop_reason == "answered"


@both_forms
async def test_a_defect_of_ours_leaves_what_was_read(root: Path, form: str) -> None:
    def listener(event: Event) -> None:
        if isinstance(event, TurnFinished) and event.turn == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        await explore(root, [read_turn(form), ANSWER], listener=listener)
    partial = getattr(raised.value, "partial", None)
    assert partial is not None
    assert places(partial) == ["src/net/client.py:1-10"]


@both_forms
async def test_a_repository_that_disappears_is_an_error_of_its_own(root: Path, form: str) -> None:
    async def swap() -> None:
        shutil.move(root, root.with_name("gone"))

    with pytest.raises(WorkspaceError, match="removed or replaced"):
        await explore(root, [Turn(swap, call(form, "Read", **READ))])


@both_forms
async def test_one_turn_is_enough_when_only_one_is_allowed(root: Path, form: str) -> None:
    settings = LoopSettings(max_turns=1, corrections=0, retries=0)
    with pytest.raises(Exception, match="named no place"):
        await explore(root, [ANSWER, ANSWER], settings=settings)


@both_forms
async def test_the_results_of_a_turn_share_its_room(root: Path, form: str) -> None:
    for number in range(6):
        (root / f"big{number}.py").write_text("x = 'backoff and more text'\n" * 1500)
    calls = [call(form, "Read", path=f"big{number}.py") for number in range(6)]
    heard: list[Event] = []
    script = [Turn(*calls, call(form, "Read", **READ)), answer("big5.py:1-40", "client.py:4-5")]
    result, engine = await explore(root, script, listener=heard.append)
    *big, small = observations(engine)
    assert [text.partition("\n")[0].partition(":")[0] for text in big] == [
        f"```/testbed/proj/big{number}.py" for number in range(6)
    ]
    assert max(map(len, big)) - min(map(len, big)) < 100
    assert sum(map(len, big)) + len(small) <= 4 * LoopSettings().limits.turn
    assert all("continue with offset" in text for text in big)
    assert "10|" in small
    assert places(result) == ["big5.py:1-40", "src/net/client.py:4-5"]
    assert result.tool_calls == 7
    last = [event.result.text for event in heard if isinstance(event, CallFinished)][-6:]
    assert sorted(last) == sorted(big)


@both_forms
async def test_what_was_cut_off_a_result_cannot_be_cited(root: Path, form: str) -> None:
    for number in range(6):
        (root / f"big{number}.py").write_text("x = 'backoff and more text'\n" * 1500)
    calls = [call(form, "Read", path=f"big{number}.py") for number in range(6)]
    settings = LoopSettings(corrections=0)
    script = [Turn(*calls), answer("big5.py:700-720", "big5.py:1-2")]
    result, _ = await explore(root, script, settings=settings)
    assert places(result) == ["big5.py:1-2"]


@both_forms
async def test_answers_name_paths_as_the_caller_knows_them(root: Path, form: str) -> None:
    line = "/testbed/proj/src/net/client.py:4-5 (uses /testbed/proj/src/config.py)"
    said = answer(line, prose="See `/testbed/proj/src/net/client.py` in /testbed/proj.")
    result, _ = await explore(root, [read_turn(form), said])
    assert result.answer == "See `src/net/client.py` in proj."
    assert result.citations[0].reason == "uses src/config.py"


async def test_more_citations_than_wanted_are_cut_and_said(root: Path) -> None:
    lines = [f"src/net/client.py:{n}-{n}" for n in (1, 4, 8)]
    settings = LoopSettings(max_citations=2)
    script = [read_turn("hermes"), answer(*lines)]
    result, _ = await explore(root, script, settings=settings)
    assert places(result) == ["src/net/client.py:1-1", "src/net/client.py:4-4"]
    assert "1 further citation was left out." in result.notes


@both_forms
async def test_listeners_hear_everything_in_order(root: Path, form: str) -> None:
    heard: list[Event] = []
    result, engine = await explore(root, [read_turn(form), ANSWER], listener=heard.append)
    assert kinds(heard) == [
        "RunStarted",
        "TurnStarted",
        "CallStarted",
        "CallFinished",
        "TurnFinished",
        "TurnStarted",
        "TurnFinished",
        "RunFinished",
    ]
    started, finished = heard[0], heard[-1]
    assert isinstance(started, RunStarted)
    assert isinstance(finished, RunFinished)
    assert finished.result == result
    assert list(started.messages) == list(engine.requests[0].messages)
    begun = next(event for event in heard if isinstance(event, CallStarted))
    ended = next(event for event in heard if isinstance(event, CallFinished))
    assert begun.call == ended.call
    assert ended.result.text == observations(engine)[0]
    turn = next(event for event in heard if isinstance(event, TurnFinished))
    assert turn.message == engine.requests[1].messages[2]


async def test_the_harness_copies_no_transcript_per_turn(root: Path) -> None:
    """Work per turn does not grow with the transcript: messages are shared, not copied."""
    seen: list[int] = []
    engine = ScriptedEngine(
        [Turn(call("hermes", "Grep", pattern=f"p{n}")) for n in range(20)] + [read_turn("hermes")]
    )

    class Watched(ScriptedEngine):
        def stream(self, request):  # type: ignore[no-untyped-def]
            seen.append(id(request.messages[0]))
            return engine.stream(request)

    with pytest.raises(Exception, match="no turn for request"):
        await explore(root, Watched([]), settings=LoopSettings(max_turns=math.inf))  # type: ignore[arg-type]
    assert len(set(seen)) == 1
    assert len(seen) == 22
