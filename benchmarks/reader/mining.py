"""Groups to train the reader with, from the history and the documentation of a repository.

A group is a question, the passages sought and others that are not: of the same file, and of the
files that BM25 ranks first for the question. There are five kinds of question:

* ``commit``: a commit's message; sought are the definitions of the parent that it changed.
* ``changelog``: what the same commit adds to the changelog, written for users.
* ``test``: the first line of the message and the test that the commit adds, as in a report.
* ``doc``: the first sentences of a documentation comment; sought is its definition without it.
* ``name``: the name of a definition.
"""

import argparse
import json
import lzma
import math
import random
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.reader.documentation import (
    asked,
    asked_name,
    documentation_of,
    sentence,
    without_comments,
)
from benchmarks.reader.excluded import may_be_mined
from benchmarks.reader.history import Change, Git, Task, changes, is_source, questions, tasks
from explorer.definitions import Definition, extent, outline
from explorer.reader.passages import MOST_LINES, Passage, passage_text, passages_of

_ASIDE_NAME: Final = re.compile(r"(?:tests?\b|test_|Test)")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")
_PART: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_ENDINGS: Final = ("ings", "ing", "ies", "ed", "es", "s")
_COMMON: Final = 0.5
"""A word in more than this share of the files tells nothing."""
_INDEX_FILES: Final = 4_000
_FILE_BYTES: Final = 150_000
_QUESTION_CHARS: Final = 2_000
_CHANGED_LINES: Final = 150
MOST_SOUGHT: Final = 6
LEAST_OTHERS: Final = 4
"""Of fewer passages beside what is sought no group is made."""
NEAR_LINES: Final = 4
"""A passage this close to changed lines may be what is sought as well, so it is left out."""
_SAME_FILE: Final = 6
_OTHER_FILES: Final = 8
_PARSED: Final = 3_000
"""How many files' passages are kept."""


def terms(text: str) -> list[str]:
    """The words of the text and of its names, shortened, and the names of several words whole."""
    found: list[str] = []
    for word in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(word) if len(part) > 1]
        found += [_stem(part) for part in parts]
        if len(parts) > 1:
            found.append(word.lower().replace("_", ""))
    return found


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) > 2:
            return word[: -len(ending)]
    return word


@dataclass(frozen=True, slots=True)
class File:
    """A file, cut into passages."""

    path: str
    lines: Sequence[str]
    outline: Sequence[Definition]
    passages: Sequence[Passage]
    words: Sequence[frozenset[str]]
    """Those of each passage."""

    def text(self, number: int) -> str:
        """What the reader reads of the passage."""
        return passage_text(self.path, self.lines, self.outline, self.passages[number])


def cut(path: str, content: bytes) -> File:
    """The file with its passages."""
    lines = content.decode("utf-8", "replace").split("\n")
    found = outline(path, content)
    passages = passages_of(found)
    words = [frozenset(terms("\n".join(lines[p.start - 1 : p.end]))) for p in passages]
    return File(path, lines, found, passages, words)


class Tree:
    """The source files of one commit: an index of their words, and their passages."""

    def __init__(self, git: Git, commit: str, counted: dict[str, Counter[str]]) -> None:
        """``counted`` are the words of blobs, shared by the trees of a repository."""
        self._git = git
        rows = [line.split(None, 3) for line in git("ls-tree", "-r", commit).splitlines()]
        blobs = [(row[2], row[3]) for row in rows if len(row) > 3 and is_source(row[3])]
        random.Random(1).shuffle(blobs)
        self.files: list[tuple[str, str]] = []
        self._posts: dict[str, list[tuple[int, int]]] = {}
        self._sizes: list[int] = []
        for blob, path in blobs[:_INDEX_FILES]:
            if blob not in counted:
                content = git.blob(blob) or b""
                counted[blob] = Counter(terms(content[:_FILE_BYTES].decode("utf-8", "replace")))
            if not counted[blob]:
                continue
            number = len(self.files)
            self.files.append((blob, path))
            self._sizes.append(counted[blob].total())
            counts = counted[blob] + Counter(dict.fromkeys(terms(path), 4))
            for word, count in counts.items():
                self._posts.setdefault(word, []).append((number, count))
        self._mean = sum(self._sizes) / max(1, len(self._sizes))

    def rarity(self, word: str) -> float:
        """The word's inverse document frequency."""
        having = len(self._posts.get(word, ()))
        return math.log(1 + (len(self.files) - having + 0.5) / (having + 0.5))

    def ranked(self, question: Iterable[str], most: int) -> list[int]:
        """The numbers of the files that fit the words best, by BM25."""
        scores: Counter[int] = Counter()
        # In one order, so that sums, and with them equal scores, are the same in each run.
        for word in sorted(set(question)):
            posts = self._posts.get(word, [])
            if not posts or len(posts) > _COMMON * len(self.files):
                continue
            rarity = self.rarity(word)
            for number, count in posts:
                long = 0.4 + 0.6 * self._sizes[number] / self._mean
                scores[number] += rarity * count * 2.2 / (count + 1.2 * long)  # type: ignore[assignment]
        return [number for number, _ in scores.most_common(most)]


