"""The ``fastcontext`` command. Each command imports what it needs when it runs.

Exit status: 0 answered, even if only by the fallback; 1 failed; 2 wrong usage or settings;
128 + n on signal n.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from server.commands.explore import (
    Deadline,
    Endpoint,
    Engine,
    MaxTurns,
    Model,
    NoFallback,
    Record,
    Temperature,
    explore,
)
from server.errors import ServerError, SettingsError, UsageError
from server.homes import absolute
from server.process.streams import log_to_stderr, make_ready

logger = logging.getLogger(__name__)

FAILED, WRONG_USAGE = 1, 2

_COMPLETE = "_FASTCONTEXT_COMPLETE"
"""Set by the scripts that typer writes for shells."""

_HELP = "fastcontext --help lists commands and options"
_DASHED = "a question that begins with a dash comes last, behind --: explore --repo DIR -- --name"

# Newer releases of typer carry click inside, older ones import it: this is either's UsageError.
_UsageProblem: type[BaseException] = typer.BadParameter.__bases__[0]


def root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find the code that a question is about."""
    if show_version:
        from server import version

        sys.stdout.write(f"fastcontext {version()}\n")
        raise typer.Exit


def serve(
    http: Annotated[
        str | None, typer.Option(help="Serve HTTP on HOST:PORT instead of stdio.")
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(readable=False, help="Directory that may be explored; repeatable."),
    ] = None,
    engine: Engine = None,
    endpoint: Endpoint = None,
    model: Model = None,
    max_turns: MaxTurns = None,
    deadline: Deadline = None,
    temperature: Temperature = None,
    record: Record = None,
    no_fallback: NoFallback = False,
) -> None:
    """Serve MCP over stdio, or over HTTP on the loopback interface."""
    from server.protocol.app import build_server
    from server.settings import load_settings

    settings = load_settings(
        roots=tuple(absolute(place) for place in root) if root else None,
        engine=engine,
        endpoint=endpoint,
        model=model,
        max_turns=max_turns,
        deadline_s=deadline,
        temperature=temperature,
        record_dir=record,
        fallback=False if no_fallback else None,
    )
    log_to_stderr(settings.log_level)
    server = build_server(settings)
    if http is None:
        server.run()
    from server.protocol.http_server import parse_address, run_http

    run_http(server, settings, *parse_address(http))


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check what an exploration needs, and try out the server as clients start it."""
    from server.doctor.checks import run_checks

    raise typer.Exit(run_checks(sys.stdout, as_json=as_json))


def commands(given: Sequence[str] = ()) -> typer.Typer:
    """The command line, as much of it as the arguments need: of an exploration no other command.

    To load the others takes a tenth of the time of a short answer.
    """
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(root)
    app.command()(explore)
    if list(given[:1]) == ["explore"]:
        return app
    from server.commands import clients, engine, quantize, view

    app.add_typer(clients.app)
    app.add_typer(view.app)
    app.add_typer(engine.app, name="engine")
    app.command()(serve)
    app.command()(doctor)
    quantize.register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the process."""
    make_ready()
    given = list(sys.argv[1:] if arguments is None else arguments)
    from server.protocol import entry

    # A shell that completes the command gives it no arguments and perhaps no terminal.
    if _COMPLETE not in os.environ and entry.is_asked_for(given):
        entry.build(stdio=True).run()
    from server.process.lifecycle import leave

    leave(_run(given))


def _run(given: list[str]) -> int:
    from server.commands.terminal import show_error
    from server.view.records import with_default_folder

    try:
        if not given and sys.stdout.isatty():
            from server.commands.welcome import welcome

            sys.stdout.write(welcome())
            return 0
        code = typer.main.get_command(commands(given)).main(
            with_default_folder(given), prog_name="fastcontext", standalone_mode=False
        )
        sys.stdout.flush()
    except _UsageProblem as error:
        described = getattr(error, "format_message", error.__str__)()
        # Raised for a group without a command: its text is the help, in the shape to be shown.
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(described.rstrip("\n") + "\n")
        else:
            is_option = type(error).__name__ == "NoSuchOption" and given[0] == "explore"
            show_error(described, _DASHED if is_option else _HELP)
        return WRONG_USAGE
    except ServerError as error:
        show_error(str(error), error.hint)
        return WRONG_USAGE if isinstance(error, SettingsError | UsageError) else FAILED
    except BrokenPipeError:
        # The reader, such as head, has had enough.
        return 0
    except SystemExit as error:
        # Newer releases of typer turn it into this.
        if isinstance(error.__context__, BrokenPipeError):
            return 0
        raise
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except Exception as error:
        _show_unexpected(error)
        return FAILED
    return code if isinstance(code, int) else 0


def _show_unexpected(error: Exception) -> None:
    """Say what nobody foresaw; where it happened goes to the log."""
    from server.commands.terminal import show_error
    from server.settings import load_settings

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    with suppress(Exception):
        log_to_stderr(load_settings().log_level)
    logger.debug("the command failed", exc_info=error)
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    show_error(f"{kind}{error}", "FASTCONTEXT_LOG_LEVEL=DEBUG shows where it happened")


if __name__ == "__main__":
    main()
