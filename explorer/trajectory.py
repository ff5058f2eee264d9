"""The record of a run: one JSON object per line, with every message and observation.

The first line is ``{"format": 2, ...}``; every other line is an event of ``explorer.events`` with
its name, ``event``, and ``at_s``, the seconds since the record was begun. Each line is flushed as
it is written, so the record of a run that was cut off ends with its last whole event.
"""

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from explorer.events import (
    CallFinished,
    CallStarted,
    Event,
    LinesCited,
    Note,
    RunFinished,
    RunStarted,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)

FORMAT = 2
"""Raised when a reader of the previous format would misunderstand or refuse a line."""
READABLE = (1, FORMAT)
"""Format 1 had neither ``lines_cited`` nor ``engine_reason``."""

_EVENTS: dict[str, type[Any]] = {
    "run_started": RunStarted,
    "turn_started": TurnStarted,
    "call_started": CallStarted,
    "call_finished": CallFinished,
    "turn_finished": TurnFinished,
    "turn_failed": TurnFailed,
    "note": Note,
    "lines_cited": LinesCited,
    "run_finished": RunFinished,
}
_NAMES = {kind: name for name, kind in _EVENTS.items()}


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event and its time, in seconds since the record was begun."""

    at_s: float
    event: Event


class TrajectoryError(ValueError):
    """A record cannot be written or read; the text says why and, for an event, in which line."""


class TrajectoryWriter:
    """A listener that writes every event to a new file. A context manager.

    Only the owner can read the file, because it contains code of the repository.
    """

    def __init__(self, path: Path, *, repository: Path) -> None:
        """Begin the record at ``path``, which must not exist or lie in ``repository``.

        Raises:
            TrajectoryError: the path lies in the repository, exists, or cannot be written.
        """
        real = Path(os.path.realpath(path))
        if real.is_relative_to(os.path.realpath(repository)):
            raise TrajectoryError(
                f"a trajectory is never written into the explored repository: {str(path)!r}"
            )
        try:
            real.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(real, flags, 0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            problem = f"the trajectory {str(path)!r} cannot be written: {reason}"
            raise TrajectoryError(problem) from None
        self.path = real
        """Where the record is."""
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        self._started = time.monotonic()
        self._write({"format": FORMAT, "kind": "fastcontext-trajectory", "began_at": time.time()})

    def __call__(self, event: Event) -> None:
        """Write one event. A full disk ends the record, never the run."""
        at_s = round(time.monotonic() - self._started, 6)
        self._write({"event": _NAMES[type(event)], "at_s": at_s, **_plain(event)})

    def _write(self, line: dict[str, Any]) -> None:
        if self._file.closed:
            return
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError:
            self.close()

    def close(self) -> None:
        """End the record; may be called twice."""
        try:
            self._file.close()
        except OSError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> Sequence[TimedEvent]:
    """The events of a record, without a last line that was cut off.

    Raises:
        TrajectoryError: the file cannot be read, has another format, or a line is not an event.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrajectoryError(f"{str(path)!r} cannot be read: {error}") from None
    # Not splitlines: JSON may contain U+2028 and the like, which do not end a line here.
    lines = text.split("\n")
    whole = not lines[-1]
    return list(_events(lines[:-1] if whole else lines, whole=whole))


def _events(lines: Sequence[str], *, whole: bool) -> Iterator[TimedEvent]:
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line, parse_float=_finite, parse_constant=_finite)
            if number == 1:
                _check_head(value)
                continue
            kind = _EVENTS[value.pop("event")]
            at_s = float(value.pop("at_s"))
            event = TypeAdapter(kind).validate_python(value)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if number == len(lines) and not whole:
                return
            problem = "unknown fields" if isinstance(error, ValidationError) else str(error)
            raise TrajectoryError(f"line {number} is not an event: {problem}") from None
        yield TimedEvent(at_s, event)


def _finite(text: str) -> float:
    """The number. The json module would also accept ``NaN``, ``Infinity`` and 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _check_head(value: Any) -> None:
    found = value.get("format") if isinstance(value, dict) else None
    if found not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise TrajectoryError(
            f"format {found!r} is not {known}; hint: use the version that wrote it"
        )


def _plain(value: Any) -> Any:
    """A record as JSON types, field by field and without copying texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
