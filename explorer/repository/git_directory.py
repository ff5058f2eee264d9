"""Where git keeps what belongs to a checkout, and what is read there.

Below the explored root, everything is opened through no link. Outside it, two things are read, as
git reads them: the git directory of a linked worktree or submodule that is explored by itself, if
that directory names this checkout back; and, for a root inside a larger checkout, the latter's git
directory. The user's configuration of git, and the ignore files that it names, count as well.
"""

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from explorer.repository.bounded import NotReadError, read_inside, read_of_user
from explorer.repository.documents import open_directory, open_root
from explorer.repository.git_config import (
    MAX_CONFIG_BYTES,
    GitConfig,
    default_excludes_file,
    expanded,
    user_config_files,
)
from explorer.repository.git_index import (
    MAX_INDEX_BYTES,
    IndexProblemError,
    Tracked,
    tracked_paths,
)
from explorer.repository.ignore_rules import MAX_IGNORE_BYTES

_MAX_LINK_BYTES = 8_192  # A path of PATH_MAX and what stands before it.
_MAX_HEAD_BYTES = 1 << 12

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that is open, or one below an open directory."""

    descriptor: int
    below: str
    """Relative to the descriptor; empty for itself."""
    real: Path
    """Its path, for comparisons and messages."""

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """What a file in it holds; None if there is none.

        Raises:
            NotReadError: the file is there but is not read.
        """
        return read_inside(self.descriptor, f"{self.below}/{name}".lstrip("/"), max_bytes)


@dataclass(slots=True)
class Checkout:
    """A directory with a ``.git``, and the git directory that belongs to it."""

    top: str
    """Relative to the root: ``""``, ``"lib/"``; for a checkout around the root, ``""`` too."""
    prefix: str
    """The root relative to the checkout around it, such as ``"packages/a/"``; else ``""``."""
    own: Place | None
    """The git directory; None when there is none, or it may not be read."""
    common: Place | None
    """Of a linked worktree the main repository's git directory, else the same."""
    config: GitConfig
    directory: Path
    """The real path of the checkout."""
    _tracked: Tracked | None = field(default=None, repr=False)

    @property
    def identity(self) -> str:
        """The real path of the common directory, which linked worktrees share; or empty."""
        return str(self.common.real) if self.common is not None else ""

    @property
    def fold_case(self) -> bool:
        """Whether the rules hold for upper and lower case alike, as on most Macs."""
        return self.config.is_true("core.ignorecase")

    def tracked(self, cache: "IndexCache", note: Note) -> "Tracked":
        """What git tracks, by paths relative to the root."""
        if self._tracked is None:
            self._tracked = cache.load(self, note)
        return self._tracked


