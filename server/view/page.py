"""The page itself: one HTML file without a single outside reference.

Everything from the repository or the model passes through Jinja's autoescaping, in text and in
attributes alike, with what would not be seen or would turn text around written as an escape; and a
content security policy by hash lets nothing but our own script run.
"""

import base64
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from explorer.visible import spelled
from server.view.chart import Chart, chart_of, length_s
from server.view.highlight import Piece, pieces
from server.view.model import CitationView, CodeLine, RunView


@dataclass(frozen=True, slots=True)
class Side:
    """One of two runs."""

    title: str
    run: RunView
    chart: Chart
    budget: int | None


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file that one or both runs cite, with the ranges of each."""

    path: str
    left: str
    right: str


def run_page(run: RunView) -> str:
    """The HTML page of one run."""
    kinds = {
        "error" if not call.ok else call.call.name.lower() for t in run.turns for call in t.calls
    }
    return _render(
        "run.html", run=run, chart=chart_of(run), budget=_budget(run), kinds=sorted(kinds)
    )


def compare_page(left: RunView, right: RunView) -> str:
    """The HTML page of two runs side by side."""
    rows = _shared_files(left, right)
    longest_s = max(length_s(left), length_s(right))
    sides = [
        Side(title, run, chart_of(run, longest_s), _budget(run))
        for title, run in (("Left", left), ("Right", right))
    ]
    shared = sum(1 for row in rows if row.left and row.right)
    return _render("compare.html", left=sides[0], right=sides[1], rows=rows, shared=shared)


def app_page() -> str:
    """The HTML page that a client with MCP Apps shows beside an answer; the answer comes later."""
    return _render("app.html", script="app")


def _shared_files(left: RunView, right: RunView) -> list[SharedFile]:
    ranges: list[defaultdict[str, list[str]]] = []
    for run in (left, right):
        ranges.append(defaultdict(list))
        for view in run.citations:
            ranges[-1][view.citation.path].append(f"{view.citation.start}-{view.citation.end}")
    paths = dict.fromkeys([*ranges[0], *ranges[1]])
    return [SharedFile(path, *(", ".join(each[path]) for each in ranges)) for path in paths]


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A line of code as it is shown; without a number it stands for lines that are left out."""

    number: int | None
    pieces: list[Piece]


def _code_rows(view: CitationView) -> list[CodeRow]:
    blocks: list[list[CodeLine]] = []
    for line in view.code:
        if blocks and blocks[-1][-1].number == line.number - 1:
            blocks[-1].append(line)
        else:
            blocks.append([line])
    rows: list[CodeRow] = []
    for block in blocks:
        rows += [CodeRow(None, [])] if rows else []
        coloured = pieces(view.citation.path, [spelled(line.text) for line in block])
        rows += [CodeRow(line.number, found) for line, found in zip(block, coloured, strict=True)]
    return rows


def _budget(run: RunView) -> int | None:
    value = run.settings.get("context_tokens")
    return value if isinstance(value, int) else None


def _render(name: str, script: str = "page", **values: Any) -> str:
    environment, shell = _environment(script)
    return environment.get_template(name).render(**shell, **values)


@cache
def _environment(script: str) -> tuple[Environment, dict[str, Any]]:
    loader = PackageLoader("server.view", "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: spelled(value) if type(value) is str else value,
    )
    environment.filters["code_rows"] = _code_rows
    shell: dict[str, Any] = {}
    for key, file in (("style", "style.css"), ("script", f"{script}.js")):
        text = loader.get_source(environment, file)[0]
        digest = hashlib.sha256(text.encode()).digest()
        shell[key] = Markup(text)
        shell[f"{key}_hash"] = base64.b64encode(digest).decode()
    return environment, shell
