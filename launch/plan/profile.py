"""The fastest correct way to serve a checkpoint on a GPU, with a reason for every flag.

The speeds in reasons are from one H200, vLLM 0.23.0, this architecture, random weights.
Capabilities and kernels: vLLM 0.32.0, ``model_executor/kernels/linear``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from launch.errors import CannotRun
from launch.plan import flags
from launch.plan.checkpoint import Checkpoint
from launch.plan.fit import CARD_CONTEXT, LEAST_CONTEXT, SPARE_BYTES, WORK_BYTES, Fit, fit, gib
from launch.plan.flags import Flag
from launch.plan.gpus import Gpu

NVFP4_MODEL = "r0b0tlab/FastContext-1.0-4B-RL-NVFP4"
BASE_MODEL = "microsoft/FastContext-1.0-4B-RL"
PUBLISHED: dict[str, Literal["nvfp4", "bf16"]] = {NVFP4_MODEL: "nvfp4", BASE_MODEL: "bf16"}
"""The published checkpoints' precision, by hub id."""

Way = Literal["nvfp4", "marlin", "fp8", "fp8-checkpoint", "bf16", "as-is", "cpu"]

_WISHES = ("nvfp4", "marlin", "fp8", "bf16")
_NEEDS: dict[Way, str] = {
    "nvfp4": "nvfp4",
    "marlin": "nvfp4",
    "fp8": "bf16",
    "fp8-checkpoint": "fp8",
    "bf16": "bf16",
    "as-is": "other",
    "cpu": "",
}
_ELSEWHERE = "set FASTCONTEXT_ENDPOINT to a server on another machine; until then the scout answers"
CPU_LIMIT_BYTES = 2 << 30
"""Largest weights worth running on processors; the 4B model needs minutes for a turn there."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants to differ from the profile's choice. Zero and empty: nothing."""

    way: str = ""
    """Profile to use if checkpoint and GPU allow: nvfp4, marlin, fp8, bf16."""
    context: int = 0
    sequences: int = 0
    speculate: bool = False
    """Prompt-lookup speculation."""
    weightless: bool = False
    """Random weights of the configured shape, for measuring speed."""
    extra: tuple[str, ...] = ()
    """Further arguments for ``vllm serve``; they come last, so that they win."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One way to serve one checkpoint."""

    way: Way
    reason: str
    checkpoint: Checkpoint
    flags: tuple[Flag, ...]
    environment: tuple[Flag, ...] = ()
    """Variables for vLLM's process, with their reasons."""
    sleeps: bool = False
    """Whether the engine can sleep to give memory back."""
    notes: tuple[str, ...] = field(default=())


def published(precision: Literal["nvfp4", "bf16"]) -> Checkpoint:
    """The published FastContext 4B of that precision, as it will be once downloaded."""
    name = NVFP4_MODEL if precision == "nvfp4" else BASE_MODEL
    shape = Checkpoint(
        name, Path(), precision, 0, 36, 2560, 9728, 32, 8, 128, 151_936, True, 262_144
    )
    return replace(shape, weight_bytes=shape.bytes_at(precision))


def choose(
    gpu: Gpu | None,
    checkpoints: Sequence[Checkpoint],
    wishes: Wishes,
    cores: int = 1,
    memory_bytes: int = 0,
) -> Profile:
    """The profile for a GPU (None: for processors) and one of the given checkpoints.

    Raises:
        CannotRun: none of them can be served there.
    """
    if not checkpoints:
        raise CannotRun(
            "there is no checkpoint to serve",
            "name one, or download it with `engine up --download`",
        )
    if gpu is None:
        return _on_cpu(checkpoints, wishes, cores, memory_bytes)
    ways = _ways(gpu)
    if wishes.way:
        ways = (_wished(gpu, ways, wishes.way),)
    tried = [
        (way, checkpoint, _fit(gpu, way, checkpoint, wishes))
        for way in ways
        for checkpoint in checkpoints
        if checkpoint.precision == _NEEDS[way]
    ]
    if not tried:
        have = ", ".join(f"{each.name} ({each.precision})" for each in checkpoints)
        how = f" with profile {wishes.way}, which needs {_NEEDS[ways[0]]}" if wishes.way else ""
        raise CannotRun(f"{gpu.name} cannot serve {have}{how}", _ELSEWHERE)
    # The first way that leaves room for a whole exploration, else the one with most room.
    best = next((each for each in tried if each[2].good), None)
    way, checkpoint, room = best or max(tried, key=lambda each: each[2].kv_tokens)
    if room.context == 0:
        need = checkpoint.bytes_at(_loaded(way)) + LEAST_CONTEXT * checkpoint.kv_bytes_per_token(2)
        raise CannotRun(
            f"{gpu.name} has {gib(gpu.free_bytes)} of {gib(gpu.total_bytes)} free, "
            f"and {checkpoint.name} needs about {gib(need + WORK_BYTES + SPARE_BYTES)}",
            "close what else uses the GPU (`nvidia-smi` lists it), or " + _ELSEWHERE,
        )
    return _on_gpu(gpu, way, checkpoint, room, wishes, skipped=ways.index(way) > 0)


