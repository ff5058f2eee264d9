"""What the tests of the loop share: a small repository, and both ways in which a call arrives."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.engines.protocol import Engine
from explorer.engines.scripted import ParsedCall, Part, ScriptedEngine, Step, Turn
from explorer.events import Event, Listener, ignore
from explorer.limits import Deadline, LoopSettings
from explorer.loop import explore_with_model
from explorer.records import Exploration
from explorer.repository.workspace import Workspace

CLIENT = """\
import time


def backoff(attempt):
    return min(30, 2 ** attempt)


def get(url):
    for attempt in range(5):
        time.sleep(backoff(attempt))
"""

FORMS = ("hermes", "parsed")
"""Calls as text that the model wrote, and as deltas that the server parsed from it."""


def make_tree(root: Path) -> Path:
    (root / "src" / "net").mkdir(parents=True)
    (root / "src" / "net" / "client.py").write_text(CLIENT)
    (root / "src" / "config.py").write_text("MAX_BACKOFF = 30\n")
    (root / "README.md").write_text("# A client\n")
    return root


def call(form: str, name: str, call_id: str | None = None, **arguments: Any) -> Part:
    return call_text(form, name, json.dumps(arguments), call_id)


def call_text(form: str, name: str, arguments: str, call_id: str | None = None) -> Part:
    if form == "parsed":
        return ParsedCall(name, arguments, call_id)
    return f'<tool_call>\n{{"name": {json.dumps(name)}, "arguments": {arguments}}}\n</tool_call>\n'


def answer(*lines: str, prose: str = "") -> str:
    return f"{prose}\n<final_answer>\n" + "\n".join(lines) + "\n</final_answer>"


READ = {"path": "/testbed/proj/src/net/client.py"}
ANSWER = answer("/testbed/proj/src/net/client.py:4-5 (the delay)", prose="Computed here.")


def read_turn(form: str) -> Turn:
    return Turn("I look.\n", call(form, "Read", **READ))


async def explore(
    root: Path,
    script: Sequence[Step] | Engine,
    *,
    query: str = "where is the backoff computed?",
    settings: LoopSettings | None = None,
    deadline: Deadline | None = None,
    listener: Listener = ignore,
) -> tuple[Exploration, Any]:
    engine = ScriptedEngine(script) if isinstance(script, Sequence) else script
    with Workspace.open(root) as workspace:
        result = await explore_with_model(
            query,
            engine=engine,
            workspace=workspace,
            settings=settings or LoopSettings(),
            deadline=deadline or Deadline(45.0),
            listener=listener,
        )
    return result, engine


def observations(engine: ScriptedEngine, request: int = -1) -> list[str]:
    """The tool messages of a request."""
    messages = engine.requests[request].messages
    return [message["content"] for message in messages if message["role"] == "tool"]


def places(result: Exploration) -> list[str]:
    return [f"{c.path}:{c.start}-{c.end}" for c in result.citations]


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]
