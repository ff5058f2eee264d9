"""The list of a repository's files that may be shown, taken by a walk that follows no link.

The rules are git's (``explorer.repository.ignore_rules``), the names that are hidden whatever they
say are in ``explorer.repository.paths``. What a walk left out is given to rg as exact paths, so
that it searches the same files and spends no time in others.
"""

import os
import re
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from explorer.errors import WorkspaceError
from explorer.limits import Deadline
from explorer.repository.bounded import NotReadError, read_inside
from explorer.repository.documents import open_directory, open_root
from explorer.repository.git_directory import (
    NOTHING,
    Checkout,
    CheckoutFinder,
    IndexCache,
    Place,
    is_bare,
    standing_ignore_files,
)
from explorer.repository.ignore_rules import MAX_IGNORE_BYTES, Rules, TooMuchError, parse_rules
from explorer.repository.paths import HIDDEN_GLOBS, RG_HIDING, is_one_line, shown
from explorer.repository.ripgrep import RgHandle

MAX_TOTAL_WILDCARDS = 10_000
"""Maximum number of wildcards in all ignore files of a repository."""
MAX_TOTAL_BYTES = 8 << 20
"""Maximum size of all ignore files of a repository."""

_TIMEOUT_S = 60.0
_MAX_LISTING_CHARS = 256 << 20
# The kernel stamps files with its last tick's time, up to 10 ms before time.time_ns().
_CLOCK_SLACK_NS = 20_000_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IGNORE_NAME = ".gitignore"
_MAX_TOLD = 20_000  # Paths that rg is told not to search; it takes some 20 ms to read them.
_MAX_NOTES = 3
_MAX_NAMED = 3

_SHOW_ALL = ("--no-messages", "--hidden", "--no-ignore", "--iglob=!.git")
_SHOW_VISIBLE = ("--no-messages", "--no-ignore", "--no-ignore-messages", *RG_HIDING)
_HIDDEN = parse_rules("\n".join(HIDDEN_GLOBS).encode(), fold_case=True)
_GLOB_CHARS = re.compile(r"[\\*?\[\]{}]")


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

    def rg_rules(self, directory: str = "") -> tuple[tuple[str, ...], bytes]:
        """Options for an rg that runs in a directory, and what it has to read on standard input.

        Paths that rg cannot be told, because of their names, it searches: what it finds has to be
        compared with the list anyway.
        """
        start, end = 0, len(self.ignored)
        prefix = f"{directory}/" if directory else ""
        if prefix:
            # "0" follows "/", so the end is the first path after all that begin with the prefix.
            start, end = (
                bisect_left(self.ignored, prefix),
                bisect_left(self.ignored, directory + "0"),
            )
        paths = [path[len(prefix) :] for path in self.ignored[start:end]]
        if len(paths) > _MAX_TOLD:
            # Directories save more.
            paths = sorted(paths, key=lambda path: not path.endswith("/"))[:_MAX_TOLD]
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


ASK_FOR_HIDDEN = "hint: ask with include_hidden (--hidden) to see what is hidden or ignored."
_BARE = "This is a bare git repository"


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
        walk = _Walk(root_fd, root, indexes, stack, handle)
        if include_hidden:
            walk.all()
            return _listing(walk.files, (), 0, walk.told(), _SHOW_ALL, taken_ns)
        walk.visible()
        if not walk.files and walk.is_inside_checkout:
            walk = _Walk(root_fd, root, indexes, stack, handle)
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


@dataclass(frozen=True, slots=True)
class _Source:
    """An ignore file's rules, and where it stands."""

    rules: Rules
    above: str
    """The root relative to the ignore file's directory, if that is above: ``"packages/a/"``."""
    below: str
    """The ignore file's directory relative to the root: ``""`` or ``"src/"``."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What holds in a directory."""

    checkout: Checkout
    sources: tuple[_Source, ...]
    """The weakest first."""
    repositories: frozenset[str]
    """The identities of the checkouts around."""
    ignored: bool = False
    """An ignored directory, which is entered because git tracks something in it."""


