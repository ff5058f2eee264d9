"""The timeline of a run as rectangles: what the model did, which tools ran beside each other."""

from dataclasses import dataclass

from server.view.model import CallView, RunView, TurnView

_TOP = 18
_BAR = 10
_GAP = 2
_BETWEEN_TURNS = 4
_MIN_WIDTH = 0.3
_WHOLE = 98.0
_STEPS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time; ``kind`` is its CSS class, ``x`` and ``width`` are percent."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis, at ``x`` percent of its length."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The label of a turn's first row."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the drawing needs.

    Along the time axis in percent, so that it fits any width with letters of the same size; down
    the page in pixels.
    """

    height: float
    ticks: tuple[Tick, ...]
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]


def length_s(run: RunView) -> float:
    """How long the timeline of a run's turns is; never 0."""
    return max([*(_end_s(turn) for turn in run.turns), 0.001])


def chart_of(run: RunView, total_s: float | None = None) -> Chart:
    """The timeline of ``run``: for each turn a row for the model, below it its tools.

    ``total_s`` is the length of the axis, for runs that are compared; by default the run's own.
    """
    total_s = total_s or length_s(run)
    scale = _WHOLE / total_s
    y = float(_TOP)
    bars: list[Bar] = []
    lanes: list[Lane] = []
    for turn in run.turns:
        lanes.append(Lane(y, f"turn {turn.number}"))
        bars += _model_bars(turn, y, scale)
        y += _BAR + _GAP
        for row in _tool_rows(turn):
            bars += [_call_bar(call, y, scale) for call in row]
            y += _BAR + _GAP
        y += _BETWEEN_TURNS
    return Chart(round(y, 1), _ticks(total_s, scale), tuple(lanes), tuple(bars))


def _end_s(turn: TurnView) -> float:
    ends = [call.start_s + call.elapsed_s for call in turn.calls]
    return max([turn.start_s + max(turn.elapsed_s, turn.model_s), *ends])


def _model_bars(turn: TurnView, y: float, scale: float) -> list[Bar]:
    wait_s = min(turn.first_token_s or 0.0, turn.model_s)
    writing_s = turn.model_s - wait_s
    return [
        _bar("wait", turn.start_s, wait_s, y, scale, f"waiting {wait_s:.3f} s"),
        _bar("model", turn.start_s + wait_s, writing_s, y, scale, f"writing {writing_s:.3f} s"),
    ]


def _call_bar(call: CallView, y: float, scale: float) -> Bar:
    kind = "repeat" if call.repeated else "tool" if call.ok else "tool bad"
    title = f"{call.call.name} {call.summary} ({call.elapsed_s * 1000:.0f} ms)"
    return _bar(kind, call.start_s, call.elapsed_s, y, scale, title)


def _tool_rows(turn: TurnView) -> list[list[CallView]]:
    """The calls in as few rows as possible; those in one row do not overlap."""
    rows: list[list[CallView]] = []
    for call in sorted(turn.calls, key=lambda c: c.start_s):
        for row in rows:
            last = row[-1]
            if last.start_s + last.elapsed_s <= call.start_s:
                row.append(call)
                break
        else:
            rows.append([call])
    return rows


def _bar(kind: str, start_s: float, for_s: float, y: float, scale: float, title: str) -> Bar:
    width = max(_MIN_WIDTH, for_s * scale)
    return Bar(kind, round(start_s * scale, 2), y, round(width, 2), _BAR, title)


def _ticks(total_s: float, scale: float) -> tuple[Tick, ...]:
    step = next((s for s in _STEPS_S if total_s / s <= _MOST_TICKS), total_s / _MOST_TICKS)
    count = int(total_s / step) + 1
    return tuple(Tick(round(i * step * scale, 2), f"{i * step:g} s") for i in range(count))
