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
import subprocess
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.reader.excluded import may_be_mined
from benchmarks.scout_mining import cleaned
from explorer.definitions import Definition, extent, outline
from explorer.reader.passages import MOST_LINES, Passage, passage_text, passages_of

SUFFIXES: Final = frozenset(
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
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")
_PART: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_HUNK: Final = re.compile(r"@@ -(\d+)(?:,(\d+))? ")
_ENDINGS: Final = ("ings", "ing", "ies", "ed", "es", "s")
_COMMON: Final = 0.5
"""A word in more than this share of the files tells nothing."""
_INDEX_FILES: Final = 4_000
_FILE_BYTES: Final = 150_000
_QUESTION_CHARS: Final = 2_000
_CHANGED_LINES: Final = 150
_MOST_SOUGHT: Final = 6
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


class Git:
    """A bare repository: its commands, and its blobs through one process."""

    def __init__(self, bare: Path) -> None:
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
        blobs = [(row[2], row[3]) for row in rows if len(row) > 3 and _is_source(row[3])]
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
        for word in set(question):
            posts = self._posts.get(word, [])
            if not posts or len(posts) > _COMMON * len(self.files):
                continue
            rarity = self.rarity(word)
            for number, count in posts:
                long = 0.4 + 0.6 * self._sizes[number] / self._mean
                scores[number] += rarity * count * 2.2 / (count + 1.2 * long)  # type: ignore[assignment]
        return [number for number, _ in scores.most_common(most)]


def _is_source(path: str) -> bool:
    return path.rpartition(".")[2] in SUFFIXES and not _ASIDE.search(path)


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

    def add(
        self, kind: str, question: str, sought: Sequence[str], others: Iterable[str], **more: str
    ) -> None:
        """Add a group, unless hardly anything is beside what is sought."""
        beside = [text for text in dict.fromkeys(others) if text not in sought]
        if len(beside) < 4:
            return
        group = {
            "kind": kind,
            "q": question[:_QUESTION_CHARS],
            "pos": [self._number(text) for text in sought],
            "neg": [self._number(text) for text in beside],
        }
        self.groups.append(group | more)

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

    def _commit(self, tree: Tree, task: "Task", change: "Change") -> None:
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
                if _touch(p, ranges, 0) and not _ASIDE_NAME.match(file.outline[p.definition].name)
            ]
            # The smallest around a line is meant, not the class or the function that it is in.
            inner = [
                n for n in hit if not any(_inside(file, other, n) and other != n for other in hit)
            ]
            sought += [file.text(n) for n in inner]
            away = [n for n, p in enumerate(file.passages) if not _touch(p, ranges, 4)]
            near += self.same_file(file, tree, words, away)
        if not sought:
            return
        self._random.shuffle(sought)
        for kind, question in asked_as:
            others = self.others(tree, terms(question), frozenset(task.files))
            self.add(kind, question, sought[:_MOST_SOUGHT], near[: _SAME_FILE * 2] + others)

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
        heads = file.text(own[0]).split("\n")[: -len(_lines(file, own[0]))]
        sought = ["\n".join([*heads, *(line[:160] for line in kept[:MOST_LINES])])]
        words = terms(question)
        away = [
            n
            for n, p in enumerate(file.passages)
            if p.definition != number and (p.end < each.start or p.start > each.end)
        ]
        others = self.others(tree, words, frozenset([file.path]))
        near = self.same_file(file, tree, words, away)
        # Those without documentation are not always the ones sought.
        shown = [_without_comments(t) if self._random.random() < 0.5 else t for t in near + others]
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


_ASIDE_NAME: Final = re.compile(r"(?:tests?\b|test_|Test)")
_ASKS_NAME: Final = (
    "{}",
    "{}",
    "where is {} defined",
    "{} implementation",
    "What does {} do?",
    "how does {} work?",
    "{} definition",
)


def asked_name(each: Definition, chance: random.Random) -> str:
    """The definition's name, or its last two parts, as somebody asks for it."""
    name = ".".join(each.name.split(".")[-chance.choice((1, 1, 2)) :])
    return chance.choice(_ASKS_NAME).format(name)


def _lines(file: File, number: int) -> Sequence[str]:
    passage = file.passages[number]
    return file.lines[passage.start - 1 : passage.end]


def _best(file: File, tree: Tree, words: Sequence[str], among: Iterable[int]) -> list[int]:
    """The passages among these that share the rarest of the words, best first."""
    weights = {word: tree.rarity(word) for word in set(words)}
    scores = {n: sum(weights[w] for w in file.words[n] & weights.keys()) for n in among}
    return sorted(scores, key=lambda n: -scores[n])


def _touch(passage: Passage, ranges: Sequence[tuple[int, int]], around: int) -> bool:
    return any(passage.start - around <= b and a <= passage.end + around for a, b in ranges)


