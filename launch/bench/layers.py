"""The linear layers of a model, as the card lists them and as vLLM merges them."""

from dataclasses import dataclass

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Rows of the input: tokens that one step computes, from one stream's decode to a prefill chunk."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """A linear layer: ``out`` x ``inner`` weights, ``count`` of them in the model."""

    name: str
    out: int
    inner: int
    count: int
    card: bool = False
    """Whether the model card has a figure for it."""
    merged: bool = False
    """Whether it is what vLLM computes in place of its parts."""


def layer_shapes(
    *,
    hidden: int = 2560,
    intermediate: int = 9728,
    heads: int = 32,
    kv_heads: int = 8,
    head_dim: int = 128,
    layers: int = 36,
) -> tuple[LayerShape, ...]:
    """All distinct quantized linears. The defaults are FastContext-1.0-4B's."""
    query, key = heads * head_dim, kv_heads * head_dim
    return (
        LayerShape("q_proj", query, hidden, layers, card=True),
        LayerShape("k_proj, v_proj", key, hidden, 2 * layers),
        LayerShape("o_proj", hidden, query, layers, card=True),
        LayerShape("gate_proj, up_proj", intermediate, hidden, 2 * layers, card=True),
        LayerShape("down_proj", hidden, intermediate, layers, card=True),
        LayerShape("qkv_proj", query + 2 * key, hidden, layers, merged=True),
        LayerShape("gate_up_proj", 2 * intermediate, hidden, layers, merged=True),
    )
