"""Conversations for the tiny model, recorded by the project's own loop on a small real tree.

What the model reads in a test is then equal to the byte to what it was trained on: the prompt, the
schemas and the observations come from the same code. Nothing of the tree's place enters them.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.engines.scripted import ScriptedEngine
from explorer.limits import Deadline, LoopSettings
from explorer.loop import explore_with_model
from explorer.repository.workspace import Workspace
from tests.tooling import write_tree

NAME = "parcels"
TREE = {
    ".git/HEAD": "ref: refs/heads/main\n",
    "README.md": "# Parcels\n\nSends parcels, and tries again when the depot does not answer.\n",
    "parcels/retry.py": '''\
"""When to try again."""

LONGEST_DELAY_S = 30.0


def delay_s(attempt: int) -> float:
    """Seconds to wait before an attempt: twice as long each time."""
    return min(LONGEST_DELAY_S, 0.5 * 2.0**attempt)


def is_worth_it(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    return isinstance(error, TimeoutError | ConnectionError)
''',
    "parcels/client.py": '''\
"""Talks to the depot."""

import time

from parcels.retry import delay_s, is_worth_it

ATTEMPTS = 4


def send(depot, parcel):
    """The depot's receipt for a parcel."""
    for attempt in range(ATTEMPTS):
        try:
            return depot.accept(parcel)
        except Exception as error:
            if not is_worth_it(error):
                raise
            time.sleep(delay_s(attempt))
    raise TimeoutError("the depot does not answer")
''',
}


@dataclass(frozen=True, slots=True)
class Script:
    """A question and what the assistant writes in each turn."""

    query: str
    turns: tuple[str, ...]
    open_ended: bool = False
    """The last turn is a repetition that the model is not taught to end."""


def call(name: str, **arguments: Any) -> str:
    """A call as hermes text, spaced as vLLM writes the JSON of a call it parsed."""
    body = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{body}\n</tool_call>"


DELAY = Script(
    "Where is the delay between two attempts computed?",
    (
        "\n".join(
            [
                "I search for the delay and look at the client.",
                call("Grep", pattern="delay", output_mode="content", **{"-n": True}),
                call("Read", path=f"/testbed/{NAME}/parcels/client.py"),
            ]
        ),
        call("Read", path=f"/testbed/{NAME}/parcels/retry.py"),
        "The delay doubles with each attempt, up to a limit.\n"
        "<final_answer>\n"
        f"/testbed/{NAME}/parcels/retry.py:6-8 (computes the delay)\n"
        f"/testbed/{NAME}/parcels/client.py:12-18 (waits for it)\n"
        "</final_answer>",
    ),
)
ENDLESS = Script(
    "What is the meaning of all parcels?",
    ("This takes thought." + " And thought." * 160,),
    open_ended=True,
)
SCRIPTS = (DELAY, ENDLESS)


def plant(root: Path) -> Path:
    """The tree at ``root/NAME``, with the same modification times wherever it is written."""
    tree = write_tree(root / NAME, TREE)
    for number, path in enumerate(sorted(tree.rglob("*"))):
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    return tree


async def record(tree: Path, scripts: Sequence[Script] = SCRIPTS) -> dict[str, Any]:
    """The conversations of the scripts on a tree, as ``tiny_model`` reads them."""
    conversations: list[dict[str, Any]] = []
    tools: Any = []
    for script in scripts:
        engine = ScriptedEngine(script.turns if not script.open_ended else [script.turns[-1]] * 9)
        with Workspace.open(tree) as workspace:
            settings = LoopSettings(max_turns=8)
            if not script.open_ended:
                result = await explore_with_model(
                    script.query,
                    engine=engine,
                    workspace=workspace,
                    settings=settings,
                    deadline=Deadline(45.0),
                )
                assert result.stop_reason == "answered", result
                assert not result.notes, result.notes
                assert len(engine.requests) == len(script.turns)
            else:
                await _first_request(script, engine, workspace, settings)
        asked = engine.requests[0 if script.open_ended else -1]
        tools = list(asked.tools)
        messages = [*asked.messages, {"role": "assistant", "content": script.turns[-1]}]
        conversations.append({"messages": messages, "open_ended": script.open_ended})
    return {"tools": tools, "conversations": conversations}


async def _first_request(
    script: Script, engine: ScriptedEngine, workspace: Workspace, settings: LoopSettings
) -> None:
    """Let the engine see the first request; such a run ends without an answer."""
    from explorer.errors import AnswerError

    try:
        await explore_with_model(
            script.query,
            engine=engine,
            workspace=workspace,
            settings=settings,
            deadline=Deadline(45.0),
        )
    except AnswerError:
        return
    raise AssertionError(f"{script.query!r} was answered")
