"""Chooses the directory that an exploration looks at, and refuses those that it must not.

Order: the caller's path, the client's roots, the configured roots, ``CLAUDE_PROJECT_DIR``, the
repository around the working directory, or else that directory itself. If any roots are
configured, only directories whose real path lies inside one of them are explored.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from server.errors import RepositoryError, SettingsError
from server.homes import expanded, home

_MARKERS = (".git", ".hg", ".jj", ".svn")

# Directories that are never a repository themselves, though one may lie below them.
_SYSTEM = frozenset(
    "/ /bin /boot /etc /home /lib /lib32 /lib64 /media /mnt /opt /root /run /sbin /srv /tmp /usr "
    "/usr/bin /usr/include /usr/lib /usr/lib64 /usr/local /usr/local/lib /usr/local/bin "
    "/usr/sbin /usr/share /usr/src /var /var/lib /var/log /var/tmp "
    "/Applications /Library /Network /System /Users /Volumes /private /private/tmp /private/etc "
    "/private/var /nix /nix/store /snap".split()
)
# Virtual file systems of the kernel: nothing below them is a real file, so none is explored.
_KERNEL = ("/proc", "/sys", "/dev")
_WINDOWS = ("windows", "program files", "program files (x86)", "programdata", "users")
# Folders of the home directory that contain keys.
_SECRET_HOMES = (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store")


@dataclass(frozen=True, slots=True)
class Repository:
    """The directory that was chosen, and where it came from."""

    root: Path
    """Real path."""
    source: str
    """argument, client roots, configured roots, CLAUDE_PROJECT_DIR or working directory."""
    note: str = ""
    """What the caller should know about the choice; usually empty."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Chooses a repository from what a process knows about itself."""

    roots: tuple[Path, ...]
    """Configured roots; if there are any, every choice must lie inside one of them."""
    project_dir: str
    cwd: Path | None
    """None when the working directory is gone."""
    home: Path

    def resolve(self, path: str = "", client_roots: Sequence[str] = ()) -> Repository:
        """The repository for one call. ``client_roots`` are ``file://`` URIs or paths.

        Raises:
            RepositoryError: no repository was found, or the one that was found is refused.
        """
        wanted = path.strip()
        bases = self._bases(client_roots)
        if wanted:
            return self._from_argument(wanted, bases)
        refused: RepositoryError | None = None
        for root, source, note in bases:
            try:
                return Repository(self._checked(root), source, note)
            except RepositoryError as error:
                refused = refused or error
        if refused is not None:
            raise refused
        raise RepositoryError(
            "no repository was given and none could be found",
            'pass path="/absolute/path/to/it" (--repo in a shell), or set FASTCONTEXT_ROOTS',
        )

    def _bases(self, client_roots: Sequence[str]) -> list[tuple[Path, str, str]]:
        """Candidates in order: directory, where it came from, note."""
        found: list[tuple[Path, str, str]] = []
        declared = [root for uri in client_roots if (root := _from_uri(uri)) is not None]
        found.extend((root, "client roots", _others(root, declared)) for root in declared)
        found.extend(self._configured())
        found.extend((place, "CLAUDE_PROJECT_DIR", "") for place in self._project())
        if (place := self.working_directory()) is not None:
            found.append((place, "working directory", ""))
        return found

    def working_directory(self) -> Path | None:
        """The repository around the working directory, or else that directory itself.

        None if neither may be explored.
        """
        if self.cwd is None:
            return None
        places = (repository_top(self.cwd), self.cwd)
        return next((each for each in places if each and not self.refusal(_real(each))), None)

    def _project(self) -> list[Path]:
        """The directory in ``CLAUDE_PROJECT_DIR``, if it can be a path."""
        named = _from_uri(self.project_dir) if self.project_dir else None
        return [named] if named is not None else []

    def _configured(self) -> list[tuple[Path, str, str]]:
        """Configured roots; of a folder of repositories, the one being worked in comes first."""
        found: list[tuple[Path, str, str]] = []
        places = self._project()
        if self.cwd is not None:
            places.append(self.cwd)
        for root in self.roots:
            if repository_top(root) == root:
                continue
            for place in places:
                top = repository_top(place)
                if top is not None and top != root and _inside(_real(top), _real(root)):
                    found.append((top, "configured roots", ""))
        found.extend((root, "configured roots", _others(root, self.roots)) for root in self.roots)
        return found

    def _from_argument(self, text: str, bases: list[tuple[Path, str, str]]) -> Repository:
        given = _from_uri(text)
        if given is None:
            hint = "pass a directory of this machine as an absolute path"
            raise RepositoryError(f"path {text!r} is not a local directory", hint)
        candidates = [given] if given.is_absolute() else [base / given for base, _, _ in bases]
        if not given.is_absolute() and self.cwd is not None:
            candidates.append(self.cwd / given)
        existing = next((place for place in candidates if _may_exist(place)), None)
        if existing is None:
            hint = "pass the repository's absolute path, or leave it out"
            raise RepositoryError(f"path {text!r} does not exist", hint)
        if os.path.isfile(existing):  # noqa: PTH113 - Path.is_file raises where it may not look
            folder = repository_top(existing.parent) or existing.parent
            note = f"path {text!r} is a file; explored {str(folder)!r} instead"
            return Repository(self._checked(folder), "argument", note)
        return Repository(self._checked(existing), "argument")

    def _checked(self, root: Path) -> Path:
        """The real path of a directory that may be explored."""
        real = _real(root)
        if problem := _unusable(real):
            hint = "pass the absolute path of a repository that this user may read"
            raise RepositoryError(f"directory {str(root)!r} {problem}", hint)
        if reason := self.refusal(real):
            raise RepositoryError(
                f"will not explore {str(real)!r}: {reason}",
                "pass the path of one repository, such as /home/me/src/project",
            )
        if self.roots and not any(_inside(real, _real(allowed)) for allowed in self.roots):
            allowed = ", ".join(repr(str(allowed)) for allowed in self.roots[:5])
            raise RepositoryError(
                f"{str(real)!r} is outside the allowed roots ({allowed})",
                "pass a path inside them, or add this one to FASTCONTEXT_ROOTS",
            )
        return real

    def refusal(self, real: Path) -> str:
        """Why a real path is never explored, or empty."""
        text = str(real)
        home = _real(self.home)
        if text in _SYSTEM or text.endswith("/system32"):
            return "it is a system directory"
        if any(_inside(real, Path(kernel)) for kernel in _KERNEL):
            return "it belongs to a virtual file system of the kernel"
        if real == home:
            return "it is the home directory"
        if _inside(home, real):
            return "it contains the home directory"
        if any(_inside(real, home / secret) for secret in _SECRET_HOMES):
            return "it contains keys"
        return "it is a system directory" if _is_windows_system(real) else ""


