"""Pairs of question and passage as the networks read them, made by worker processes."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.reader import parallel
from benchmarks.reader.groups import Corpus, Numbers, Texts
from benchmarks.reader.network import PAD
from explorer.reader.words import CLS, SEP

_ROUND: Final = 16
"""Chunks are as long as their longest pair, rounded up to this."""
_CHUNKS: Final = 5
"""Pairs of a step are read in this many chunks by length: 17% is padding, in one 46%."""
_WORKERS: Final = 4
"""Each makes some 300 steps a second."""
_AHEAD: Final = 6
"""How many steps each worker makes before they are asked for."""

Inputs = tuple[Tensor, Tensor, Tensor]
Score = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A network: from ``Chunk.inputs`` to the scores of its pairs."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pairs of similar length, padded to the same."""

    at: NDArray[np.int64]
    """[pairs]: their places among the pairs, or the scores, that were asked for."""
    ids: NDArray[np.int32]
    """[pairs, length]"""
    middles: NDArray[np.int64]
    """[pairs]: where the passages begin."""
    lengths: NDArray[np.int64]
    """[pairs]: without what is padded."""

    def inputs(self, device: str) -> Inputs:
        """Tokens, kinds (1 in the passage) and mask (1 at tokens): [pairs, length] of int64."""
        ids, middles, lengths = (
            torch.from_numpy(each).to(device, non_blocking=True)
            for each in (self.ids, self.middles, self.lengths)
        )
        at = torch.arange(ids.shape[1], device=device)
        mask = at < lengths[:, None]
        kinds = mask & (at >= middles[:, None])
        return ids.long(), kinds.long(), mask.long()


@dataclass(frozen=True, slots=True)
class Step:
    """The groups of one training step, each with as many passages as there are columns."""

    chunks: list[Chunk]
    """Their ``at`` are places in ``targets``, row by row; a place in no chunk has no passage."""
    targets: NDArray[np.float32]
    """[groups, passages]: chances, the passage sought in the first column."""


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """A teacher's scores of all pairs of a corpus and their share of the target."""

    scores: NDArray[np.float16]
    starts: NDArray[np.int64]
    """Where each group's scores begin, as ``Corpus.pairs`` has them."""
    share: float


class Pairs:
    """A data set of chunks: this process's share of these pairs, sorted by length."""

    def __init__(self, texts: Texts, pairs: Numbers, size: int, separators: int) -> None:
        """``pairs``: [pairs, 2]; ``size``: pairs in a chunk; ``separators``: see ``pack``."""
        self._texts, self._pairs, self._separators = texts, pairs, separators
        order = np.argsort(_tokens(texts, pairs), kind="stable")
        parts = [order[begin : begin + size] for begin in range(0, len(order), size)]
        self._parts = parts[parallel.RANK :: parallel.RANKS]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> Chunk:
        part = self._parts[number]
        return pack(self._texts, self._pairs[part], part, self._separators)


class Steps:
    """A data set of training steps; what a step has depends on the seed and its number alone."""

    def __init__(
        self,
        corpus: Corpus,
        plan: NDArray[np.int64],
        others: int,
        separators: int,
        soft: SoftTargets | None,
        seed: int,
    ) -> None:
        """``plan``: [steps, groups]; ``others``: the most passages that are not sought."""
        self._corpus, self._plan, self._others = corpus, plan, others
        self._separators, self._soft, self._seed = separators, soft, seed

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> Step:
        pairs: list[tuple[int, int]] = []
        at: list[int] = []
        targets = np.zeros((len(self._plan[number]), self._others + 1), np.float32)
        for row, group in enumerate(self._plan[number].tolist()):
            each = self._corpus.groups[group]
            # Not of the row, so that a step is the same for any count of processes.
            chance = np.random.default_rng([self._seed, number, group])
            sought = int(chance.integers(len(each.sought)))
            taken = chance.permutation(len(each.others))[: self._others]
            passages = [each.sought[sought], *each.others[taken]]
            pairs += [(each.question, passage) for passage in passages]
            at += range(row * targets.shape[1], row * targets.shape[1] + len(passages))
            targets[row, 0] = 1.0
            if self._soft is not None:
                scored = self._soft.starts[group] + np.array([sought, *(len(each.sought) + taken)])
                targets[row] *= 1.0 - self._soft.share
                chances = _softmax(self._soft.scores[scored].astype(np.float32))
                targets[row, : len(passages)] += self._soft.share * chances
        return Step(self._chunks(np.array(pairs, np.int32), np.array(at)), targets)

    def _chunks(self, pairs: Numbers, at: NDArray[np.int64]) -> list[Chunk]:
        order = np.argsort(_tokens(self._corpus.texts, pairs), kind="stable")
        return [
            pack(self._corpus.texts, pairs[part], at[part], self._separators)
            for part in np.array_split(order, _CHUNKS)
            if len(part)
        ]


def pack(texts: Texts, pairs: Numbers, at: NDArray[np.int64], separators: int) -> Chunk:
    """The pairs, each as CLS, question, SEP (as many as ``separators``), passage, SEP."""
    middles = texts.lengths(pairs[:, 0]) + 1 + separators
    lengths = middles + texts.lengths(pairs[:, 1]) + 1
    ids = np.full((len(pairs), -(-int(lengths.max()) // _ROUND) * _ROUND), PAD, np.int32)
    ids[:, 0] = CLS
    for row, (question, passage) in enumerate(pairs):
        middle, end = middles[row], lengths[row]
        ids[row, 1 : middle - separators] = texts[question]
        ids[row, middle - separators : middle] = SEP
        ids[row, middle : end - 1] = texts[passage]
        ids[row, end - 1] = SEP
    return Chunk(at, ids, middles, lengths)


def made(items: Pairs | Steps) -> Iterable[Any]:
    """The chunks or the steps in their order, made by processes while those before are used."""
    loader: Iterable[Any] = DataLoader(
        items,
        batch_size=None,
        num_workers=max(1, min(_WORKERS, (os.cpu_count() or 1) - 1)),
        prefetch_factor=_AHEAD,
        # Tensors would each hold a file descriptor open until they are used.
        collate_fn=_unchanged,
        # A process that is not forked gets a copy of the whole corpus.
        multiprocessing_context="fork",
    )
    return loader


def _unchanged(item: Any) -> Any:
    return item


def autocast(device: str) -> Any:
    """The context in which networks compute: bfloat16 on a GPU."""
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")


def score_pairs(
    network: Score, texts: Texts, pairs: Numbers, device: str, separators: int
) -> NDArray[np.float32]:
    """The network's scores of the pairs, [pairs, 2], in their order."""
    scores = np.zeros(len(pairs), np.float32)
    # Small chunks stay in a processor's caches.
    size = 1024 if device == "cuda" else 64
    with torch.no_grad(), autocast(device):
        for chunk in made(Pairs(texts, pairs, size, separators)):
            scores[chunk.at] = network(*chunk.inputs(device)).float().cpu().numpy()
    whole = torch.from_numpy(scores).to(device)
    parallel.add_up([whole])
    return np.asarray(whole.cpu().numpy(), np.float32)


def _tokens(texts: Texts, pairs: Numbers) -> NDArray[np.int64]:
    return texts.lengths(pairs[:, 0]) + texts.lengths(pairs[:, 1])


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum(), np.float32)
