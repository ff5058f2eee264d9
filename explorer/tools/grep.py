"""Grep: what ripgrep finds, in its own output form, but only what may be shown.

rg runs in the directory that was resolved, entered through its descriptor, so a swap on the way
there cannot redirect it, and follows no symlink below. A directory swapped for a symlink while rg
walks could still lead it outside; so a file that rg names is dropped unless it is in the list of
files and, once the search is over, a regular file that can be opened below the root without
following links.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from explorer.records import ToolResult
from explorer.repository.paths import PathProblem, Resolved, shown
from explorer.repository.ripgrep import RgEnd, RgHandle, run_rg
from explorer.repository.secrets import mask_secrets
from explorer.repository.workspace import Workspace
from explorer.tools.arguments import GrepArguments
from explorer.tools.glob import (
    GlobFilter,
    GlobProblem,
    glob_filter,
    literal_directory,
    relative_pattern,
)
from explorer.tools.observation import ObservationLines, ToolLimits, cut_line, problem, spans
from explorer.tools.rg_search import (
    GAP,
    MAX_PATTERN_CHARS,
    Collector,
    RgCommand,
    command_for,
    count_rows,
    frugal,
    order_of,
    regex_error,
    repaired,
    rows_of,
)

_PARALLEL_BYTES = 4 << 20
"""If there is more output, the search is repeated in order of paths, only as far as is shown."""
_REPAIRS = 3


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where to search: a directory, or one file in it."""

    directory: str
    file: str = ""
    globs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Matches:
    """What a search found."""

    parts: dict[str, bytes]
    end: RgEnd
    command: RgCommand
    complete: bool


def grep(
    workspace: Workspace,
    arguments: GrepArguments,
    limits: ToolLimits,
    max_chars: int,
    handle: RgHandle,
) -> ToolResult:
    """Matches in ripgrep's heading form, files sorted by path. Blocks; ``handle`` ends it.

    Raises:
        PathProblem: the path leads to nothing that may be searched.
        RipgrepError: rg is missing or does not start.
    """
    if len(arguments.pattern) > MAX_PATTERN_CHARS:
        text = f"The pattern is longer than {MAX_PATTERN_CHARS} characters."
        return problem(text, max_chars)
    try:
        scope = _scope(workspace, arguments)
        wanted = _glob_filter(workspace, scope)
    except GlobProblem as error:
        return problem(str(error), max_chars)
    if scope.file:
        path = _join(scope.directory, scope.file)
        if workspace.is_binary(path):
            name = workspace.to_virtual(path)
            return problem(f"{name} is a binary file and is not searched.", max_chars)
    rules, ignored = workspace.listing.rg_rules(scope.directory)
    if scope.file:
        rules, ignored = workspace.listing.rules, b""
    command = command_for(arguments, scope.globs, rules, limits, scope.file, ignored)
    found = _search(workspace, scope, command, wanted, limits, max_chars, handle)
    if found.end.returncode == 2 and not found.parts and found.end.stderr.strip():
        reason = cut_line(regex_error(found.end.stderr), 200)
        return problem(f"Grep cannot search for {shown(arguments.pattern)}: {reason}.", max_chars)
    return _MatchesText(workspace, arguments, limits, max_chars).of(found)


def _scope(workspace: Workspace, arguments: GrepArguments) -> _Scope:
    globs = tuple(relative_pattern(workspace, one) for one in arguments.glob)
    path = arguments.path
    try:
        resolved = workspace.resolve(path)
    except PathProblem:
        # A pattern given as path can only mean the files that match it.
        if globs or not any(char in path for char in "*?{"):
            raise
        globs = (relative_pattern(workspace, path),)
        resolved = Resolved("", "directory")
    if resolved.kind == "file":
        directory, _, name = resolved.path.rpartition("/")
        return _Scope(directory, name)
    directory = resolved.path
    if len(globs) == 1 and not directory:
        # What the pattern leaves out need not be walked.
        narrower = literal_directory(globs[0]).strip("/")
        if narrower in workspace.listing.directories:
            directory = narrower
    return _Scope(directory, globs=globs)


def _glob_filter(workspace: Workspace, scope: _Scope) -> GlobFilter | None:
    if not scope.globs:
        return None
    prefix = scope.directory + "/" if scope.directory else ""
    return glob_filter(
        scope.globs,
        base=scope.directory,
        files=lambda: (path for path in workspace.listing.files if path.startswith(prefix)),
    )


