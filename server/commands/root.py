"""The ``fastcontext`` command. Each command imports what it needs when it runs.

Exit status: 0 answered, by a fallback too; 1 failed; 2 wrong usage or settings; 128 + n on
signal n.
"""

import enum
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from server.commands.clients import app as clients_app
from server.commands.engine import app as engine_app
from server.commands.quantize import register
from server.commands.view import app as view_app
from server.errors import ServerError, SettingsError, UsageError
from server.homes import absolute
from server.process.streams import make_ready

if TYPE_CHECKING:
    from server.exploring.question import Ask
    from server.exploring.report import Report
    from server.settings import Settings

logger = logging.getLogger(__name__)

FAILED, WRONG_USAGE = 1, 2

# Newer releases of typer carry click inside, older ones import it: this is either's UsageError.
_UsageProblem: type[BaseException] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(clients_app)
app.add_typer(view_app)
app.add_typer(engine_app, name="engine")


class EngineName(enum.StrEnum):
    """Who shall answer."""

    auto = "auto"
    endpoint = "endpoint"
    local = "local"
    scout = "scout"


Engine = Annotated[
    EngineName | None, typer.Option(help="Who answers. auto: endpoint, local, else scout.")
]
Endpoint = Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible API, up to /v1.")]
Model = Annotated[str | None, typer.Option(help="The model's name at the endpoint.")]
MaxTurns = Annotated[int | None, typer.Option(help="Model requests at most.")]
Deadline = Annotated[float | None, typer.Option(help="Seconds within which to answer.")]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature of the model.")]
# readable=False: whether a directory may be read is found out, and told, where it is used.
Record = Annotated[
    Path | None,
    typer.Option(readable=False, help="Keep the trajectory; without a folder, in the usual one."),
]
Hidden = Annotated[bool, typer.Option("--hidden", help="Hidden, secret, ignored files too.")]
NoFallback = Annotated[
    bool, typer.Option("--no-fallback", help="Fail when the endpoint fails; no scout.")
]


@app.callback(invoke_without_command=True)
def root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find the code that a question is about."""
    if show_version:
        from server import version

        sys.stdout.write(f"fastcontext {version()}\n")
        raise typer.Exit


@app.command()
def explore(
    query: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    repo: Annotated[
        Path | None, typer.Option(readable=False, help="Repository. Default: this one.")
    ] = None,
    engine: Engine = None,
    endpoint: Endpoint = None,
    model: Model = None,
    max_turns: MaxTurns = None,
    max_citations: Annotated[int | None, typer.Option(help="Places at most.")] = None,
    deadline: Deadline = None,
    temperature: Temperature = None,
    record: Record = None,
    hidden: Hidden = False,
    no_fallback: NoFallback = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Answer a question about a repository with the places that matter."""
    from server.commands.terminal import show_report
    from server.settings import load_settings

    settings = load_settings(
        engine=engine.value if engine else None,
        endpoint=endpoint,
        model=model,
        max_turns=max_turns,
        max_citations=max_citations,
        deadline_s=deadline,
        temperature=temperature,
        record_dir=record,
        include_hidden=hidden or None,
        fallback=False if no_fallback else None,
    )
    _configure_logging(settings)
    if query == "-":
        query = sys.stdin.buffer.read().decode("utf-8", "replace")
    show_report(_answer(settings, _ask(settings, query, repo)), as_json=as_json)


@app.command()
def serve(
    http: Annotated[str | None, typer.Option(help="HOST:PORT for HTTP instead of stdio.")] = None,
    root: Annotated[
        list[Path] | None, typer.Option(readable=False, help="Allowed directory; repeatable.")
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
        engine=engine.value if engine else None,
        endpoint=endpoint,
        model=model,
        max_turns=max_turns,
        deadline_s=deadline,
        temperature=temperature,
        record_dir=record,
        fallback=False if no_fallback else None,
    )
    _configure_logging(settings)
    server = build_server(settings)
    if http is None:
        server.run()
    from server.protocol.http_server import parse_address, run_http

    run_http(server, settings, *parse_address(http))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check what an exploration needs, a line each, and try the server as clients start it."""
    from server.doctor.checks import run_checks

    raise typer.Exit(run_checks(sys.stdout, as_json=as_json))


register(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the process."""
    make_ready()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["serve"]:
        _serve_at_once()
    from server.process.lifecycle import leave

    leave(_run(given))


def _serve_at_once() -> NoReturn:
    """What every MCP client starts, without the cost of parsing a command line."""
    # Importing the SDK makes many objects that stay: collecting between them costs 40 of 580 ms.
    gc.disable()
    from server.protocol.app import build_server

    gc.freeze()
    gc.enable()
    build_server().run()


def _run(given: list[str]) -> int:
    from server.commands.terminal import show_error, show_server_error
    from server.exploring.records import with_default_folder

    try:
        code = typer.main.get_command(app).main(
            with_default_folder(given), prog_name="fastcontext", standalone_mode=False
        )
        sys.stdout.flush()
    except _UsageProblem as error:
        described = getattr(error, "format_message", error.__str__)()
        # Raised for a group without a command: its text is the help, in the shape to be shown.
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(described.rstrip("\n") + "\n")
        else:
            show_error(described, "fastcontext --help lists commands and options")
        return WRONG_USAGE
    except (SettingsError, UsageError) as error:
        show_server_error(error)
        return WRONG_USAGE
    except ServerError as error:
        show_server_error(error)
        return FAILED
    except BrokenPipeError:
        # The reader, such as head, has had enough.
        return 0
    except SystemExit as error:
        # Newer releases of typer make this of it.
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
    """What nobody foresaw, in words; where it happened goes to the log."""
    from server.commands.terminal import show_error
    from server.settings import load_settings

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    with suppress(Exception):
        _configure_logging(load_settings())
    logger.debug("the command failed", exc_info=error)
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    show_error(f"{kind}{error}", "FASTCONTEXT_LOG_LEVEL=DEBUG shows where it happened")


def _configure_logging(settings: "Settings") -> None:
    from server.process.streams import log_to_stderr

    log_to_stderr(settings.log_level)


def _ask(settings: "Settings", query: str, repo: Path | None) -> "Ask":
    from server.exploring.question import make_ask
    from server.exploring.repositories import default_for_command

    path = str(absolute(repo)) if repo else default_for_command()
    return make_ask(settings, query, path=path)


def _answer(settings: "Settings", ask: "Ask") -> "Report":
    """The report, with the current step on stderr while it is made.

    Raises:
        ServerError: nobody could answer.
        typer.Exit: a signal came; everything that was started is closed.
    """
    import anyio

    from server.commands.terminal import live

    with live() as (say, hear):
        outcome: Any = anyio.run(_until_signal, settings, ask, say, hear)
    if isinstance(outcome, int):
        raise typer.Exit(128 + outcome)
    if isinstance(outcome, ServerError):
        raise outcome
    report: Report = outcome
    return report


async def _until_signal(settings: "Settings", ask: "Ask", say: Any, hear: Any) -> Any:
    """The report, the error that prevented it, or the number of the signal that ended it."""
    import anyio

    from server.exploring.service import ExplorationService
    from server.process.lifecycle import leave_soon

    outcome: Any = None

    async def watch(scope: anyio.CancelScope) -> None:
        nonlocal outcome
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                outcome = int(number)
                leave_soon(128 + number)
                scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope)
        try:
            async with ExplorationService(settings, listener=hear) as service:
                outcome = await service.explore(ask, say)
        except ServerError as error:
            outcome = error
        group.cancel_scope.cancel()
    return outcome


if __name__ == "__main__":
    main()
