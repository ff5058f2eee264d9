"""``fastcontext bench engine`` and ``fastcontext bench matmul``."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.errors import ServerError, UsageError

if TYPE_CHECKING:
    from launch.bench.variants import Variant

Rows = list[dict[str, Any]]

bench = typer.Typer(no_args_is_help=True, help="Measure engines and kernels on this machine.")


class BenchFailed(ServerError):
    """Nothing could be measured."""


@bench.command()
def engine(
    bf16: Annotated[Path | None, typer.Option(help="Folder of the BF16 checkpoint.")] = None,
    nvfp4: Annotated[Path | None, typer.Option(help="Folder of the NVFP4 checkpoint.")] = None,
    weightless: Annotated[
        bool,
        typer.Option(
            "--weightless", help="Use random weights of the 4B shape: measures only speed."
        ),
    ] = False,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="bf16, fp8, nvfp4 or nvfp4-card; may be given several times."),
    ] = None,
    python: Annotated[str, typer.Option(help="The Python that has vLLM.")] = sys.executable,
    repeats: Annotated[int, typer.Option(min=1, help="Samples for each figure.")] = 5,
    out: Annotated[Path | None, typer.Option(help="New folder for the results.")] = None,
) -> None:
    """Measure BF16, FP8 and NVFP4 engines on this machine: the table of the model card."""
    import tempfile

    from launch.bench.engine import BenchPlan
    from launch.bench.engine import measure as run
    from launch.bench.plots import plot_engine
    from launch.bench.report import engine_table
    from launch.bench.variants import standard_variants, write_weightless

    names = tuple(variant or ("bf16", "fp8", "nvfp4"))
    unknown = sorted(set(names) - {"bf16", "fp8", "nvfp4", "nvfp4-card"})
    if unknown:
        raise UsageError(f"unknown variant {unknown[0]!r}", "use bf16, fp8, nvfp4 or nvfp4-card")
    if not weightless and (bf16 is None or nvfp4 is None):
        raise UsageError("no checkpoints are given", "give --bf16 and --nvfp4, or --weightless")
    with tempfile.TemporaryDirectory() as place:
        plain, packed = write_weightless(Path(place))
        if bf16 is not None and nvfp4 is not None and not weightless:
            plain, packed = bf16, nvfp4
        chosen = standard_variants(
            plain,
            packed,
            compute_capability=_capability(python),
            weightless=weightless,
            names=names,
        )
        _refuse_unreadable(chosen)
        with _results(out, "engine") as folder:
            rows, emit = _collector(folder / "engine.jsonl")
            plan = BenchPlan(repeats=repeats)
            run(chosen, plan, emit=emit, python=python, log=folder / "engine.log")
            note = "Random weights: speed only, no quality.\n\n" if weightless else ""
            _publish(folder, "engine", rows, note + engine_table(rows), plot_engine)


@bench.command()
def matmul(
    batch: Annotated[
        list[int] | None, typer.Option(help="Batch size; may be given several times.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Samples for each figure.")] = 20,
    out: Annotated[Path | None, typer.Option(help="New folder for the results.")] = None,
) -> None:
    """Measure BF16 and NVFP4 linear layers by batch size, as vLLM computes them on this GPU."""
    from launch.bench.matmul import BATCHES
    from launch.bench.matmul import measure as run
    from launch.bench.plots import plot_matmul
    from launch.bench.report import matmul_text

    with _results(out, "matmul") as folder:
        rows, emit = _collector(folder / "matmul.jsonl")
        try:
            run(batches=tuple(batch or BATCHES), repeats=repeats, emit=emit)
        except (ImportError, RuntimeError, AssertionError) as error:
            raise BenchFailed(
                f"the kernels cannot be measured here: {error}",
                "run it on a CUDA GPU, in a Python that has vLLM",
            ) from None
        _publish(folder, "matmul", rows, matmul_text(rows), plot_matmul)


@bench.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder with raw rows (*.jsonl).")],
) -> None:
    """Make tables and plots again from rows that were measured before."""
    from launch.bench.plots import plot_engine, plot_matmul
    from launch.bench.report import engine_table, matmul_text, read_rows

    rows: Rows = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            found, wrong = read_rows(path)
        except OSError as error:
            raise UsageError(
                f"{str(path)!r} cannot be read: {error.strerror}", "name another folder"
            ) from None
        rows += found
        sys.stderr.writelines(f"{each}\n" for each in wrong)
    engines = [row for row in rows if "variant" in row]
    kernels = [row for row in rows if "variant" not in row]
    if engines:
        _publish(folder, "engine", engines, engine_table(engines), plot_engine)
    if any(row.get("kind") == "matmul" for row in kernels):
        _publish(folder, "matmul", kernels, matmul_text(kernels), plot_matmul)
    if not rows:
        raise UsageError(
            f"there are no rows in {str(folder)!r}", "name the folder of a measurement"
        )


@contextlib.contextmanager
def _results(out: Path | None, kind: str) -> Iterator[Path]:
    """A new folder for results, removed if it stays empty; results are never overwritten."""
    folder = out or Path(f"fastcontext-bench-{kind}-{time.strftime('%Y-%m-%d-%H%M%S')}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{str(folder)!r} exists already", "name a new folder") from None
    except OSError as error:
        problem = f"{str(folder)!r} cannot be made: {error.strerror}"
        raise UsageError(problem, "name another folder with --out") from None
    try:
        yield folder
    finally:
        # Fails if the folder holds anything.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _refuse_unreadable(variants: "Sequence[Variant]") -> None:
    """Return if each variant's configuration can be read.

    Raises:
        UsageError: one cannot.
    """
    from launch.errors import CheckpointError
    from launch.verify.layout import shape_of
    from launch.verify.tensors import read_json

    for folder in dict.fromkeys(each.model for each in variants):
        try:
            shape_of(read_json(folder / "config.json"))
        except CheckpointError as error:
            raise UsageError(
                f"{str(folder)!r} cannot be measured: {error}",
                error.hint or "name the folder that holds config.json and the weights",
            ) from None


def _collector(path: Path) -> tuple[Rows, Callable[[dict[str, Any]], None]]:
    """A list of rows, and a function that adds to it, to a file, and reports on stderr."""
    rows: Rows = []

    def emit(row: dict[str, Any]) -> None:
        rows.append(row)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        what = row.get("variant") or row.get("layer") or ""
        sys.stderr.write(f"{row['kind']} {what}".rstrip() + "\n")
        sys.stderr.flush()

    return rows, emit


def _publish(
    folder: Path, name: str, rows: Rows, text: str, plot: Callable[[Rows, Path], None]
) -> None:
    from launch.bench.report import problems

    said = problems(rows)
    if said:
        text += "\nNot measured:\n\n" + "\n".join(f"* {each}" for each in said) + "\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    try:
        plot(rows, folder / f"{name}.png")
    except ImportError:
        sys.stderr.write("no plot: pip install 'fastcontext-mcp[bench]'\n")


def _capability(python: str) -> int:
    """The GPU's compute capability as one number, by the Python that has vLLM; 0: no GPU."""
    import subprocess

    code = (
        "import torch; print(*(torch.cuda.get_device_capability(0) "
        "if torch.cuda.is_available() else (0, 0)))"
    )
    try:
        answer = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=120, check=True
        )
        major, minor = map(int, answer.stdout.split()[-2:])
    except (OSError, subprocess.SubprocessError, ValueError):
        raise UsageError(
            f"{python!r} cannot tell which GPU there is", "name the Python that has vLLM"
        ) from None
    return 10 * major + minor
