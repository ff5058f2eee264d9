"""Grep: what ripgrep finds, in its own output form, with only what may be shown.

rg runs in the directory that was resolved, entered through its descriptor, so a swap on the way
there cannot redirect it, and follows no symlink below. A directory swapped for a symlink while rg
walks could still lead it out; so each file that rg names must be in the list of files, and be, when
the search is over, a regular file that a no-follow open below the root reaches. Otherwise it is
dropped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from explorer.records import ToolResult
from explorer.repository.paths import PathProblem, Resolved, shown
from explorer.repository.ripgrep import RgEnd, RgHandle, run_rg
from explorer.repository.workspace import Workspace
from explorer.tools.arguments import GrepArguments
from explorer.tools.glob import (
    GlobFilter,
    GlobProblem,
    glob_filter,
    literal_directory,
    relative_pattern,
)
from explorer.tools.observation import Rows, ToolLimits, cut_line, problem, spans
from explorer.tools.rg_search import (
    GAP,
    MAX_PATTERN_CHARS,
    Collector,
    Plan,
    count_rows,
    order_of,
    plan_for,
    regex_error,
    repaired,
    rows_of,
)

_PARALLEL_BYTES = 4 << 20
"""More output than this is searched for again in order of paths, and then only as far as shown."""
_REPAIRS = 2


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to search: a directory, and in it all or one file."""

    directory: str
    file: str = ""

    def target(self) -> str:
        return f"./{self.file}"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search gave."""

    parts: dict[str, bytes]
    end: RgEnd
    plan: Plan
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
        PathProblem: there is nothing to be searched under the path.
        RipgrepError: rg is missing or does not start.
    """
    if len(arguments.pattern) > MAX_PATTERN_CHARS:
        text = f"The pattern is longer than {MAX_PATTERN_CHARS} characters."
        return problem(text, max_chars)
    try:
        place, globs = _place(workspace, arguments)
        wanted = _glob_filter(workspace, place, globs)
    except GlobProblem as error:
        return problem(str(error), max_chars)
    if place.file:
        path = _join(place.directory, place.file)
        if workspace.window(path, 1, 1, line_bytes=1).binary:
            name = workspace.to_virtual(path)
            return problem(f"{name} is a binary file and is not searched.", max_chars)
    plan = plan_for(arguments, [] if place.file else globs, workspace.listing.rules, limits)
    plan = replace(plan, target=place.target())
    found = _search(workspace, place, plan, wanted, limits, max_chars, handle)
    if found.end.returncode == 2 and not found.parts and found.end.stderr.strip():
        reason = cut_line(regex_error(found.end.stderr), 200)
        return problem(f"Grep cannot search for {shown(arguments.pattern)}: {reason}.", max_chars)
    return _Report(workspace, arguments, limits, max_chars).of(found)


def _place(workspace: Workspace, arguments: GrepArguments) -> tuple[_Place, list[str]]:
    globs = [relative_pattern(workspace, one) for one in arguments.glob]
    path = arguments.path
    try:
        resolved = workspace.resolve(path)
    except PathProblem:
        # A pattern given as path can only mean the files that match it.
        if globs or not any(char in path for char in "*?{"):
            raise
        globs = [relative_pattern(workspace, path)]
        resolved = Resolved("", "directory")
    if resolved.kind == "file":
        directory, _, name = resolved.path.rpartition("/")
        return _Place(directory, name), globs
    directory = resolved.path
    if len(globs) == 1 and not directory:
        # No need to walk what the pattern leaves out.
        narrower = literal_directory(globs[0]).strip("/")
        if narrower in workspace.listing.directories:
            directory = narrower
    return _Place(directory), globs


def _glob_filter(workspace: Workspace, place: _Place, globs: Sequence[str]) -> GlobFilter | None:
    if not globs or place.file:
        return None
    prefix = place.directory + "/" if place.directory else ""
    return glob_filter(
        globs,
        base=place.directory,
        files=lambda: (path for path in workspace.listing.files if path.startswith(prefix)),
    )


