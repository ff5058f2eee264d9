"""BF16 against NVFP4 for every linear layer and batch size: where NVFP4 is faster."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from launch.bench.kernels import (
    LinearKernel,
    bf16_linear,
    nvfp4_linear,
    reference_linear,
    vllm_config,
)
from launch.bench.samples import summary
from launch.bench.timing import copies_for, matmul_flop_per_s, memory_bytes_per_s, time_calls

FP4_OVER_BF16 = 4
"""Dense FP4 over dense BF16 operations a second on Blackwell, by NVIDIA's data sheets."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Rows of the input: tokens computed in one step, from decoding one stream to a prefill chunk."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """A linear layer of ``out`` x ``inner`` weights; the model has ``count`` of them."""

    layer: str
    out: int
    inner: int
    count: int
    card: bool = False
    """Whether the model card has a figure for it."""
    merged: bool = False
    """Whether vLLM computes it in place of its parts."""


def layer_shapes(
    *,
    hidden: int = 2560,
    intermediate: int = 9728,
    heads: int = 32,
    kv_heads: int = 8,
    head_dim: int = 128,
    layers: int = 36,
) -> tuple[LayerShape, ...]:
    """All different quantized linear layers. The defaults are FastContext-1.0-4B's."""
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


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The rates that this GPU was measured to reach."""

    bytes_per_s: float
    bf16_flop_per_s: float


def measure(
    *,
    device: str = "cuda",
    shapes: Sequence[LayerShape] = (),
    batches: Sequence[int] = BATCHES,
    repeats: int = 20,
    emit: Callable[[dict[str, Any]], None],
    deadline: float = float("inf"),
) -> None:
    """Measure, and pass every row to ``emit`` as soon as it is made.

    The first row describes the machine. A shape that fails gives a row with ``error``; after
    ``deadline`` (of ``time.monotonic``) each shape gives a row of kind ``skipped``.

    Raises:
        ImportError: there is no torch, or on a GPU no vLLM.
    """
    import torch

    torch.manual_seed(0)
    start = time.monotonic()
    with torch.no_grad(), _engine(device) as version:
        ceilings = Ceilings(memory_bytes_per_s(torch, device), matmul_flop_per_s(torch, device))
        name = torch.cuda.get_device_name(0) if device != "cpu" else "cpu"
        emit(
            {
                "kind": "machine",
                "device": name,
                "torch": torch.__version__,
                "vllm": version,
                **asdict(ceilings),
            }
        )
        for shape in shapes or layer_shapes():
            if time.monotonic() > deadline:
                emit({"kind": "skipped", "layer": shape.layer, "reason": "out of time"})
                continue
            try:
                for row in _shape(torch, device, shape, batches, repeats, ceilings):
                    emit(row)
            except Exception as error:
                # A kernel that this GPU lacks must not cost the other shapes' figures.
                emit({"kind": "error", "layer": shape.layer, "error": repr(error)})
        emit({"kind": "total", "elapsed_s": time.monotonic() - start})


@contextlib.contextmanager
def _engine(device: str) -> Iterator[str]:
    if device == "cpu":
        yield "none"
        return
    with vllm_config() as version:
        yield version


def _shape(
    torch: Any,
    device: str,
    shape: LayerShape,
    batches: Sequence[int],
    repeats: int,
    ceilings: Ceilings,
) -> Iterator[dict[str, Any]]:
    matrix = torch.randn(shape.out, shape.inner, dtype=torch.bfloat16, device=device)
    matrix = matrix * shape.inner**-0.5
    packed = reference_linear if device == "cpu" else nvfp4_linear
    for precision, build in (("bf16", bf16_linear), ("nvfp4", packed)):
        linear: LinearKernel = build(torch, matrix)
        copies = linear.copies(copies_for(torch, device, linear.weight_bytes))
        for batch in batches:
            inputs = [
                torch.randn(batch, shape.inner, dtype=torch.bfloat16, device=device) for _ in copies
            ]
            error = _error(torch, linear, copies[0], inputs[0])
            calls = [lambda f=f, x=x: f(x) for f, x in zip(copies, inputs, strict=True)]
            taken, timing = time_calls(torch, device, calls, repeats)
            yield _row(shape, batch, precision, linear, taken, timing, error, ceilings)
        # The copies of the next precision need the memory.
        del copies, linear


def _error(torch: Any, linear: LinearKernel, run: Callable[[Any], Any], x: Any) -> float:
    got = run(x).float()
    wanted = x.float() @ linear.reference.T
    return float((got - wanted).norm() / wanted.norm())


def _row(
    shape: LayerShape,
    batch: int,
    precision: str,
    linear: LinearKernel,
    taken: list[float],
    timing: str,
    error: float,
    ceilings: Ceilings,
) -> dict[str, Any]:
    moved = linear.weight_bytes + 2 * batch * (shape.inner + shape.out)
    rate = ceilings.bf16_flop_per_s * (FP4_OVER_BF16 if linear.activation_bits == 4 else 1)
    memory_s = moved / ceilings.bytes_per_s
    arithmetic_s = 2 * batch * shape.inner * shape.out / rate
    times = summary([1e6 * each for each in taken])
    floor_us = 1e6 * max(memory_s, arithmetic_s)
    return {
        "kind": "matmul",
        **asdict(shape),
        "batch": batch,
        "precision": precision,
        "kernel": linear.kernel,
        "timing": timing,
        "time_us": times,
        # Which of the two floors is higher, and that floor over the median time.
        "limit": "memory" if memory_s >= arithmetic_s else "arithmetic",
        "limit_share": floor_us / times["median"],
        # Norm of the difference from float32 with the same weights, over the norm of that.
        "relative_error": error,
    }
