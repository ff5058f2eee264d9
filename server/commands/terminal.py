"""What the command line shows people: answers, errors, and what is going on."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from explorer.events import CallFinished, CallStarted, Event, Listener, Note, TurnFinished
from explorer.events import ignore as ignore_event
from explorer.records import Citation
from explorer.visible import json_text, spelled
from server.exploring.progress import Say, call_in_words, ignore
from server.exploring.report import (
    Report,
    details,
    further,
    links,
    numbered,
    one_line,
    perhaps,
    plain,
    summary,
    titled,
    to_object,
)

# rich takes longer to import than the rest of a command that only prints plain text.
if TYPE_CHECKING:
    from rich.text import Text


def show_report(report: Report, *, as_json: bool) -> None:
    """The report on stdout: JSON, colours on a terminal, plain text in a pipe."""
    if as_json:
        # What the encoding lacks would be written as Python's escapes, which JSON does not know.
        narrow = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")
        sys.stdout.write(json_text(to_object(report), narrow=narrow) + "\n")
    elif sys.stdout.isatty():
        from rich.console import Console

        link = path_links(report.repository, os.environ)
        Console().print(coloured(report, link), soft_wrap=True)
    else:
        sys.stdout.write(plain(report) + "\n")
    sys.stdout.flush()


def show_error(message: str, hint: str = "") -> None:
    """``error:`` and ``hint:`` on stderr."""
    lines = [f"error: {one_line(message, 2_000)}"]
    if hint:
        lines.append(f"hint: {one_line(hint, 2_000)}")
    _tell("\n".join(lines))


@contextmanager
def live(*, quiet: bool = False) -> Iterator[tuple[Say, Listener]]:
    """Two functions that show messages and events on stderr while the context is open.

    On a terminal, the latest message stands at the bottom, and each finished turn leaves a line
    above it. Into a pipe go those lines alone, plain. With ``quiet`` nothing is shown.
    """
    if quiet:
        yield ignore, ignore_event
        return
    turns = TurnLines()
    if not sys.stderr.isatty():

        def write(event: Event) -> None:
            if line := turns(event):
                _tell(line)

        yield ignore, write
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status(Text("starting")) as status:

        def say(message: str) -> None:
            status.update(Text(one_line(message, 120)))

        def hear(event: Event) -> None:
            if line := turns(event):
                console.print(Text(line, style="dim"), soft_wrap=True)

        yield say, hear


def _tell(text: str) -> None:
    """The text on stderr; where nobody can read it, the work goes on all the same."""
    with suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class TurnLines:
    """A line for each turn when it ends: what it called, how long it took, what it cost."""

    def __init__(self) -> None:
        self._calls: dict[int, list[str]] = {}
        self._failed: dict[int, int] = {}

    def __call__(self, event: Event) -> str:
        """The line of the turn that this event ends; empty for every other event."""
        match event:
            case CallStarted(turn=turn, call=call):
                self._calls.setdefault(turn, []).append(call_in_words(call))
            case CallFinished(turn=turn, result=result):
                self._failed[turn] = self._failed.get(turn, 0) + (not result.ok)
            case TurnFinished(turn=turn, usage=usage, elapsed_s=elapsed_s):
                calls = self._calls.get(turn, [])
                what = ", ".join(calls) or "wrote the answer"
                new = max(0, usage.prompt_tokens - usage.cached_tokens)
                cost = f"{elapsed_s:.1f} s, {usage.cached_tokens:,} cached + {new:,} new tokens"
                failed = f", {self._failed[turn]} failed" if self._failed.get(turn) else ""
                return f"turn {turn:>2}  {one_line(what, 90)}  ({cost}{failed})"
            case Note(turn=turn, text=text):
                return f"turn {turn:>2}  {one_line(text, 140)}"
        return ""


_STYLES = {"k": "magenta", "s": "green", "c": "dim", "m": "cyan", "f": "bold blue"}
"""Colours of code; those of the terminal, whose user has chosen what they look like."""


def coloured(report: Report, link: Callable[[str], str]) -> "Text":
    """The same words as ``plain``. Text objects: nothing in them is read as markup.

    ``link`` gives the style that makes a path clickable.
    """
    from rich.text import Text

    run = report.exploration
    shown = Text()
    if run.answer:
        shown.append(one_line(run.answer, 1_500) + "\n\n")
    for number, citation in enumerate(run.citations):
        if citation.part and citation.part != (run.citations[number - 1].part if number else ""):
            shown.append(f"{one_line(citation.part, 200)}\n", style="bold")
        shown.append(titled(citation), style=f"bold cyan {link(citation.path)}")
        shown.append("\n")
        for line in details(citation):
            shown.append(f"    {line}\n", style="green")
        _append_code(shown, citation)
        for lead, places in links(citation):
            shown.append(f"    {lead}: {'; '.join(places)}\n", style="dim")
    if not run.citations:
        shown.append("No place was found.\n", style="yellow")
    less_likely = perhaps(run)
    shown.append("Perhaps:\n" if less_likely else "")
    for citation in less_likely:
        shown.append(titled(citation), style=f"cyan {link(citation.path)}")
        shown.append("\n")
        _append_code(shown, citation)
    for lead, places in further(run):
        shown.append(f"{lead}: {'; '.join(places)}\n")
    failed = run.stop_reason == "fallback"
    shown.append("\n" + summary(report), style="yellow" if failed else "dim")
    for note in run.notes:
        shown.append(f"\nNote: {one_line(note, 240)}", style="dim")
    return shown


def _append_code(shown: "Text", citation: Citation) -> None:
    """The lines of ``numbered``, with the code in them coloured."""
    from server.view.highlight import pieces

    lines = (
        line
        for each in citation.code
        for line in pieces(citation.path, [spelled(text).rstrip() for text in each.lines])
    )
    for text in numbered(citation):
        if text == "...":
            shown.append("    ...\n", style="dim")
            continue
        coloured = next(lines)
        code = sum(len(piece) for _, piece in coloured)
        shown.append(f"    {text[: len(text) - code]}", style="dim")
        for kind, piece in coloured:
            shown.append(piece, style=_STYLES.get(kind, ""))
        shown.append("\n")


_LINKING = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio", "zed")
"""Terminals that take hyperlinks, by what they call themselves in ``TERM_PROGRAM``."""
_LINKING_TERMS = ("alacritty", "contour", "foot", "kitty", "ghostty", "rio", "wezterm")
_FIRST_VTE = 5_000
"""The first release of VTE, of GNOME's terminals, that shows hyperlinks and no remains of them."""


def takes_links(variables: Mapping[str, str]) -> bool:
    """Whether the terminal is known to take hyperlinks (OSC 8), by the variables that it sets."""
    term = variables.get("TERM", "")
    # Multiplexers show what they do not know, or drop it, whatever terminal they run in.
    if term in ("", "dumb", "linux") or term.startswith(("screen", "tmux")):
        return False
    vte = variables.get("VTE_VERSION", "")
    return (
        variables.get("TERM_PROGRAM", "") in _LINKING
        or any(name in term for name in _LINKING_TERMS)
        or (vte.isdecimal() and int(vte) >= _FIRST_VTE)
        or any(variables.get(name) for name in ("WT_SESSION", "KONSOLE_VERSION", "DOMTERM"))
    )


def path_links(root: Path, variables: Mapping[str, str]) -> Callable[[str], str]:
    """A function that gives the style of a path below ``root``: a link where they are taken."""
    if not takes_links(variables):
        return lambda _path: ""
    # With the host's name, a terminal knows the files of another machine, shown over ssh.
    host = quote(socket.gethostname())

    def link(path: str) -> str:
        address = (root / path).as_uri()
        return f"link {address.replace('file://', f'file://{host}', 1)}"

    return link
