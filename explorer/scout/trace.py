"""The places that a question names by path and line, in the forms that people paste.

Those of stack traces, compilers, linters, code hosts' addresses and prose. A path that holds blanks
or brackets is read from its last blank on, and known by the whole line when it is resolved.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from explorer.scout.folding import plain, seamed

MAX_FRAMES: Final = 200
"""The most frames that are looked at: the trace of a deep recursion repeats itself."""

_MAX_LINE_CHARS: Final = 4_000
_MAX_BEFORE_CHARS: Final = 300
_PART: Final = r"\w.@+~\-"
_PATH: Final = (
    rf"(?<![{_PART}/\\])(?P<path>[{_PART}/\\]{{0,400}}\.[A-Za-z]\w{{0,7}}"
    rf"|(?:[{_PART}]{{1,80}}[/\\]){{0,20}}(?:\w{{2,15}}file|BUILD|WORKSPACE|K(?:config|build)))"
)
"""A path whose name has a suffix, or is one of those that go without."""
_LINE_WORD: Final = r"(?i:lines?|ln|zeilen?|lignes?|l[ií]neas?|linhas?|rig(?:a|he)|строк[аеиу])"
_HOST_OPTIONS: Final = r"(?:[?&][\w.]{1,20}=[\w.%/-]{0,60}){0,6}"
_AFTER: Final = "|".join(
    (
        r"(?:\?[\w=&.%-]{0,80})?::?L?",  # :12:3  :12-15  :L12  ?9c1d:12:3
        r":?\s?[(\[]\s?L?",  # (12,13)  [12, 3]  :(12,5)-(14,20)
        rf"{_HOST_OPTIONS}[#?](?:[Ln]|lines?[-=]|[\w.]{{1,80}}-)?",  # #L12-L15  #n12  ?L12
        rf"{_HOST_OPTIONS}[?&]line(?:Start)?=",
        r"[@|]L?",  # @12  |12 col 3|
        r",?\s[(\[]?L",
        r":\s(?=\d{1,7}:)",  # dash: `run.sh: 12: x: not found`
        r"\s(?=\d{1,7}:\d)",  # Sass: `app.scss 12:5`
        # on line 12  lines 12 to 15  : line 12:  "},{line,12}  ", "line": 12
        r"[^\w\n.!?]{1,12}(?:(?i:on|at|in|from|near|around|about|starting|the|auf|à|la|en|na)\s)"
        rf"{{0,3}}{_LINE_WORD}[^\w\n]{{0,4}}(?:(?i:number|no\.?|nr\.?)\s)?",
        r"[^\w\n]{0,3}(?:[的の]\s?)?第?\s?(?=\d{1,7}\s?[行줄번])",
    )
)
_END: Final = r"(?:(?=C\d)|(?!\w))"
_PLACE: Final = re.compile(rf"{_PATH}(?:{_AFTER})(?P<line>\d{{1,7}}){_END}")
_PLACE_OF: Final = re.compile(
    rf"(?<!\w)(?:{_LINE_WORD}\s(?:(?i:number|no\.?)\s)?|L)(?P<line>\d{{1,7}})(?!\w)"
    r"(?:\s?(?:-|to|and|through|bis|à|a)\s?L?\d{1,7})?(?:,?\s(?i:col(?:umn)?|char)\w*\s\d{1,7})?"
    rf",?\s(?i:of|in|from|at|von|de|du|dans|di)\s(?:the\s)?(?:file\s)?[\"'`(<]{{0,2}}{_PATH}"
)
"""``line 12 of src/pool.c``."""
_PYTHON: Final = re.compile(
    r"File \\?\"(?P<path>[^\"\n]{1,300}?)\\?\", lines? (?P<line>\d{1,7})(?!\w)"
)
_JVM: Final = re.compile(r"\bat ([\w$.<>/-]{1,300})\(([\w$-]{1,100}\.\w{1,8}):(?P<line>\d{1,7})\)")
_HEADING: Final = re.compile(rf".{{0,300}}?{_PATH}[^\w\n]{{0,8}}$")
_BELOW: Final = re.compile(
    rf"@@ -\d{{1,7}}(?:,\d{{1,7}})? \+(?P<diff>\d{{1,7}})"
    rf"|[\s>]{{0,40}}(?:[\"']?{_LINE_WORD}(?:_?[Nn]umber|no)?[\"']?\s?[:=]?\s?(?P<said>\d{{1,7}}){_END}"
    r"|(?P<shown>\d{1,7})(?::\d{1,7}\s|:|\s?\|))"
)
"""A line number in the line below a path: a hunk's, a linter's, a search's, JSON's."""
_TRACE_LINE: Final = re.compile(
    r"\s*(?:Traceback|Caused by|Exception|goroutine |thread '|stack backtrace|panic|at |#?\d+:? "
    r"|File \"|created by|\.\.\. \d+ more|\[\w+\]:|During handling|note: run with|[\w.$]+\("
    r"|[\w.$:]*(?:Error|Exception|Panic|Warning)\b)"
)
_ABOVE_ROOT: Final = re.compile(r"(?:[.~]*/)+")
_SEPARATORS: Final = re.compile(r"[/\\]+")
_ALL_BUT_TAIL: Final = re.compile(rf".*[^{_PART}]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Frame:
    """A place that the text names."""

    path: str
    """``/`` between parts, as written or from a class's name; rarely relative to the root."""
    line: int
    """1-based."""
    before: str = field(default="", compare=False)
    """What stands before the path on its line: the path's own beginning, if it has blanks."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The places that a text names."""

    frames: tuple[Frame, ...]
    """Distinct; those of a stack innermost first."""
    bare: bool
    """True when the text is little more than a trace."""


