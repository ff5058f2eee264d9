"""``vllm serve`` flags, each with the reason that ``fastcontext engine plan`` prints."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from launch.plan.fit import CARD_CONTEXT, CARD_SEQUENCES, CARD_SHARE, Fit
from launch.plan.gpus import Gpu

SPECULATION = {
    "method": "ngram",
    "num_speculative_tokens": 8,
    "prompt_lookup_max": 4,
    "prompt_lookup_min": 2,
}
"""Prompt lookup as measured on an H200: at best 5.2x as fast for one stream."""


_OWN = "from FASTCONTEXT_ENGINE_ARGS; last, so that it wins"
_NUMBER = re.compile(r"-[0-9.]+")


class Flag(NamedTuple):
    """A flag or variable, its value (None for a switch), and why it is there.

    A tuple, because JSON has it as a list: ``engine plan --json``.
    """

    name: str
    value: str | None
    reason: str

    @property
    def words(self) -> tuple[str, ...]:
        """As arguments of a command."""
        return (self.name,) if self.value is None else (self.name, self.value)


def precision(way: str, gpu: Gpu) -> tuple[Flag, ...]:
    """Flags for kernels and number formats."""
    if way == "nvfp4":
        return (
            Flag(
                "--quantization", "modelopt", "ModelOpt made the checkpoint; SM100+ computes in FP4"
            ),
            Flag("--tensor-parallel-size", "1", "2.7 GB of weights fit one GPU"),
            Flag("--trust-remote-code", None, "the model card's flag"),
            Flag("--dtype", "auto", "norms and embeddings as in the checkpoint"),
            Flag("--kv-cache-dtype", "fp8", "half the cache's size; 4 bits would halve the hits"),
            Flag("--attention-backend", "flashinfer", "reads an FP8 cache natively on Blackwell"),
        )
    chosen: tuple[Flag, ...] = ()
    if way == "marlin":
        chosen += (
            Flag("--quantization", "modelopt", "vLLM runs the 4-bit weights through Marlin here"),
        )
    if way == "fp8":
        chosen += (
            Flag("--quantization", "fp8", "weights are converted to FP8 while loading (W8A8)"),
        )
    if gpu.sm < 80:
        chosen += (Flag("--dtype", "float16", f"SM{gpu.sm} has no bfloat16"),)
    else:
        chosen += (Flag("--dtype", "auto", "activations as in the checkpoint"),)
    backend = "FlashAttention" if gpu.sm >= 80 else "vLLM's choice"
    cache = f"16 bits with {backend}: FP8 cache reads prompts 1.1x to 2.1x slower below SM100"
    return (*chosen, Flag("--kv-cache-dtype", "auto", cache))


def memory(gpu: Gpu, room: Fit, context: int, sequences: int) -> tuple[Flag, ...]:
    """Flags that divide up the GPU's memory."""
    if room.share == CARD_SHARE:
        share = "the model card's share; the rest is left to other programs"
    elif room.share < CARD_SHARE:
        share = f"no more is free on {gpu.name}"
    else:
        share = f"0.40 of {gpu.total_bytes / 2**30:.0f} GiB is too little for this context"
    if context and context == room.context:
        length = "as configured"
    elif context:
        length = f"the longest that memory and model allow; {context:,} were configured"
    elif room.context >= CARD_CONTEXT:
        length = "the model card's; explorations use at most 65,536"
    else:
        length = "the longest that memory allows; explorations adapt to it"
    if sequences:
        streams = "as configured"
    elif room.sequences >= CARD_SEQUENCES:
        streams = "the model card's"
    else:
        streams = f"{room.kv_tokens:,} tokens of cache, 8,192 for each exploration"
    return (
        Flag("--gpu-memory-utilization", f"{room.share:.2f}", share),
        Flag("--max-model-len", str(room.context), length),
        Flag("--max-num-seqs", str(sequences or room.sequences), streams),
    )


def serving(*, card: bool) -> tuple[Flag, ...]:
    """Flags that are the same on every machine."""
    chunked = "reading a long tool result does not stall other requests"
    return (
        Flag("--enable-chunked-prefill", None, chunked + (" (model card)" if card else "")),
        Flag("--enable-auto-tool-choice", None, "tool calls come back parsed"),
        Flag("--tool-call-parser", "hermes", "the format that the model was trained on"),
        Flag("--enable-prompt-tokens-details", None, "reports how much of a prompt was cached"),
        Flag("--uvicorn-log-level", "warning", "no log line for each request"),
    )


def wished(speculate: bool, weightless: bool) -> tuple[Flag, ...]:
    """Flags for what the user asked for."""
    chosen: tuple[Flag, ...] = ()
    if speculate:
        value = json.dumps(SPECULATION)
        chosen += (Flag("--speculative-config", value, "tool calls repeat paths from the context"),)
    if weightless:
        chosen += (Flag("--load-format", "dummy", "random weights, only for measuring speed"),)
    return chosen


def further(words: Sequence[str]) -> tuple[Flag, ...]:
    """The flags in the user's own arguments for ``vllm serve``."""
    chosen: list[Flag] = []
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-") and not _NUMBER.fullmatch(word):
            chosen.append(Flag(name, value if equals else None, _OWN))
        elif chosen and chosen[-1].value is None:
            chosen[-1] = Flag(chosen[-1].name, word, _OWN)
        else:
            chosen.append(Flag(word, None, _OWN))
    return tuple(chosen)


def environment() -> tuple[Flag, ...]:
    """Variables for vLLM's process that are the same on every machine."""
    return (
        Flag("VLLM_NO_USAGE_STATS", "1", "no usage report"),
        Flag("DO_NOT_TRACK", "1", "no usage report"),
        Flag("HF_HUB_OFFLINE", "1", "vLLM downloads nothing by itself"),
    )


def on_cpu(
    context: int, cache_bytes: int, sequences: int, cores: int
) -> tuple[tuple[Flag, ...], tuple[Flag, ...]]:
    """Flags and variables for vLLM's build for processors, 0.32.0."""
    threads = max(1, cores // 2)
    chosen = (
        Flag("--dtype", "auto", "as in the checkpoint"),
        Flag("--enforce-eager", None, "ready in a third of the time that compiling takes"),
        Flag(
            "--kv-cache-memory-bytes", str(cache_bytes), "without it vLLM takes 0.9 of the memory"
        ),
        Flag("--block-size", "32", "the smallest block that processors support"),
        Flag("--max-model-len", str(context), "within the model's positions and the memory"),
        Flag("--max-num-seqs", str(sequences or 4), "more requests would be slow on processors"),
    )
    variables = (
        *environment(),
        Flag(
            "OMP_NUM_THREADS", str(threads), "a spinning thread on every core would stall requests"
        ),
        Flag("VLLM_ENABLE_V1_MULTIPROCESSING", "0", "one process less: half the memory"),
    )
    return chosen, variables
