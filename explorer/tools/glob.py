"""Glob: the paths of files that match a pattern, newest first.

Patterns are matched here, because ``rg --glob`` would bring back whatever it matches, even ignored
and hidden files. The syntax is rg's: ``*``, ``?``, ``[a-z]``, ``[!a]``, ``{a,b}``, ``**`` between
slashes; a pattern without a slash matches names at any depth. The regular expressions made from
them never backtrack over more than one star, so none takes exponential time.
"""

import heapq
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from explorer.records import ToolResult
from explorer.repository.paths import PathProblem, split
from explorer.repository.workspace import Workspace
from explorer.tools.arguments import GlobArguments
from explorer.tools.observation import ObservationLines, ToolLimits, problem


def glob(
    workspace: Workspace, arguments: GlobArguments, limits: ToolLimits, max_chars: int
) -> ToolResult:
    """Matching paths, one a line, newest first and those of the same age by path. Blocks.

    Whatever the pattern, only files that may be shown are matched.

    Raises:
        PathProblem: the directory or the pattern leads outside, or there is no such directory.
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
    """The pattern without the virtual or real root before it; a ``/`` at its front stays.

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
    aged = [(age, path) for age, path in aged if age]  # 0: gone since the listing.
    if not aged:
        return ToolResult("No files found")
    rows = ObservationLines(max_chars)
    for _, path in heapq.nsmallest(limits.glob_paths, aged):
        if not rows.add(workspace.to_virtual(path)):
            break
    shown = len(rows.lines)
    note = ""
    if shown < len(aged):
        note = f"... ({shown} of {len(aged)} files shown, newest first; narrow the pattern)"
    return ToolResult(rows.text(note), truncated=bool(note))


MAX_GLOB_CHARS = 1_000
MAX_ALTERNATIVES = 200

_MAGIC = re.compile(r"[*?\[{]")
_RANGE = re.compile(r"(?s)(.)-(.)|(.)")
"""A member of brackets: the two ends of a range, or one character, even a hyphen at the end."""


class GlobProblem(Exception):
    """A pattern that cannot be used. ``str`` of it is the observation."""


@dataclass(frozen=True, slots=True)
class GlobFilter:
    """Which relative paths match a set of patterns."""

    wanted: re.Pattern[str] | None
    """None matches everything that is not excluded."""
    excluded: re.Pattern[str] | None

    def __call__(self, path: str) -> bool:
        """True when the path matches."""
        if self.excluded is not None and self.excluded.fullmatch(path):
            return False
        return self.wanted is None or self.wanted.fullmatch(path) is not None


def glob_filter(
    patterns: Sequence[str], *, base: str, files: Callable[[], Iterable[str]]
) -> GlobFilter:
    """A filter for the patterns, each relative to the root or to the directory ``base``.

    A pattern with a slash that matches none of ``files`` is tried at any depth, then as the name of
    a directory; one that begins with directories that do not exist, without them.

    Raises:
        GlobProblem: a pattern is too long or has too many alternatives.
    """
    wanted: list[str] = []
    excluded: list[str] = []
    for pattern in (alternative for text in patterns for alternative in _split_list(text)):
        if pattern.startswith("!"):
            excluded += _regexes(pattern[1:], base)
            excluded += _regexes(pattern[1:].rstrip("/") + "/", base)  # And all below it.
        else:
            wanted += _fitting(pattern, base, files)
    return GlobFilter(_union(wanted), _union(excluded))


def literal_directory(pattern: str) -> str:
    """The directories before the first part with a wildcard: ``src/a`` of ``src/a/**/*.py``."""
    parts = pattern.split("/")[:-1]
    literal: list[str] = []
    for part in parts:
        if _MAGIC.search(part) or "\\" in part or part.startswith("!"):
            break
        literal.append(part)
    return "/".join(literal)


def name_glob(pattern: str) -> str | None:
    """A glob on file names that matches whenever ``pattern`` matches the path; None for any."""
    name = pattern.rpartition("/")[2]
    simple = re.fullmatch(r"[\w.*?+-]+", name) is not None
    return name if simple and name.strip("*") and "{" not in pattern else None


def _fitting(pattern: str, base: str, files: Callable[[], Iterable[str]]) -> list[str]:
    first = _regexes(pattern, base)
    if "/" not in pattern and _MAGIC.search(pattern):
        return first
    everything = tuple(files())
    for reading in _readings(pattern):
        regexes = _regexes(reading, base)
        union = _union(regexes)
        if union is None or any(map(union.fullmatch, everything)):
            return regexes
    return first


