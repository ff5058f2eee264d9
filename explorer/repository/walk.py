"""A walk through a repository that follows no link and finds what git would not ignore.

The rules are git's (``explorer.repository.ignore_rules``): the user's ignore file, ``info/exclude``
and the ``.gitignore`` of each directory, the last stronger than the first. What git tracks is never
ignored. A nested repository has rules of its own. A linked worktree of a repository that is walked
already holds the same files again, and is passed over. The names that are hidden whatever the rules
say are in ``explorer.repository.paths``.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from explorer.errors import WorkspaceError
from explorer.limits import Deadline
from explorer.repository.bounded import NotReadError, read_inside
from explorer.repository.documents import open_directory, open_root
from explorer.repository.git_directory import (
    Checkout,
    CheckoutFinder,
    IndexCache,
    Place,
    standing_ignore_files,
)
from explorer.repository.ignore_rules import MAX_IGNORE_BYTES, Rules, TooMuchError, parse_rules
from explorer.repository.paths import is_hidden_name, shown
from explorer.repository.ripgrep import RgHandle

MAX_TOTAL_WILDCARDS = 10_000
"""Maximum number of wildcards in all ignore files of a repository."""
MAX_TOTAL_BYTES = 8 << 20
"""Maximum size of all ignore files of a repository."""

_TIMEOUT_S = 60.0
_MAX_LISTING_CHARS = 256 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IGNORE_NAME = ".gitignore"
_MAX_NOTES = 3
_MAX_NAMED = 3


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


class Walk:
    """One walk through a root: the files that may be shown, and what was left out."""

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
            notes[_MAX_NOTES:] = [f"{len(notes) - _MAX_NOTES} more such files were left out."]
        if self._worktrees:
            count = len(self._worktrees)
            names = ", ".join(map(shown, sorted(self._worktrees)[:_MAX_NAMED]))
            names += ", ..." * (count > _MAX_NAMED)
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
        if directories:
            # One with the name of a secret is entered: each file in it is then judged by its path.
            shown_names = [name for name in names if not name.startswith(".")]
        else:
            shown_names = [name for name in names if not is_hidden_name(prefix + name)]
        self.hidden += len(names) - len(shown_names) - (".git" in names)
        names = shown_names
        if not names:
            return names, []
        ignored = set(names) if frame.ignored else _ignored(prefix, names, frame, directories)
        if not ignored:
            return names, []
        tracked = frame.checkout.tracked(self._indexes, self._note)
        kept = [name for name in ignored if prefix + name in tracked]
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
