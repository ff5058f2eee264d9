"""Score the passages of records with a trained reader."""

import argparse
import json
import lzma
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from benchmarks.reader.training import Tokens, load, score_pairs
from explorer.reader.words import PASSAGE_TOKENS, QUESTION_TOKENS, Vocabulary


def pairs_of(line: str, vocabulary: Path) -> tuple[str, list[tuple[Tokens, Tokens]]]:
    """A record's name and its pairs of question and passage, as tokens."""
    known = Vocabulary.read(vocabulary)
    record = json.loads(line)
    question = np.array(known.tokens(record["task"]["query"], QUESTION_TOKENS), np.uint16)
    texts = [each[3] for each in record["read"]]
    tokens = [np.array(known.tokens(text, PASSAGE_TOKENS), np.uint16) for text in texts]
    return record["id"], [(question, each) for each in tokens]


def main(args: Sequence[str] | None = None) -> int:
    """Write the scores of all records beside each other; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.scoring")
    parser.add_argument("--weights", type=Path, required=True, help="reader.safetensors")
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--records", type=Path, nargs="+", required=True)
    parser.add_argument("--into", type=Path, required=True, help="folder of scores")
    parser.add_argument("--int8", action="store_true", help="compute as int8 will")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(args)
    network = load(options.weights).to(options.device)
    if options.int8:
        network.quantize()
    options.into.mkdir(parents=True, exist_ok=True)
    for path in options.records:
        with lzma.open(path, "rt") as file:
            lines = file.readlines()
        with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
            names = [options.vocabulary] * len(lines)
            found = list(pool.map(pairs_of, lines, names, chunksize=8))
        scores = score_pairs(
            network, [pair for _, pairs in found for pair in pairs], options.device
        )
        at = 0
        with lzma.open(options.into / path.name, "wt") as file:
            for name, pairs in found:
                own = [round(float(each), 3) for each in scores[at : at + len(pairs)]]
                at += len(pairs)
                file.write(json.dumps({"id": name, "scores": own}) + "\n")
        print(f"{path.name}: {len(scores)} pairs", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
