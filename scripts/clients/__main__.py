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

from scripts.clients.observing import Seen, ask, interrupt, kill
from scripts.clients.real import LIBRARIES, NPM_CLIENTS, SERVER, Library, NpmClient

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/clients.md"
FIXTURES = ROOT / "tests/data/clients"
BEGIN, END = "<!-- clients: begin -->", "<!-- clients: end -->"
BUSY = 8
"""Processes that do nothing but compute, beside the clients whose starts are counted."""
UNDER_LOAD = ("claude-code", "codex", "gemini", "opencode", "copilot")
_HEAD = (
    "Client",
    "Tool in the first request",
    "Tool, characters",
    "Answer, characters",
    "Repository found by",
    "Asks for progress",
    "Interrupted during a call",
    "Killed during a call",
)


def fixture(client: NpmClient | Library, version: str, seen: Seen, date: str) -> dict[str, Any]:
    """What is kept of a run: what the client's model was shown."""
    asked = next(each for each in seen.asked if each.has_tool)
    return {
        "client": client.title,
        "version": version,
        "date": date,
        "in_first_request": seen.has_tool_at_once,
        "tools": [
            {"name": each.name, "description": each.description, "schema": each.schema}
            for each in sorted(asked.own_tools, key=lambda each: each.name)
        ],
        "observation": seen.observation,
        "answer": seen.answer,
    }


def row(kept: dict[str, Any], seen: Seen, ends: Sequence[str]) -> str:
    """The client's line of the table."""
    explorer = next(each for each in kept["tools"] if "explore" in each["name"])
    return _line(
        f"{kept['client']} {kept['version']}",
        "yes" if seen.has_tool_at_once else "no, after a search",
        f"{len(json.dumps(explorer, ensure_ascii=False)):,}",
        f"{len(kept['observation']):,} of {len(kept['answer']):,}",
        "its roots" if seen.gave_roots else "working directory",
        "yes" if seen.asked_for_progress else "no",
        *ends,
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def write_page(rows: Sequence[str], date: str) -> None:
    """Put the table into the page, between its markers."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    table = f"{_line(*_HEAD)}{_line(*['---'] * len(_HEAD))}{''.join(rows)}"
    made = f"{BEGIN}\nRun on {date}, by `python -m scripts.clients`.\n\n{table}{END}"
    PAGE.write_text(f"{head}{made}{tail}", encoding="utf-8")


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
    date, rows, failed = datetime.date.today().isoformat(), [], 0
    for client, installed in chosen:
        print(f"... {client.title}", file=sys.stderr, flush=True)
        try:
            seen = ask(client, installed)
            kept = fixture(client, client.version(installed), seen, date)
            line = row(kept, seen, (interrupt(client, installed), kill(client, installed)))
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = 1
            continue
        print(line, end="", flush=True)
        rows.append(line)
        FIXTURES.mkdir(exist_ok=True)
        text = json.dumps(kept, indent=2, ensure_ascii=False) + "\n"
        (FIXTURES / f"{client.name}.json").write_text(text, encoding="utf-8")
    if not given.names:
        write_page(rows, date)
    return failed


if __name__ == "__main__":
    sys.exit(main())
