"""Score the passages of records, or of all groups, with a trained reader or teacher.

Of records, the scores are what ``benchmarks.reader.fusion`` reads; of groups, those of a teacher
are what ``benchmarks.reader.training --soft`` reads. Several GPUs share the work if ``torchrun``
starts it, as it does training.
"""

import argparse
import json
import lzma
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.reader import network, parallel, teacher
from benchmarks.reader.batches import score_pairs
from benchmarks.reader.groups import Texts, Tokens, load_groups, write_scores
from explorer.reader.words import PASSAGE_TOKENS, QUESTION_TOKENS, Vocabulary


def main(args: Sequence[str] | None = None) -> int:
    """Write the scores; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.scoring")
    parser.add_argument("--weights", type=Path, required=True, help="reader.safetensors")
    parser.add_argument("--teacher", action="store_true", help="they are teacher.safetensors")
    parser.add_argument("--vocabulary", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--records", type=Path, nargs="+")
    what.add_argument("--groups", type=Path, nargs="+", help="folders, as in training")
    parser.add_argument(
        "--into", type=Path, required=True, help="folder of records' scores; .npz of groups'"
    )
    parser.add_argument("--int8", action="store_true", help="compute as int8 will")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(args)
    if options.teacher and options.int8:
        parser.error("a teacher is not computed as int8")
    parallel.join(options.device)
    scorer = (teacher if options.teacher else network).load(options.weights)
    scorer.to(options.device)
    if options.int8:
        scorer.quantize()
    if options.groups:
        _score_groups(scorer, options)
    else:
        options.into.mkdir(parents=True, exist_ok=True)
        for path in options.records:
            _score_records(scorer, path, options)
    parallel.leave()
    return 0


def _score_groups(scorer: Any, options: argparse.Namespace) -> None:
    corpus = load_groups(options.groups, options.vocabulary, os.cpu_count() or 1)
    pairs, _ = corpus.pairs(range(len(corpus.groups)))
    fast = torch.compile(scorer, dynamic=True) if options.device == "cuda" else scorer
    scores = score_pairs(fast, corpus.texts, pairs, options.device, scorer.separators)
    if parallel.RANK > 0:
        return
    write_scores(options.into, corpus, scores)
    print(f"{len(corpus.groups)} groups: {len(scores)} pairs", flush=True)


def _score_records(scorer: Any, path: Path, options: argparse.Namespace) -> None:
    with lzma.open(path, "rt") as file:
        lines = file.readlines()
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        names = [options.vocabulary] * len(lines)
        found = list(pool.map(_tokens_of, lines, names, chunksize=8))
    texts: list[Tokens] = []
    pairs: list[tuple[int, int]] = []
    for _, question, passages in found:
        first = len(texts)
        texts += [question, *passages]
        pairs += [(first, first + 1 + number) for number in range(len(passages))]
    scores = score_pairs(
        scorer,
        Texts.of(texts),
        np.array(pairs, np.int32).reshape(-1, 2),
        options.device,
        scorer.separators,
    )
    if parallel.RANK > 0:
        return
    at = 0
    with lzma.open(options.into / path.name, "wt") as file:
        for name, _, passages in found:
            own = [round(float(each), 3) for each in scores[at : at + len(passages)]]
            at += len(passages)
            file.write(json.dumps({"id": name, "scores": own}) + "\n")
    print(f"{path.name}: {len(scores)} pairs", flush=True)


def _tokens_of(line: str, vocabulary: Path) -> tuple[str, Tokens, list[Tokens]]:
    """A record's name, question and passages."""
    known = _vocabulary(vocabulary)
    record = json.loads(line)
    question = np.array(known.tokens(record["task"]["query"], QUESTION_TOKENS), np.uint16)
    texts = [each[3] for each in record["read"]]
    tokens = [np.array(known.tokens(text, PASSAGE_TOKENS), np.uint16) for text in texts]
    return record["id"], question, tokens


@cache
def _vocabulary(path: Path) -> Vocabulary:
    return Vocabulary.read(path)


if __name__ == "__main__":
    raise SystemExit(main())