def _inside(file: File, inner: int, outer: int) -> bool:
    """Whether the passage ``inner`` is of a definition within that of ``outer``."""
    parent = file.outline[file.passages[inner].definition].parent
    while parent >= 0:
        if parent == file.passages[outer].definition:
            return True
        parent = file.outline[parent].parent
    return False


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
    log = git(
        *("log", "--no-merges", f"--since={since}", "--name-status", "--no-renames"),
        "--format=%x00%H%x00%P%x00%as%x00%B%x00",
    ).split("\0")[1:]
    for at in range(0, len(log) - 4, 5):
        commit, parents, date, body, names = log[at : at + 5]
        rows = [line.split("\t") for line in names.strip().splitlines() if line.count("\t") == 1]
        source = [(status, path) for status, path in rows if _is_source(path)]
        if (
            len(parents.split()) == 1
            and 1 <= len(source) <= 4
            and all(status == "M" for status, _ in source)
            and not _NO_TASK.match(body)
        ):
            yield Task(commit, parents, date, cleaned(body), tuple(path for _, path in source))


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
            elif match := _HUNK.match(row):
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
        if _CHANGELOG.search(path) and not _is_source(path):
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


_DOC_MARK: Final = re.compile(r"^\s*(?:///?!?|/\*\*?|\*/?|#+|--+|@doc|@moduledoc)\s?")
_MARKUP: Final = re.compile(
    r"@\w+.*|:param.*|:returns?.*|:rtype.*|>>>.*|<[^>]+>|\{@\w+ ([^}]*)\}|:\w+:(?=`)|[`*]"
)
_NOT_SAID: Final = re.compile(
    r"copyright|licen[cs]e|todo|fixme|eslint|noqa|pylint|http|deprecated|rubocop|clippy",
    re.IGNORECASE,
)


def documentation_of(lines: Sequence[str], each: Definition) -> tuple[str, frozenset[int]]:
    """The text of a definition's documentation, and its lines."""
    inside: list[int] = []
    begin = each.body
    quote = ""
    for number in range(begin, min(each.end, begin + 80) + 1):
        text = lines[number - 1].strip()
        if not inside:
            match = re.match(r"[rbuf]*(\"\"\"|''')", text)
            if not match:
                break
            quote = match[1]
            inside.append(number)
            if text.count(quote) > 1:
                break
        else:
            inside.append(number)
            if quote in text:
                break
    if inside:
        said = "\n".join(lines[n - 1] for n in inside).replace(quote, "")
        return re.sub(r"^\s*[rbuf]?(?=\S)", "", said), frozenset(inside)
    above = [
        n for n in range(each.start, each.head) if not re.match(r"\s*(?:@\w|\[|#\[)", lines[n - 1])
    ]
    said = "\n".join(_DOC_MARK.sub("", lines[n - 1]).rstrip("*/ ") for n in above)
    return said, frozenset(above)


def sentence(text: str) -> str | None:
    """The first sentences of a documentation; None if they say too little."""
    text = _MARKUP.sub(lambda match: match[1] or " ", text.strip())
    text = re.sub(r"\s+", " ", re.split(r"\n\s*\n", text.strip())[0]).strip()
    parts = re.split(r"(?<=[.!?])\s", text)
    first = parts[0] if len(parts[0]) > 60 or len(parts) < 2 else " ".join(parts[:2])
    first = first[:400]
    return first if len(first.split()) > 4 and not _NOT_SAID.search(first) else None


def asked(text: str, chance: random.Random) -> str:
    """The sentence as it is, or as somebody would ask who wants to find what it says."""
    body = text.rstrip(".")
    verb, _, rest = body.partition(" ")
    body = verb[:1].lower() + verb[1:] + " " + rest if verb[1:].islower() else body
    singular = re.match(r"([a-z]{3,}?)(es|s)$", verb[:1].lower() + verb[1:])
    form = chance.random()
    if form < 0.4:
        return text
    if singular and form < 0.7:
        plain = singular[1] + ("e" if singular[2] == "es" and singular[1][-1] in "vczgsr" else "")
        return chance.choice(("how does it {} {}?", "where does the code {} {}", "{} {}")).format(
            plain, rest
        )
    return chance.choice(
        ("where is the code that {}", "which part {}?", "how to {}", "{}", "code to {}")
    ).format(body)


def _without_comments(text: str) -> str:
    rows = text.split("\n")
    text = "\n".join(
        rows[:1]
        + [r for r in rows[1:] if not re.match(r"\s*(?://|/?\*|#(?!\[|include|define|if|end))", r)]
    )
    return re.sub(r"(\"\"\"|''').*?\1", "", text, flags=re.DOTALL)


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
