"""``fastcontext explore``: one question, answered in this process and ended by signals."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from server.errors import ServerError
from server.homes import absolute
from server.process.importing import lasting
from server.process.streams import log_to_stderr

if TYPE_CHECKING:
    from server.exploring.question import Question
    from server.exploring.report import Report
    from server.settings import Settings

Engine = Annotated[
    Literal["auto", "endpoint", "local", "scout"] | None,
    typer.Option(help="Who answers. auto: the endpoint, else this machine's engine, else scout."),
]
Endpoint = Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible API, up to /v1.")]
Model = Annotated[str | None, typer.Option(help="The model's name at the endpoint.")]
MaxTurns = Annotated[int | None, typer.Option(help="Maximum model requests.")]
Deadline = Annotated[float | None, typer.Option(help="Maximum seconds until the answer.")]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature of the model.")]
# readable=False: whether a directory may be read is found out, and told, where it is used.
Record = Annotated[
    Path | None,
    typer.Option(readable=False, help="Record runs, in the usual folder if none is named."),
]
NoFallback = Annotated[
    bool, typer.Option("--no-fallback", help="Fail when the model fails; do not ask the scout.")
]


def explore(
    query: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    repo: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="The repository. Default: the one of the working directory."
        ),
    ] = None,
    engine: Engine = None,
    endpoint: Endpoint = None,
    model: Model = None,
    max_turns: MaxTurns = None,
    max_citations: Annotated[int | None, typer.Option(help="Maximum places in the answer.")] = None,
    deadline: Deadline = None,
    temperature: Temperature = None,
    record: Record = None,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="Also search hidden, secret and ignored files.")
    ] = False,
    no_code: Annotated[bool, typer.Option("--no-code", help="Places alone, no code.")] = False,
    no_fallback: NoFallback = False,
    open_place: Annotated[
        bool, typer.Option("--open", help="Open the first place in the editor, at its line.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Show no progress; errors are shown.")
    ] = False,
) -> None:
    """Answer a question about a repository with the places that matter."""
    with lasting():
        from server.commands.editor import editor_of_user
        from server.commands.terminal import show_report
        from server.exploring.question import make_question
        from server.exploring.repositories import default_for_command
        from server.settings import load_settings

    settings = load_settings(
        engine=engine,
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
    log_to_stderr(settings.log_level)
    if query == "-":
        query = sys.stdin.buffer.read().decode("utf-8", "replace")
    # Nobody waits for an answer to learn that it cannot be opened.
    editor = editor_of_user() if open_place else None
    path = str(absolute(repo)) if repo else default_for_command()
    question = make_question(settings, query, path=path, code=not no_code)
    report = _answer(settings, question, quiet=quiet)
    show_report(report, as_json=as_json)
    if editor is not None and report.exploration.citations:
        first = report.exploration.citations[0]
        editor.open(report.repository / first.path, first.start)


def _answer(settings: "Settings", question: "Question", *, quiet: bool) -> "Report":
    """The report, with the current step on stderr while it is made, unless ``quiet``.

    Raises:
        ServerError: nobody could answer.
        typer.Exit: a signal came; everything that was started is closed.
    """
    import anyio

    from server.commands.terminal import live

    with lasting():
        # Whoever answers, the scout is asked too.
        from explorer.scout import Scout  # noqa: F401
        from server.exploring.service import ExplorationService  # noqa: F401

    with live(quiet=quiet) as (say, hear):
        outcome: Any = anyio.run(_until_signal, settings, question, say, hear)
    if isinstance(outcome, int):
        raise typer.Exit(128 + outcome)
    if isinstance(outcome, ServerError):
        raise outcome
    report: Report = outcome
    return report


async def _until_signal(settings: "Settings", question: "Question", say: Any, hear: Any) -> Any:
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
            async with ExplorationService(settings, listener=hear, once=True) as service:
                outcome = await service.explore(question, say)
        except ServerError as error:
            outcome = error
        group.cancel_scope.cancel()
    return outcome
