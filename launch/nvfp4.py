"""NVFP4 in torch: blocks of 16 four-bit floats, an E4M3 scale for each, one float32 for all.

The format is NVIDIA's: value = e2m1 x block scale x tensor scale; the first of two elements is the
low half of a byte. ModelOpt calls the three ``weight``, ``weight_scale`` and ``weight_scale_2``.
torch is passed as an argument, so that this module can be imported without it.
"""

from dataclasses import dataclass
from typing import Any

GROUP = 16
LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""What the three bits beside the sign stand for in E2M1."""
MIDPOINTS = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)
SCALE_MAX = 448.0
"""Largest finite E4M3."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix [out, in] in NVFP4: uint8 [out, in/2], E4M3 [out, in/16], float32 scalar."""

    weight: Any
    scale: Any
    tensor_scale: Any

    @property
    def bytes(self) -> int:
        """Bytes that a kernel has to read."""
        return int(self.weight.numel() + self.scale.numel() + 4)


def quantize(torch: Any, matrix: Any, tensor_scale: Any = None) -> Packed:
    """The matrix in NVFP4, rounded to nearest as ModelOpt 0.44 and 0.47 do with max calibration.

    Unless a tensor scale is given, as calibration does for inputs, the matrix decides it.
    """
    rows, columns = matrix.shape
    blocks = matrix.float().reshape(rows, columns // GROUP, GROUP)
    if tensor_scale is None:
        tensor_scale = blocks.abs().amax() / (LEVELS[-1] * SCALE_MAX)
    block_max = blocks.abs().amax(dim=-1)
    scale = (block_max / LEVELS[-1] / tensor_scale).clamp(max=SCALE_MAX)
    scale = scale.to(torch.float8_e4m3fn)
    step = (scale.float() * tensor_scale).unsqueeze(-1)
    shrunk = torch.where(step > 0, blocks / step, torch.zeros_like(blocks))
    midpoints = torch.tensor(MIDPOINTS, device=matrix.device)
    codes = torch.bucketize(shrunk.abs(), midpoints).to(torch.uint8)
    codes = (codes | ((shrunk < 0).to(torch.uint8) << 3)).reshape(rows, columns)
    packed = codes[:, 0::2] | (codes[:, 1::2] << 4)
    return Packed(packed.contiguous(), scale.contiguous(), tensor_scale.float())


def dequantize(torch: Any, packed: Packed) -> Any:
    """The float32 matrix [out, in] that the packed one stands for."""
    levels = torch.tensor(LEVELS + tuple(-v for v in LEVELS), device=packed.weight.device)
    codes = torch.stack((packed.weight & 0xF, packed.weight >> 4), dim=-1).flatten(1)
    rows, columns = codes.shape
    values = levels[codes.long()].reshape(rows, columns // GROUP, GROUP)
    steps = packed.scale.float().unsqueeze(-1) * packed.tensor_scale
    return (values * steps).reshape(rows, columns)


def rounded(torch: Any, values: Any, tensor_scale: Any) -> Any:
    """Activations [..., in] as an FP4 kernel sees them, in their own type."""
    flat = values.reshape(-1, values.shape[-1])
    packed = quantize(torch, flat, tensor_scale)
    return dequantize(torch, packed).reshape(values.shape).to(values.dtype)
