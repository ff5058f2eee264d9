"""Tasks to fit the fusion with, of repositories that the reader is not trained on.

The kinds are those of ``benchmarks.reader.mining``; a task names a commit to search and the ranges
sought, as in ``benchmarks.localisation``. ``hidden`` are lines of documentation that are blanked
while its question is asked.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.reader import documentation, history
from benchmarks.reader.mining import Tree
from explorer.definitions import outline

_CHANGED_LINES: Final = 80


def main(args: Sequence[str] | None = None) -> int:
    """Print the tasks of one repository, one a line; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.tasks")
    parser.add_argument("repository", help="owner/name")
    parser.add_argument("--mirror", type=Path, required=True, help="folder of bare clones")
    parser.add_argument("--since", default="2014-01-01")
    parser.add_argument("--commits", type=int, default=34)
    parser.add_argument("--docs", type=int, default=24)
    parser.add_argument("--names", type=int, default=8)
    options = parser.parse_args(args)
    chance = random.Random(options.repository)
    with history.Git(options.mirror / options.repository.replace("/", "+") / "repo") as git:
        found = [
            *changed(git, options.since, options.commits, chance),
            *documented(git, options.docs, options.names, chance),
        ]
    for number, task in enumerate(found):
        name = f"{options.repository.rpartition('/')[2]}-{task['kind']}-{number}"
        print(json.dumps({"id": name, "repo": options.repository} | task))
    return 0


def changed(git: history.Git, since: str, most: int, chance: random.Random) -> Iterator[Any]:
    """Tasks of kind ``commit``, ``changelog`` and ``test``: one of a commit."""
    found = list(history.tasks(git, since))
    count = min(3 * most, len(found))
    chosen = [found[n * len(found) // count] for n in range(count)]
    changes = history.changes(git, [(each.parent, each.commit) for each in chosen])
    given = 0
    for task in chosen:
        change = changes.get(task.commit)
        questions = dict(history.questions(task, change, chance)) if change else {}
        if not questions or change is None or given >= most:
            continue
        kinds = [kind for kind in ("changelog", "test") if kind in questions]
        kind = kinds[0] if kinds and chance.random() < 0.7 else next(iter(questions))
        files = {path: [list(each) for each in change.old.get(path, ())] for path in task.files}
        lines = sum(b - a + 1 for ranges in files.values() for a, b in ranges)
        if all(files.values()) and lines <= _CHANGED_LINES:
            given += 1
            yield {
                "kind": kind,
                "base_commit": task.parent,
                "date": task.date,
                "query": questions[kind],
                "files": files,
            }


def documented(git: history.Git, docs: int, names: int, chance: random.Random) -> Iterator[Any]:
    """Tasks of kind ``doc`` and ``name``: at most three of a file."""
    tree = Tree(git, "HEAD", {})
    order = list(range(len(tree.files)))
    chance.shuffle(order)
    found = named = 0
    for number in order:
        blob, path = tree.files[number]
        content = git.blob(blob) or b""
        lines = content.decode("utf-8", "replace").split("\n")
        of_file = 0
        defined = [each for each in outline(path, content) if each.name and each.kind != "section"]
        for each in chance.sample(defined, len(defined)):
            if each.last_name.startswith("test") or of_file > 1:
                continue
            base = {"base_commit": "HEAD", "date": "", "files": {path: [[each.head, each.end]]}}
            if named < names and of_file == 0 and len(each.last_name) > 4:
                named, of_file = named + 1, of_file + 1
                yield {"kind": "name", "query": documentation.asked_name(each, chance), **base}
                continue
            said, hidden = documentation.documentation_of(lines, each)
            question = documentation.sentence(said)
            if question is None or found >= docs or each.size - len(hidden) < 3:
                continue
            found, of_file = found + 1, of_file + 1
            asked = documentation.asked(question, chance)
            yield {"kind": "doc", "query": asked, "hidden": {path: sorted(hidden)}, **base}
        if found >= docs and named >= names:
            return


if __name__ == "__main__":
    raise SystemExit(main())