def parse_trace(text: str) -> Trace:
    """The frames of Python, JVM, JavaScript, Go, Rust, Ruby, PHP, .NET and native traces.

    A path with a line in prose or an address counts too. Python names the innermost frame last,
    all others first.
    """
    frames: list[Frame] = []
    python = traced = lines = 0
    indented = False
    heading: re.Match[str] | None = None
    for line in text.splitlines():
        line = line[:_MAX_LINE_CHARS]
        found, is_python = _frames_of(line)
        if not found and heading and (below := _BELOW.match(line)):
            found = [_frame(heading, below[below.lastgroup or 0])]
        elif line.strip():
            heading = None if found else _HEADING.match(line)
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
    if found := [_frame(match) for match in _PYTHON.finditer(line)]:
        return found, True
    return list(_jvm_frames(line)) or list(_placed_frames(line)), False


def _jvm_frames(line: str) -> Iterator[Frame]:
    for match in _JVM.finditer(line):
        # Package, class and method; what comes before the last slash is a module's name.
        package = match[1].rpartition("/")[2].split(".")[:-2]
        yield Frame("/".join((*package, match[2])), int(match["line"]))


def _placed_frames(line: str) -> Iterator[Frame]:
    taken = set[int]()
    for match in _PLACE_OF.finditer(line):
        taken.add(match.start("line"))
        yield _frame(match)
    for match in _PLACE.finditer(line):
        if match.start("line") not in taken:
            yield _frame(match)


def _frame(match: re.Match[str], line: str = "") -> Frame:
    path = _SEPARATORS.sub("/", match["path"])
    above = _ABOVE_ROOT.match(path)
    end = above.end() if above else 0
    start = match.start("path")
    before = match.string[max(0, start - _MAX_BEFORE_CHARS) : start] + path[:end]
    return Frame(path[end:], int(line or match["line"]), before)


def resolve(frame: Frame, by_tail: Mapping[str, Sequence[str]]) -> str | None:
    """The repository's file that the frame is in; None when no file fits, or several do.

    ``by_tail`` has the paths by their ``tail_of``. The longest common end decides. A frame's path
    may begin above the root or lack a part of it (``site-packages/``), so two parts suffice.
    """
    said = frame.before + frame.path
    said = _SEPARATORS.sub("/", unquote(said) if "%" in said else said)
    common = {path: _common_end(path, said) for path in by_tail.get(tail_of(frame.path), ())}
    most = max(common.values(), default=(0, 0))
    best = [path for path, count in common.items() if count == most]
    if len(best) > 1:
        # A whole path fits better than the end of a longer one: ``a.py``, not ``src/a.py``.
        best = [path for path in best if path.count("/") + 1 == most[0]]
    if len(best) != 1 or not most[0] or (most[0] < 2 and "/" in frame.path and "/" in best[0]):
        return None
    return best[0]


def tail_of(path: str) -> str:
    """The end of a path that a text is sure to name in one piece: behind blanks and brackets."""
    return _ALL_BUT_TAIL.sub("", seamed(plain(path)))


def _common_end(path: str, said: str) -> tuple[int, int]:
    """How many of the path's last parts the text ends with, and how many characters they are."""
    end = count = 0
    whole = seamed(plain(path))
    for part in reversed(whole.split("/")):
        longer = end + len(part) + (count > 0)
        before = said[-longer - 1 : -longer]
        if said[-longer:] != whole[-longer:] or before.isalnum() or before in tuple("_-@+~."):
            break
        end, count = longer, count + 1
    return count, end
