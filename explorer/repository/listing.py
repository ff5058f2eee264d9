"""The list of a repository's files that may be shown, the same for every tool and the scout.

What a walk left out (``explorer.repository.walk``) is given to rg as exact paths, so that it
searches the same files and spends no time in others.
"""

import os
import re
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from explorer.repository.git_directory import IndexCache, is_bare
from explorer.repository.paths import RG_HIDING, is_one_line
from explorer.repository.ripgrep import RgHandle
from explorer.repository.walk import Walk

ASK_FOR_HIDDEN = "hint: ask with include_hidden (--hidden) to see what is hidden or ignored."

# The kernel stamps files with its last tick's time, up to 10 ms before time.time_ns().
_CLOCK_SLACK_NS = 20_000_000
_MAX_TOLD = 500  # Paths that rg is told not to search; it takes some 10 ms to read them.

_SHOW_ALL = ("--no-messages", "--hidden", "--no-ignore", "--iglob=!.git")
_SHOW_VISIBLE = ("--no-messages", "--no-ignore", "--no-ignore-messages", *RG_HIDING)
_GLOB_CHARS = re.compile(r"[\\*?\[\]{}]")
_BARE = "This is a bare git repository"


@dataclass(frozen=True, slots=True)
class Listing:
    """Every file that may be shown, and the directories that hold them."""

    files: tuple[str, ...]
    """Sorted."""
    file_set: frozenset[str]
    directories: frozenset[str]
    """Every directory with a file in it or below it; ``""`` is the root."""
    rules: tuple[str, ...] = field(repr=False)
    """The rg options that hide what this listing leaves out by name."""
    ignored: tuple[str, ...] = field(default=(), repr=False)
    """The other paths that were left out, sorted; those of directories, which were not entered,
    end in a slash."""
    hidden: int = 0
    """How many entries were left out because of their names."""
    notes: tuple[str, ...] = ()
    """What was not read or not listed, one sentence each."""
    taken_ns: int = 0
    """A file whose ``st_ctime_ns`` is later than this may be missing."""

    def entries(self, path: str) -> tuple[str, ...]:
        """The sorted names directly in a directory, with a ``/`` behind those of directories."""
        names: dict[str, None] = {}
        for file in _below(self.files, path):
            name, slash, _ = file.partition("/")
            names[name + slash] = None
        return tuple(sorted(names))

    def may_lack(self, path: str, root_fd: int) -> bool:
        """True when a file, or a directory above it, changed after the list was taken."""
        while path:
            try:
                status = os.stat(path, dir_fd=root_fd, follow_symlinks=False)
            except (OSError, ValueError):
                return False
            if status.st_ctime_ns >= self.taken_ns:
                return True
            path = path.rpartition("/")[0]
        return False

    def rg_rules(self, directory: str = "") -> tuple[tuple[str, ...], bytes]:
        """Options for an rg that runs in a directory, and what it has to read on standard input.

        Paths that rg is not told, because of their names or their number, it searches: what it
        finds has to be compared with the list anyway.
        """
        paths = _below(self.ignored, directory)
        if len(paths) > _MAX_TOLD:
            # The highest directories save most.
            paths = sorted(paths, key=_worth)[:_MAX_TOLD]
        told = [path for path in paths if is_one_line(path) and path == path.rstrip()]
        if not told:
            return self.rules, b""
        lines = "/" + "\n/".join(told)
        text = _GLOB_CHARS.sub(r"\\\g<0>", lines).encode()
        return (*self.rules, "--ignore-file=/dev/stdin"), text

    def why_empty(self) -> str:
        """Why no file may be shown, as one or two sentences; empty if there are files."""
        if self.files:
            return ""
        if self.notes and self.notes[0].startswith(_BARE):
            return self.notes[0]
        reasons = []
        if self.hidden:
            reasons.append(f"{_entries(self.hidden)} hidden (dotfiles or names of secrets)")
        if self.ignored:
            reasons.append(f"{_entries(len(self.ignored))} ignored by git")
        if not reasons:
            return "The repository holds no files."
        return f"No file of the repository may be shown: {' and '.join(reasons)}. {ASK_FOR_HIDDEN}"


def take_listing(
    root_fd: int, root: Path, indexes: IndexCache, *, include_hidden: bool, handle: RgHandle
) -> Listing:
    """A fresh listing of the directory behind ``root_fd``; ``root`` is its real path. Blocks.

    Ignore files above the root count, as they do for git; but if they hide the whole root (a
    package in an ignored virtual environment, opened on purpose), only those inside it do.

    Raises:
        WorkspaceError: the walk took too long or was cancelled.
    """
    taken_ns = time.time_ns() - _CLOCK_SLACK_NS
    if is_bare(root_fd):
        note = f"{_BARE}, without a working tree: ask about a checkout of it."
        return _listing([], (), 0, (note,), _SHOW_VISIBLE, taken_ns)
    with ExitStack() as stack:
        walk = Walk(root_fd, root, indexes, stack, handle)
        if include_hidden:
            walk.all()
            return _listing(walk.files, walk.ignored, 0, walk.told(), _SHOW_ALL, taken_ns)
        walk.visible()
        if not walk.files and walk.is_inside_checkout:
            walk = Walk(root_fd, root, indexes, stack, handle)
            walk.visible(alone=True)
        listed = walk.files, walk.ignored, walk.hidden, walk.told()
        return _listing(*listed, _SHOW_VISIBLE, taken_ns)


def _listing(
    files: Sequence[str],
    ignored: Sequence[str],
    hidden: int,
    notes: tuple[str, ...],
    rules: tuple[str, ...],
    taken_ns: int,
) -> Listing:
    # One look at all of them together shows whether any has to be left out.
    if not is_one_line("".join(files)):
        files = [path for path in files if is_one_line(path)]
    ordered = tuple(sorted(files))
    return Listing(
        files=ordered,
        file_set=frozenset(ordered),
        directories=_directories_of(ordered),
        rules=rules,
        ignored=tuple(sorted(ignored)),
        hidden=hidden,
        notes=notes,
        taken_ns=taken_ns,
    )


def _directories_of(files: tuple[str, ...]) -> frozenset[str]:
    """All directories above the sorted ``files``; ``""`` is the root and always among them."""
    found: set[str] = {""}
    last = ""
    for path in files:
        directory = path.rpartition("/")[0]
        if directory == last:
            continue
        last = directory
        while directory not in found:
            found.add(directory)
            directory = directory.rpartition("/")[0]
    return frozenset(found)


def _below(paths: Sequence[str], directory: str) -> Sequence[str]:
    """Those of the sorted paths that are in a directory, relative to it."""
    if not directory:
        return paths
    # "0" follows "/", so the end is the first path after all that begin with the prefix.
    start, end = bisect_left(paths, f"{directory}/"), bisect_left(paths, f"{directory}0")
    return [path[len(directory) + 1 :] for path in paths[start:end]]


def _worth(path: str) -> tuple[bool, int]:
    return not path.endswith("/"), path.count("/")


def _entries(count: int) -> str:
    return f"{count} entry is" if count == 1 else f"{count} entries are"
