"""Turns of real tool calls, compared with the ripgrep processes that they stand for."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from benchmarks.measure import Bench, Case
from benchmarks.trees import NEEDLES, tree
from explorer.engines.protocol import Request
from explorer.engines.scripted import ParsedCall, ScriptedEngine, Step, Turn
from explorer.events import CallFinished, Event, TurnFinished
from explorer.limits import Deadline, LoopSettings
from explorer.loop import explore_with_model
from explorer.records import ToolCall
from explorer.repository.ripgrep import find_rg
from explorer.repository.workspace import Workspace
from explorer.tools.arguments import GlobArguments, GrepArguments, ReadArguments, parse_call
from explorer.tools.observation import ToolLimits
from explorer.tools.rg_search import command_for

SIZES = (1_000, 10_000, 50_000)

_GREPS: tuple[dict[str, Any], ...] = (
    {"pattern": NEEDLES[0], "output_mode": "content"},
    {"pattern": NEEDLES[1]},
    {"pattern": f"def {NEEDLES[2]}_\\d+", "output_mode": "content", "-A": 2},
    {"pattern": NEEDLES[3].upper(), "-i": True},
    {"pattern": f"{NEEDLES[0]}|{NEEDLES[1]}", "output_mode": "count"},
    {"pattern": f"{NEEDLES[2]}_\\d*7\\b", "output_mode": "content", "-C": 1},
    {"pattern": f"\\b{NEEDLES[3]}", "output_mode": "content"},
    {"pattern": "wombat_that_is_nowhere"},
)


@dataclass(frozen=True, slots=True)
class Bare:
    """What a call stands for: an rg command, or for a Read a file to be read."""

    argv: tuple[str, ...] = ()
    file: Path | None = None
    mode: str = ""


def eight_greps(bench: Bench) -> list[Case]:
    """One turn of 8 Greps through the loop, on trees of 1k, 10k and 50k files.

    They are compared with the rg commands that these calls run, as bare processes whose output is
    read and thrown away: all started at once, and one after the other. Each round measures all
    three; the tree is in the page cache. Equal work: the number of matching rows.
    """
    calls = [("Grep", arguments) for arguments in _GREPS]
    return _on_all_sizes(bench, lambda _: calls)


def mixed_calls(bench: Bench) -> list[Case]:
    """One turn of 4 Greps, 2 Globs and 2 Reads, measured as ``greps`` is.

    The bare form of a Glob is ``rg --files`` with its pattern, although the loop answers it from
    the list of files that the workspace keeps; that of a Read is reading the file.
    """

    def calls(files: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        middle = files[len(files) // 2]
        return [
            *(("Grep", arguments) for arguments in _GREPS[:4]),
            ("Glob", {"pattern": f"**/{Path(middle).name}"}),
            ("Glob", {"pattern": "package_000/account/*.py"}),
            ("Read", {"path": middle}),
            ("Read", {"path": files[0], "limit": 40}),
        ]

    return _on_all_sizes(bench, calls)


Calls = Callable[[Sequence[str]], list[tuple[str, dict[str, Any]]]]


def _on_all_sizes(bench: Bench, calls: Calls) -> list[Case]:
    cases: list[Case] = []
    for size in SIZES:
        bench.say(f"a tree of {size} files")
        cases += anyio.run(_turn_and_bare, bench, tree(bench.folder, size), size, calls)
    return cases


async def _turn_and_bare(bench: Bench, root: Path, size: int, calls: Calls) -> list[Case]:
    samples: dict[str, list[float]] = {"at once": [], "one by one": [], "turn": []}
    with Workspace.open(root) as workspace:
        wanted = calls(await workspace.files())
        bare = [_bare(workspace, name, arguments) for name, arguments in wanted]
        measured = (
            ("at once", partial(_side_by_side, bare, root)),
            ("one by one", partial(_one_by_one, bare, root)),
            ("turn", partial(_turn, workspace, wanted)),
        )
        rows: dict[str, int] = {}
        for number in range(bench.count(20) + 1):
            for name, measure in measured:
                took_s, rows[name] = await measure()
                if number:  # The first round fills the page cache.
                    samples[name].append(1e3 * took_s)
    if len(set(rows.values())) != 1:
        raise RuntimeError(f"the three found different numbers of rows: {rows!r}")
    against = f"{size} files: bare, all at once"
    equal = f"{rows['turn']} rows"
    return [
        Case(against, tuple(samples["at once"]), "ms", equal_work=equal),
        Case(f"{size} files: bare, in turn", tuple(samples["one by one"]), "ms", against, equal),
        Case(f"{size} files: through the loop", tuple(samples["turn"]), "ms", against, equal),
    ]


def _bare(workspace: Workspace, name: str, arguments: dict[str, Any]) -> Bare:
    call = _parsed(name, arguments)
    rules, rg = workspace.listing.rules, find_rg()
    _, read = parse_call(ToolCall("", name, call.arguments))
    if isinstance(read, GrepArguments):
        plan = command_for(read, [], rules, ToolLimits())
        return Bare((rg, "--no-config", *plan.args()), mode=read.output_mode)
    if isinstance(read, GlobArguments):
        pattern = f"--glob={read.pattern[0]}"
        return Bare((rg, "--no-config", "--files", *rules, pattern, "--", "./"), mode="files")
    assert isinstance(read, ReadArguments)
    return Bare(file=workspace.root / read.path)


async def _side_by_side(bare: Sequence[Bare], root: Path) -> tuple[float, int]:
    begun = time.perf_counter()
    running = [_start(one, root) for one in bare if one.argv]
    outputs = [process.communicate()[0] for process in running]
    _read_files(bare)
    took_s = time.perf_counter() - begun
    commands = [one for one in bare if one.argv]
    return took_s, sum(map(_bare_rows, commands, outputs))


async def _one_by_one(bare: Sequence[Bare], root: Path) -> tuple[float, int]:
    commands = [one for one in bare if one.argv]
    begun = time.perf_counter()
    outputs = [_start(one, root).communicate()[0] for one in commands]
    _read_files(bare)
    return time.perf_counter() - begun, sum(map(_bare_rows, commands, outputs))


def _start(bare: Bare, root: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        bare.argv,
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # As the tools do: on a busy Linux each session has a share of the processor of its own.
        start_new_session=True,
    )


def _read_files(bare: Sequence[Bare]) -> None:
    for one in bare:
        if one.file is not None:
            one.file.read_bytes()


def _bare_rows(bare: Bare, output: bytes) -> int:
    """Rows in rg's own output: matching and context lines, or paths, or counts."""
    if bare.mode == "content":
        return len(re.findall(rb"(?:^|\0)\d+[:-]", output, re.MULTILINE))
    if bare.mode == "files_with_matches":
        return output.count(b"\0")
    return len(output.splitlines())