def _readings(pattern: str) -> Iterable[str]:
    yield pattern
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if parts and parts[0] != "**":
        yield "**/" + "/".join(parts)
    yield "/".join([*parts, "**"])
    if pattern.startswith("/"):
        for dropped in range(1, len(parts)):
            if _MAGIC.search(parts[dropped - 1]):
                return
            yield "/" + "/".join(parts[dropped:])


def _regexes(pattern: str, base: str) -> list[str]:
    if len(pattern) > MAX_GLOB_CHARS:
        raise GlobProblem(f"The glob is longer than {MAX_GLOB_CHARS} characters.")
    found = []
    for plain in _expand(pattern):
        body = plain.removeprefix("./")
        found.append(_translate(body))
        if base and "/" in body.rstrip("/"):
            found.append(re.escape(base) + "/" + _translate(body, anchored=True))
    return found


def _union(regexes: Sequence[str]) -> re.Pattern[str] | None:
    if not regexes:
        return None
    return re.compile("|".join(f"(?:{regex})" for regex in dict.fromkeys(regexes)), re.DOTALL)


def _split_list(text: str) -> list[str]:
    """``*.py,*.js`` as two patterns, and the whole as a third, because it may be a name."""
    text = text.strip().strip("\"'`")
    depth, pieces, piece = 0, [], ""
    for char in text:
        depth += (char in "{[") - (char in "}]")
        if char == "," and depth == 0:
            pieces.append(piece.strip())
            piece = ""
        else:
            piece += char
    if not pieces:
        return [text]
    return [one for one in (*pieces, piece.strip(), text) if one]


def _expand(pattern: str) -> list[str]:
    """The patterns that the braces stand for; braces without a partner are literal."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        one = todo.pop()
        found = _innermost_braces(one)
        if found is None:
            done.append(one)
        else:
            start, end = found
            middle = one[start + 1 : end].split(",")
            todo += [one[:start] + choice + one[end + 1 :] for choice in middle]
        if len(done) + len(todo) > MAX_ALTERNATIVES:
            raise GlobProblem(f"The glob has more than {MAX_ALTERNATIVES} alternatives.")
    return list(dict.fromkeys(done))


def _innermost_braces(pattern: str) -> tuple[int, int] | None:
    start = -1
    for position, char in enumerate(pattern):
        if char == "{":
            start = position
        elif char == "}" and start >= 0:
            return start, position
    return None


def _translate(pattern: str, *, anchored: bool = False) -> str:
    """A regular expression for full matches of relative paths."""
    body = pattern.rstrip("/")
    if not anchored and "/" not in body:
        body = "**/" + body
    if pattern.endswith("/"):
        body += "/**"
    blocks: list[list[str]] = [[]]
    for part in body.split("/"):
        if part == "**":
            blocks.append([])
        elif part not in ("", "."):
            blocks[-1].append(_segment(part))
    head, *rest = ("/".join(block) for block in blocks)
    if not rest:
        return head
    out = head + "/" if head else ""
    # Between two ** the leftmost match will do, so what follows never needs to try another.
    out += "".join(f"(?>(?:[^/]+/)*?{block}/)" for block in rest[:-1] if block)
    return out + (f"(?:[^/]+/)*{rest[-1]}" if rest[-1] else ".+")


_TOKEN = re.compile(r"(\*+)|(\?)|\[([!^]?)(\]?[^\]/]*)\]|\\(.)|(.)", re.DOTALL)


def _segment(part: str) -> str:
    """A regular expression for one part of a path."""
    chunks = [""]
    for token in _TOKEN.finditer(part):
        star, single, negated, members, escaped, char = token.groups()
        if star:
            chunks.append("")
        elif single:
            chunks[-1] += "[^/]"
        elif members:
            chunks[-1] += _members(negated, members)
        else:
            chunks[-1] += re.escape(escaped or char or token.group())
    first, *rest = chunks
    if not rest:
        return first
    # As between two **: for each star but the last, the leftmost match of what follows will do.
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in rest[:-1] if chunk)
    return first + middle + "[^/]*" + rest[-1]


def _members(negated: str, members: str) -> str:
    inside = "".join(
        f"{re.escape(low)}-{re.escape(high)}" if high else re.escape(alone)
        for low, high, alone in _RANGE.findall(members)
    )
    guarded = f"(?!/)[{'^' if negated else ''}{inside}]"
    try:
        re.compile(guarded)
    except re.error:  # [z-a]
        return re.escape(f"[{negated}{members}]")
    return guarded
