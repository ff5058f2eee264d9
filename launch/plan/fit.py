"""What fits into a GPU's memory: context length, concurrency, and the share of memory to take.

vLLM takes ``gpu_memory_utilization`` of the whole memory, puts weights and working memory into it
and gives the rest to the key and value cache. It refuses to start if that cache is too small for
one sequence of ``max_model_len`` tokens, or if the share is not free.
"""

import math
from dataclasses import dataclass

from launch.plan.gpus import GIB, Gpu

WORK_BYTES = int(1.5 * GIB)
"""CUDA context, activations and graphs of a 4B model at 8,192 batched tokens; an estimate."""
SPARE_BYTES = GIB // 2
"""Left for the display and for other processes."""
CARD_SHARE = 0.40
"""The model card's ``--gpu-memory-utilization``."""
MAX_SHARE = 0.92
CARD_CONTEXT = 131_072
"""The model card's ``--max-model-len``."""
FULL_CONTEXT = 65_536
"""Tokens of the longest explorations that the model was trained on."""
LEAST_CONTEXT = 16_384
"""With less most explorations fail."""
CARD_SEQUENCES = 16
_CONTEXTS = (CARD_CONTEXT, 98_304, FULL_CONTEXT, 49_152, 32_768, 24_576, LEAST_CONTEXT)
_TOKENS_PER_SEQUENCE = 8_192
"""Tokens of cache that a running exploration needs on average beside what all share."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a model fits into a GPU's memory."""

    share: float
    """``--gpu-memory-utilization``, rounded to hundredths."""
    context: int
    """``--max-model-len`` in tokens; 0: not even the shortest useful context fits."""
    sequences: int
    """``--max-num-seqs``."""
    kv_tokens: int
    """Estimate of the tokens that the cache holds at this share."""

    @property
    def good(self) -> bool:
        """Whether the longest exploration fits."""
        return self.context >= FULL_CONTEXT


def fit(
    gpu: Gpu, weight_bytes: int, kv_bytes_per_token: int, limit: int, *, load_bytes: int = 0
) -> Fit:
    """The smallest share, but at least the card's 0.40, at which the longest context fits.

    Args:
        gpu: whose memory.
        weight_bytes: size of the loaded weights.
        kv_bytes_per_token: key and value cache of one token.
        limit: longest context wanted, in tokens.
        load_bytes: bytes that must be free while the weights load, if that is more.
    """
    most = min(MAX_SHARE, (gpu.free_bytes - SPARE_BYTES) / gpu.total_bytes)
    most = math.floor(most * 100) / 100
    fixed = weight_bytes + WORK_BYTES
    if most <= 0 or load_bytes + SPARE_BYTES > gpu.free_bytes:
        return Fit(max(most, 0.0), 0, 0, 0)
    wanted = [tokens for tokens in _CONTEXTS if tokens < limit]
    for context in [limit, *wanted]:
        needed = (fixed + context * kv_bytes_per_token) / gpu.total_bytes
        share = max(min(CARD_SHARE, most), math.ceil(needed * 100) / 100)
        if share <= most:
            tokens = int(share * gpu.total_bytes - fixed) // kv_bytes_per_token
            sequences = max(1, min(CARD_SEQUENCES, tokens // _TOKENS_PER_SEQUENCE))
            return Fit(share, context, sequences, tokens)
    return Fit(most, 0, 0, max(0, int(most * gpu.total_bytes - fixed) // kv_bytes_per_token))


def gib(size: float) -> str:
    """A size in words, ``2.6 GiB``."""
    return f"{size / GIB:.1f} GiB"
