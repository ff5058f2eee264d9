"""Semble's answers, from a process of its own: run by a Python that has ``semble`` installed.

Reads lines ``{"root", "query", "files"}`` on stdin, writes ``{"citations", "index_s", "query_s"}``.
Its static vectors come from a hub. Without them its BM25 over chunks and its reranking remain, and
these run here: the vectors have one dimension, and a weight of 0 in the sum. Its index is kept and
updated between questions about one root, like those of the other explorers.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import semble.index.index as semble_index

_CHUNKS = 50


class NoVectors:
    """Takes the place of the model: every text is the same to it."""

    dim = 1

    def encode(self, texts: list[str], **_: Any) -> Any:
        return np.ones((len(texts), 1), np.float32)


def main() -> None:
    semble_index.load_model = lambda *_: (NoVectors(), "no-vectors")
    for line in sys.stdin:
        question = json.loads(line)
        begun = time.perf_counter()
        index = semble_index.SembleIndex.from_path(question["root"])
        built = time.perf_counter()
        found = index.search(question["query"], top_k=_CHUNKS, alpha=0.0)
        answered = time.perf_counter()
        citations: list[dict[str, Any]] = []
        files: set[str] = set()
        for result in found:
            chunk = result.chunk
            if chunk.file_path in files:
                continue
            files.add(chunk.file_path)
            place = {"path": chunk.file_path, "start": chunk.start_line, "end": chunk.end_line}
            citations.append(place)
            if len(files) == question["files"]:
                break
        answer = {"citations": citations, "index_s": built - begun, "query_s": answered - built}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
