"""Training tasks for the scout from the history of a repository: bug fixes and what they touched.

A task is a commit that is not a merge, says that it fixes something, and changes one to four source
files other than tests. Its query is the message without paths, hashes and trailers, its tree that
of the parent; sought are the parent's lines that the fix touched, with three lines around them.
"""

import argparse
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from explorer.scout.scores import index_paths

MOST_FILES: Final = 4
MESSAGE_CHARS: Final = range(180, 6_000)
_FIX: Final = re.compile(
    r"\b(?:fix(?:e[sd]|ing)?|bugs?|crash\w*|regression|incorrect\w*|wrong\w*|broken|leak\w*"
    r"|deadlock\w*|panic\w*|race|npe|fail(?:s|ed|ing|ure)?|overflow)\b",
    re.IGNORECASE,
)
_NO_FIX: Final = re.compile(r"\s*(?:revert|bump|release|merge|format)", re.IGNORECASE)
_TRAILER: Final = re.compile(
    r"^\s*(?:[\w-]+-by|closes?|fix(?:es|ed)?|bug|refs?|reviewers?|test plan|change-id"
    r"|\(?cherry.?pick\w*|differential revision|pull request resolved)\b.{0,120}$",
    re.IGNORECASE,
)
_REFERENCE: Final = re.compile(r"#\d+|https?:|@|[0-9a-f]{7,}|\bD\d{5,}")
_LINK: Final = re.compile(r"https?://\S+|\(?(?:[\w.-]+/[\w.-]+)?#\d+\)?|\b[0-9a-f]{8,40}\b")
_PATH: Final = re.compile(
    r"(?<![\w@])(?:[\w.+-]+/)+[\w+-]+(?:\.[\w+-]+)+"
    r"|\b[\w+-]+\.(?:py|rs|go|c|h|cc|cpp|java|kt|cs|ex|exs|md|js|tsx?|rb|php|swift)\b(?!\()"
)
HUNK: Final = re.compile(r"@@ -(\d+)(?:,(\d+))? ")
_FIELDS: Final = 5
"""How many fields a commit has in the log, each before a NUL, which no message holds."""

Ranges = dict[str, list[list[int]]]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as the log tells it."""

    commit: str
    parents: tuple[str, ...]
    date: str
    body: str
    changes: tuple[tuple[str, str], ...]
    """The status and the path of each file that it changed."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A commit that may become a task."""

    commit: str
    parent: str
    date: str
    message: str
    files: tuple[str, ...]


def main(args: Sequence[str] | None = None) -> int:
    """Print one task a line; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scout_mining")
    parser.add_argument("repository", help="owner/name")
    parser.add_argument("--mirror", type=Path, required=True, help="folder of bare clones")
    parser.add_argument("--suffixes", nargs="+", required=True, help="of source files: py rs")
    parser.add_argument("--language", default="")
    parser.add_argument("--since", default="2018-01-01")
    parser.add_argument("--most", type=int, default=100, help="tasks, evenly over the history")
    options = parser.parse_args(args)
    bare = options.mirror / options.repository.replace("/", "+") / "repo"
    suffixes = frozenset(suffix.lstrip(".") for suffix in options.suffixes)
    found = list(fixes(bare, suffixes, options.since))
    count = min(options.most, len(found))
    for fix in (found[index * len(found) // count] for index in range(count)):
        task = task_of(bare, fix, options.repository, options.language)
        if task is not None:
            print(json.dumps(task))
    return 0


def commits(bare: Path, since: str) -> Iterator[Commit]:
    """The commits that are no merges, newest first."""
    log = _git(
        bare,
        *("log", "--no-merges", f"--since={since}", "--name-status", "--no-renames"),
        "--format=%x00%H%x00%P%x00%as%x00%B%x00",
    )
    parts = log.split("\0")[1:]
    for at in range(0, len(parts), _FIELDS):
        commit, parents, date, body, names = parts[at : at + _FIELDS]
        rows = [line.partition("\t") for line in names.strip().splitlines() if "\t" in line]
        changes = tuple((status, path) for status, _, path in rows)
        yield Commit(commit, tuple(parents.split()), date, body, changes)


def fixes(bare: Path, suffixes: frozenset[str], since: str) -> Iterator[Fix]:
    """The fixes in the history, newest first."""
    for each in commits(bare, since):
        tests = index_paths([path for _, path in each.changes]).is_test.tolist()
        source = [
            (status, path)
            for (status, path), test in zip(each.changes, tests, strict=True)
            if path.rpartition(".")[2] in suffixes and not test
        ]
        message = cleaned(each.body)
        if (
            len(each.parents) == 1
            and 1 <= len(source) <= MOST_FILES
            and all(status == "M" for status, _ in source)
            and len(message) in MESSAGE_CHARS
            and _FIX.search(message)
            and not _NO_FIX.match(each.body)
        ):
            files = tuple(path for _, path in source)
            yield Fix(each.commit, each.parents[0], each.date, message, files)


def cleaned(message: str) -> str:
    """The message without trailers, links, paths and hashes."""
    lines = [
        line
        for line in message.splitlines()
        if not (_TRAILER.match(line) and _REFERENCE.search(line))
    ]
    text = _PATH.sub("", _LINK.sub("", "\n".join(lines)))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def task_of(bare: Path, fix: Fix, repository: str, language: str) -> dict[str, Any] | None:
    """The task; None when a file's change has no lines, as one of its mode, or is not of text."""
    try:
        sought = _touched(bare, fix, 3)
    except subprocess.CalledProcessError:
        return None  # A clone may lack the largest blobs.
    if set(sought) != set(fix.files):
        return None
    stems = [path.rpartition("/")[2].partition(".")[0].lower() for path in fix.files]
    said = [rf"(?<![a-z0-9]){re.escape(stem)}(?![a-z0-9])" for stem in stems]
    return {
        "id": f"{repository.partition('/')[2]}-{fix.commit[:10]}",
        "repo": repository,
        "base_commit": fix.parent,
        "date": fix.date,
        "language": language,
        "query": fix.message,
        "files": sought,
        "files_exact": _touched(bare, fix, 0),
        "n_tree_files": _git(bare, "ls-tree", "-r", "--name-only", fix.parent).count("\n"),
        "stem_in_query": any(re.search(each, fix.message.lower()) for each in said),
    }


def _touched(bare: Path, fix: Fix, context: int) -> Ranges:
    """The ranges of the parent's lines in the fix's hunks, by file."""
    options = ("-p", f"-U{context}", "--no-renames")
    diff = _git(bare, "diff-tree", *options, fix.parent, fix.commit, "--", *fix.files)
    result: Ranges = {}
    path = ""
    for line in diff.splitlines():
        if line.startswith("--- a/"):
            path = line.removeprefix("--- a/")
        elif match := HUNK.match(line):
            begin = max(1, int(match[1]))
            count = int(match[2]) if match[2] is not None else 1
            result.setdefault(path, []).append([begin, max(begin, int(match[1]) + count - 1)])
    return result


def _git(bare: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", f"--git-dir={bare}", "-c", "core.quotepath=off", *arguments],
        capture_output=True,
        check=True,
    )
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    raise SystemExit(main())
