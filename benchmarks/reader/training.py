"""Train the reader on mined groups, on one GPU (or, for a small sample, on the processor).

A step takes groups: of each one passage that is sought and some that are not; the loss is the
cross entropy of choosing the one sought. Checkpoints and the log are kept beside the weights; a run
that is started again goes on from the last checkpoint.
"""

import argparse
import json
import lzma
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmarks.reader.network import HIDDEN, PAD, ReaderNetwork, from_bert, read_weights
from explorer.reader.words import CLS, PASSAGE_TOKENS, QUESTION_TOKENS, SEP, Vocabulary

_ROUND: Final = 16
"""Batches are as long as their longest pair, rounded up to this."""
_WARM_UP: Final = 200
_KIND_SHARE: Final = {"name": 0.5}
"""How often a group of the kind is used in an epoch, if not once."""

Tokens = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Group:
    """A question with passages, all as tokens."""

    repository: str
    kind: str
    question: Tokens
    sought: list[Tokens]
    others: list[Tokens]


def load_groups(path: Path, vocabulary: Path) -> list[Group]:
    """The groups of one repository."""
    known = Vocabulary.read(vocabulary)
    with lzma.open(path, "rt") as file:
        data = json.load(file)

    def tokens(text: str, most: int) -> Tokens:
        return np.array(known.tokens(text, most), np.uint16)

    passages = [tokens(text, PASSAGE_TOKENS) for text in data["passages"]]
    return [
        Group(
            data["repo"],
            each["kind"],
            tokens(each["q"], QUESTION_TOKENS),
            [passages[n] for n in each["pos"]],
            [passages[n] for n in each["neg"]],
        )
        for each in data["groups"]
    ]


def load_all(folder: Path, vocabulary: Path, workers: int) -> list[Group]:
    """The groups of all files in the folder, in the order of their names."""
    paths = sorted(folder.rglob("*.json.xz"), key=lambda path: path.name)
    if workers <= 1:
        return [group for path in paths for group in load_groups(path, vocabulary)]
    with ProcessPoolExecutor(workers) as pool:
        found = pool.map(load_groups, paths, [vocabulary] * len(paths))
        return [group for groups in found for group in groups]


