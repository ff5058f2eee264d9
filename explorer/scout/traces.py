"""The places that a stack trace, a compiler or a person names: a path and a line number."""

import re
from dataclasses import dataclass
from typing import Final

MAX_FRAMES: Final = 200
"""Frames that are looked at: a trace of a deep recursion repeats itself."""

_MAX_LINE_CHARS: Final = 600
_PATH: Final = r"[\w./\\@+~-]{1,200}\.[A-Za-z]\w{0,7}"
_PYTHON: Final = re.compile(r"File \"([^\"\n]{1,300})\", line (\d{1,7})(?:, in (\S{1,100}))?")
_JVM: Final = re.compile(r"\bat ([\w$.<>/-]{1,300})\(([\w$-]{1,100}\.\w{1,8}):(\d{1,7})\)")
_PHP: Final = re.compile(rf"#\d+ ({_PATH})\((\d{{1,7}})\)")
_DOTNET: Final = re.compile(rf" in (?:[A-Za-z]:)?({_PATH}):line (\d{{1,7}})")
_PLAIN: Final = re.compile(rf"(?<![\w./\\@+~-])({_PATH}):(\d{{1,7}})(?!\w)")
_TRACE_LINE: Final = re.compile(
    r"\s*(?:Traceback|Caused by|Exception|goroutine |thread '|stack backtrace|panic|at |#?\d+:? "
    r"|File \"|created by|\.\.\. \d+ more|\[\w+\]:|During handling|note: run with|[\w.$]+\("
    r"|[\w.$:]*(?:Error|Exception|Panic|Warning)\b)"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A place that the text names."""

    path: str
    """``/`` between parts, as written or as a class name gives it; rarely relative to the root."""
    line: int
    """1-based."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The places of a text."""

    frames: tuple[Frame, ...]
    """Innermost first where they are a stack's, distinct."""
    bare: bool
    """True when the text is little else than a trace."""


def parse_trace(text: str) -> Trace:
    """The frames of Python, JVM, JavaScript, Go, Rust, Ruby, PHP, .NET and native traces.

    ``path:line`` in prose counts too. Python names the innermost frame last, all others first.
    """
    frames: list[Frame] = []
    python = traced = lines = 0
    indented = False
    for line in text.splitlines():
        line = line[:_MAX_LINE_CHARS]
        found, is_python = _frames_of(line)
        frames += found[: MAX_FRAMES - len(frames)]
        python += is_python
        if line.strip():
            lines += 1
            # The source line below a frame belongs to it.
            traced += bool(found) or indented or bool(_TRACE_LINE.match(line))
        indented = is_python
    ordered = reversed(frames) if 2 * python > len(frames) else frames
    return Trace(tuple(dict.fromkeys(ordered)), bool(frames) and 4 * traced >= 3 * lines)


def _frames_of(line: str) -> tuple[list[Frame], bool]:
    """The frames of a line, and whether it is Python's form."""
    if match := _PYTHON.search(line):
        return [_frame(match[1], match[2])], True
    if match := _JVM.search(line):
        # The class is package, class and method; of a module's name only what is behind it.
        package = match[1].rpartition("/")[2].split(".")[:-2]
        return [_frame("/".join((*package, match[2])), match[3])], False
    for pattern in (_PHP, _DOTNET):
        if match := pattern.search(line):
            return [_frame(match[1], match[2])], False
    return [_frame(match[1], match[2]) for match in _PLAIN.finditer(line)], False


def _frame(path: str, line: str) -> Frame:
    return Frame(path.replace("\\", "/").lstrip("./~"), int(line))


def resolve(frame: Frame, by_name: dict[str, list[str]]) -> str | None:
    """The repository's file that the frame is in; None when there is none or several fit.

    ``by_name`` has the paths under their last parts. The longest common end decides; of a path
    that goes on above the root a part may be missing (``site-packages/``), so two parts suffice.
    """
    parts = frame.path.split("/")
    candidates = by_name.get(parts[-1], [])
    if not candidates:
        return None
    common = {path: _common_end(path.split("/"), parts) for path in candidates}
    most = max(common.values())
    best = [path for path, count in common.items() if count == most]
    if len(best) > 1:
        # ``src/a.py`` for ``a.py``: a whole path is nearer than the end of one.
        best = [path for path in best if path.count("/") + 1 == most]
    if len(best) != 1 or (most < 2 and len(parts) > 1 and "/" in best[0]):
        return None
    return best[0]


def _common_end(one: list[str], other: list[str]) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count
