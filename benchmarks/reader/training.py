"""Train the reader, or its teacher, on groups, on one GPU (or a small sample on the processor).

A step takes groups: of each one passage that is sought and some that are not; the loss is the
cross entropy of choosing the one sought. With a teacher's scores (``--soft``), part of the target
are the chances that these give to the passages (Hinton et al. 2015, Distilling the Knowledge in a
Neural Network; with temperature 1).

The weights are written once, when the training ends or its time is over, with the log and
``trained.json`` beside them. ``--from`` goes on from such weights with a schedule of its own; what
the optimizer knew is not kept.

On several GPUs of a machine, ``torchrun --standalone --nproc-per-node COUNT -m
benchmarks.reader.training`` trains on all of them: each takes its share of a step's groups.
"""

import argparse
import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.reader import network, parallel, teacher
from benchmarks.reader.batches import (
    Score,
    SoftTargets,
    Step,
    Steps,
    autocast,
    made,
    score_pairs,
)
from benchmarks.reader.groups import Corpus, load_groups, read_scores
from benchmarks.reader.plan import plan_of

_WARM_UP: Final = 200
"""Steps in which the rate rises, or a fifth of all if they are fewer."""
_LAST_RATE: Final = 0.02
"""The share of the rate that the last steps have."""
_ABSENT: Final = -1e4
"""The score of a passage that a group does not have."""
_CLOCK_STEPS: Final = 20
"""How often the processes agree on how much of the time is over."""
_MEASURED: Final = 4000
_MEASURED_MEANWHILE: Final = 1500


