"""The tools of one workspace: from a call to its observation; and Read itself."""

from collections.abc import Callable

from explorer.limits import Deadline
from explorer.records import Span, ToolCall, ToolResult
from explorer.repository.documents import Window
from explorer.repository.paths import PathProblem
from explorer.repository.ripgrep import RgHandle, in_thread
from explorer.repository.secrets import mask_secrets
from explorer.repository.workspace import Workspace
from explorer.tools.arguments import (
    SCHEMAS,
    ArgumentProblem,
    Arguments,
    GlobArguments,
    ReadArguments,
    parse_call,
)
from explorer.tools.glob import glob
from explorer.tools.grep import grep
from explorer.tools.observation import MIN_CHARS, ObservationLines, ToolLimits, cut_line, problem

_NOTE_CHARS = 80
_LEAST_CHARS = 20
"""A row cut shorter than this would show nothing of its line."""


def read(
    workspace: Workspace,
    arguments: ReadArguments,
    limits: ToolLimits,
    max_chars: int,
    handle: RgHandle,
) -> ToolResult:
    """A fence that opens with ``path:start-end`` and holds ``N|line`` rows.

    Blocks; killing the ``handle`` ends it.

    Raises:
        PathProblem: the path leads to nothing that may be shown.
    """
    found = workspace.resolve(arguments.path)
    if found.kind == "directory":
        return _directory(workspace, found.path, max_chars)
    start, count = _range(arguments, limits)
    # UTF-8 needs at most four bytes a character; one more character shows that a line was cut.
    line_bytes = 4 * (limits.read_line_chars + 1)
    deadline = Deadline(limits.timeout_s)
    window = workspace.window(
        found.path,
        start,
        count,
        line_bytes=line_bytes,
        stopped=lambda: handle.killed or not deadline.left_s,
    )
    name = workspace.to_virtual(found.path)
    if window.binary:
        return problem(f"{name} is a binary file and is not shown.", max_chars)
    if window.total == 0:
        return ToolResult("File is empty.")
    if not window.lines and window.total is None:
        seconds = f"{limits.timeout_s:g} s"
        return problem(f"Line {start} of {name} was not reached in {seconds}.", max_chars)
    if not window.lines:
        return problem(_past_the_end(name, start, window.total), max_chars)
    asked = arguments.limit is not None or arguments.end is not None
    return _rows(found.path, name, window, asked and count < limits.read_lines, limits, max_chars)


def _range(arguments: ReadArguments, limits: ToolLimits) -> tuple[int, int]:
    """The first line and the number of lines."""
    start = max(1, arguments.offset)
    count = arguments.limit if arguments.limit is not None and arguments.limit > 0 else None
    if count is None and arguments.end is not None and arguments.end >= start:
        count = arguments.end - start + 1
    return start, min(count or limits.read_lines, limits.read_lines)


def _past_the_end(name: str, start: int, total: int | None) -> str:
    lines = "1 line" if total == 1 else f"{total} lines"
    return f"{name} has only {lines}; offset {start} lies past its end."


def _rows(
    path: str, name: str, window: Window, asked: bool, limits: ToolLimits, max_chars: int
) -> ToolResult:
    rows = ObservationLines(max_chars)
    last_number = window.start + len(window.lines) - 1
    # For the fence's own two lines; the first is known only when the last row is.
    reserve = _NOTE_CHARS + len(f"```{name}:{window.start}-{last_number}\n```")
    # Cut first, as a line may have megabytes; together, because a private key has many lines.
    cut = "\n".join(line[: 2 * limits.read_line_chars] for line in window.lines)
    lines = mask_secrets(cut).split("\n")
    for number, line in enumerate(lines, window.start):
        if not rows.add(f"{number}|{cut_line(line, limits.read_line_chars)}", reserve=reserve):
            break
    shown = len(rows.lines)
    if not shown:  # Not even one row fits: show what does.
        room = max_chars - reserve - len("...")
        line = f"{window.start}|{lines[0]}"
        if room < min(len(line), _LEAST_CHARS):
            return problem("There is no room left to show the file.", max_chars)
        rows.lines.append(cut_line(line, room))
        shown = 1
    end = window.start + shown - 1
    note = ""
    if end < last_number or (not asked and end != window.total):
        total = f"of {window.total}" if window.total is not None else "of more"
        note = f"... (lines {window.start}-{end} {total}; continue with offset {end + 1})"
    text = "\n".join([f"```{name}:{window.start}-{end}", *rows.lines, "```"])
    span = Span(path, window.start, end)
    return ToolResult(text + ("\n" + note if note else ""), True, (span,), bool(note))


def _directory(workspace: Workspace, path: str, max_chars: int) -> ToolResult:
    entries = workspace.entries(path)
    rows = ObservationLines(max_chars)
    rows.add(f"{workspace.to_virtual(path)} is a directory:")
    shown = 0
    for entry in entries:
        if not rows.add(entry):
            break
        shown += 1
    cut = shown < len(entries)
    note = f"... ({shown} of {len(entries)} entries shown)" if cut else ""
    return ToolResult(rows.text(note), truncated=cut)


class ToolBox:
    """Read, Glob and Grep on a workspace. Calls may run side by side."""

    schemas = SCHEMAS
    """Read, Glob and Grep as OpenAI function tools."""

    def __init__(self, workspace: Workspace, *, limits: ToolLimits | None = None) -> None:
        self.workspace = workspace
        self.limits = limits or ToolLimits()

    async def run(self, call: ToolCall, *, max_chars: int | None = None) -> ToolResult:
        """The observation of a call, at most ``max_chars`` long (but never cut below 200).

        Whatever the model did wrong gives an observation with ``ok`` False. Cancelling ends the rg
        that runs for the call.

        Raises:
            WorkspaceError: the root was removed or replaced.
            RipgrepError: rg is missing or does not start.
        """
        room = max(MIN_CHARS, min(max_chars or self.limits.max_chars, self.limits.max_chars))
        try:
            _, arguments = parse_call(call)
        except ArgumentProblem as error:
            return problem(str(error), room)
        self.workspace.check()
        await self.workspace.files()
        try:
            return await in_thread(self._work(arguments, room))
        except PathProblem as error:
            self.workspace.check()
            return problem(str(error), room)

    def _work(self, arguments: Arguments, room: int) -> Callable[[RgHandle], ToolResult]:
        workspace, limits = self.workspace, self.limits
        if isinstance(arguments, ReadArguments):
            return lambda handle: read(workspace, arguments, limits, room, handle)
        if isinstance(arguments, GlobArguments):
            return lambda _: glob(workspace, arguments, limits, room)
        return lambda handle: grep(workspace, arguments, limits, room, handle)
