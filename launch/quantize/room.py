"""Whether there is enough disk space and memory, checked before any time is spent."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.errors import QuantizeError
from launch.plan.detect import meminfo
from launch.plan.gpus import GIB

ACTIVATION_BYTES = 2 * GIB
"""More than the activations of a calibration batch of 16 x 1,024 tokens in a 4B model."""
DISK_MARGIN = 1.05


@dataclass(frozen=True, slots=True)
class CalibrationDevice:
    """The device on which the model is calibrated."""

    device: str
    """cuda or cpu, torch's names."""
    unified: bool
    """Whether the GPU shares the host's memory, as on GB10."""
    free_bytes: int


def choose_place(torch: Any, wanted: str) -> CalibrationDevice:
    """The GPU if there is one (``auto``), or the device that is asked for.

    With shared memory, the driver's figure for free memory leaves out what the page cache would
    give back, so the host's figure is used.

    Raises:
        QuantizeError: ``cuda`` is asked for, and torch finds none.
    """
    cuda = bool(torch.cuda.is_available())
    if wanted == "cuda" and not cuda:
        raise QuantizeError(
            "torch finds no CUDA device", "install torch's CUDA build, or give --device cpu"
        )
    if wanted == "cpu" or not cuda:
        return CalibrationDevice("cpu", False, meminfo("MemAvailable"))
    unified = bool(getattr(torch.cuda.get_device_properties(0), "is_integrated", False))
    free = int(torch.cuda.mem_get_info(0)[0])
    return CalibrationDevice(
        "cuda", unified, max(free, meminfo("MemAvailable")) if unified else free
    )


def require_memory(place: CalibrationDevice, weights_bytes: int) -> None:
    """Return if the model and a calibration batch fit into the memory.

    Raises:
        QuantizeError: they do not fit.
    """
    needed = weights_bytes + min(ACTIVATION_BYTES, weights_bytes)
    if place.free_bytes and place.free_bytes < needed:
        raise QuantizeError(
            f"{place.device} has {place.free_bytes / GIB:.1f} GiB free; calibrating this model "
            f"takes about {needed / GIB:.1f} GiB",
            "close what else uses the memory"
            + (", or give --device cpu" if place.device == "cuda" else ""),
        )


def require_disk(folder: Path, out_bytes: int) -> None:
    """Return if the file system of ``folder`` has room for ``out_bytes``.

    Raises:
        QuantizeError: it has not.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    needed = int(out_bytes * DISK_MARGIN)
    if free < needed:
        raise QuantizeError(
            f"{free / GIB:.1f} GiB are free where {str(folder)!r} is; the checkpoint takes "
            f"{needed / GIB:.1f} GiB",
            "free some space, or choose a folder on another disk",
        )