class Miner:
    """Collects the groups of one repository; a passage that several have is kept once."""

    def __init__(self, git: Git, seed: int) -> None:
        self._git = git
        self._random = random.Random(seed)
        self._cut: OrderedDict[tuple[str, str], File] = OrderedDict()
        self._numbers: dict[str, int] = {}
        self.groups: list[dict[str, Any]] = []
        self.counted: dict[str, Counter[str]] = {}

    def result(self, repository: str) -> dict[str, Any]:
        """The groups, with the passages that they name by number."""
        return {"repo": repository, "passages": list(self._numbers), "groups": self.groups}

    def file(self, blob: str, path: str) -> File | None:
        """The file, cut; None if it is too large or missing."""
        key = blob, path
        if key not in self._cut:
            content = self._git.blob(blob)
            if content is None or len(content) > _FILE_BYTES:
                return None
            self._cut[key] = cut(path, content)
            if len(self._cut) > _PARSED:
                self._cut.popitem(last=False)
        self._cut.move_to_end(key)
        return self._cut[key]

    def others(self, tree: Tree, words: Sequence[str], sought: frozenset[str]) -> list[str]:
        """Passages of the files that fit the words best, without those at the paths sought."""
        found: list[str] = []
        ranked = [n for n in tree.ranked(words, 14) if tree.files[n][1] not in sought]
        for place, number in enumerate(ranked[:_OTHER_FILES]):
            file = self.file(*tree.files[number])
            if file is not None:
                best = _best(file, tree, words, range(len(file.passages)))
                found += [file.text(at) for at in best[: 2 if place < 3 else 1]]
        return found

    def same_file(
        self, file: File, tree: Tree, words: Sequence[str], away: Sequence[int]
    ) -> list[str]:
        """Passages of the file sought that are ``away`` from what is sought."""
        best = _best(file, tree, words, away)
        rest = best[4:]
        chosen = best[:4] + self._random.sample(rest, min(2, len(rest)))
        return [file.text(at) for at in chosen]

    def add(self, kind: str, question: str, sought: Sequence[str], others: Iterable[str]) -> None:
        """Add a group, unless hardly anything is beside what is sought."""
        beside = [text for text in dict.fromkeys(others) if text not in sought]
        if len(beside) < LEAST_OTHERS:
            return
        self.groups.append(
            {
                "kind": kind,
                "q": question[:_QUESTION_CHARS],
                "pos": [self._number(text) for text in sought],
                "neg": [self._number(text) for text in beside],
            }
        )

    def _number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def commits(self, most: int, since: str) -> None:
        """Groups of ``commit``, ``changelog`` and ``test``, evenly over the history."""
        found = list(tasks(self._git, since))
        count = min(most, len(found))
        chosen = sorted(
            (found[n * len(found) // count] for n in range(count)), key=lambda each: each.date
        )
        tree = None
        made = changes(self._git, [(each.parent, each.commit) for each in chosen])
        for number, task in enumerate(chosen):
            if number % max(1, count // 3 + 1) == 0:
                tree = Tree(self._git, task.parent, self.counted)
            if tree is not None and task.commit in made:
                self._commit(tree, task, made[task.commit])

    def _commit(self, tree: Tree, task: Task, change: Change) -> None:
        asked_as = list(questions(task, change, self._random))
        lines = sum(b - a + 1 for path in task.files for a, b in change.old.get(path, ()))
        if not asked_as or not 0 < lines <= _CHANGED_LINES:
            return
        words = terms(task.message)
        sought: list[str] = []
        near: list[str] = []
        for path in task.files:
            content = self._git.blob(f"{task.parent}:{path}")
            if content is None or len(content) > _FILE_BYTES or path not in change.old:
                continue
            file = cut(path, content)
            ranges = change.old[path]
            hit = [
                n
                for n, p in enumerate(file.passages)
                if touch(p.start, p.end, ranges)
                and not _ASIDE_NAME.match(file.outline[p.definition].name)
            ]
            # The smallest around a line is meant, not the class or the function that it is in.
            inner = [
                n for n in hit if not any(_inside(file, other, n) and other != n for other in hit)
            ]
            sought += [file.text(n) for n in inner]
            away = [
                n
                for n, p in enumerate(file.passages)
                if not touch(p.start, p.end, ranges, NEAR_LINES)
            ]
            near += self.same_file(file, tree, words, away)
        if not sought:
            return
        self._random.shuffle(sought)
        for kind, question in asked_as:
            others = self.others(tree, terms(question), frozenset(task.files))
            self.add(kind, question, sought[:MOST_SOUGHT], near[: _SAME_FILE * 2] + others)

    def documentation(self, docs: int, names: int) -> None:
        """Groups of ``doc`` and of ``name``, from the newest tree."""
        tree = Tree(self._git, "HEAD", self.counted)
        order = list(range(len(tree.files)))
        self._random.shuffle(order)
        named = documented = 0
        for number in order:
            if documented >= docs and named >= names:
                break
            file = self.file(*tree.files[number])
            if file is None:
                continue
            at = [n for n, each in enumerate(file.outline) if each.name and each.kind != "section"]
            self._random.shuffle(at)
            found = 0
            for definition in at:
                if found > 9 or documented >= docs:
                    break
                found += self._documented(tree, file, definition)
            documented += found
            for definition in at[: 2 if named < names else 0]:
                named += self._named(tree, file, definition)

    def _documented(self, tree: Tree, file: File, number: int) -> bool:
        each = file.outline[number]
        said, without = documentation_of(file.lines, each)
        question = sentence(said)
        own = [n for n, p in enumerate(file.passages) if p.definition == number]
        if question is None or not own:
            return False
        start, end = extent(each)
        kept = [
            line for n, line in enumerate(file.lines[:end], 1) if n >= start and n not in without
        ]
        kept = [line for line in kept if line.strip()]
        if len(kept) < 2 or _ASIDE_NAME.match(each.name):
            return False
        first = file.passages[own[0]]
        sought = [passage_text(file.path, file.lines, file.outline, first, kept[:MOST_LINES])]
        words = terms(question)
        away = [
            n
            for n, p in enumerate(file.passages)
            if p.definition != number and (p.end < each.start or p.start > each.end)
        ]
        others = self.others(tree, words, frozenset([file.path]))
        near = self.same_file(file, tree, words, away)
        # Those without documentation are not always the ones sought.
        shown = [without_comments(t) if self._random.random() < 0.5 else t for t in near + others]
        self.add("doc", asked(question, self._random), sought, shown)
        return True

    def _named(self, tree: Tree, file: File, number: int) -> bool:
        each = file.outline[number]
        own = [n for n, p in enumerate(file.passages) if p.definition == number]
        if not own or len(each.last_name) < 4 or each.kind == "call":
            return False
        question = asked_name(each, self._random)
        words = terms(question)
        away = [n for n, p in enumerate(file.passages) if p.definition != number]
        near = self.same_file(file, tree, words, away)
        others = self.others(tree, words, frozenset([file.path]))
        self.add("name", question, [file.text(own[0])], near + others)
        return True


def _best(file: File, tree: Tree, words: Sequence[str], among: Iterable[int]) -> list[int]:
    """The passages among these that share the rarest of the words, best first."""
    weights = {word: tree.rarity(word) for word in set(words)}
    scores = {n: math.fsum(weights[w] for w in file.words[n] & weights.keys()) for n in among}
    return sorted(scores, key=lambda n: -scores[n])


def touch(start: int, end: int, ranges: Iterable[Sequence[int]], around: int = 0) -> bool:
    """Whether one of the ranges has a line from ``start`` to ``end``, or so many lines around."""
    return any(start - around <= last and first <= end + around for first, last in ranges)


def _inside(file: File, inner: int, outer: int) -> bool:
    """Whether the passage ``inner`` is of a definition within that of ``outer``."""
    parent = file.outline[file.passages[inner].definition].parent
    while parent >= 0:
        if parent == file.passages[outer].definition:
            return True
        parent = file.outline[parent].parent
    return False


def main(args: Sequence[str] | None = None) -> int:
    """Write the groups of one repository as JSON in xz; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.mining")
    parser.add_argument("repository", help="owner/name")
    parser.add_argument("--mirror", type=Path, required=True, help="folder of bare clones")
    parser.add_argument("--into", type=Path, required=True, help="folder of the groups")
    parser.add_argument("--since", default="2012-01-01")
    parser.add_argument("--commits", type=int, default=800)
    parser.add_argument("--docs", type=int, default=1200)
    parser.add_argument("--names", type=int, default=120)
    options = parser.parse_args(args)
    if not may_be_mined(options.repository):
        parser.error(f"{options.repository!r} is kept for measuring; mine another repository")
    name = options.repository.replace("/", "+")
    with Git(options.mirror / name / "repo") as git:
        miner = Miner(git, seed=7)
        miner.commits(options.commits, options.since)
        miner.documentation(options.docs, options.names)
    result = miner.result(options.repository)
    into = options.into / f"{name}.json.xz"
    with lzma.open(into.with_suffix(".part"), "wt", preset=3) as file:
        json.dump(result, file)
    into.with_suffix(".part").rename(into)
    kinds = Counter(group["kind"] for group in result["groups"])
    print(options.repository, len(result["passages"]), dict(kinds), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
