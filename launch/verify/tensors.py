"""Safetensors files, read by numpy without loading them: headers first, tensors by rows.

E4M3, BF16 and packed E2M1 are decoded here as well.
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from launch.errors import CheckpointError
from launch.files import POINTER_HINT, is_lfs_pointer
from launch.nvfp4 import GROUP, LEVELS

MOST_HEADER_BYTES = 100 << 20
"""The format's own limit (safetensors 0.4)."""
DTYPE_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "BF16": 2,
    "F16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U8": 1,
    "I8": 1,
    "BOOL": 1,
}

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's type and shape, and where its bytes are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    """First byte in the file."""
    end: int
    """The byte after its last."""

    @property
    def bytes(self) -> int:
        """Bytes of its data."""
        return self.end - self.start

    def rows(self, first: int = 0, count: int | None = None) -> Bytes:
        """``count`` rows from ``first`` as bytes, shape [rows, bytes of a row], not loaded yet."""
        height = self.shape[0] if self.shape else 1
        width = self.bytes // height if height else 0
        taken = height - first if count is None else min(count, height - first)
        data: Bytes = np.memmap(
            self.file, np.uint8, "r", self.start + first * width, (taken, width)
        )
        return data


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, by name.

    Raises:
        CheckpointError: it is not a safetensors file, or shorter than its header says.
    """
    _refuse_pointer(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(MOST_HEADER_BYTES, size - 8):
                raise CheckpointError(
                    f"{path.name} is truncated: a header of {length} bytes, a file of {size}",
                    "copy or download it again",
                )
            header = json.loads(file.read(length))
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"the header of {path.name} is not an object")
    base = 8 + length
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            found[name] = _tensor(path, base, size, name, entry)
    return found


def _tensor(path: Path, base: int, size: int, name: str, entry: Any) -> Tensor:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(each) for each in entry["shape"])
        first, last = (int(each) for each in entry["data_offsets"])
        if min(shape, default=0) < 0 or not 0 <= first <= last:
            raise ValueError(name)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise CheckpointError(f"{path.name} describes {name!r} in an unknown form") from None
    if base + last > size:
        raise CheckpointError(
            f"{path.name} is truncated: {name!r} ends at byte {base + last}, the file at {size}",
            "copy or download it again",
        )
    wanted = math.prod(shape) * DTYPE_BYTES.get(dtype, 1)
    if dtype in DTYPE_BYTES and last - first != wanted:
        raise CheckpointError(
            f"{path.name}: {name!r} of {dtype} {list(shape)} needs {wanted} bytes, not "
            f"{last - first}"
        )
    return Tensor(name, dtype, shape, path, base + first, base + last)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, by name.

    Raises:
        CheckpointError: a file is missing, damaged, or disagrees with the index.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise CheckpointError(f"no .safetensors file in {str(folder)!r}")
        return {name: each for file in files for name, each in read_header(file).items()}
    placed = read_json(index).get("weight_map")
    if not isinstance(placed, Mapping):
        raise CheckpointError(f"{index.name} has no weight_map")
    found: dict[str, Tensor] = {}
    for name in sorted(set(map(str, placed.values()))):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"the shard {name!r} is missing; the index names it", "copy or download it again"
            )
        found.update(read_header(folder / name))
    lost = sorted(set(placed) - set(found))
    if lost:
        raise CheckpointError(f"no shard holds {lost[0]!r}, although the index names it")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: it cannot be read, or holds no object.
    """
    _refuse_pointer(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.name} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} does not hold an object")
    return value


def _pairs() -> Floats:
    """[256, 2]: the two values in a byte, the low half first."""
    values = np.array(LEVELS + tuple(-each for each in LEVELS), np.float32)
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
    raise CheckpointError(f"tensors of type {dtype} cannot be read")


def unpack(packed: Bytes, scale: Bytes, tensor_scale: float, group: int = GROUP) -> Floats:
    """The float32 rows [n, in] of packed ones [n, in/2] with E4M3 block scales [n, in/group]."""
    values = PAIRS[packed].reshape(packed.shape[0], scale.shape[1], group)
    values *= (E4M3[scale] * np.float32(tensor_scale))[:, :, None]
    return values.reshape(packed.shape[0], -1)


def _refuse_pointer(path: Path) -> None:
    if is_lfs_pointer(path):
        raise CheckpointError(f"{path.name} is a Git LFS pointer, not the file", POINTER_HINT)
