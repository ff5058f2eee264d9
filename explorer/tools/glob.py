"""Glob: the paths of files that match a pattern, newest first."""

import heapq
from collections.abc import Iterable

from explorer.records import ToolResult
from explorer.repository.paths import PathProblem, split
from explorer.repository.workspace import Workspace
from explorer.tools.arguments import GlobArguments
from explorer.tools.globs import GlobProblem, glob_filter
from explorer.tools.limits import ToolLimits
from explorer.tools.observation import Rows, problem


def glob(
    workspace: Workspace, arguments: GlobArguments, limits: ToolLimits, max_chars: int
) -> ToolResult:
    """Matching paths, one a line, the file changed last first and equals by path. Blocks.

    Only files that may be shown are matched, whatever the pattern.

    Raises:
        PathProblem: the directory or the pattern leads outside, or the directory to nothing.
    """
    directory = workspace.resolve(arguments.directory)
    if directory.kind == "file":
        name = workspace.to_virtual(directory.path)
        return problem(f"{name} is a file; directory must name a directory.", max_chars)
    patterns = [relative_pattern(workspace, pattern) for pattern in arguments.pattern]
    files = workspace.listing.files
    prefix = directory.path + "/" if directory.path else ""
    if prefix:
        files = tuple(path for path in files if path.startswith(prefix))
    try:
        wanted = glob_filter(patterns, base=directory.path, files=lambda: files)
    except GlobProblem as error:
        return problem(str(error), max_chars)
    matching = [path for path in files if wanted(path)]
    return _paths(workspace, matching, limits, max_chars)


def relative_pattern(workspace: Workspace, pattern: str) -> str:
    """The pattern without the virtual or real root before it; ``/`` stays in front if it was.

    Raises:
        PathProblem: it climbs above the root.
    """
    pattern = pattern.strip()
    negation = "!" if pattern.startswith("!") else ""
    body = pattern.removeprefix("!")
    for root in (workspace.virtual_root, str(workspace.root)):
        if body == root or body.startswith(root + "/"):
            body = body[len(root) :] or "/**"
            break
    if ".." in body.split("/"):
        parts = split(body)
        if parts is None:
            raise PathProblem(
                f"The pattern {pattern!r} leads outside the workspace {workspace.virtual_root}."
            )
        body = ("/" if body.startswith("/") else "") + "/".join(parts)
    return negation + body


def _paths(
    workspace: Workspace, matching: Iterable[str], limits: ToolLimits, max_chars: int
) -> ToolResult:
    aged = [(-workspace.modified_ns(path), path) for path in matching]
    aged = [(age, path) for age, path in aged if age]  # 0: gone since the list was taken.
    if not aged:
        return ToolResult("No files found")
    rows = Rows(max_chars)
    for _, path in heapq.nsmallest(limits.glob_paths, aged):
        if not rows.add(workspace.to_virtual(path)):
            break
    shown = len(rows.lines)
    note = ""
    if shown < len(aged):
        note = f"... ({shown} of {len(aged)} files shown, newest first; narrow the pattern)"
    return ToolResult(rows.text(note), truncated=bool(note))
