"""The teacher's network in PyTorch: MPNet with a score for each pair of question and passage.

It is trained as the reader is, from sentence-transformers/all-mpnet-base-v2 (Apache-2.0; 12 layers,
109 million parameters), and its scores are part of the target of the reader, which is a fifth as
large and reads the same tokens. Positions are absolute ones beside a bias of attention by relative
position, the same in all layers (Song et al. 2020, MPNet: Masked and Permuted Pre-training for
Language Understanding), in the buckets of T5.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from benchmarks.reader.network import Layer, read_weights

BUCKETS: Final = 32
_FARTHEST: Final = 128
"""Tokens; distances from here on are in the last bucket."""
_FIRST_POSITION: Final = 2
_PADDED_POSITION: Final = 1
_EPSILON: Final = 1e-5
_SPECIAL: Final = {"[PAD]": "<pad>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}
"""Pieces of BERT's vocabulary that MPNet's has under another name."""


class TeacherNetwork(nn.Module):
    """Scores of pairs, in log odds up to a constant of the question."""

    separators: Final = 2
    """Tokens between question and passage."""

    def __init__(self, layers: int, words: int, hidden: int, heads: int, positions: int) -> None:
        super().__init__()
        self.word = nn.Embedding(words, hidden)
        self.position = nn.Embedding(positions, hidden)
        self.norm = nn.LayerNorm(hidden, eps=_EPSILON)
        self.relative = nn.Embedding(BUCKETS, heads)
        # Stays as it is: in each layer its gradient would be [pairs, heads, length, length].
        self.relative.weight.requires_grad_(False)
        self.layers = nn.ModuleList(Layer(hidden, heads, _EPSILON) for _ in range(layers))
        self.pooler = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, ids: Tensor, kinds: Tensor, mask: Tensor) -> Tensor:
        """[pairs]; inputs as the reader's, [pairs, length], of which it needs no ``kinds``."""
        scores: Tensor = self.score(self.pooled(ids, mask))[:, 0]
        return scores

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[pairs, hidden]: what the score is computed from."""
        at = torch.arange(ids.shape[1], device=ids.device)
        positions = torch.where(mask == 1, at + _FIRST_POSITION, _PADDED_POSITION)
        x = self.norm(self.word(ids) + self.position(positions))
        apart = self.relative(buckets(at[None] - at[:, None])).permute(2, 0, 1)
        padded = torch.zeros_like(mask, dtype=x.dtype).masked_fill(mask == 0, -1e4)
        bias = apart + padded[:, None, None]
        if torch.is_autocast_enabled(ids.device.type):
            # Once, not in each layer.
            bias = bias.to(torch.get_autocast_dtype(ids.device.type))
        for layer in self.layers:
            x = layer(x, bias)
        return torch.tanh(self.pooler(x[:, 0]))


def buckets(distance: Tensor) -> Tensor:
    """The buckets of relative positions, key's less query's: half of them for each direction.

    Half of a direction's are for one distance each, the others grow with its logarithm.
    """
    half, exact = BUCKETS // 2, BUCKETS // 4
    far = distance.abs()
    growth = torch.log(far.float().clamp(min=1) / exact) / math.log(_FARTHEST / exact)
    large = (exact + (growth * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(far < exact, far, large) + half * (distance > 0).long()


_NAMES: Final = {
    "embeddings.word_embeddings": "word",
    "embeddings.position_embeddings": "position",
    "embeddings.LayerNorm": "norm",
    "encoder.relative_attention_bias": "relative",
    "pooler.dense": "pooler",
}
_OF_A_LAYER: Final = {
    "attention.attn.q": "query",
    "attention.attn.k": "key",
    "attention.attn.v": "value",
    "attention.attn.o": "attended",
    "attention.LayerNorm": "attended_norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm",
}


def from_mpnet(weights: Mapping[str, Tensor], vocabulary: Path, theirs: Path) -> TeacherNetwork:
    """The network with an MPNet's weights as Hugging Face names them, and words in our order.

    ``vocabulary`` and ``theirs`` are files with one piece a line, the reader's and MPNet's.

    Raises:
        ValueError: a piece of the vocabulary is missing in theirs.
        RuntimeError: a weight is missing or has another shape.
    """
    known: dict[str, Tensor] = {}
    for name, value in weights.items():
        inner, _, kind = name.rpartition(".")
        if inner in _NAMES:
            known[f"{_NAMES[inner]}.{kind}"] = value
        elif inner.startswith("encoder.layer."):
            number, _, part = inner.removeprefix("encoder.layer.").partition(".")
            known[f"layers.{number}.{_OF_A_LAYER[part]}.{kind}"] = value
    rows = _rows(vocabulary, theirs)
    known["word.weight"] = known["word.weight"][rows]
    hidden = known["word.weight"].shape[1]
    score = {"score.weight": torch.randn(1, hidden) * 0.02, "score.bias": torch.zeros(1)}
    return _filled(known | score)


def _rows(vocabulary: Path, theirs: Path) -> list[int]:
    at = {piece: row for row, piece in enumerate(theirs.read_text("utf-8").splitlines())}
    pieces = [_SPECIAL.get(each, each) for each in vocabulary.read_text("utf-8").splitlines()]
    missing = [piece for piece in pieces if piece not in at]
    if missing:
        raise ValueError(f"{str(theirs)!r} lacks {len(missing)} pieces, the first {missing[0]!r}")
    return [at[piece] for piece in pieces]


def load(path: Path) -> TeacherNetwork:
    """The network that ``network.save`` kept."""
    return _filled(read_weights(path))


def _filled(weights: Mapping[str, Tensor]) -> TeacherNetwork:
    words, hidden = weights["word.weight"].shape
    network = TeacherNetwork(
        layers=1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers.")),
        words=words,
        hidden=hidden,
        heads=weights["relative.weight"].shape[1],
        positions=len(weights["position.weight"]),
    )
    values: dict[str, Any] = {name: value.float() for name, value in weights.items()}
    network.load_state_dict(values)
    return network
