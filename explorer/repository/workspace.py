"""A repository as the model sees it: a virtual root, only what may be shown, nothing outside.

Every file is opened relative to the descriptor of the root that was opened, never through a
symlink. A symlink that stays inside is resolved first, and what it names is opened without
following links; one that leads outside is refused. A change between the steps fails to open.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from explorer.errors import WorkspaceError
from explorer.repository.documents import (
    MAX_DOCUMENT_BYTES,
    Document,
    DocumentCache,
    NotRegularError,
    Window,
    begins_binary,
    identity_of,
    open_directory,
    open_file,
    open_root,
    read_document,
    read_window,
)
from explorer.repository.git_directory import IndexCache
from explorer.repository.listing import Listing, take_listing
from explorer.repository.paths import (
    MAX_CANDIDATES,
    Kind,
    PathProblem,
    Resolved,
    clean,
    is_git_store,
    is_hidden_name,
    is_one_line,
    longest_suffix,
    shown,
    similar,
    split,
    virtual_name,
    without_line_suffix,
)
from explorer.repository.ripgrep import RgHandle, current_handle, in_thread, never_run_from


class Workspace:
    """An open repository. Use it as a context manager, or ``close`` it.

    ``resolve``, ``read`` and ``is_visible`` need the list of files and take one, blocking, when
    there is none; after ``await files()`` they run a process only for a file newer than the list.
    All methods may be called from any thread.
    """

    def __init__(self, root: Path, descriptor: int, name: str, *, include_hidden: bool) -> None:
        self.root = root
        """The real path of the root."""
        self.name = name
        """The last part of the virtual root."""
        self.virtual_root = f"/testbed/{name}"
        """The path that the model is told, of the form that it was trained on."""
        self.include_hidden = include_hidden
        """True when dotfiles, secrets and ignored files are shown too."""
        self.descriptor = descriptor
        """The root directory's file descriptor."""
        self._identity = _identity(os.fstat(descriptor))
        self._listing: Listing | None = None
        self._lock = threading.Lock()
        self._documents = DocumentCache()
        self._indexes = IndexCache()

    @classmethod
    def open(
        cls, root: Path | str, *, name: str | None = None, include_hidden: bool = False
    ) -> "Workspace":
        """The workspace of a directory; symlinks in ``root`` itself are followed, only here.

        Raises:
            WorkspaceError: it does not exist, is no directory, or may not be read.
        """
        try:
            real = Path(os.path.realpath(root, strict=True))
            descriptor = open_root(real)
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            message = f"The repository {str(root)!r} cannot be opened: {reason}."
            raise WorkspaceError(message) from None
        never_run_from(real)
        return cls(real, descriptor, virtual_name(name or real.name), include_hidden=include_hidden)

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor. It may be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        self.forget()

    def check(self) -> None:
        """Make sure that the root path still leads to the directory that was opened.

        Raises:
            WorkspaceError: the directory is gone or was replaced, or the workspace is closed.
        """
        if self.descriptor < 0:
            raise WorkspaceError("The repository is closed.")
        try:
            now = _identity(self.root.lstat())
        except OSError:
            now = None
        if now != self._identity:
            raise WorkspaceError(f"The repository {str(self.root)!r} was removed or replaced.")

    # What there is.

    async def files(self) -> tuple[str, ...]:
        """Every file that may be shown, as sorted relative paths; kept until ``forget``.

        Raises:
            WorkspaceError: the walk failed.
        """
        listing = self._listing
        if listing is None:
            listing = await in_thread(self._take_listing)
        return listing.files

    def entries(self, path: str = "") -> tuple[str, ...]:
        """The sorted names directly in a directory, with a ``/`` behind those of directories."""
        return self.listing.entries(path)

    def is_visible(self, path: str) -> bool:
        """True when the relative path is a file, or a directory with a file, that may be shown."""
        listing = self.listing
        if path in listing.file_set or path in listing.directories:
            return True
        if not self._may_be_named(path) or not listing.may_lack(path, self.descriptor):
            return False
        with self._lock:
            if self._listing is listing:
                self._listing = None
        listing = self.listing
        return path in listing.file_set or path in listing.directories

    def forget(self) -> None:
        """Take a new list of files at the next use, and read every document anew."""
        self._listing = None
        self._documents.clear()

    @property
    def listing(self) -> Listing:
        """The list of files, with what was derived from it; taken, blocking, if there is none."""
        return self._listing or self._take_listing(current_handle())

    def _take_listing(self, handle: RgHandle) -> Listing:
        with self._lock:
            if self._listing is None:
                self.check()
                self._listing = take_listing(
                    self.descriptor,
                    self.root,
                    self._indexes,
                    include_hidden=self.include_hidden,
                    handle=handle,
                )
            return self._listing

    # Names.

    def to_virtual(self, path: str) -> str:
        """The path as the model sees it: ``src/a.py`` is ``/testbed/<name>/src/a.py``."""
        return f"{self.virtual_root}/{path}" if path else self.virtual_root

    def resolve(self, text: str) -> Resolved:
        """What the model meant by ``text``: a virtual, real, foreign-rooted or relative path.

        The longest suffix of it that exists decides; a tie is a ``PathProblem`` with candidates.

        Raises:
            PathProblem: it leads outside, to nothing, to something hidden, or to several things.
        """
        cleaned = clean(text)
        # A name may itself end in what models wrap around paths, so the text as it is comes first.
        for attempt in dict.fromkeys((text, cleaned, without_line_suffix(cleaned))):
            parts = split(attempt)
            if parts is None:
                raise PathProblem(
                    f"The path {shown(text)} leads outside the workspace {self.virtual_root}."
                )
            for reading in self._readings(attempt, parts):
                found = self._exact("/".join(reading))
                if found is not None:
                    return found
        return self._by_suffix(text, split(without_line_suffix(cleaned)) or [])

    def is_file(self, text: str) -> bool:
        """True when the text is exactly the path of a file that may be shown.

        The virtual or the real root may stand before it. Unlike ``resolve``, it guesses nothing.
        """
        parts = split(text)
        if parts is None:
            return False
        files = self.listing.file_set
        return any("/".join(reading) in files for reading in self._readings(text, parts))

    def _readings(self, text: str, parts: list[str]) -> Iterator[list[str]]:
        virtual = ["testbed", self.name]
        real = list(self.root.parts[1:])
        if parts[:2] == virtual:
            yield parts[2:]
        elif text.startswith("/") and real and parts[: len(real)] == real:
            yield parts[len(real) :]
        elif text.startswith("/") and parts in (["testbed"], [self.name]):
            yield []
        yield parts
        if parts[:1] == [self.name]:
            yield parts[1:]

    def _exact(self, path: str) -> Resolved | None:
        """What exists at the path, through symlinks that stay inside; None if nothing does."""
        listing = self.listing
        if path in listing.file_set:
            return Resolved(path, "file")
        if path in listing.directories or not path:
            return Resolved(path, "directory")
        try:
            real = os.path.realpath(self.root / path, strict=True)
            mode = Path(real).lstat().st_mode
        except (OSError, ValueError):
            return None
        if not Path(real).is_relative_to(self.root):
            raise PathProblem(f"{self._name(path)} is a symlink that leads outside the workspace.")
        inside = os.path.relpath(real, self.root) if Path(real) != self.root else ""
        kind: Kind = "directory" if stat.S_ISDIR(mode) else "file"
        if inside and not self.is_visible(inside):
            raise PathProblem(self._why_not_shown(path, inside, mode))
        return Resolved(inside, kind)

    def _by_suffix(self, text: str, parts: list[str]) -> Resolved:
        listing = self.listing
        found = longest_suffix(parts, chain(listing.files, listing.directories))
        if len(found) == 1:
            return Resolved(found[0], "file" if found[0] in listing.file_set else "directory")
        if not found:
            found = similar(parts[-1], listing.file_set) if parts else ()
            problem = f"{shown(text)} does not exist in the workspace {self.virtual_root}"
            if not self.include_hidden and parts and is_hidden_name(parts[-1]):
                problem = f"{shown(text)} is hidden or secret and is not shown"
                found = ()
            lead = f"{problem}; similar:" if found else f"{problem}."
        else:
            lead = f"{shown(text)} is ambiguous; give one of these {len(found)} paths in full:"
        candidates = found[:MAX_CANDIDATES]
        lines = [lead, *(self.to_virtual(path) for path in candidates)]
        if len(found) > MAX_CANDIDATES:
            lines.append(f"... ({len(found) - MAX_CANDIDATES} more)")
        raise PathProblem("\n".join(lines), candidates)

    def _why_not_shown(self, path: str, inside: str, mode: int) -> str:
        if not self._may_be_named(inside):
            return f"{self._name(path)} is hidden or secret and is not shown."
        if stat.S_ISDIR(mode):
            return f"The directory {self._name(path)} holds no files that may be shown."
        if not stat.S_ISREG(mode):
            return f"{self._name(path)} is not a regular file and is not read."
        return f"{self._name(path)} is ignored by git and is not shown."

    # Contents.

    def read(self, path: str) -> Document:
        """The document at a relative path, from the cache if the file is unchanged.

        Raises:
            PathProblem: it may not be shown or cannot be read.
        """
        with self._opened(path) as descriptor:
            return self._document(descriptor, path)

    def _document(self, descriptor: int, path: str) -> Document:
        identity = identity_of(descriptor)
        document = self._documents.get(path, identity)
        if document is None:
            document = read_document(descriptor, path)
            # A file that changed meanwhile may be a mixture: it is shown once, but not kept.
            if identity_of(descriptor) == identity:
                self._documents.put(document, identity)
        return document

    def is_binary(self, path: str) -> bool:
        """True when the file begins like a binary one.

        Raises:
            PathProblem: it may not be shown or cannot be read.
        """
        with self._opened(path) as descriptor:
            return begins_binary(descriptor)

    def window(
        self,
        path: str,
        start: int,
        count: int,
        *,
        line_bytes: int,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Window:
        """``count`` lines of a file of any size from line ``start`` on, in bounded memory.

        Lines may be cut after ``line_bytes``. ``stopped`` ends the reading of a large file.

        Raises:
            PathProblem: it may not be shown or cannot be read.
        """
        with self._opened(path) as descriptor:
            if os.fstat(descriptor).st_size > MAX_DOCUMENT_BYTES:
                return read_window(descriptor, start, count, line_bytes, stopped)
            document = self._document(descriptor, path)
        lines = document.lines[start - 1 : start - 1 + count]
        return Window(start, lines, len(document.lines), document.binary)

    def modified_ns(self, path: str) -> int:
        """When the file at the path was last changed; 0 when there is none."""
        try:
            return os.stat(path, dir_fd=self.descriptor, follow_symlinks=False).st_mtime_ns
        except (OSError, ValueError):
            return 0

    def is_inside(self, path: str) -> bool:
        """True when the path is, at this moment, a readable regular file below the opened root."""
        try:
            os.close(open_file(self.descriptor, path))
        except (OSError, ValueError):
            return False
        return True

    @contextmanager
    def directory(self, path: str) -> Iterator[int]:
        """A descriptor of a directory inside the root, closed on leaving.

        Raises:
            PathProblem: it is gone or was replaced by something else.
        """
        with self._problems(path):
            descriptor = open_directory(self.descriptor, path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        if not self.is_visible(path):
            raise PathProblem(f"{self._name(path)} does not exist or is not shown.")
        with self._problems(path):
            descriptor = open_file(self.descriptor, path)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def _problems(self, path: str) -> Iterator[None]:
        try:
            yield
        except PermissionError:
            raise PathProblem(f"{self._name(path)} cannot be read: permission denied.") from None
        except IsADirectoryError:
            raise PathProblem(f"{self._name(path)} is a directory.") from None
        except NotRegularError:
            problem = f"{self._name(path)} is not a regular file and is not read."
            raise PathProblem(problem) from None
        except (OSError, ValueError):
            problem = f"{self._name(path)} cannot be read: it was removed or replaced."
            raise PathProblem(problem) from None

    def _may_be_named(self, path: str) -> bool:
        hidden = not self.include_hidden and is_hidden_name(path)
        return is_one_line(path) and not hidden and not is_git_store(path)

    def _name(self, path: str) -> str:
        return self.to_virtual(path) if is_one_line(path) else shown(path)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
