"""What the command line shows people: answers, errors, and what is going on."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.errors import ServerError
from server.progress import Say, ignore
from server.render import Report, details, one_line, place, plain, summary, to_object

# rich takes longer to import than the rest of a command that only prints plain text.
if TYPE_CHECKING:
    from rich.text import Text


def show_report(report: Report, *, as_json: bool) -> None:
    """The report on stdout: JSON, colours on a terminal, plain text in a pipe."""
    if as_json:
        sys.stdout.write(json.dumps(to_object(report), ensure_ascii=False, indent=2) + "\n")
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(_coloured(report), soft_wrap=True)
    else:
        sys.stdout.write(plain(report) + "\n")
    sys.stdout.flush()


def show_error(message: str, hint: str = "") -> None:
    """``error:`` and ``hint:`` on stderr."""
    lines = [f"error: {one_line(message, 2_000)}"]
    if hint:
        lines.append(f"hint: {one_line(hint, 2_000)}")
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def show_server_error(error: ServerError) -> None:
    """The error with its hint on stderr."""
    show_error(str(error), error.hint)


@contextmanager
def spinner() -> Iterator[Say]:
    """A ``say`` whose latest message turns on stderr while the context is open."""
    if not sys.stderr.isatty():
        yield ignore
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text("starting")) as status:

        def say(message: str) -> None:
            status.update(Text(one_line(message, 120)))

        yield say


def _coloured(report: Report) -> "Text":
    """The same words as ``plain``. Text objects: nothing in them is read as markup."""
    from rich.text import Text

    run = report.exploration
    shown = Text()
    if run.answer:
        shown.append(one_line(run.answer, 1_500) + "\n\n")
    for citation in run.citations:
        shown.append(place(citation) + "\n", style="bold cyan")
        for number, line in enumerate(details(citation)):
            shown.append(f"    {line}\n", style="" if number else "green")
    if not run.citations:
        shown.append("No place was found.\n", style="yellow")
    failed = run.stop_reason == "fallback"
    shown.append("\n" + summary(report), style="yellow" if failed else "dim")
    for note in run.notes:
        shown.append(f"\nNote: {one_line(note, 240)}", style="dim")
    return shown