def train(
    learner: Any,
    corpus: Corpus,
    use: Sequence[int],
    held_out: Sequence[int],
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> None:
    """Train the network in place on the groups ``use``; stops early when the time is over."""
    device = options.device
    soft = None
    if options.soft:
        _, starts = corpus.pairs(range(len(corpus.groups)))
        soft = SoftTargets(read_scores(options.soft, corpus), starts, options.soft_share)
    plan = plan_of(corpus, use, options.epochs, options.size, options.seed)
    own = plan[:, parallel.RANK :: parallel.RANKS]
    steps = Steps(corpus, own, options.others, learner.separators, soft, options.seed)
    optimizer = torch.optim.AdamW(
        learner.parameters(), lr=options.rate, weight_decay=0.01, fused=device == "cuda"
    )
    # With rounded numbers, compiling takes an H200 as long as 600 steps without.
    compiled = device == "cuda" and not options.int8
    fast = torch.compile(learner, dynamic=True) if compiled else learner
    begun, passed = time.monotonic(), 0.0
    losses: list[float] = []
    for number, step in enumerate(made(steps)):
        if number % _CLOCK_STEPS == 0:
            passed = (time.monotonic() - begun) / options.limit_s
            passed = parallel.of_the_first(passed, device)
        for part in optimizer.param_groups:
            part["lr"] = options.rate * _rate(number, len(plan), passed)
        loss = _loss(fast, step, device)
        optimizer.zero_grad(set_to_none=True)
        (loss / parallel.RANKS).backward()
        parallel.add_up(each.grad for each in learner.parameters() if each.grad is not None)
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        if number % 100 == 0:
            losses.append(loss.item())
            say(f"step {number} of {len(plan)}, loss {np.mean(losses[-5:]):.3f}")
        if number % 2000 == 1999:
            meanwhile = held_out[:_MEASURED_MEANWHILE]
            say(f"held out: {measured(learner, corpus, meanwhile, device)}")
        if passed > 1.0:
            say(f"the time is over at step {number}")
            break


def _rate(step: int, steps: int, passed: float) -> float:
    """The rate's share in a step; ``passed`` is the share of the time."""
    risen = min(1.0, (step + 1) / min(_WARM_UP, steps / 5))
    return risen * max(_LAST_RATE, 1.0 - max(step / steps, passed))


def _loss(score: Score, step: Step, device: str) -> Tensor:
    with autocast(device):
        found = torch.cat([score(*chunk.inputs(device)) for chunk in step.chunks])
    at = torch.from_numpy(np.concatenate([chunk.at for chunk in step.chunks])).to(device)
    targets = torch.from_numpy(step.targets).to(device, non_blocking=True)
    scores = torch.full((targets.numel(),), _ABSENT, device=device)
    scores = scores.index_put((at,), found.float()).view(targets.shape)
    return functional.cross_entropy(scores, targets)


def measured(learner: Any, corpus: Corpus, numbers: Sequence[int], device: str) -> dict[str, float]:
    """How often one sought comes first in these groups, by kind and over all, in percent."""
    pairs, starts = corpus.pairs(numbers)
    scores = score_pairs(learner, corpus.texts, pairs, device, learner.separators)
    right: dict[str, list[bool]] = defaultdict(list)
    for number, begin, end in zip(numbers, starts[:-1], starts[1:], strict=True):
        group = corpus.groups[number]
        hit = scores[begin : begin + len(group.sought)].max() >= scores[begin:end].max()
        right[group.kind].append(bool(hit))
        right["all"].append(bool(hit))
    return {kind: round(100 * float(np.mean(hits)), 1) for kind, hits in sorted(right.items())}


def main(args: Sequence[str] | None = None) -> int:
    """Train and write the weights, the log and the score; the exit status is 0."""
    options = _options(args)
    options.into.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    log = (options.into / "log.txt").open("a")
    parallel.join(options.device)

    def say(text: str) -> None:
        if parallel.RANK > 0:
            return
        line = f"[{time.monotonic() - begun:.0f} s] {text}"
        print(line, flush=True)
        log.write(line + "\n")
        log.flush()

    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    corpus = load_groups(options.groups, options.vocabulary, os.cpu_count() or 1)
    aside = frozenset(options.held_out.read_text().split() if options.held_out else ())
    use = [n for n, each in enumerate(corpus.groups) if each.repository not in aside]
    held_out = [n for n, each in enumerate(corpus.groups) if each.repository in aside]
    random.Random(options.seed).shuffle(held_out)
    counts = Counter(corpus.groups[number].repository for number in use)
    say(f"{len(use)} groups of {len(counts)} repositories, {len(held_out)} held out")
    learner = _learner(options).to(options.device)
    if options.int8:
        learner.quantize()
    train(learner, corpus, use, held_out, options, say)
    scored = (use if options.score_trained else held_out)[:_MEASURED]
    first = measured(learner, corpus, scored, options.device)
    say(f"{'trained on' if options.score_trained else 'held out'}: {first}")
    parallel.leave()
    if parallel.RANK > 0:
        return 0
    name = "teacher" if options.teacher else "reader"
    network.save(learner, options.into / f"{name}.safetensors")
    card = {
        "groups": len(use),
        "repositories": dict(sorted(counts.items())),
        "held_out": sorted(aside),
        "first": first,
    }
    (options.into / "trained.json").write_text(json.dumps(card, indent=1))
    return 0


def _learner(options: argparse.Namespace) -> Any:
    if options.start:
        return (teacher if options.teacher else network).load(options.start)
    if options.teacher:
        weights = network.read_weights(options.base)
        return teacher.from_mpnet(weights, options.vocabulary, options.teacher_vocabulary)
    if options.base:
        return network.from_bert(network.read_weights(options.base), options.layers)
    words = len(options.vocabulary.read_text("utf-8").splitlines())
    return network.ReaderNetwork(len(options.layers), words, options.hidden)


def _options(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.training")
    add = parser.add_argument
    add("--groups", type=Path, nargs="+", required=True, help="folders of mined groups and records")
    add("--base", type=Path, help="safetensors of MiniLM, or of MPNet; else fresh weights")
    add("--hidden", type=int, default=network.HIDDEN, help="width of fresh weights")
    add("--vocabulary", type=Path, required=True)
    add("--teacher", action="store_true", help="train the teacher; --base is MPNet")
    add("--teacher-vocabulary", type=Path, help="MPNet's, one piece a line")
    add("--into", type=Path, required=True, help="folder for weights and log")
    add("--held-out", type=Path, help="file of repositories not to train on")
    add("--layers", type=int, nargs="+", default=[0, 1, 2, 3, 4, 5])
    add("--int8", action="store_true", help="train as int8 will compute")
    add("--from", dest="start", type=Path, help="weights to go on from")
    add("--soft", type=Path, help="a teacher's scores of the groups, by scoring --groups")
    add("--soft-share", type=float, default=0.7, help="their share of the target")
    add("--epochs", type=float, default=3)
    add("--size", type=int, default=64, help="groups in a step")
    add("--others", type=int, default=9, help="passages not sought in a group")
    add("--rate", type=float, default=2e-4)
    add("--score-trained", action="store_true", help="on what it was trained on")
    add("--limit-s", type=float, default=500)
    add("--seed", type=int, default=1)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(args)
    if options.teacher and options.int8:
        parser.error("a teacher is not computed as int8")
    if options.size % parallel.RANKS:
        parser.error(f"--size must be a multiple of {parallel.RANKS}, the count of processes")
    if options.teacher and not (options.start or (options.base and options.teacher_vocabulary)):
        parser.error("a teacher needs --base and --teacher-vocabulary, or --from")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
