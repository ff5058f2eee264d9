"""``fastcontext runs`` and ``fastcontext view``: look at what an exploration did."""

import os
import stat
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from server.errors import UsageError

app = typer.Typer(rich_markup_mode=None)

Folder = Annotated[
    Path | None,
    typer.Option("--from", help="Folder with records. Default: the usual one."),
]


@app.command()
def runs(
    folder: Folder = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the recorded runs, newest first."""
    from explorer.visible import json_text
    from server.exploring.report import one_line
    from server.view.records import RECORD_ONE, list_records

    place = _folder(folder)
    known, damaged = list_records(place)
    found = known[:limit]
    for path in damaged:
        sys.stderr.write(f"{path.name!r} is damaged; it is left out\n")
    if as_json:
        rows = [{"number": number, **asdict(record)} for number, record in enumerate(found, 1)]
        sys.stdout.write(json_text(rows) + "\n")
        return
    if not found:
        sys.stderr.write(f"no run is recorded in {place}\nhint: {RECORD_ONE}\n")
    for number, record in enumerate(found, 1):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.began_at))
        work = f"{record.turns} turns {record.citations} places {record.elapsed_s:.1f} s"
        ended, query = one_line(record.stop_reason, 12), one_line(record.query, 80)
        sys.stdout.write(f"{number:>3}  {when}  {ended:<12} {work:<28} {query}\n")


@app.command()
def view(
    run: Annotated[
        str, typer.Argument(help="File, part of its name, or number in `runs`.")
    ] = "latest",
    other: Annotated[str | None, typer.Argument(help="Another run, to compare with.")] = None,
    folder: Folder = None,
    output: Annotated[Path | None, typer.Option(help="Write the page to this file.")] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Write the page without opening it.")
    ] = False,
) -> None:
    """Show a recorded run, or two side by side, as one HTML page."""
    from server.view.page import compare_page, run_page
    from server.view.records import find_record

    place = _folder(folder)
    first = _run_view(find_record(place, run))
    if other is None:
        page = run_page(first)
    else:
        page = compare_page(first, _run_view(find_record(place, other)))
    written = _write(page, output)
    sys.stdout.write(f"{written}\n")
    if not no_open:
        import webbrowser

        # A headless machine has no browser; the path was printed either way.
        webbrowser.open(written.as_uri())


def _folder(given: Path | None) -> Path:
    from server.homes import default_record_dir
    from server.settings import load_settings

    return given or load_settings().record_dir or default_record_dir()


def _run_view(path: Path) -> Any:
    from explorer.trajectory import TrajectoryError, read
    from server.view.model import run_view

    try:
        return run_view(read(path))
    except (TrajectoryError, ValueError) as error:
        message, _, hint = str(error).partition("; hint: ")
        raise UsageError(f"{str(path)!r}: {message}", hint or "is it a record?") from None


def _write(page: str, output: Path | None) -> Path:
    """Where the page was written: readable by its owner alone, since it holds code."""
    data = page.encode(errors="replace")
    try:
        if output is None:
            with tempfile.NamedTemporaryFile(
                prefix="fastcontext-", suffix=".html", delete=False
            ) as file:
                file.write(data)
            return Path(file.name)
        target = output.expanduser().absolute()
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            # That mode is a new file's; one that is overwritten may be open to all.
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)
            written.write(data)
    except OSError as error:
        problem = f"the page cannot be written: {error.strerror}"
        raise UsageError(problem, "give another --output") from None
    return target