def _ways(gpu: Gpu) -> tuple[Way, ...]:
    """Ways to serve on a GPU, fastest first."""
    if gpu.sm >= 100:
        return "nvfp4", "fp8", "fp8-checkpoint", "bf16", "as-is"
    if gpu.sm >= 89:
        return "fp8", "fp8-checkpoint", "marlin", "bf16", "as-is"
    if gpu.sm >= 80:
        return "marlin", "bf16", "fp8-checkpoint", "as-is"
    if gpu.sm >= 75:
        return "marlin", "bf16", "as-is"
    raise CannotRun(
        f"{gpu.name} (compute capability {gpu.capability[0]}.{gpu.capability[1]}) is too old: "
        "vLLM's kernels for this model need 7.5 or newer",
        _ELSEWHERE,
    )


def _wished(gpu: Gpu, ways: tuple[Way, ...], wish: str) -> Way:
    # From SM80 on the card's flags work too, through Marlin and slower, so they may be asked for.
    possible = ways if gpu.sm < 80 else (*ways, "nvfp4")
    found = next((way for way in possible if way == wish), None)
    if found is None:
        names = ", ".join(way for way in dict.fromkeys(possible) if way in _WISHES)
        raise CannotRun(
            f"{gpu.name} (SM{gpu.sm}) cannot serve with profile {wish}",
            f"set FASTCONTEXT_ENGINE_PROFILE to one of {names}, or leave it empty",
        )
    return found


def _loaded(way: Way) -> Literal["nvfp4", "fp8", "bf16"]:
    if way in ("nvfp4", "marlin"):
        return "nvfp4"
    return "fp8" if way.startswith("fp8") else "bf16"


def _fit(gpu: Gpu, way: Way, checkpoint: Checkpoint, wishes: Wishes) -> Fit:
    limit = min(wishes.context or CARD_CONTEXT, checkpoint.max_positions)
    kv = checkpoint.kv_bytes_per_token(1 if way == "nvfp4" else 2)
    # FP8 made while loading: the 16-bit weights are read before they are made smaller.
    load = checkpoint.bytes_at("bf16") if way == "fp8" else 0
    weights = checkpoint.bytes_at(_loaded(way))
    return fit(gpu, weights, kv, limit, load_bytes=load)


def _on_gpu(
    gpu: Gpu, way: Way, checkpoint: Checkpoint, room: Fit, wishes: Wishes, *, skipped: bool
) -> Profile:
    chosen = flags.precision(way, gpu)
    chosen += flags.memory(gpu, room, wishes.context, wishes.sequences)
    chosen += flags.serving(card=way == "nvfp4")
    chosen += flags.wished(wishes.speculate, wishes.weightless)
    environment = flags.environment()
    if gpu.index is not None:
        # A number: vLLM 0.23.0 fails on a UUID here (int() in platforms/interface.py).
        environment += (
            Flag("CUDA_DEVICE_ORDER", "PCI_BUS_ID", "numbers as nvidia-smi shows them"),
            Flag("CUDA_VISIBLE_DEVICES", str(gpu.index), "the GPU with most free memory"),
        )
    notes = []
    if room.context < CARD_CONTEXT and not wishes.context:
        notes.append(f"the memory has room for {room.kv_tokens:,} tokens of cache")
    return Profile(
        way,
        "asked for" if wishes.way else _why(way, gpu, skipped=skipped),
        checkpoint,
        chosen,
        environment,
        True,
        tuple(notes),
    )


def _why(way: Way, gpu: Gpu, *, skipped: bool) -> str:
    """The reason for a way to serve, in one sentence."""
    sm = f"{gpu.name} (SM{gpu.sm})"
    if way == "nvfp4":
        return f"{sm} computes in FP4: the model card's flags"
    if way == "fp8" and gpu.sm >= 100:
        return f"{sm} could compute in FP4, but only the 16-bit checkpoint is here: FP8"
    if way == "fp8":
        return (
            f"{sm} has no FP4 but computes in FP8: 1.8x to 3.3x faster at reading a prompt than "
            "NVFP4 with the card's flags, and explorations mostly read"
        )
    if way == "marlin" and skipped:
        return (
            f"{sm} would be faster in FP8, but memory is short or only the NVFP4 checkpoint is "
            "here: 4-bit weights through Marlin"
        )
    if way == "marlin":
        return f"{sm} has neither FP4 nor FP8: 4-bit weights through Marlin, computed in 16 bits"
    if way == "bf16":
        return f"{sm} finds no smaller checkpoint here that it can use well: 16 bits"
    return f"{sm}: the checkpoint's own quantization"


def _on_cpu(
    checkpoints: Sequence[Checkpoint], wishes: Wishes, cores: int, memory_bytes: int
) -> Profile:
    small = min(checkpoints, key=lambda each: each.bytes_at(each.precision))
    size = small.bytes_at("bf16")
    if size > CPU_LIMIT_BYTES:
        raise CannotRun(
            f"no GPU here, and {small.name} ({gib(size)} at 16 bits) would need minutes for a turn",
            "set FASTCONTEXT_ENGINE_MODELS to a small model, or " + _ELSEWHERE,
        )
    context = min(wishes.context or 32_768, small.max_positions)
    per_token = small.kv_bytes_per_token(2)
    cache = min(2 * context * per_token, max(memory_bytes // 4, 64 << 20))
    chosen, environment = flags.on_cpu(context, cache, wishes.sequences, cores)
    chosen += flags.serving(card=False) + flags.wished(wishes.speculate, wishes.weightless)
    notes = ["processors are slow: a turn takes seconds to minutes"]
    if small.precision == "nvfp4":
        notes.append("vLLM has no NVFP4 kernel for processors unless a plug-in registers one")
    return Profile(
        "cpu",
        "no GPU: vLLM's build for processors",
        small,
        chosen,
        environment,
        False,
        tuple(notes),
    )
