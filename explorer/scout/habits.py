"""Which files are tests, and which lie aside, by their paths and by the repository's own habits.

Some names say so wherever they occur: ``tests``, ``foo_test.go``, ``docs``. Others do not:
``mock``, ``testing``, ``templates``, ``migrations`` or ``tools`` may hold the very sources that
the repository is about. Such a folder among sources counts as sources, unless what is in it shows
that it is something else: tests by their names, migrations by their numbers, templates by their
suffix.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from explorer.scout.tokens import Mask

_TEST_FOLDER: Final = re.compile(
    r"(?:^|/)(?:tests|specs?|__tests__|testdata|fixtures?|e2e|__snapshots__|__mocks__"
    r"|integration-tests?|packages-private|(?:[\w.]+-)*test[-_]?(?:support|utils?|helpers?|kit))(?:/|$)"
)
_TEST_NAME: Final = re.compile(
    r"(?:^|/)(?:test_[^/]*\.(?!bash\b|sh\b)\w+|conftest\.py)$"
    r"|[._-](?:test|tests|spec|unittest)\.\w+$|_test\.go$"
    r"|(?:[a-z0-9](?:Test|Tests|TestCase|IT|Spec))\.\w+$",
)
_MAYBE: Final = ("est", "pec", "mock", "ixture", "snapshot", "e2e", "IT.", "packages-private")
"""One of these is in each path that the rules know; to look for them is much faster."""
_MAYBE_OLD: Final = ("old", "legacy", "deprecated")
_MAYBE_TEST: Final = re.compile(r"(?:^|/)(?:t|test|testing|mocks?)(?=/)")
_ASIDE_FOLDER: Final = re.compile(
    r"(?:^|/)(?:docs?|documentation|examples?|samples?|demos?|(?:\w+-)?(?:micro)?bench(?:es|marks?)?"
    r"|changelogs?|website|vendor|third_party|thirdparty|deps|node_modules|dist|locales?|i18n|playground)(?:/|$)",
    re.IGNORECASE,
)
_MAYBE_ASIDE: Final = re.compile(
    r"(?:^|/)(?:migrations?|templates?|scripts?|tools?|ci|build|generated|gen)(?=/)", re.IGNORECASE
)
_SOURCES: Final = re.compile(r"(?:^|/)(?:src|lib|app|source|sources|pkg|include|internal)(?:/|$)")
_NUMBERED: Final = re.compile(r"(?:^|/)[vV]?\d{3,}[^/]*$")
_VERSION: Final = re.compile(r"(?:^|(?<=/))[vV](\d{1,3})/")
_OLD: Final = re.compile(r"(?:^|/)_?(?:legacy|deprecated|old)(?:/|\.|$)", re.IGNORECASE)
_OTHER_SYSTEM: Final = re.compile(
    r"(?:^|[/_.-])(?P<windows>win|win32|win64|windows|mingw|cygwin)(?=[/_.-])"
    r"|(?:^|[/_.-])(?P<rare>aix|amiga|dragonfly|haiku|hurd|ibmi|illumos|minix|msdos|netbsd|os390"
    r"|os400|plan9|qnx|riscos|solaris|sunos|vms)(?=[/_.-])",
    re.IGNORECASE,
)
_SAYS_WINDOWS: Final = re.compile(
    r"\b(?:win(?:dows?|32|64)?|win\w*api|ms|dos|powershell|iocp|nt|mingw|cygwin)\b|[a-z]:\\",
    re.IGNORECASE,
)
_LANGUAGE: Final = re.compile(r"/([a-z]{2})(?:[-_][A-Za-z]{2,4})?(?=/|\.\w+$)")
_SPOKEN: Final = frozenset("de es fr it ja ko pl pt ru zh".split())
_TRANSLATED_INTO: Final = 3
"""A folder that has at least so many of these holds translations."""
_FEW: Final = 0.3
"""A folder with a smaller share of what its name says is taken for one of sources."""


def has_any(text: str, parts: Sequence[str]) -> bool:
    """Whether one of the parts is in the text."""
    # A loop, because a generator takes twice as long, and this is asked of every path.
    for part in parts:
        if part in text:
            return True
    return False


def tests(paths: Sequence[str]) -> Mask:
    """Whether each file is a test, or there for tests."""
    sure = [
        has_any(path, _MAYBE) and bool(_TEST_FOLDER.search(path) or _TEST_NAME.search(path))
        for path in paths
    ]
    shows = _Folders(paths, _MAYBE_TEST, lambda path: bool(_TEST_NAME.search(path)))
    return np.array(
        [each or shows.says(path) for each, path in zip(sure, paths, strict=True)], np.bool_
    )


def asides(paths: Sequence[str], is_code: Mask) -> Mask:
    """Whether each file is documentation, an example, vendored, a translation or the like."""
    code = dict(zip(paths, is_code.tolist(), strict=True))
    shows = _Folders(
        paths, _MAYBE_ASIDE, lambda path: bool(_NUMBERED.search(path)) or not code.get(path, False)
    )
    folders = [path.rpartition("/")[0] for path in paths]
    aside = {folder: bool(_ASIDE_FOLDER.search(folder)) for folder in set(folders)}
    translated = _translations(paths)
    return np.array(
        [
            aside[folder] or path in translated or shows.says(path)
            for path, folder in zip(paths, folders, strict=True)
        ],
        np.bool_,
    )


def _translations(paths: Sequence[str]) -> frozenset[str]:
    """The files that hold a translation from English: ``lang/de/auth.php`` beside ``lang/fr/``."""
    found = [(path, match) for path in paths for match in _LANGUAGE.finditer(f"/{path}")]
    spoken: dict[str, set[str]] = {}
    for path, match in found:
        if match[1] in _SPOKEN:
            spoken.setdefault(path[: match.start()], set()).add(match[1])
    return frozenset(
        path
        for path, match in found
        if match[1] != "en" and len(spoken.get(path[: match.start()], ())) >= _TRANSLATED_INTO
    )


def superseded(paths: Sequence[str]) -> Mask:
    """Whether each file is kept for an older version: ``v3`` beside ``v4``, ``legacy``."""
    newest: dict[str, int] = {}
    folders = [path.rpartition("/")[0] for path in paths]
    inside = {folder: list(_VERSION.finditer(f"{folder}/")) for folder in set(folders)}
    versions = [inside[folder] for folder in folders]
    for path, found in zip(paths, versions, strict=True):
        for match in found:
            before = path[: match.start()]
            newest[before] = max(newest.get(before, 0), int(match[1]))
    known = frozenset(paths) if newest else frozenset[str]()
    return np.array(
        [
            (has_any(path.lower(), _MAYBE_OLD) and bool(_OLD.search(path)))
            or any(
                newest[path[: match.start()]] > int(match[1])
                # ``v1/main.py`` beside ``main.py``.
                or path[: match.start()] + path[match.end() :] in known
                for match in found
            )
            for path, found in zip(paths, versions, strict=True)
        ],
        np.bool_,
    )


def of_other_system(path: str, question: str) -> bool:
    """Whether the file is for Windows, or a rare system, alone, and the question names neither.

    ``src/win/tcp.c`` beside ``src/unix/tcp.c``, ``lock_windows.go`` beside ``lock_unix.go``.
    """
    found = list(_OTHER_SYSTEM.finditer(path))
    return bool(found) and not any(
        _SAYS_WINDOWS.search(question)
        if each["windows"]
        else each["rare"].lower() in question.lower()
        for each in found
    )


class _Folders:
    """What the folders hold whose name may say what is in them."""

    def __init__(
        self, paths: Sequence[str], pattern: re.Pattern[str], shows: Callable[[str], bool]
    ) -> None:
        self._packages = {path.rpartition("/")[0] for path in paths if path.endswith("__init__.py")}
        counts: dict[str, list[int]] = {}
        # Where the pattern matches is decided by the folder, of which there are few.
        ends: dict[str, list[int]] = {}
        for path in paths:
            folder = path.rpartition("/")[0]
            if folder not in ends:
                ends[folder] = [match.end() for match in pattern.finditer(f"{folder}/")]
            for end in ends[folder]:
                count = counts.setdefault(path[:end], [0, 0])
                count[0] += 1
                count[1] += shows(path)
        said = {
            folder: shown >= _FEW * total or not self._among_sources(folder)
            for folder, (total, shown) in counts.items()
        }
        self._says = {
            folder: any(said[folder[:end]] for end in found) for folder, found in ends.items()
        }

    def _among_sources(self, folder: str) -> bool:
        parent = folder.rpartition("/")[0]
        return bool(_SOURCES.search(parent)) or (
            bool(parent) and {folder, parent} <= self._packages
        )

    def says(self, path: str) -> bool:
        """Whether a folder that the file is in says truly what is in it."""
        return self._says[path.rpartition("/")[0]]
