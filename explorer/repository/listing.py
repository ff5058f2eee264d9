"""The files of a repository that may be shown, as rg lists them.

Three things are hidden unless a workspace is opened with ``include_hidden``:

* dotfiles and all below dot directories: ``.git``, ``.env*``, ``.ssh``, ``.npmrc``, ``.github``;
* files whose name says that they hold a secret: ``SECRET_NAMES``, in any case of letters;
* what git ignores: ``.gitignore`` files, ``.git/info/exclude`` and the user's global excludes.
  ``.ignore`` and ``.rgignore`` are not consulted: their ``!`` lines could show what git ignores.

Names that cannot be written as one line of UTF-8 are always left out: a model could neither read
nor repeat them. ``.git`` itself is always left out too: it holds no source, but credentials.
"""

import os
import re
import time
from dataclasses import dataclass, field
from fnmatch import translate

from explorer.errors import WorkspaceError
from explorer.repository.ripgrep import RgHandle, run_rg

SECRET_NAMES = (
    "*.env",
    "*.jks",
    "*.kdbx",
    "*.key",
    "*.keystore",
    "*.p12",
    "*.pem",
    "*.pfx",
    "*.pkcs12",
    "*.ppk",
    "*.tfstate",
    "*.tfstate.backup",
    "*.tfvars",
    "credentials",
    "credentials.csv",
    "credentials.ini",
    "credentials.json",
    "credentials.toml",
    "credentials.yaml",
    "credentials.yml",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "id_rsa*",
    "kubeconfig",
    "secret.json",
    "secret.yaml",
    "secret.yml",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "service-account*.json",
)
"""Globs on a file's or directory's own name. Data formats only: ``credentials.py`` is source."""

HIDDEN_GLOBS = (".*", *SECRET_NAMES)

RG_HIDING = tuple(f"--iglob=!{glob}" for glob in HIDDEN_GLOBS)
"""The list as rg options. Overrides come before every ignore rule, so no ``!`` line undoes them."""

_HIDDEN_NAME = re.compile("|".join(translate(glob) for glob in HIDDEN_GLOBS), re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_hidden_name(path: str) -> bool:
    """True when a part of the relative path is a dotfile or bears a secret's name."""
    return any(_HIDDEN_NAME.match(part) for part in path.split("/"))


def is_git_store(path: str) -> bool:
    """True for ``.git``, as file or directory, and all below it, at any depth."""
    return ".git" in path.casefold().split("/")


def is_one_line(path: str) -> bool:
    """True when the path can be shown on one line of valid UTF-8 and typed back."""
    return _UNPRINTABLE.search(path) is None


RULES = ("--no-ignore-dot", "--no-require-git", "--no-ignore-messages", "--no-messages")
"""rg options: ``.gitignore`` counts outside git too, ``.ignore`` and ``.rgignore`` never do."""

_TIMEOUT_S = 60.0
_MAX_LISTING_BYTES = 256 << 20
# The kernel stamps files with its last tick's time, up to 10 ms before time.time_ns().
_CLOCK_SLACK_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Listing:
    """Every file that may be shown, and the directories that hold them."""

    files: tuple[str, ...]
    """Sorted."""
    file_set: frozenset[str]
    directories: frozenset[str]
    """Every directory with a file in it or below it, ``""`` for the root."""
    rules: tuple[str, ...] = field(repr=False)
    """rg options that gave this listing, hiding included."""
    taken_ns: int = 0
    """A file that changed later than this may be missing (``st_ctime_ns``)."""


def take_listing(root_fd: int, *, include_hidden: bool, handle: RgHandle) -> Listing:
    """A fresh listing of the directory behind ``root_fd``. Blocks.

    Ignore files above the root count, as they do for git; but where they hide the whole root (a
    package inside an ignored virtual environment, opened on purpose) only those inside it count.

    Raises:
        RipgrepError: rg is missing or does not start.
        WorkspaceError: the walk failed or took too long.
    """
    if include_hidden:
        rules: tuple[str, ...] = ("--no-messages", "--hidden", "--no-ignore", "--iglob=!.git")
        return _take(root_fd, rules, handle)
    rules = (*RULES, *RG_HIDING)
    listing = _take(root_fd, rules, handle)
    if listing.files:
        return listing
    inside = _take(root_fd, (*rules, "--no-ignore-parent"), handle)
    return inside if inside.files else listing


def _take(root_fd: int, rules: tuple[str, ...], handle: RgHandle) -> Listing:
    taken_ns = time.time_ns() - _CLOCK_SLACK_NS
    chunks: list[bytes] = []
    room = _MAX_LISTING_BYTES

    def sink(chunk: bytes) -> bool:
        nonlocal room
        chunks.append(chunk)
        room -= len(chunk)
        return room > 0

    end = run_rg(
        ["--files", "-0", *rules, "--", "./"],
        cwd_fd=root_fd,
        sink=sink,
        timeout_s=_TIMEOUT_S,
        handle=handle,
    )
    if handle.killed:
        raise WorkspaceError("Listing the repository's files was cancelled.")
    if end.timed_out or end.stopped:
        raise WorkspaceError("The repository's files cannot be listed: they are too many.")
    if end.returncode < 0:
        raise WorkspaceError("The repository's files cannot be listed: ripgrep crashed.")
    files = tuple(sorted(_paths(b"".join(chunks))))
    return Listing(files, frozenset(files), directories_of(files), rules, taken_ns)


def _paths(output: bytes) -> list[str]:
    text = os.fsdecode(output)
    paths = [path.removeprefix("./") for path in text.split("\0") if path]
    # One look at all of them decides whether each needs one.
    if is_one_line(text.replace("\0", "")):
        return paths
    return [path for path in paths if is_one_line(path)]


def directories_of(files: tuple[str, ...]) -> frozenset[str]:
    """All directories above the sorted ``files``, with ``""`` for the root if there are any."""
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