def from_process(roots: Iterable[Path], project_dir: str) -> Resolver:
    """A resolver for this process: its working directory and its user's home."""
    try:
        cwd: Path | None = Path.cwd()
    except OSError:
        cwd = None
    return Resolver(tuple(roots), project_dir, cwd, home())


def repository_top(place: Path) -> Path | None:
    """The nearest directory at or above ``place`` that a version control system marks."""
    for folder in (place, *place.parents):
        if any(_exists(folder / marker) for marker in _MARKERS):
            return folder
    return None


def _from_uri(text: str) -> Path | None:
    """A path from a path or a ``file:`` URI; None for another scheme or another host."""
    if "\0" in text:
        return None
    if text.lower().startswith("file:"):
        try:
            parts = urlsplit(text)
            # Names are bytes, which need not be UTF-8.
            path = os.fsdecode(unquote_to_bytes(parts.path))
        except ValueError:
            return None
        return Path(path or "/") if parts.netloc in ("", "localhost") else None
    if "://" in text:
        return None
    try:
        return expanded(Path(text))
    except SettingsError:
        return None


def _exists(path: Path) -> bool:
    # Path.exists raises for a folder that may not be searched and for a name too long.
    return os.path.lexists(path)


def _may_exist(path: Path) -> bool:
    """Whether the path exists, or could exist where this user may not look."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _unusable(real: Path) -> str:
    """Why a directory cannot be explored at all, or empty."""
    try:
        mode = real.stat().st_mode
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    if not stat.S_ISDIR(mode):
        return "is not a directory"
    return "" if os.access(real, os.R_OK | os.X_OK) else "may not be read by this user"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _inside(path: Path, folder: Path) -> bool:
    return path == folder or path.is_relative_to(folder)


def _others(root: Path, declared: Sequence[Path]) -> str:
    others = [repr(str(other)) for other in declared if other != root]
    if not others:
        return ""
    return f"explored {str(root)!r}; pass another root as path: {', '.join(others[:4])}"


def _is_windows_system(real: Path) -> bool:
    """Whether WSL shows a Windows drive or one of its system folders here."""
    parts = real.parts
    if len(parts) < 3 or parts[1] != "mnt" or len(parts[2]) != 1:
        return False
    return len(parts) == 3 or (
        parts[3].lower() in _WINDOWS and (parts[3].lower() != "users" or len(parts) <= 5)
    )


def default_for_command() -> str:
    """The path that a command explores by default: the repository around it, or where it runs.

    Empty, which leaves the choice to the resolver, if neither may be explored.
    """
    place = from_process((), "").working_directory()
    return "" if place is None else str(place)
