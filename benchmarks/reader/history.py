"""The history of a repository as questions: what commits say, and what they changed."""

import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.scout_mining import HUNK, MOST_FILES, cleaned, commits

_SUFFIXES: Final = frozenset(
    (
        "py pyx rs go c h cc cpp cxx hpp java kt kts scala rb php js jsx mjs ts tsx vue svelte"
        " swift cs ex exs lua sh bash"
    ).split()
)
_ASIDE: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|specs?|__tests__|testdata|fixtures?|docs?|examples?|vendor"
    r"|third_party|node_modules|locales?|dist|bench(?:marks?)?)(?:/|$)"
    r"|(?:_test|_spec|Test|Tests|Spec|\.test|\.spec)\.\w+$|(?:^|/)(?:test_|conftest)[^/]*$|\.min\.",
)
_TEST: Final = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__)/|(?:_test|_spec|Test|Tests|Spec|\.test|\.spec)\.\w+$"
    r"|(?:^|/)test_[^/]*$"
)
_CHANGELOG: Final = re.compile(
    r"(?:^|/)(?:change|news|history|release)[^/]*$|(?:^|/)(?:changes|changelog\w*|news\w*)/",
    re.IGNORECASE,
)
_NO_TASK: Final = re.compile(
    r"\s*(?:revert|bump|release|merge|format|update (?:dep|version|copyright)|typo|lint|\[?ci\b)",
    re.IGNORECASE,
)


class Git:
    """A bare repository: its commands, and its blobs through one process."""

    def __init__(self, bare: Path) -> None:
        self.bare = bare
        self._base = ["git", f"--git-dir={bare}", "-c", "core.quotepath=off"]
        self._blobs = subprocess.Popen(
            [*self._base, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> "Git":
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        assert self._blobs.stdin is not None and self._blobs.stdout is not None  # noqa: PT018
        self._blobs.stdin.close()
        self._blobs.stdout.close()
        self._blobs.wait()

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [*self._base, *arguments], input=stdin.encode(), capture_output=True, check=False
        )
        return done.stdout.decode("utf-8", "replace")

    def blob(self, name: str) -> bytes | None:
        """The blob's content; None if there is none, as where a clone lacks the largest."""
        assert self._blobs.stdin is not None and self._blobs.stdout is not None  # noqa: PT018
        self._blobs.stdin.write(f"{name}\n".encode())
        self._blobs.stdin.flush()
        head = self._blobs.stdout.readline().split()
        if len(head) != 3:
            return None
        content = self._blobs.stdout.read(int(head[2]) + 1)[:-1]
        return content if head[1] == b"blob" else None


def is_source(path: str) -> bool:
    """Whether it is a file of source that is no test, example or the like."""
    return path.rpartition(".")[2] in _SUFFIXES and not _ASIDE.search(path)


@dataclass(frozen=True, slots=True)
class Task:
    """A commit that gives questions."""

    commit: str
    parent: str
    date: str
    message: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit changed."""

    old: dict[str, list[tuple[int, int]]]
    """The parent's lines that were changed, or are around what was added, by path."""
    new: dict[str, list[str]]
    """The lines that were added, by path."""


def tasks(git: Git, since: str) -> Iterator[Task]:
    """The commits that change a few source files and make no other, newest first."""
    for each in commits(git.bare, since):
        source = [(status, path) for status, path in each.changes if is_source(path)]
        if (
            len(each.parents) == 1
            and 1 <= len(source) <= MOST_FILES
            and all(status == "M" for status, _ in source)
            and not _NO_TASK.match(each.body)
        ):
            files = tuple(path for _, path in source)
            yield Task(each.commit, each.parents[0], each.date, cleaned(each.body), files)


def changes(git: Git, pairs: Sequence[tuple[str, str]]) -> dict[str, Change]:
    """The changes of commits, by commit, read in portions from one process each."""
    found: dict[str, Change] = {}
    for at in range(0, len(pairs), 100):
        wanted = {commit for _, commit in pairs[at : at + 100]}
        text = git(
            *("diff-tree", "--stdin", "-r", "-p", "-U0", "--no-renames", "--no-ext-diff"),
            stdin="".join(f"{commit}\n" for _, commit in pairs[at : at + 100]),
        )
        change, path, line = None, "", 0
        for row in text.split("\n"):
            if len(row) == 40 and row in wanted:
                change = found[row] = Change({}, {})
            elif change is None:
                continue
            elif row.startswith(("--- ", "+++ ")):
                name = row[4:].rstrip("\t")
                path = name[2:] if name[:2] in ("a/", "b/") else path
            elif match := HUNK.match(row):
                line, count = int(match[1]), int(match[2] or 1)
                last = line + max(count, 1) - 1
                change.old.setdefault(path, []).append((max(1, line), last + (count == 0)))
            elif row.startswith("+") and len(change.new.setdefault(path, [])) < 60:
                change.new[path].append(row[1:])
    return found


def questions(task: Task, change: Change, chance: random.Random) -> Iterator[tuple[str, str]]:
    """The kinds of question that the commit gives, with their texts."""
    message = task.message
    if len(message) >= 40 and len(message.split()) > 5:
        yield "commit", message
    for path, added in change.new.items():
        if _CHANGELOG.search(path) and not is_source(path):
            text = _entry(added)
            if text is not None:
                yield "changelog", text
                break
    tests = [path for path in change.new if _TEST.search(path) and path not in task.files]
    if tests and chance.random() < 0.6:
        title = message.split("\n", 1)[0]
        body = "\n".join(change.new[tests[0]][:24]).strip()
        if len(body) > 60:
            yield "test", f"{title}\n\n{body}" if chance.random() < 0.6 else body


def _entry(added: Sequence[str]) -> str | None:
    """What a changelog's new lines say; None if that is not about one thing."""
    lines = [line.strip() for line in added if re.search(r"[a-z]{3}", line)]
    text = cleaned(re.sub(r"[`*_]{1,3}|:\w+:|^[-*+.\s]+", "", "\n".join(lines)))
    text = re.sub(r"\s+", " ", text).strip()
    return text if 8 <= len(text.split()) <= 120 else None
