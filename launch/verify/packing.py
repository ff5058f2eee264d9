"""Checks of types and shapes, which read headers, and of scales, which read values."""

from collections.abc import Mapping

import numpy as np

from launch.nvfp4 import GROUP
from launch.verify.layout import HEAD, LinearShape, Shape, expected_bytes
from launch.verify.tensors import E4M3, Tensor
from launch.verify.verdicts import Verdict, verdict

SIZE_TOLERANCE = 0.01
Tensors = Mapping[str, Tensor]

# vLLM merges these and uses the largest scale for the whole.
MERGED = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("mlp.gate_proj", "mlp.up_proj"),
)


def packed_parts(linear: LinearShape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of each tensor of a packed linear layer, by name."""
    return {
        f"{linear.name}.weight": ("U8", (linear.out, linear.inner // 2)),
        f"{linear.name}.weight_scale": ("F8_E4M3", (linear.out, linear.inner // GROUP)),
        f"{linear.name}.weight_scale_2": ("F32", ()),
        f"{linear.name}.input_scale": ("F32", ()),
    }


def check_linears(tensors: Tensors, linears: list[LinearShape]) -> Verdict:
    """Whether every linear layer is packed: uint8 weights, E4M3 scales, float32 scalars."""
    problems = []
    for linear in linears:
        for name, (dtype, shape) in packed_parts(linear).items():
            problems += _wrong(tensors, name, (dtype,), shape)
    good = f"{len(linears)} linears: U8 weights, F8_E4M3 scales of {GROUP}, two F32 scalars"
    return verdict("packed linears", problems, good, linears=len(linears))


def check_others(tensors: Tensors, shape: Shape, unpacked: list[LinearShape]) -> Verdict:
    """Whether embeddings, norms and excluded layers are in 16 bits, and nothing else is there."""
    wanted = shape.others() | {f"{each.name}.weight": (each.out, each.inner) for each in unpacked}
    problems = [
        problem
        for name, dimensions in wanted.items()
        for problem in _wrong(tensors, name, ("BF16", "F16"), dimensions)
    ]
    known = set(wanted)
    for linear in shape.linears():
        known.update(packed_parts(linear))
    strangers = [name for name in sorted(tensors) if name not in known and "lm_head" not in name]
    problems += [f"{name!r} does not belong to this model" for name in strangers]
    kept = f"; linear layers left out: {len(unpacked)}" if unpacked else ""
    return verdict("16-bit tensors", problems, f"{len(wanted)} embeddings and norms{kept}")


def check_head(tensors: Tensors, shape: Shape) -> Verdict:
    """Whether lm_head is absent if it is tied to the embedding, and in 16 bits otherwise."""
    found = sorted(name for name in tensors if name.startswith("lm_head"))
    problems = []
    packed = [name for name in found if tensors[name].dtype not in ("BF16", "F16", "F32")]
    if packed:
        problems.append(f"lm_head is quantized: {packed[0]!r} is {tensors[packed[0]].dtype}")
    elif shape.tied and found:
        problems.append(f"{found[0]!r} exists although the embeddings are tied")
    elif not shape.tied and found != [HEAD]:
        problems.append(f"lm_head consists of {found}, not of {HEAD!r}")
    good = "tied to the embedding, not stored" if shape.tied else "stored in 16 bits"
    return verdict("lm_head", problems, good)


def check_scales(tensors: Tensors, linears: list[LinearShape]) -> Verdict:
    """Whether all scales are positive numbers, and equal where vLLM merges layers.

    The scale of a block of zeros may be 0. ModelOpt never makes NaN or negative scales.
    """
    problems: list[str] = []
    for linear in linears:
        problems += _block_scales(tensors, linear)
    scalars = {
        name: scalar(tensors[name])
        for linear in linears
        for name in (f"{linear.name}.weight_scale_2", f"{linear.name}.input_scale")
        if name in tensors and tensors[name].dtype == "F32" and tensors[name].bytes == 4
    }
    for name, value in scalars.items():
        if not (np.isfinite(value) and value > 0):
            problems.append(f"{name} is {value}")
    problems += _unequal(scalars, linears)
    return verdict(
        "scales", problems, "finite, positive, equal where vLLM merges (q, k, v; gate, up)"
    )


def _block_scales(tensors: Tensors, linear: LinearShape) -> list[str]:
    tensor = tensors.get(f"{linear.name}.weight_scale")
    if tensor is None or tensor.dtype != "F8_E4M3":
        return []
    present = np.flatnonzero(np.bincount(np.asarray(tensor.rows()).ravel(), minlength=256))
    values = E4M3[present]
    if np.isnan(values).any():
        return [f"{tensor.name} holds NaN"]
    if (values < 0).any():
        return [f"{tensor.name} holds negative scales"]
    return [] if values.max(initial=0) > 0 else [f"{tensor.name} holds only zeros"]


def _unequal(scalars: Mapping[str, float], linears: list[LinearShape]) -> list[str]:
    problems = []
    layers = dict.fromkeys(linear.name.rsplit(".", 2)[0] for linear in linears)
    for prefix in layers:
        for group in MERGED:
            for part in (".weight_scale_2", ".input_scale"):
                names = [f"{prefix}.{each}{part}" for each in group]
                found = {scalars[name] for name in names if name in scalars}
                if len(found) > 1:
                    problems.append(f"{part[1:]} differs within {prefix}: {', '.join(group)}")
    return problems


def scalar(tensor: Tensor) -> float:
    """The value of a float32 scalar."""
    return float(np.ascontiguousarray(tensor.rows()).view("<f4").ravel()[0])


def check_size(tensors: Tensors, shape: Shape, excluded: tuple[str, ...]) -> Verdict:
    """Whether the tensors have the size that follows from packing and shape."""
    found = sum(tensor.bytes for tensor in tensors.values())
    wanted = expected_bytes(shape, excluded)
    problems = []
    if abs(found - wanted) > SIZE_TOLERANCE * wanted:
        problems.append(f"{found:,} bytes of tensors, not {wanted:,}")
    good = f"{found / 1e9:.3f} GB, expected {wanted / 1e9:.3f} GB"
    return verdict("size", problems, good, bytes=found, expected_bytes=wanted)


def _wrong(
    tensors: Tensors, name: str, dtypes: tuple[str, ...], shape: tuple[int, ...]
) -> list[str]:
    tensor = tensors.get(name)
    if tensor is None:
        return [f"{name} is missing"]
    if tensor.dtype not in dtypes:
        return [f"{name} is {tensor.dtype}, not {' or '.join(dtypes)}"]
    # A scalar may be stored as one element of one dimension.
    if tensor.shape != shape and not (shape == () and tensor.shape == (1,)):
        return [f"{name} has shape {list(tensor.shape)}, not {list(shape)}"]
    return []