def _search(
    workspace: Workspace,
    place: _Place,
    plan: Plan,
    wanted: GlobFilter | None,
    limits: ToolLimits,
    max_chars: int,
    handle: RgHandle,
) -> _Found:
    """In parallel first; in order of paths, up to what fits, when that gives too much."""
    naming = _naming(workspace, place, wanted)
    with workspace.directory(place.directory) as descriptor:

        def run(plan: Plan, max_bytes: int) -> tuple[Collector, RgEnd]:
            collector = Collector(plan.mode, naming, max_bytes)
            end = run_rg(
                plan.args(),
                cwd_fd=descriptor,
                sink=collector,
                timeout_s=limits.timeout_s,
                handle=handle,
            )
            collector.close()
            return collector, end

        collector, end = run(plan, _PARALLEL_BYTES)
        for _ in range(_REPAIRS):
            better = None
            if end.returncode == 2 and not collector.parts:
                better = repaired(plan, end.stderr)
            if better is None:
                break
            plan = better
            collector, end = run(plan, _PARALLEL_BYTES)
        if collector.full:
            plan = replace(plan, in_order=True)
            collector, end = run(plan, 4 * max_chars + 65_536)
    complete = not (collector.full or end.timed_out)
    return _Found(collector.parts, end, plan, complete)


def _naming(
    workspace: Workspace, place: _Place, wanted: GlobFilter | None
) -> Callable[[bytes], str | None]:
    """Gives the path of a file named by rg, or None when it is not to be shown."""

    def path_of(raw: bytes) -> str | None:
        try:
            path = _join(place.directory, raw.decode("utf-8").removeprefix("./"))
        except UnicodeDecodeError:
            return None
        if wanted is not None and not wanted(path):
            return None
        return path if workspace.is_visible(path) else None

    return path_of


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


class _Report:
    """Makes an observation of what was found."""

    def __init__(
        self, workspace: Workspace, arguments: GrepArguments, limits: ToolLimits, max_chars: int
    ) -> None:
        self._workspace = workspace
        self._arguments = arguments
        self._limits = limits
        self._rows = Rows(max_chars)
        self._left = arguments.head_limit if arguments.head_limit > 0 else -1
        self._observed: list[tuple[str, int]] = []
        self._shown = 0

    def of(self, found: _Found) -> ToolResult:
        """The observation, with what was cut or changed said below it."""
        paths = sorted(found.parts, key=order_of)
        fits = all(self._file(path, found.parts[path]) for path in paths)
        notes = list(found.plan.notes)
        if found.end.timed_out:
            seconds = f"{self._limits.timeout_s:g} s"
            notes.append(f"... (stopped after {seconds}: incomplete; narrow the search)")
        elif not (fits and found.complete):
            notes.append(self._truncation(found))
        if not self._shown:
            if "\\|" in self._arguments.pattern and not found.plan.fixed:
                notes.append("(alternatives are written a|b; a\\|b looks for a bar)")
            self._rows.add("No matches found")
        return ToolResult(
            self._rows.text(*notes),
            observed=spans(self._observed),
            truncated=not (fits and found.complete),
        )

    def _file(self, path: str, part: bytes) -> bool:
        """Add a file; False when not all of it has room."""
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
            text = cut_line(row.text, self._limits.grep_line_chars + 3)
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

    def _truncation(self, found: _Found) -> str:
        content = self._arguments.output_mode == "content"
        unit = "lines" if content else "files"
        if not found.complete:
            return f"... (first {self._shown} {unit} shown; narrow pattern, path or glob)"
        total = len(found.parts)
        if content:
            total = sum(map(count_rows, found.parts.values()))
        return f"... ({self._shown} of {total} {unit} shown; narrow pattern, path or glob)"
