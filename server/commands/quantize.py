"""``fastcontext quantize`` and ``fastcontext verify``; ``register`` adds ``bench`` as well."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.commands.bench import bench
from server.errors import ServerError, UsageError

if TYPE_CHECKING:
    from launch.quantize.calibration import Item
    from launch.verify.probes import Conversation
    from launch.verify.verdicts import Verdict, Verification

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Device = Annotated[str, typer.Option(help="auto, cuda or cpu.")]
Recordings = Annotated[
    Path | None,
    typer.Option(help="Recorded explorations: a file, or a folder of them."),
]


class QuantizationFailed(ServerError):
    """No checkpoint was made, or its input cannot be used."""


def register(app: typer.Typer) -> None:
    """Add the commands to ``fastcontext``."""
    app.command()(quantize)
    app.command()(verify)
    app.add_typer(bench, name="bench")


def quantize(
    source: Annotated[Path, typer.Argument(help="Folder of the BF16 checkpoint.")],
    out: Annotated[Path, typer.Argument(help="New folder for the NVFP4 checkpoint.")],
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines of texts or chats, or recorded explorations: a file or a folder."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Calibration samples.")] = 512,
    tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a sample.")] = 1024,
    batch: Annotated[int, typer.Option(min=1, help="Samples at a time.")] = 16,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Modules that stay in BF16; may hold *; may be given several times."),
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Make an NVFP4 checkpoint from a BF16 one, and check it."""
    from launch.errors import QuantizeError
    from launch.quantize.modelopt_steps import Recipe
    from launch.quantize.run import QuantizeRequest
    from launch.quantize.run import quantize as make

    recipe = Recipe(samples=samples, tokens=tokens, batch=batch, exclude=tuple(exclude or ()))
    items = calibration_items(calibration) if calibration else []
    origin = calibration.name if calibration else ""
    request = QuantizeRequest(source, out, recipe, tuple(items), origin, _device(device))
    try:
        with _progress() as progress:
            result = make(request, progress)
    except QuantizeError as error:
        raise QuantizationFailed(str(error), error.hint) from None
    if as_json:
        _print_json({**result.report.as_record(), "record": result.record})
        return
    for check in result.report.checks:
        sys.stdout.write(check_line(check) + "\n")
    sys.stdout.write(f"\n{out}: made in {result.record['elapsed_s']:.0f} s\n")


def verify(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of the NVFP4 checkpoint.")],
    against: Annotated[
        Path | None, typer.Option(help="Folder of the BF16 checkpoint that it was made from.")
    ] = None,
    behaviour: Annotated[
        bool, typer.Option(help="Compare logits and tool calls as well; needs --against.")
    ] = True,
    recordings: Recordings = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Check a checkpoint and print a line for each check; exit status 1 if one fails."""
    from dataclasses import replace

    from launch.verify.behaviour import check_behaviour
    from launch.verify.run import verify as check_files

    def show(check: "Verdict") -> None:
        if not as_json:
            sys.stdout.write(check_line(check) + "\n")
            sys.stdout.flush()

    report = check_files(checkpoint, against, listener=show)
    if report.passed and behaviour and against is not None:
        talks = conversations(recordings) if recordings else []
        with _progress() as progress:
            more = check_behaviour(
                checkpoint,
                against,
                conversations=talks,
                device=_device(device),
                progress=progress,
            )
        for check in more:
            show(check)
        report = replace(report, checks=(*report.checks, *more))
    if as_json:
        _print_json(report.as_record())
    raise typer.Exit(_status(report))


def calibration_items(path: Path) -> "list[Item]":
    """Texts and chats of a JSON-lines file, or the recorded explorations of a file or folder.

    Raises:
        QuantizationFailed: the file has another form.
    """
    from launch.errors import QuantizeError
    from launch.quantize.calibration import read_items

    if path.is_dir() or _is_trajectory(path):
        return list(conversations(path))
    try:
        return read_items(path)
    except QuantizeError as error:
        raise QuantizationFailed(str(error), error.hint) from None


def conversations(path: Path) -> "list[Conversation]":
    """The chats of a trajectory, or of every trajectory in a folder.

    Raises:
        QuantizationFailed: there is none, or one cannot be read.
    """
    from explorer.events import RunStarted, TurnFinished, TurnStarted
    from explorer.trajectory import TrajectoryError, read
    from launch.verify.probes import Conversation

    found = []
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        try:
            events = [timed.event for timed in read(file)]
        except TrajectoryError as error:
            raise QuantizationFailed(
                f"{str(file)!r} is not a recorded exploration: {error}",
                "record one with `fastcontext explore QUESTION --record DIR`",
            ) from None
        messages: list[Any] = []
        last: TurnFinished | None = None
        tools: Sequence[Any] = ()
        for event in events:
            if isinstance(event, RunStarted):
                tools = event.tools
            elif isinstance(event, TurnStarted):
                messages.extend(event.appended)
            elif isinstance(event, TurnFinished):
                last = event
        if last is not None:
            messages.append(last.message)
            found.append(Conversation(tuple(map(dict, messages)), tuple(map(dict, tools))))
    if not found:
        raise QuantizationFailed(
            f"{str(path)!r} holds no recorded exploration",
            "record one with `fastcontext explore QUESTION --record DIR`",
        )
    return found


def check_line(check: "Verdict") -> str:
    """One line about a check: its status, its name and its detail."""
    word = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}[check.status]
    return f"{word:8}{check.name}: {check.detail}"


def _status(report: "Verification") -> int:
    return 0 if report.passed else 1


def _is_trajectory(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            head = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(head, dict) and head.get("kind") == "fastcontext-trajectory"


def _device(name: str) -> str:
    if name not in ("auto", "cuda", "cpu"):
        raise UsageError(f"unknown device {name!r}", "use auto, cuda or cpu")
    return name


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr for each stage; without a terminal, a line when a stage begins."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def say(stage: str, done: int, total: int) -> None:
            if stage not in seen:
                seen.add(stage)
                sys.stderr.write(f"{stage}\n")
                sys.stderr.flush()

        yield say
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
