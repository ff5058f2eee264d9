"""What the loop itself costs, without a model and without tools."""

import json
import time
from typing import Any

import anyio

from benchmarks.measure import Bench, Case
from benchmarks.trees import tree
from explorer.engines.protocol import Request
from explorer.engines.scripted import ScriptedEngine, Turn
from explorer.limits import Deadline, LoopSettings, Sampling, Usage
from explorer.loop import explore_with_model
from explorer.records import Span, ToolCall, ToolResult
from explorer.repository.workspace import Workspace
from explorer.tools import SCHEMAS

TURNS = 8
CALLS = 4
RESULT_CHARS = 6_000
_USAGE = Usage(2_000, 1_500, 100, 1)


class InstantTools:
    """Tools that at once return an observation as long as a real one."""

    def __init__(self, path: str) -> None:
        self._result = ToolResult("x" * RESULT_CHARS, observed=(Span(path, 1, 5),))

    @property
    def schemas(self) -> tuple[dict[str, Any], ...]:
        """Those of the real tools."""
        return SCHEMAS

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """Always the same."""
        return self._result


def _script(path: str) -> list[Turn]:
    """Turns of four calls, then an answer, in text as a model writes it."""
    turns = []
    for turn in range(TURNS - 1):
        offsets = (CALLS * turn + number for number in range(1, CALLS + 1))
        calls = (
            json.dumps({"name": "Read", "arguments": {"path": path, "offset": offset}})
            for offset in offsets
        )
        text = "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)
        turns.append(Turn("I look there.\n" + text, usage=_USAGE))
    answer = f"It is there.\n<final_answer>\n{path}:1-5 (there)\n</final_answer>"
    return [*turns, Turn(answer, usage=_USAGE)]


def turn_overhead(bench: Bench) -> list[Case]:
    """A run of 8 turns with 4 calls each, divided by its turns.

    The engine is the scripted one, and the tools return 6,000 characters at once; what remains is
    parsing, dispatch, the transcript and the check of the citation. The baseline streams the same
    requests from the same engine without a loop; the overhead is the difference.
    """
    return anyio.run(_turn_overhead, bench)


async def _turn_overhead(bench: Bench) -> list[Case]:
    alone, whole = [], []
    with Workspace.open(tree(bench.folder, 1_000)) as workspace:
        path = (await workspace.files())[0]
        for number in range(bench.count(100) + 3):
            engine = ScriptedEngine(_script(path))
            begun = time.perf_counter()
            result = await explore_with_model(
                "Where is it?",
                engine=engine,
                workspace=workspace,
                settings=LoopSettings(max_turns=TURNS + 1),
                deadline=Deadline(45.0),
                tools=InstantTools(path),
            )
            explored = time.perf_counter()
            if result.turns != TURNS or not result.citations:
                raise RuntimeError(f"the run differs from its script: {result!r}")
            requests = engine.requests
            replayed = time.perf_counter()
            await _replay(ScriptedEngine(_script(path)), requests)
            ended = time.perf_counter()
            if number >= 3:
                whole.append(1e3 * (explored - begun) / TURNS)
                alone.append(1e3 * (ended - replayed) / TURNS)
    overhead = [one - other for one, other in zip(whole, alone, strict=True)]
    same = f"{TURNS} turns, {CALLS} calls each"
    baseline = "engine alone, per turn"
    return [
        Case(baseline, tuple(alone), "ms", equal_work=same),
        Case("run, per turn", tuple(whole), "ms", baseline, same),
        Case("overhead, per turn", tuple(overhead), "ms"),
    ]


async def _replay(engine: ScriptedEngine, requests: list[Request]) -> None:
    for request in requests:
        again = Request(
            request.messages, request.tools, request.tool_choice, request.max_tokens, Sampling()
        )
        async with engine.stream(again) as events:
            async for _ in events:
                pass
