"""The packed weights compared with the source's weights."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from launch.errors import CheckpointError
from launch.nvfp4 import GROUP
from launch.verify.layout import LinearShape
from launch.verify.packing import packed_parts, scalar
from launch.verify.tensors import Tensor, floats, unpack
from launch.verify.verdicts import Verdict, verdict

CHUNK_WEIGHTS = 1 << 20
"""Weights that each thread decodes at a time; they fit into the processor's cache."""
THREADS = 2
LEAST_COSINE = 0.98
MOST_ERROR = 0.20
"""Normally distributed weights have a cosine of 0.995 and an error of 0.095 in NVFP4; for other
weights both vary a little. Beyond these limits the tensor or its scales are not the source's."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a linear layer's packed weights are from the source's."""

    name: str
    cosine: float
    relative_error: float
    """Norm of the difference over the norm of the source."""


def distance(packed: Tensors, source: Tensor, linear: LinearShape) -> Distance:
    """The distance of one linear layer, decoded in parts."""
    weight, scale = packed[f"{linear.name}.weight"], packed[f"{linear.name}.weight_scale"]
    tensor_scale = scalar(packed[f"{linear.name}.weight_scale_2"])
    step = max(1, CHUNK_WEIGHTS // linear.inner)
    sums = np.zeros(3)
    for first in range(0, linear.out, step):
        got = unpack(weight.rows(first, step), scale.rows(first, step), tensor_scale, GROUP).ravel()
        wanted = floats(source.rows(first, step), source.dtype).ravel()
        sums += (np.dot(wanted, got), np.dot(wanted, wanted), np.dot(got, got))
    cross, square, other = (float(each) for each in sums)
    if square <= 0 or not np.isfinite(sums).all():
        return Distance(linear.name, float("nan"), float("nan"))
    error = max(0.0, square - 2 * cross + other) ** 0.5 / square**0.5
    return Distance(linear.name, cross / (square * other) ** 0.5 if other else 0.0, error)


def check_weights(packed: Tensors, source: Tensors, linears: list[LinearShape]) -> Verdict:
    """Whether unpacked weights are close to the source's, with figures for every tensor."""
    name = "weights against source"
    usable = [each for each in linears if _comparable(packed, source, each)]
    problems = [
        f"{each.name} cannot be compared: missing, or of another shape"
        for each in linears
        if each not in usable
    ]
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(
                pool.map(lambda each: distance(packed, source[f"{each.name}.weight"], each), usable)
            )
    except CheckpointError as error:
        return Verdict(name, "failed", str(error))
    problems += [
        f"{each.name}: cosine {each.cosine:.4f}, relative error {each.relative_error:.3f}"
        for each in found
        if not (each.cosine >= LEAST_COSINE and each.relative_error <= MOST_ERROR)
    ]
    figures = {each.name: [each.cosine, each.relative_error] for each in found}
    if not found:
        return verdict(name, problems or ["there are no tensors to compare"], "")
    worst = min(found, key=lambda each: each.cosine)
    mean = sum(each.relative_error for each in found) / len(found)
    good = (
        f"lowest cosine {worst.cosine:.4f} ({worst.name}), relative error {mean:.3f} on average, "
        f"{max(each.relative_error for each in found):.3f} at most"
    )
    return verdict(name, problems, good, tensors=figures)


def check_copies(packed: Tensors, source: Tensors, names: list[str]) -> Verdict:
    """Whether what stays in 16 bits is the source's, bit for bit."""
    problems = []
    for name in names:
        if name not in packed or name not in source:
            problems.append(f"{name} is not in both")
        elif packed[name].dtype != source[name].dtype or packed[name].shape != source[name].shape:
            problems.append(f"{name} has another type or shape than the source's")
        elif not _same(packed[name], source[name]):
            problems.append(f"{name} differs from the source's")
    return verdict("unchanged tensors", problems, f"{len(names)} equal the source's bit for bit")


def _same(left: Tensor, right: Tensor) -> bool:
    width = max(1, left.bytes // max(1, left.shape[0] if left.shape else 1))
    step = max(1, (8 << 20) // width)
    height = left.shape[0] if left.shape else 1
    return all(
        np.array_equal(left.rows(first, step), right.rows(first, step))
        for first in range(0, height, step)
    )


def _comparable(packed: Tensors, source: Tensors, linear: LinearShape) -> bool:
    wanted = source.get(f"{linear.name}.weight")
    return (
        wanted is not None
        and wanted.shape == (linear.out, linear.inner)
        and all(
            part in packed and (packed[part].dtype, packed[part].shape) == described
            for part, described in packed_parts(linear).items()
            if part.endswith((".weight", ".weight_scale"))
        )
        and (second := packed.get(f"{linear.name}.weight_scale_2")) is not None
        and (second.dtype, second.bytes) == ("F32", 4)
    )