class _Walk:
    """One walk through the root."""

    def __init__(
        self, root_fd: int, root: Path, indexes: IndexCache, stack: ExitStack, handle: RgHandle
    ) -> None:
        self.files: list[str] = []
        self.ignored: list[str] = []
        self.hidden = 0
        self.is_inside_checkout = False
        """Whether ignore files above the root counted."""
        self._root = Place(root_fd, "", root)
        self._indexes = indexes
        self._handle = handle
        self._deadline = Deadline(_TIMEOUT_S)
        self._finder = CheckoutFinder(root_fd, root, stack, self._note)
        self._notes: dict[str, None] = {}
        self._worktrees: list[str] = []
        self._bare = ""
        self._is_bare_shown = False
        self._wildcards, self._bytes, self._chars = MAX_TOTAL_WILDCARDS, MAX_TOTAL_BYTES, 0

    def told(self) -> tuple[str, ...]:
        """The notes, bounded."""
        notes = list(self._notes)
        if len(notes) > _MAX_NOTES:
            notes[_MAX_NOTES:] = [f"{len(notes) - _MAX_NOTES} more ignore files were left out."]
        if self._worktrees:
            count = len(self._worktrees)
            names = ", ".join(map(shown, self._worktrees[:_MAX_NAMED])) + ", ..." * (
                count > _MAX_NAMED
            )
            which = "a linked worktree" if count == 1 else f"{count} linked worktrees"
            notes.append(
                f"The repository has {which} inside ({names}), not searched again: to search one, "
                "ask about its directory."
            )
        return tuple(notes)

    def all(self) -> None:
        """List everything but ``.git``."""
        todo: list[tuple[str, Sequence[str]]] = [("", ("",))]
        while todo:
            for each in self._entered(*todo.pop()):
                self._add(each.path, [name for name in each.files if name.casefold() != ".git"])
                below = [name for name in each.directories if name.casefold() != ".git"]
                if below:
                    todo.append((each.path, below))

    def visible(self, *, alone: bool = False) -> None:
        """List what is neither hidden nor ignored; ``alone``: nothing above the root counts."""
        checkout = self._finder.none() if alone else self._finder.at_root()
        frame = self._first_frame(checkout)
        todo: list[tuple[str, dict[str, _Frame]]] = [("", {"": frame})]
        while todo:
            parent, frames = todo.pop()
            # Sorted, so that of several worktrees the same one is shown each time.
            for each in self._entered(parent, sorted(frames)):
                below = self._visit(each, frames[each.path.rpartition("/")[2]])
                if below:
                    todo.append((each.path, below))

    def _first_frame(self, checkout: Checkout) -> _Frame:
        frame = _Frame(checkout, self._standing(checkout), frozenset())
        if checkout.config.is_true("core.bare"):
            # The directory with a bare repository and its worktrees: the first one is shown.
            self._bare = checkout.identity
        elif checkout.identity:
            frame = replace(frame, repositories=frozenset((checkout.identity,)))
        if not checkout.prefix:
            return frame
        self.is_inside_checkout = True
        above, parts = checkout.directory, checkout.prefix.rstrip("/").split("/")
        for number, name in enumerate(parts):
            left, done = "/".join(parts[number:]) + "/", "/".join(parts[:number])
            try:
                descriptor = open_root(above)
            except OSError:
                break
            try:
                source = self._source(descriptor, "", left, str(above / _IGNORE_NAME), checkout)
            finally:
                os.close(descriptor)
            if source is not None:
                frame = replace(frame, sources=(*frame.sources, source))
            folder = f"{done}/" if done else ""
            if self._judge_above(frame, folder, name):
                return replace(frame, ignored=True)
            above /= name
        return frame

    def _judge_above(self, frame: _Frame, folder: str, name: str) -> bool:
        """Whether the rules so far ignore a directory above the root, or the root."""
        prefix = frame.checkout.prefix
        for source in reversed(frame.sources):
            base = prefix.removesuffix(source.above)
            place = folder.removeprefix(base)
            ignored, kept = source.rules.judge(place, [name], directories=True)
            if ignored or kept:
                return bool(ignored)
        return False

    def _standing(self, checkout: Checkout) -> tuple[_Source, ...]:
        files = standing_ignore_files(checkout, self._root, self._note)
        found = (
            self._parsed(each.text, each.name, checkout.prefix, checkout.top, checkout)
            for each in files
        )
        return tuple(source for source in found if source is not None)

    def _source(
        self, descriptor: int, below: str, above: str, called: str, checkout: Checkout
    ) -> _Source | None:
        """The rules of a ``.gitignore``; None if there is none or it is not read."""
        try:
            text = read_inside(descriptor, below + _IGNORE_NAME, MAX_IGNORE_BYTES)
        except NotReadError as error:
            self._note(f"The ignore file {shown(called)} was left out, because {error}.")
            return None
        return None if text is None else self._parsed(text, called, above, below, checkout)

    def _parsed(
        self, text: bytes, called: str, above: str, below: str, checkout: Checkout
    ) -> _Source | None:
        try:
            if len(text) > self._bytes:
                raise TooMuchError("all of them together are too large")
            rules = parse_rules(text, fold_case=checkout.fold_case)
            if rules.wildcards > self._wildcards:
                raise TooMuchError("all of them together have too many wildcards")
        except TooMuchError as error:
            self._note(f"The ignore file {shown(called)} was left out, because {error}.")
            return None
        self._bytes -= len(text)
        self._wildcards -= rules.wildcards
        return _Source(rules, above, below) if rules.runs else None

    def _visit(self, directory: "_Directory", frame: _Frame) -> dict[str, _Frame]:
        """List a directory's visible files; its directories to go on with, and what holds there."""
        path = directory.path
        if path and (".git" in directory.files or ".git" in directory.directories):
            entered = self._enter(path, frame)
            if entered is None:
                return {}
            frame = entered
        prefix = f"{path}/" if path else ""
        if directory.has_rules and not frame.ignored:
            called = prefix + _IGNORE_NAME
            source = self._source(self._root.descriptor, prefix, "", called, frame.checkout)
            if source is not None:
                frame = replace(frame, sources=(*frame.sources, source))
        files, tracked = self._sift(prefix, directory.files, frame, directories=False)
        self._add(path, [*files, *tracked])
        below, tracked = self._sift(prefix, directory.directories, frame, directories=True)
        frames = dict.fromkeys(below, frame)
        return frames | dict.fromkeys(tracked, replace(frame, ignored=True)) if tracked else frames

    def _enter(self, path: str, frame: _Frame) -> _Frame | None:
        """What holds in a directory with a ``.git``; None if it is shown elsewhere already."""
        main = self._finder.linked_worktree_of(path)
        if main and (main in frame.repositories or (main == self._bare and self._is_bare_shown)):
            self._worktrees.append(path)
            self.ignored.append(f"{path}/")
            return None
        self._is_bare_shown |= main == self._bare
        checkout = self._finder.inside(path)
        if checkout is None:
            return frame
        around = frame.repositories | {main or checkout.identity}
        return _Frame(checkout, self._standing(checkout), around)

    def _sift(
        self, prefix: str, names: list[str], frame: _Frame, *, directories: bool
    ) -> tuple[list[str], list[str]]:
        """The names that may be shown, and those that are ignored but tracked."""
        if not names:
            return names, []
        secret, _ = _HIDDEN.judge(prefix, names, directories=directories)
        if secret:
            self.hidden += len(secret - {".git"})
            names = [name for name in names if name not in secret]
        ignored = set(names) if frame.ignored else _ignored(prefix, names, frame, directories)
        if not ignored:
            return names, []
        tracked = frame.checkout.tracked(self._indexes, self._note)
        kept = []
        if tracked is not NOTHING:
            kept = [
                name
                for name in ignored
                if prefix + name in tracked.files or prefix + name in tracked.directories
            ]
        dropped = ignored.difference(kept)
        self.ignored += [prefix + name + "/" * directories for name in dropped]
        return [name for name in names if name not in ignored], kept

    def _entered(self, parent: str, names: Sequence[str]) -> Iterator["_Directory"]:
        """What is in each of some directories in ``parent``.

        One that cannot be opened, or is a link by now, is passed over.
        """
        try:
            descriptor = open_directory(self._root.descriptor, parent)
        except OSError:
            return
        try:
            for name in names:
                if self._handle.killed:
                    raise WorkspaceError("Listing the repository's files was cancelled.")
                if not self._deadline.left_s or self._chars > _MAX_LISTING_CHARS:
                    problem = "The repository's files cannot be listed: they are too many."
                    raise WorkspaceError(problem)
                path = f"{parent}/{name}" if parent else name
                yield _scan(descriptor, name or ".", path)
        finally:
            os.close(descriptor)

    def _add(self, path: str, files: list[str]) -> None:
        prefix = f"{path}/" if path else ""
        self.files += [prefix + name for name in files]
        self._chars += sum(map(len, files)) + len(prefix) * len(files)

    def _note(self, text: str) -> None:
        self._notes[text] = None


@dataclass(slots=True)
class _Directory:
    """What is in a directory: names of directories and of regular files."""

    path: str
    directories: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    has_rules: bool = False
    """Whether there is a ``.gitignore`` that is no directory, be it a regular file or not."""


def _scan(parent: int, name: str, path: str) -> _Directory:
    found = _Directory(path)
    directories, files = found.directories, found.files
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError:
        return found
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                    continue
                if entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
                if entry.name == _IGNORE_NAME:
                    found.has_rules = True
    except OSError:
        pass  # What was read counts.
    finally:
        os.close(descriptor)
    return found


def _ignored(prefix: str, names: list[str], frame: _Frame, directories: bool) -> set[str]:
    """The names that the last matching rule ignores, the deepest ignore file first."""
    found = set[str]()
    left = names
    for source in reversed(frame.sources):
        place = source.above + prefix.removeprefix(source.below)
        ignored, kept = source.rules.judge(place, left, directories=directories)
        if ignored or kept:
            found |= ignored
            left = [name for name in left if name not in ignored and name not in kept]
    return found


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


def _entries(count: int) -> str:
    return f"{count} entry is" if count == 1 else f"{count} entries are"
