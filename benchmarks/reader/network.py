"""The reader's network in PyTorch: BERT with a score for each pair of question and passage."""

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS: Final = 12
HIDDEN: Final = 384
POSITIONS: Final = 512
PAD: Final = 0


class Linear(nn.Linear):
    """A linear layer that can be trained as int8 will compute it."""

    quantized: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.Linear``; ``quantized``: input and weights rounded as ``graph.quantize`` does."""
        if not self.quantized:
            return super().forward(x)
        inner = tuple(range(1, x.dim()))
        # Each pair is read by itself, so each has a range of its own.
        low = x.detach().amin(inner, keepdim=True).clamp(max=0.0).float()
        high = x.detach().amax(inner, keepdim=True).clamp(min=0.0).float()
        scale = ((high - low) / 255.0).clamp(min=1e-8)
        zero = torch.round(-low / scale)
        rounded = (torch.clamp(torch.round(x.float() / scale) + zero, 0.0, 255.0) - zero) * scale
        x = x + (rounded.to(x.dtype) - x).detach()
        step = (self.weight.detach().abs().amax(1, keepdim=True) / 127.0).clamp(min=1e-8)
        weight = torch.round(self.weight / step) * step
        weight = self.weight + (weight - self.weight).detach()
        return functional.linear(x, weight, self.bias)


class Layer(nn.Module):
    """One layer of BERT, and of MPNet."""

    def __init__(self, hidden: int, heads: int = HEADS, epsilon: float = 1e-12) -> None:
        super().__init__()
        self._heads = heads
        self.query = Linear(hidden, hidden)
        self.key = Linear(hidden, hidden)
        self.value = Linear(hidden, hidden)
        self.attended = Linear(hidden, hidden)
        self.attended_norm = nn.LayerNorm(hidden, eps=epsilon)
        self.up = Linear(hidden, 4 * hidden)
        self.down = Linear(4 * hidden, hidden)
        self.norm = nn.LayerNorm(hidden, eps=epsilon)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x``: [pairs, length, hidden]; ``mask`` is added to the attention's scores.

        It is [pairs, heads, length, length], or 1 where it is the same for all.
        """
        pairs, length, hidden = x.shape

        def heads(linear: Linear) -> Tensor:
            return linear(x).view(pairs, length, self._heads, hidden // self._heads).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            heads(self.query), heads(self.key), heads(self.value), attn_mask=mask
        )
        mixed = self.attended(mixed.transpose(1, 2).reshape(pairs, length, hidden))
        x = self.attended_norm(x + mixed)
        return self.norm(x + self.down(functional.gelu(self.up(x))))


class ReaderNetwork(nn.Module):
    """Scores of pairs, in log odds up to a constant of the question."""

    separators: Final = 1
    """Tokens between question and passage."""

    def __init__(self, layers: int = 6, words: int = 30_522, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.word = nn.Embedding(words, hidden)
        self.position = nn.Embedding(POSITIONS, hidden)
        self.kind = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.layers = nn.ModuleList(Layer(hidden) for _ in range(layers))
        self.pooler = Linear(hidden, hidden)
        self.score = Linear(hidden, 1)

    def quantize(self) -> None:
        """Compute from now on as int8 will."""
        for each in self.modules():
            if isinstance(each, Linear):
                each.quantized = True

    def forward(self, ids: Tensor, kinds: Tensor, mask: Tensor) -> Tensor:
        """[pairs]; all three inputs are [pairs, length], ``mask`` 1 where a token is."""
        at = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.word(ids) + self.position(at) + self.kind(kinds))
        bias = torch.zeros_like(mask, dtype=x.dtype).masked_fill(mask == 0, -1e4)[:, None, None]
        for layer in self.layers:
            x = layer(x, bias.to(x.dtype))
        scores: Tensor = self.score(torch.tanh(self.pooler(x[:, 0])))[:, 0]
        return scores


_NAMES: Final = {
    "embeddings.word_embeddings": "word",
    "embeddings.position_embeddings": "position",
    "embeddings.token_type_embeddings": "kind",
    "embeddings.LayerNorm": "norm",
    "pooler.dense": "pooler",
}
_OF_A_LAYER: Final = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "attended",
    "attention.output.LayerNorm": "attended_norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm",
}


def from_bert(weights: dict[str, Tensor], layers: list[int]) -> ReaderNetwork:
    """The network with a BERT's weights as Hugging Face names them, and these of its layers.

    Raises:
        RuntimeError: a weight is missing or has another shape.
    """
    known: dict[str, Any] = {}
    for name, value in weights.items():
        for theirs, ours in _NAMES.items():
            if name.removeprefix("bert.").startswith(f"{theirs}."):
                known[f"{ours}.{name.rpartition('.')[2]}"] = value.float()
        parts = name.removeprefix("bert.").split(".")
        if parts[:2] == ["encoder", "layer"] and int(parts[2]) in layers:
            inner = ".".join(parts[3:-1])
            for at in (n for n, layer in enumerate(layers) if layer == int(parts[2])):
                known[f"layers.{at}.{_OF_A_LAYER[inner]}.{parts[-1]}"] = value.float()
    network = ReaderNetwork(len(layers), len(known["word.weight"]))
    missing = network.load_state_dict(known, strict=False).missing_keys
    if sorted(missing) != ["score.bias", "score.weight"]:
        raise RuntimeError(f"weights are missing: {missing}")
    nn.init.normal_(network.score.weight, std=0.02)
    nn.init.zeros_(network.score.bias)
    return network


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    from safetensors.torch import load_file

    return dict(load_file(path))


def save(network: nn.Module, path: Path) -> None:
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
