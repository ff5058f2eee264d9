"""What tensors an NVFP4 checkpoint of a model has to hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from launch.verify.records import CheckpointError

GROUP = 16
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer by its module's name."""

    name: str
    out: int
    inner: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder of Qwen3's kind: seven linears a layer."""

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

    def linears(self) -> list[Linear]:
        """The linears of attention and MLP, layer by layer."""
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
            Linear(f"model.layers.{layer}.{name}", out, inner)
            for layer in range(self.layers)
            for name, out, inner in parts
        ]

    def others(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what stays at 16 bits, by name."""
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
        CheckpointError: it is not a Qwen3 decoder, or something is missing.
    """
    if config.get("model_type") not in ("qwen3", "llama"):
        raise CheckpointError(
            f"model_type {config.get('model_type')!r} is not known here",
            "Qwen3 and Llama decoders are",
        )
    try:
        heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
        return Shape(
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            intermediate=int(config["intermediate_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            bias=bool(config.get("attention_bias", False)),
            qk_norm=config["model_type"] == "qwen3",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"config.json lacks or garbles {error}") from None


def is_excluded(module: str, patterns: tuple[str, ...]) -> bool:
    """Whether a module's name fits one of the exclusions, which may hold ``*``."""
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def expected_bytes(shape: Shape, excluded: tuple[str, ...] = ()) -> int:
    """Bytes of all tensors in NVFP4: nine bytes for 16 weights, eight for a linear's scalars."""
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
