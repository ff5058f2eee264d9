"""``python -m scripts.clients``: run the real clients, write the table and the fixtures.

Clients: ``npm install`` them, and name their ``node_modules`` folder; packages and versions are in
``scripts/clients/real.py`` and ``.ci/run``. Libraries: make a virtual environment for each, named
like its distribution, in one folder. With ``--starts N`` nothing is written: each of the clients
is started N times beside eight busy processes, and what is counted is how often the tool was in
the first request.
"""

import argparse
import datetime
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.clients.model import TOOL
from scripts.clients.observing import ask, interrupt, kill
from scripts.clients.real import LIBRARIES, NPM_CLIENTS, SERVER, Library, NpmClient

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/clients.md"
FIXTURES = ROOT / "tests/data/clients"
BEGIN, END = "<!-- clients: begin -->", "<!-- clients: end -->"
BUSY = 8
"""Processes that do nothing but compute, beside the clients whose starts are counted."""
UNDER_LOAD = ("claude-code", "codex", "gemini", "opencode", "copilot")
_NAMES = tuple(client.name for client in (*NPM_CLIENTS, *LIBRARIES))


def fixture(client: NpmClient | Library, installed: Path) -> dict[str, Any]:
    """What is kept of a client: what its model was shown, and its line of the table.

    Raises:
        RuntimeError: it cannot be run, or shows its model no answer.
    """
    seen = ask(client, installed)
    asked = next(each for each in seen.asked if each.has_tool)
    tools = [
        {"name": each.name, "description": each.description, "schema": each.schema}
        for each in sorted(asked.own_tools, key=lambda each: each.name)
    ]
    explorer = next(each for each in tools if each["name"].endswith(TOOL))
    observation, answer = seen.observation, seen.answer
    table = {
        "Client": f"{client.title} {client.version(installed)}",
        "Run on": datetime.date.today().isoformat(),
        "Tool in the first request": "yes" if seen.has_tool_at_once else "no, after a search",
        "Tool, characters": f"{len(json.dumps(explorer, ensure_ascii=False)):,}",
        "Answer, characters": f"{len(observation):,} of {len(answer):,}",
        "Repository found by": "its roots" if seen.gave_roots else "working directory",
        "Asks for progress": "yes" if seen.asked_for_progress else "no",
        "Interrupted during a call": interrupt(client, installed),
        "Killed during a call": kill(client, installed),
    }
    return {"table": table, "tools": tools, "observation": observation, "answer": answer}


def page(text: str) -> str:
    """The page with the table of everything that is kept, between its markers."""
    paths = {name: FIXTURES / f"{name}.json" for name in _NAMES}
    kept = [json.loads(path.read_text("utf-8")) for path in paths.values() if path.exists()]
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    rows = [each["table"] for each in kept]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{head}{BEGIN}\n{table}{END}{tail}"


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keeps the machine busy with so many processes."""
    processes = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _compute() -> None:
    while True:
        sum(range(10_000))


def count_starts(clients: Sequence[tuple[NpmClient | Library, Path]], times: int) -> None:
    """Print how often the tool was in the first request of each client, and how late that came."""
    with busy(BUSY):
        for client, installed in clients:
            having, took = 0, []
            for _ in range(times):
                begun = time.monotonic()
                having += ask(client, installed, server=SERVER, only_first=True).has_tool_at_once
                took.append(time.monotonic() - begun)
            late = sorted(took)[len(took) // 2]
            print(f"{client.title}: {having} of {times}; first request after {late:.1f} s (median)")


def main() -> int:
    """Exit status: 1 when a client could not be run."""
    parser = argparse.ArgumentParser(prog="python -m scripts.clients", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="clients to run instead of all")
    parser.add_argument("--modules", type=Path, help="the node_modules folder with the clients")
    parser.add_argument("--libraries", type=Path, help="the folder with the environments")
    parser.add_argument("--starts", type=int, default=0, help="only count starts, so many of each")
    given = parser.parse_args()
    places = [(NPM_CLIENTS, given.modules), (LIBRARIES, given.libraries)]
    wanted = given.names or (UNDER_LOAD if given.starts else ())
    chosen: list[tuple[NpmClient | Library, Path]] = [
        (client, installed.absolute())
        for clients, installed in places
        for client in clients
        if installed is not None and (not wanted or client.name in wanted)
    ]
    if given.starts:
        count_starts(chosen, given.starts)
        return 0
    failed = 0
    for client, installed in chosen:
        print(f"... {client.title}", file=sys.stderr, flush=True)
        try:
            kept = fixture(client, installed)
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = 1
            continue
        FIXTURES.mkdir(exist_ok=True)
        text = json.dumps(kept, indent=2, ensure_ascii=False) + "\n"
        (FIXTURES / f"{client.name}.json").write_text(text, encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main())
