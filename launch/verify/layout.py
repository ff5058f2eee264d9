"""The tensors that an NVFP4 checkpoint of a model must hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from launch.errors import CheckpointError
from launch.nvfp4 import GROUP

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
MOST_LAYERS = 1_000
MOST = 1 << 24
"""For any other dimension. The largest models have 126 layers and 262,144 tokens in the vocabulary;
for much larger sizes the list of tensors alone would not fit into memory."""


@dataclass(frozen=True, slots=True)
class LinearShape:
    """A linear layer by its module's name."""

    name: str
    out: int
    inner: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder like Qwen3: seven linear layers in each layer."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    bias: bool
    qk_norm: bool

    def linears(self) -> list[LinearShape]:
        """The linear layers of attention and MLP, layer by layer."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        parts = (
            ("self_attn.q_proj", query, self.hidden),
            ("self_attn.k_proj", key, self.hidden),
            ("self_attn.v_proj", key, self.hidden),
            ("self_attn.o_proj", self.hidden, query),
            ("mlp.gate_proj", self.intermediate, self.hidden),
            ("mlp.up_proj", self.intermediate, self.hidden),
            ("mlp.down_proj", self.hidden, self.intermediate),
        )
        return [
            LinearShape(f"model.layers.{layer}.{name}", out, inner)
            for layer in range(self.layers)
            for name, out, inner in parts
        ]

    def others(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors that stay at 16 bits, by name."""
        found: dict[str, tuple[int, ...]] = {
            EMBEDDING: (self.vocabulary, self.hidden),
            "model.norm.weight": (self.hidden,),
        }
        if not self.tied:
            found[HEAD] = (self.vocabulary, self.hidden)
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            found[f"{prefix}.input_layernorm.weight"] = (self.hidden,)
            found[f"{prefix}.post_attention_layernorm.weight"] = (self.hidden,)
            if self.qk_norm:
                found[f"{prefix}.self_attn.q_norm.weight"] = (self.head_dim,)
                found[f"{prefix}.self_attn.k_norm.weight"] = (self.head_dim,)
        if self.bias:
            for linear in self.linears():
                if ".self_attn." in linear.name:
                    found[f"{linear.name}.bias"] = (linear.out,)
        return found


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that ``config.json`` describes.

    Raises:
        CheckpointError: it is not a Qwen3 or Llama decoder, or something is missing.
    """
    if config.get("model_type") not in ("qwen3", "llama"):
        raise CheckpointError(
            f"model_type {config.get('model_type')!r} is not supported",
            "use a Qwen3 or Llama decoder",
        )
    heads, hidden = _size(config, "num_attention_heads"), _size(config, "hidden_size")
    return Shape(
        layers=_size(config, "num_hidden_layers", most=MOST_LAYERS),
        hidden=hidden,
        intermediate=_size(config, "intermediate_size"),
        heads=heads,
        kv_heads=_size(config, "num_key_value_heads", heads),
        head_dim=_size(config, "head_dim", hidden // heads),
        vocabulary=_size(config, "vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
        bias=bool(config.get("attention_bias", False)),
        qk_norm=config["model_type"] == "qwen3",
    )


def _size(
    config: Mapping[str, Any], name: str, otherwise: int | None = None, *, most: int = MOST
) -> int:
    value = config.get(name)
    value = otherwise if value is None else value
    # A bool is an int to Python.
    if type(value) is not int or not 1 <= value <= most:
        raise CheckpointError(
            f"config.json: {name} is {value!r}, not a whole number from 1 to {most}"
        )
    return value


def is_excluded(module: str, patterns: tuple[str, ...]) -> bool:
    """Whether a module's name matches one of the patterns, which may hold ``*``."""
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def expected_bytes(shape: Shape, excluded: tuple[str, ...] = ()) -> int:
    """Bytes of all tensors in NVFP4: 9 for 16 weights, 8 for a linear layer's scalars."""
    total = 0
    for linear in shape.linears():
        weights = linear.out * linear.inner
        packed = weights // 2 + weights // GROUP + 8
        total += 2 * weights if is_excluded(linear.name, excluded) else packed
    for dimensions in shape.others().values():
        size = 2
        for each in dimensions:
            size *= each
        total += size
    return total
