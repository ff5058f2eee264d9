"""Samples, the table that shows them, and the files that keep them."""

import datetime
import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

RUNS = Path(__file__).with_name("runs")


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a scenario's table."""

    name: str
    samples: tuple[float, ...]
    unit: str
    """``ms``, ``MB`` (millions of bytes) or ``%``."""
    against: str = ""
    """The case that this one is compared with; empty for a baseline."""
    equal_work: str = ""
    """The figure that proves that the case did the same work as the others."""

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """The smallest sample that 95% of them do not exceed (nearest rank)."""
        return sorted(self.samples)[math.ceil(0.95 * len(self.samples)) - 1]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a scenario needs to run."""

    folder: Path
    """An empty directory that is removed afterwards; the scenarios share the trees in it."""
    samples: int
    """How often each case is measured; 0 means the scenario's own number."""
    say: Callable[[str], None]
    """Tells the person who waits what is going on."""

    def count(self, usual: int) -> int:
        """How many samples to take."""
        return self.samples or usual


Scenario = Callable[[Bench], list[Case]]


def table(cases: Sequence[Case]) -> str:
    """The cases as a Markdown table."""
    medians = {case.name: case.median for case in cases}
    rows = [("case", "n", "median", "p95", "ratio", "equal work")]
    for case in cases:
        base = medians.get(case.against)
        rows.append(
            (
                case.name,
                str(len(case.samples)),
                f"{case.median:.4g} {case.unit}",
                f"{case.p95:.4g} {case.unit}",
                f"{case.median / base:.2f}" if base else "",
                case.equal_work,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_row(row, widths) for row in rows]
    lines.insert(1, _row(["-" * width for width in widths], widths))
    return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def machine() -> str:
    """A name for the kind of machine, which does not reveal whose it is."""
    system, arch = platform.system().lower(), platform.machine()
    return f"{system}-{arch}-{os.cpu_count()}cpu"


def keep(scenario: str, cases: Sequence[Case], *, name: str, runs: Path = RUNS) -> Path:
    """The new file ``runs/<date>-<name>/<scenario>.jsonl`` with the raw rows.

    The first says when and on what was measured; then there is one for each case. No file is ever
    overwritten: a later run gets a number.
    """
    rows = [{"scenario": scenario, **conditions()}, *(asdict(case) for case in cases)]
    path = _unused(runs, name, scenario, ".jsonl")
    with path.open("x", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def new_folder(runs: Path, name: str, scenario: str) -> Path:
    """A new folder ``runs/<date>-<name>/<scenario>`` for a run of many files."""
    folder = _unused(runs, name, scenario, "")
    folder.mkdir()
    return folder


def _unused(runs: Path, name: str, scenario: str, suffix: str) -> Path:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    folder = runs / f"{today}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    names = (f"{scenario}{number}{suffix}" for number in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(folder / each for each in names if not (folder / each).exists())


def conditions() -> dict[str, object]:
    """When, on what, under which load and with which command a run was made."""
    load = os.getloadavg()[0]
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "mcp": version("mcp"),
        "system": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
        "cpus": os.cpu_count(),
        "load_1min": round(load, 2),
        "command": " ".join(["python", "-m", "benchmarks", *map(_bare, sys.argv[1:])]),
    }


def _bare(argument: str) -> str:
    """The argument without what is private: the host of a URL, the folders above a file."""
    if "://" in argument:
        return "URL"
    return Path(argument).name if argument.startswith("/") else argument
