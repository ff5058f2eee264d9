"""The record of a run: one JSON object per line, enough to replay it observation by observation.

The first line is ``{"format": 2, ...}``; each other one is an event of ``explorer.events`` with
``event``, its name, and ``at_s``, seconds since the record was begun. Lines are flushed as they
are written, so the record of a run that was cut off ends with its last whole event.
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
"""Raised when a reader of the format before would misunderstand a line or refuse one."""
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
    """An event and when it came, in seconds since the record was begun."""

    at_s: float
    event: Event


class TrajectoryError(ValueError):
    """A record that cannot be written or read. The text says which line and why."""


class TrajectoryWriter:
    """A listener that writes every event to a new file. A context manager.

    The file is readable by its owner alone: it holds code of the repository.
    """

    def __init__(self, path: Path, *, repository: Path) -> None:
        """Begin the record at ``path``, which must not exist and not lie in ``repository``.

        Raises:
            TrajectoryError: it lies inside, exists, or cannot be written.
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
            reason = error.strerror or "cannot be written"
            raise TrajectoryError(f"the trajectory {str(path)!r}: {reason}") from None
        self.path = real
        """Where the record is."""
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        self._started = time.monotonic()
        self._write({"format": FORMAT, "kind": "fastcontext-trajectory", "began_at": time.time()})

    def __call__(self, event: Event) -> None:
        """Write one event. A disk that is full ends the record, never the run."""
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
        TrajectoryError: it cannot be read, is of another format, or a line makes no sense.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrajectoryError(f"{str(path)!r} cannot be read: {error}") from None
    # Not splitlines: JSON leaves U+2028 and the like as they are, and they end no line here.
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
    """The number; the json module takes ``NaN``, ``Infinity`` and 1e999, of which none is one."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def _check_head(value: Any) -> None:
    found = value.get("format") if isinstance(value, dict) else None
    if found not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise TrajectoryError(
            f"format {found!r} is not {known}; hint: use the version that wrote it"
        )


def _plain(value: Any) -> Any:
    """JSON types of a record, field by field and without copying texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
