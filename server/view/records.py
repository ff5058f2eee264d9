"""The folder of recorded runs: its list, and how one run is found in it."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.errors import UsageError
from server.homes import default_record_dir

_TAIL_BYTES = 262_144
"""The last event has citations with the code of a few: a longer one is taken as cut off."""
_HEAD_BYTES = 524_288
"""The first event has the whole prompt: system text, question of up to 100 kB, tools."""

_MOST = 1e11
"""Maximum of a time or a count: as seconds since the epoch, the year 5138."""

RECORD_ONE = "record one: fastcontext explore QUESTION --record"

_NUMBER_DIGITS = 5
"""Longer runs of digits are part of a name: the day, or the time."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One record at a glance."""

    path: Path
    began_at: float
    """Seconds since the epoch; 0 if the record does not say."""
    query: str
    model: str
    stop_reason: str
    """``cut off`` where the record has no end."""
    citations: int
    turns: int
    elapsed_s: float


def with_default_folder(given: Sequence[str]) -> list[str]:
    """The arguments, with the default folder after a ``--record`` that names none."""
    filled = list(given)
    for index, argument in enumerate(given):
        following = given[index + 1] if index + 1 < len(given) else "-"
        if argument == "--":
            break
        if argument == "--record=" or (argument == "--record" and following.startswith("-")):
            filled[index] = f"--record={default_record_dir()}"
    return filled


def list_records(folder: Path) -> tuple[list[Recorded], list[Path]]:
    """The records in ``folder``, newest first, and those whose first or last line is damaged.

    Files that are not records are skipped.

    Raises:
        UsageError: the folder cannot be read.
    """
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".jsonl")]  # noqa: PTH208
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise UsageError(
            f"{str(folder)!r} cannot be read: {error.strerror}", "name another folder"
        ) from None
    known: list[Recorded] = []
    damaged: list[Path] = []
    for name in sorted(names):
        try:
            record = glance(folder / name)
        except ValueError:
            damaged.append(folder / name)
            continue
        known += [record] if record is not None else []
    known.sort(key=lambda record: (record.began_at, record.path.name), reverse=True)
    return known, damaged


def find_record(folder: Path, name: str) -> Path:
    """The record that ``name`` means: a file, the newest (``latest``), a number or part of a name.

    Numbers count from 1, the newest, as ``fastcontext runs`` shows them.

    Raises:
        UsageError: no record matches, or several do.
    """
    if name.endswith(".jsonl") and Path(name).expanduser().is_file():
        return Path(name).expanduser()
    records, _ = list_records(folder)
    if not records:
        raise UsageError(f"no run is recorded in {str(folder)!r}", RECORD_ONE)
    if name == "latest":
        return records[0].path
    if name.isdecimal() and len(name) <= _NUMBER_DIGITS:
        fitting = [record.path for record in records[int(name) - 1 : int(name)] if int(name)]
    else:
        fitting = [record.path for record in records if name in record.path.name]
    if len(fitting) == 1:
        return fitting[0]
    many = f"{len(fitting)} runs match" if fitting else "no run matches"
    raise UsageError(f"{many} {name!r}", "fastcontext runs lists them by number and name")


def glance(path: Path) -> Recorded | None:
    """What the first two lines and the last one say; None if the file is not a record.

    Raises:
        ValueError: the file is a record, but a time, a count or a list in it makes no sense.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            tail = file.read()
    except OSError:
        return None
    first, _, rest = head.partition(b"\n")
    begun = _object(first)
    if begun.get("kind") != "fastcontext-trajectory":
        return None
    started = _object(rest.partition(b"\n")[0])
    last = _object(tail.rstrip(b"\n").rpartition(b"\n")[2])
    result = last.get("result") if last.get("event") == "run_finished" else None
    result = result if isinstance(result, dict) else {}
    return Recorded(
        path=path,
        began_at=_number(begun.get("began_at")),
        query=str(started.get("query") or result.get("query") or ""),
        model=str(started.get("model") or ""),
        stop_reason=str(result.get("stop_reason") or "cut off"),
        citations=_length(result.get("citations")),
        turns=int(_number(result.get("turns"))),
        elapsed_s=_number(result.get("elapsed_s") or last.get("at_s")),
    )


def _number(value: Any) -> float:
    if value is None:
        return 0.0
    # NaN is in no range either.
    if not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise ValueError(f"not a time or a count: {value!r}")
    return float(value)


def _length(value: Any) -> int:
    if not isinstance(value, list | None):
        raise ValueError(f"not a list: {value!r}")
    return len(value or ())


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