def batch_of(pairs: Sequence[tuple[Tokens, Tokens]], device: str) -> tuple[Tensor, ...]:
    """The network's three inputs for pairs of question and passage."""
    longest = max(len(question) + len(passage) + 3 for question, passage in pairs)
    length = -(-longest // _ROUND) * _ROUND
    ids = np.full((len(pairs), length), PAD, np.int64)
    kinds = np.zeros_like(ids)
    mask = np.zeros_like(ids)
    for row, (question, passage) in enumerate(pairs):
        middle = len(question) + 2
        end = middle + len(passage) + 1
        ids[row, 0] = CLS
        ids[row, 1 : middle - 1] = question
        ids[row, middle - 1] = SEP
        ids[row, middle : end - 1] = passage
        ids[row, end - 1] = SEP
        kinds[row, middle:end] = 1
        mask[row, :end] = 1
    return tuple(
        torch.from_numpy(each).to(device, non_blocking=True) for each in (ids, kinds, mask)
    )


def score_pairs(
    network: ReaderNetwork, pairs: Sequence[tuple[Tokens, Tokens]], device: str, size: int = 1024
) -> NDArray[np.float32]:
    """The scores of the pairs, in their order."""
    network.eval()
    order = sorted(range(len(pairs)), key=lambda at: len(pairs[at][0]) + len(pairs[at][1]))
    scores = np.zeros(len(pairs), np.float32)
    with torch.no_grad(), _autocast(device):
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            found = network(*batch_of([pairs[at] for at in chosen], device))
            scores[chosen] = found.float().cpu().numpy()
    network.train()
    return scores


def _autocast(device: str) -> Any:
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")


def measured(network: ReaderNetwork, groups: Sequence[Group], device: str) -> dict[str, float]:
    """How often one sought comes first, by kind and over all, in percent."""
    pairs: list[tuple[Tokens, Tokens]] = []
    spans: list[tuple[int, int, int]] = []
    for each in groups:
        passages = [*each.sought, *each.others]
        spans.append((len(pairs), len(each.sought), len(passages)))
        pairs += [(each.question, passage) for passage in passages]
    scores = score_pairs(network, pairs, device)
    right: dict[str, list[bool]] = defaultdict(list)
    for group, (begin, sought, count) in zip(groups, spans, strict=True):
        hit = scores[begin : begin + sought].max() >= scores[begin : begin + count].max()
        right[group.kind].append(bool(hit))
        right["all"].append(bool(hit))
    return {kind: round(100 * float(np.mean(hits)), 1) for kind, hits in sorted(right.items())}


def _steps(
    groups: Sequence[Group], epochs: float, size: int, others: int, seed: int
) -> Iterator[list[tuple[Group, int, list[int]]]]:
    """For each step its groups, the one sought of each, and the others that are taken."""
    chance = random.Random(seed)
    total = int(epochs * len(groups) / size)
    order: list[int] = []
    for _ in range(total):
        chosen: list[int] = []
        while len(chosen) < size:
            if not order:
                order = list(range(len(groups)))
                chance.shuffle(order)
            at = order.pop()
            if chance.random() < _KIND_SHARE.get(groups[at].kind, 1.0):
                chosen.append(at)
        yield [
            (
                groups[at],
                chance.randrange(len(groups[at].sought)),
                chance.sample(range(len(groups[at].others)), min(others, len(groups[at].others))),
            )
            for at in chosen
        ]


def _prepared(
    step: Sequence[tuple[Group, int, list[int]]], others: int, device: str
) -> tuple[tuple[Tensor, ...], Tensor]:
    pairs: list[tuple[Tokens, Tokens]] = []
    missing = np.zeros((len(step), others + 1), np.float32)
    for row, (group, sought, taken) in enumerate(step):
        passages = [group.sought[sought], *(group.others[n] for n in taken)]
        missing[row, len(passages) :] = -1e4
        passages += [passages[-1][:4]] * (others + 1 - len(passages))
        pairs += [(group.question, passage) for passage in passages]
    return batch_of(pairs, device), torch.from_numpy(missing).to(device, non_blocking=True)


def train(
    network: ReaderNetwork,
    groups: Sequence[Group],
    held_out: Sequence[Group],
    options: argparse.Namespace,
    say: Any,
) -> None:
    """Train the network in place; stops early when the time is over."""
    device = options.device
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.01)
    total = int(options.epochs * len(groups) / options.size)

    def rate(step: int) -> float:
        done = max(step / max(1, total), (time.monotonic() - begun) / options.limit_s)
        return min(1.0, (step + 1) / min(_WARM_UP, total / 5)) * max(0.02, 1.0 - done)

    begun = time.monotonic()
    steps = _steps(groups, options.epochs, options.size, options.others, options.seed)
    taken = network if device == "cpu" else torch.compile(network, dynamic=True)
    losses: list[float] = []
    with ThreadPoolExecutor(2) as pool:
        waiting = []
        for number in range(total):
            while len(waiting) < 6 and (step := next(steps, None)) is not None:
                waiting.append(pool.submit(_prepared, step, options.others, device))
            inputs, missing = waiting.pop(0).result()
            for part in optimizer.param_groups:
                part["lr"] = options.rate * rate(number)
            with _autocast(device):
                scores = taken(*inputs)
            scores = scores.float().view(-1, options.others + 1) + missing
            target = torch.zeros(len(scores), dtype=torch.long, device=device)
            loss = functional.cross_entropy(scores, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            if number % 100 == 0:
                losses.append(loss.item())
                say(f"step {number} of {total}, loss {np.mean(losses[-5:]):.3f}")
            if number % 2000 == 1999:
                say(f"held out: {measured(network, held_out[:1500], device)}")
            if time.monotonic() - begun > options.limit_s:
                say(f"the time is over at step {number}")
                break


def save(network: ReaderNetwork, path: Path) -> None:
    """Keep the weights as float16."""
    from safetensors.torch import save_file

    halves = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(halves, path)


def load(path: Path) -> ReaderNetwork:
    """The network that ``save`` kept."""
    weights = {name: value.float() for name, value in read_weights(path).items()}
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
    network = ReaderNetwork(layers, len(weights["word.weight"]), weights["word.weight"].shape[1])
    network.load_state_dict(weights)
    return network


def main(args: Sequence[str] | None = None) -> int:
    """Train and write the weights, the log and the score; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.training")
    parser.add_argument("--groups", type=Path, required=True, help="folder of mined groups")
    parser.add_argument("--base", type=Path, help="safetensors of MiniLM; else fresh weights")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="width of fresh weights")
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True, help="folder for weights and log")
    parser.add_argument("--held-out", type=Path, help="file of repositories not to train on")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2, 3, 4, 5])
    parser.add_argument("--int8", action="store_true", help="train as int8 will compute")
    parser.add_argument("--from", dest="start", type=Path, help="weights to go on from")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--size", type=int, default=64, help="groups in a step")
    parser.add_argument("--others", type=int, default=9, help="passages not sought in a group")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--score-trained", action="store_true", help="on what it was trained on")
    parser.add_argument("--limit-s", type=float, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(args)
    options.into.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    log = (options.into / "log.txt").open("a")

    def say(text: str) -> None:
        line = f"[{time.monotonic() - begun:.0f} s] {text}"
        print(line, flush=True)
        log.write(line + "\n")
        log.flush()

    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    aside = frozenset(options.held_out.read_text().split() if options.held_out else ())
    groups = load_all(options.groups, options.vocabulary, os.cpu_count() or 1)
    held_out = [each for each in groups if each.repository in aside]
    groups = [each for each in groups if each.repository not in aside]
    random.Random(options.seed).shuffle(held_out)
    say(f"{len(groups)} groups of {len(_names(groups))} repositories, {len(held_out)} held out")
    network = _network(options)
    network.to(options.device).train()
    if options.int8:
        network.quantize()
    train(network, groups, held_out, options, say)
    scored = groups if options.score_trained else held_out
    score = measured(network, scored[:4000], options.device) if scored else {}
    say(f"held out: {score}")
    save(network, options.into / "reader.safetensors")
    counts = {name: sum(each.repository == name for each in groups) for name in _names(groups)}
    card = {
        "groups": len(groups),
        "repositories": counts,
        "held_out": sorted(aside),
        "first": score,
    }
    (options.into / "trained.json").write_text(json.dumps(card, indent=1))
    return 0


def _network(options: argparse.Namespace) -> ReaderNetwork:
    if options.start:
        return load(options.start)
    if options.base:
        return from_bert(read_weights(options.base), options.layers)
    words = len(options.vocabulary.read_text("utf-8").splitlines())
    return ReaderNetwork(len(options.layers), words, options.hidden)


def _names(groups: Iterable[Group]) -> list[str]:
    return sorted({each.repository for each in groups})


if __name__ == "__main__":
    raise SystemExit(main())