class IndexCache:
    """What git tracks, kept while the indexes are unchanged. One for each workspace."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[int, ...], Tracked]] = {}
        self._bytes = 0

    def load(self, checkout: Checkout, note: Note) -> Tracked:
        """The tracked paths of a checkout; none, with a note, if its index cannot be read."""
        place = checkout.own
        if place is None:
            return Tracked(())
        try:
            name = f"{place.below}/index".lstrip("/")
            status = os.stat(name, dir_fd=place.descriptor, follow_symlinks=False)
            identity = status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
            key = f"{checkout.top}\0{checkout.prefix}\0{place.real}"
            kept = self._kept.get(key)
            if kept is not None and kept[0] == identity:
                return kept[1]
            data = place.read("index", MAX_INDEX_BYTES) or b""
            sha256 = checkout.config.values.get("extensions.objectformat") == "sha256"
            paths = tracked_paths(data, sha256=sha256)
        except (NotReadError, IndexProblemError) as error:
            note(
                f"The index of git in {str(place.real)!r} was not read, because {error}: files "
                "that are tracked although a rule ignores them are missing."
            )
            return Tracked(())
        except OSError:
            return Tracked(())
        if self._bytes + len(data) > MAX_INDEX_BYTES:
            self._kept.clear()
            self._bytes = 0
        found = Tracked(tuple(paths), checkout.top, checkout.prefix)
        self._kept[key] = identity, found
        self._bytes += len(data)
        return found


class CheckoutFinder:
    """Finds the git directories of one root. What it opens is closed with ``stack``."""

    def __init__(self, root_fd: int, root: Path, stack: ExitStack, note: Note) -> None:
        self._root_fd = root_fd
        self._root = root
        self._stack = stack
        self._note = note

    def at_root(self) -> Checkout:
        """The checkout that the root is, or is in; without a git directory if it is in none."""
        if _exists(self._root_fd, ".git"):
            return self._checkout("", *self._git_directory(self._root_fd, self._root, ""))
        for above in self._root.parents:
            try:
                descriptor = open_root(above)
            except OSError:
                break
            if not (_exists(descriptor, ".git/HEAD") or _is_file(descriptor, ".git")):
                os.close(descriptor)
                continue
            self._stack.callback(os.close, descriptor)
            own, common = self._git_directory(descriptor, above, "")
            prefix = f"{self._root.relative_to(above)}/"
            return self._checkout("", own, common, prefix=prefix, directory=above)
        return self.none()

    def none(self) -> Checkout:
        """No checkout: only the ignore files inside the root and the user's own count."""
        return self._checkout("", None, None)

    def inside(self, path: str) -> Checkout | None:
        """The nested repository at ``path`` below the root; None if its ``.git`` is none."""
        name = f"{path}/.git"
        if _is_file(self._root_fd, name):
            target = self._target(self._root_fd, self._root / path, name)
            if target is None:
                return None
            # It may be outside, as for a submodule of a linked worktree, and is not read then.
            own = self._place(target) if target.is_relative_to(self._root) else None
        else:
            own = self._place(self._root / name)
            if own is None or not _exists(own.descriptor, f"{name}/HEAD"):
                return None
        return self._checkout(f"{path}/", own, own)

    def linked_worktree_of(self, path: str) -> str:
        """The real path of the repository that the directory at ``path`` is a worktree of.

        Empty if it is no linked worktree. Only its ``.git`` file is read.
        """
        target = self._target(self._root_fd, self._root / path, f"{path}/.git".lstrip("/"))
        if target is None or target.parent.name != "worktrees":
            return ""
        return os.path.realpath(target.parent.parent)

    def _checkout(
        self,
        top: str,
        own: Place | None,
        common: Place | None,
        *,
        prefix: str = "",
        directory: Path | None = None,
    ) -> Checkout:
        config = GitConfig(str(own.real) if own is not None else "", {})
        for path in user_config_files():
            try:
                config.add(read_of_user(path, MAX_CONFIG_BYTES), path)
            except NotReadError as error:
                self._note(f"{str(path)!r} was left out, because {error}.")
        for place, name in ((common, "config"), (own, "config.worktree")):
            if place is None or (place is own and name != "config" and not _per_worktree(config)):
                continue
            try:
                config.add(place.read(name, MAX_CONFIG_BYTES), place.real / name)
            except NotReadError as error:
                self._note(f"{str(place.real / name)!r} was left out, because {error}.")
        where = directory or self._root / top
        return Checkout(top, prefix, own, common, config, where)

    def _git_directory(
        self, base_fd: int, base: Path, path: str
    ) -> tuple[Place | None, Place | None]:
        """The git directory of the checkout at ``base``, and the common one."""
        name = f"{path}/.git".lstrip("/")
        try:
            os.close(open_directory(base_fd, name))
            inside = Place(base_fd, name, base / ".git")
            return inside, inside
        except (OSError, ValueError):
            target = self._target(base_fd, base, name)
        if target is None:
            return None, None
        own = self._place(target)
        if own is None or not (own.descriptor == self._root_fd or self._names_back(own, base)):
            self._note(
                f"{name!r} names the git directory {str(target)!r}, which was not read: it is not "
                "there, or does not name this checkout back."
            )
            return None, None
        link = _line(own, "commondir")
        common = self._place(Path(os.path.normpath(target / link))) if link else None
        return own, common or own

    def _target(self, base_fd: int, base: Path, name: str) -> Path | None:
        """The git directory that a ``.git`` file names; None if it is no such file."""
        try:
            data = read_inside(base_fd, name, _MAX_LINK_BYTES) or b""
        except NotReadError as error:
            self._note(f"{name!r} was left out, because {error}.")
            return None
        if not data.startswith(b"gitdir:"):
            return None
        text = os.fsdecode(data.removeprefix(b"gitdir:").strip())
        return Path(os.path.normpath(base / text)) if "\0" not in text else None

    def _place(self, path: Path) -> Place | None:
        """A git directory, opened: through the root if it is inside, else by its own path."""
        try:
            if path.is_relative_to(self._root):
                below = str(path.relative_to(self._root))
                os.close(open_directory(self._root_fd, below))
                return Place(self._root_fd, below, path)
            real = Path(os.path.realpath(path, strict=True))
            descriptor = open_root(real)
        except (OSError, ValueError):
            return None
        self._stack.callback(os.close, descriptor)
        return Place(descriptor, "", real)

    def _names_back(self, own: Place, base: Path) -> bool:
        """Whether a git directory outside the root says that it belongs to the checkout."""
        backward = _line(own, "gitdir")
        if backward:
            named = Path(os.path.normpath(own.real / backward))
            return named.name == ".git" and os.path.realpath(named.parent) == str(base)
        config = GitConfig("", {})
        try:
            config.add(own.read("config", MAX_CONFIG_BYTES), own.real / "config")
        except NotReadError:
            return False
        worktree = config.values.get("core.worktree", "")
        return bool(worktree) and os.path.realpath(own.real / worktree) == str(base)


