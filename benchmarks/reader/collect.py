"""What the scout would have the reader read, for many tasks: one record a task, as JSON in xz.

A record has the task, the files that are looked into with their chances, a row of features for each
definition of which something is read, and the passages in the order in which they are read.
"""

import argparse
import json
import lzma
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import numpy as np

from benchmarks.questions import root_of
from explorer.definitions import extent
from explorer.repository.workspace import Workspace
from explorer.scout.candidates import candidates
from explorer.scout.index import RepositoryIndex
from explorer.scout.networks import load_weights
from explorer.scout.places import look_into, scores_of
from explorer.scout.query import parse_query
from explorer.scout.reading import LOOKED_AT, texts_of, to_read
from explorer.scout.search import likely_files

_MOST: Final = 10
_PASSAGES: Final = 112
"""More than are read for an answer, so that it can be seen how many are worth reading."""


def main(args: Sequence[str] | None = None) -> int:
    """Write the records of the tasks; the exit status is 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reader.collect", description=__doc__
    )
    parser.add_argument("--tasks", type=Path, required=True, help="tasks, one JSON object a line")
    parser.add_argument("--mirror", type=Path, help="folder of bare clones")
    parser.add_argument("--trees", type=Path, help="folder for their trees")
    parser.add_argument("--scope", choices=["root", "whole"], default="whole")
    parser.add_argument("--into", type=Path, required=True, help="the file to write: .jsonl.xz")
    options = parser.parse_args(args)
    tasks = [json.loads(line) for line in options.tasks.read_text().splitlines()]
    tasks.sort(key=lambda task: (task.get("repo", ""), task.get("date", "")))
    with lzma.open(options.into, "wt", preset=3) as file:
        anyio.run(_collect, tasks, options, file)
    return 0


async def _collect(tasks: list[dict[str, Any]], options: argparse.Namespace, file: Any) -> None:
    opened: dict[Path, RepositoryIndex] = {}
    for number, task in enumerate(tasks, 1):
        root = root_of(task, options.scope, options.mirror, options.trees)
        if root not in opened:
            opened.clear()
            opened[root] = RepositoryIndex(Workspace.open(root), None)
        index = opened[root]
        with _blanked(root, task.get("hidden", {})):
            index.workspace.forget()
            index.refresh(await index.workspace.files(), lambda: False)
            record = record_of(index, task)
        if record is not None:
            file.write(json.dumps(record) + "\n")
        if number % 20 == 0:
            print(f"... {number}/{len(tasks)} {root.name}", file=sys.stderr, flush=True)


@contextmanager
def _blanked(root: Path, hidden: dict[str, list[int]]) -> Iterator[None]:
    """The files without these lines, while the context is open."""
    before = {root / path: (root / path).read_bytes() for path in hidden}
    for path, lines in hidden.items():
        rows = before[root / path].split(b"\n")
        for line in lines:
            rows[line - 1] = b""
        (root / path).write_bytes(b"\n".join(rows))
    try:
        yield
    finally:
        for whole, content in before.items():
            whole.write_bytes(content)


def record_of(index: RepositoryIndex, task: dict[str, Any]) -> dict[str, Any] | None:
    """The record of a task; None if no file has a word of it."""
    query, weights = parse_query(task["query"]), load_weights()
    found = None if query.empty else candidates(index, query, index.rows)
    if found is None:
        return None
    files = likely_files(query, found, weights, _MOST, LOOKED_AT)
    known = found.weight, found.described, weights
    looked = look_into(files.paths, files.texts, files.chances, query, *known)
    readings = to_read(looked, scores_of(looked), _PASSAGES)
    rows = list(dict.fromkeys(each.row for each in readings))
    definitions = looked.definitions
    kept = ("repo", "slug", "kind", "query", "files", "relevant", "gold", "functions", "modules")
    return {
        "id": task["id"],
        "task": {key: task[key] for key in kept if key in task},
        "plain": query.is_plain,
        "alone": found.is_exact,
        "named": files.named,
        "count": files.count,
        "paths": files.paths,
        "chances": [round(float(each), 6) for each in files.chances],
        "definitions": [
            [
                int(looked.owner[row]),
                definitions[row][1].name,
                definitions[row][1].kind,
                *extent(definitions[row][1]),
                definitions[row][1].head,
                definitions[row][1].size,
            ]
            for row in rows
        ],
        "features": np.round(looked.table[rows], 4).tolist(),
        "read": [
            [rows.index(each.row), each.passage.start, each.passage.end, text]
            for each, text in zip(readings, texts_of(looked, files.paths, readings), strict=True)
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main())
