"""E4M3, BF16 and packed E2M1 decoded by numpy."""

import numpy as np
import numpy.typing as npt

from launch.errors import CheckpointError
from launch.verify.tensors import Bytes, Floats

_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def _pairs() -> Floats:
    """[256, 2]: the two values in a byte, the low half first."""
    values = np.array(_E2M1 + tuple(-each for each in _E2M1), np.float32)
    codes = np.arange(256)
    return np.stack((values[codes & 0xF], values[codes >> 4]), axis=-1)


def _e4m3() -> Floats:
    """[256]: a sign, four bits of exponent with bias 7, three of mantissa; no infinity."""
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 0xF, codes & 7
    small = mantissa / 8.0 * 2.0**-6
    large = (1 + mantissa / 8.0) * 2.0 ** (exponent - 7.0)
    magnitude = np.where(exponent == 0, small, large)
    magnitude[(codes & 0x7F) == 0x7F] = np.nan
    return np.where(codes >> 7, -magnitude, magnitude).astype(np.float32)


PAIRS = _pairs()
E4M3 = _e4m3()


def floats(data: Bytes, dtype: str) -> Floats:
    """The float32 values of [rows, bytes] in BF16, F16, F32 or F8_E4M3.

    Raises:
        CheckpointError: another type.
    """
    raw: npt.NDArray[np.uint8] = np.ascontiguousarray(data)
    if dtype == "BF16":
        return (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F16":
        return raw.view("<f2").astype(np.float32)
    if dtype == "F32":
        return raw.view("<f4").astype(np.float32, copy=False)
    if dtype == "F8_E4M3":
        return E4M3[raw]
    raise CheckpointError(f"tensors of type {dtype} are not read")


def unpack(packed: Bytes, scale: Bytes, tensor_scale: float, group: int = 16) -> Floats:
    """The float32 rows [n, in] of packed ones [n, in/2] with E4M3 block scales [n, in/group]."""
    values = PAIRS[packed].reshape(packed.shape[0], scale.shape[1], group)
    values *= (E4M3[scale] * np.float32(tensor_scale))[:, :, None]
    return values.reshape(packed.shape[0], -1)