def is_bare(root_fd: int) -> bool:
    """Whether a directory is itself a git directory, as a bare repository is."""
    try:
        head = read_inside(root_fd, "HEAD", _MAX_HEAD_BYTES) or b""
    except NotReadError:
        return False
    is_head = head.startswith(b"ref:") or len(head.strip()) in (40, 64)
    names = ("objects", "refs", "config")
    return is_head and all(_exists(root_fd, name) for name in names)


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """An ignore file's text, and how it is named in a note."""

    name: str
    text: bytes


def standing_ignore_files(checkout: Checkout, root: Place, note: Note) -> list[IgnoreFile]:
    """What counts before any ``.gitignore``: the user's ignore file, then ``info/exclude``."""
    found = []
    named = checkout.config.values.get("core.excludesfile")
    path = default_excludes_file() if named is None else expanded(named, checkout.directory)
    path = Path(os.path.normpath(path))
    reads: list[tuple[str, Callable[[], bytes | None]]] = []
    if path.is_relative_to(root.real):
        below = str(path.relative_to(root.real))
        reads.append((below, lambda: root.read(below, MAX_IGNORE_BYTES)))
    elif named != "":
        reads.append((str(path), lambda: read_of_user(path, MAX_IGNORE_BYTES)))
    if (common := checkout.common) is not None:
        name = str(common.real / "info/exclude")
        reads.append((name, lambda: common.read("info/exclude", MAX_IGNORE_BYTES)))
    for name, read in reads:
        try:
            text = read()
        except NotReadError as error:
            note(f"The ignore file {name!r} was left out, because {error}.")
            continue
        if text is not None:
            found.append(IgnoreFile(name, text))
    return found


def _line(place: Place, name: str) -> str:
    try:
        data = place.read(name, _MAX_LINK_BYTES) or b""
    except NotReadError:
        return ""
    return os.fsdecode(data.strip()).replace("\0", "")


def _per_worktree(config: GitConfig) -> bool:
    return config.is_true("extensions.worktreeconfig")


def _exists(descriptor: int, path: str) -> bool:
    return _mode(descriptor, path) != 0


def _is_file(descriptor: int, path: str) -> bool:
    return stat.S_ISREG(_mode(descriptor, path))


def _mode(descriptor: int, path: str) -> int:
    try:
        return os.stat(path, dir_fd=descriptor, follow_symlinks=False).st_mode
    except (OSError, ValueError):
        return 0