def _search(
    workspace: Workspace,
    scope: _Scope,
    command: RgCommand,
    wanted: GlobFilter | None,
    limits: ToolLimits,
    max_chars: int,
    handle: RgHandle,
) -> _Matches:
    """Searches in parallel; if that gives too much, again in order of paths, up to what fits."""
    naming = _naming(workspace, scope, wanted)
    with workspace.directory(scope.directory) as descriptor:

        def run(command: RgCommand, max_bytes: int) -> tuple[Collector, RgEnd]:
            collector = Collector(command.mode, naming, max_bytes)
            end = run_rg(
                command.args(),
                cwd_fd=descriptor,
                sink=collector,
                timeout_s=limits.timeout_s,
                handle=handle,
                stdin=command.ignored,
            )
            collector.close()
            return collector, end

        collector, end = run(command, _PARALLEL_BYTES)
        for _ in range(_REPAIRS):
            better = None
            if end.returncode == 2 and not collector.parts:
                better = repaired(command, end.stderr)
            elif end.crashed and not handle.killed:
                better = frugal(command)
            if better is None:
                break
            command = better
            collector, end = run(command, _PARALLEL_BYTES)
        if collector.full:
            command = replace(command, in_order=True)
            collector, end = run(command, 4 * max_chars + 65_536)
    complete = not (collector.full or end.timed_out or end.crashed)
    return _Matches(collector.parts, end, command, complete)


def _naming(
    workspace: Workspace, scope: _Scope, wanted: GlobFilter | None
) -> Callable[[bytes], str | None]:
    """A function from a file name of rg's to the path, or to None when it is not to be shown."""

    def path_of(raw: bytes) -> str | None:
        try:
            path = _join(scope.directory, raw.decode("utf-8").removeprefix("./"))
        except UnicodeDecodeError:
            return None
        if wanted is not None and not wanted(path):
            return None
        return path if workspace.is_visible(path) else None

    return path_of


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


class _MatchesText:
    """The observation of what was found, written line by line."""

    def __init__(
        self, workspace: Workspace, arguments: GrepArguments, limits: ToolLimits, max_chars: int
    ) -> None:
        self._workspace = workspace
        self._arguments = arguments
        self._limits = limits
        self._rows = ObservationLines(max_chars)
        self._left = arguments.head_limit if arguments.head_limit > 0 else -1
        self._observed: list[tuple[str, int]] = []
        self._shown = 0

    def of(self, found: _Matches) -> ToolResult:
        """The observation; what was cut or changed is said below it."""
        paths = sorted(found.parts, key=order_of)
        fits = all(self._file(path, found.parts[path]) for path in paths)
        notes = list(found.command.notes)
        if found.end.timed_out:
            seconds = f"{self._limits.timeout_s:g} s"
            notes.append(f"... (stopped after {seconds}: incomplete; narrow the search)")
        elif found.end.crashed:
            notes.append("... (ripgrep ran out of memory, as on a huge line: incomplete)")
        elif not (fits and found.complete):
            notes.append(self._truncation(found))
        if not self._shown:
            if "\\|" in self._arguments.pattern and not found.command.fixed:
                notes.append("(alternatives are written a|b; a\\|b looks for a bar)")
            self._rows.add("No matches found")
        return ToolResult(
            self._rows.text(*notes),
            observed=spans(self._observed),
            truncated=not (fits and found.complete),
        )

    def _file(self, path: str, part: bytes) -> bool:
        """Add a file; False when there is not room for all of it."""
        if self._left == 0:
            return False
        if not self._workspace.is_inside(path):
            return True
        name = self._workspace.to_virtual(path)
        if self._arguments.output_mode == "content":
            return self._content(path, name, part)
        count = part.decode("ascii", "replace")
        return self._take(f"{name}:{count}" if count else name)

    def _content(self, path: str, name: str, part: bytes) -> bool:
        heading: list[str] = ["", name] if self._shown else [name]
        for row in rows_of(part):
            if row is GAP:
                heading = ["--"]
                continue
            text = cut_line(mask_secrets(row.text), self._limits.grep_line_chars)
            if self._arguments.numbers:
                text = f"{row.number}{':' if row.is_match else '-'}{text}"
            if not self._take("\n".join([*heading, text])):
                return False
            heading = []
            self._observed.append((path, row.number))
        return True

    def _take(self, text: str) -> bool:
        if self._left == 0 or not self._rows.add(text):
            return False
        self._left -= 1
        self._shown += 1
        return True

    def _truncation(self, found: _Matches) -> str:
        content = self._arguments.output_mode == "content"
        unit = "lines" if content else "files"
        if not found.complete:
            return f"... (first {self._shown} {unit} shown; narrow pattern, path or glob)"
        total = len(found.parts)
        if content:
            total = sum(map(count_rows, found.parts.values()))
        return f"... ({self._shown} of {total} {unit} shown; narrow pattern, path or glob)"