async def _turn(
    workspace: Workspace, calls: Sequence[tuple[str, dict[str, Any]]]
) -> tuple[float, int]:
    took_s, rows = 0.0, 0

    def listen(event: Event) -> None:
        nonlocal took_s, rows
        if isinstance(event, TurnFinished) and event.turn == 1:
            took_s = event.elapsed_s
        elif isinstance(event, CallFinished):
            rows += _rows(event.call.name, event.result.text)

    turn = Turn(*(_parsed(name, arguments) for name, arguments in calls))
    script: list[Step] = [turn, _cite_a_match]
    await explore_with_model(
        "Where?",
        engine=ScriptedEngine(script),
        workspace=workspace,
        settings=LoopSettings(),
        deadline=Deadline(45.0),
        listener=listen,
    )
    return took_s, rows


def _cite_a_match(request: Request) -> str:
    """The answer, which cites the first matching line."""
    texts = (str(each["content"]) for each in request.messages if each["role"] == "tool")
    found = re.search(r"^(/testbed/\S+)\n(\d+):", "\n".join(texts), re.MULTILINE)
    if found is None:
        raise RuntimeError("no Grep found anything")
    return f"<final_answer>\n{found[1]}:{found[2]}\n</final_answer>"


def _rows(tool: str, text: str) -> int:
    """Rows in an observation, as ``_bare_rows`` counts them."""
    if tool == "Read":
        return 0
    numbered = len(re.findall(r"^\d+[:-]", text, re.MULTILINE))
    return numbered or sum(line.startswith("/testbed/") for line in text.splitlines())


def _parsed(name: str, arguments: dict[str, Any]) -> ParsedCall:
    return ParsedCall(name, json.dumps(arguments))
