"""GPUs: what a profile needs to know about one, and those known by name."""

import re
from dataclasses import dataclass, replace

from launch.errors import CannotRun

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as a profile sees it."""

    name: str
    capability: tuple[int, int]
    """CUDA compute capability, (9, 0) for Hopper."""
    total_bytes: int
    free_bytes: int
    driver: str = ""
    uuid: str = ""
    index: int | None = None
    """Number in bus order, as nvidia-smi shows it; None if it is not known."""
    unified: bool = False
    """Whether the GPU shares the host's memory, as on GB10."""

    @property
    def sm(self) -> int:
        """The capability as one number: 90 for (9, 0), 121 for (12, 1)."""
        return self.capability[0] * 10 + self.capability[1]


def _gpu(name: str, major: int, minor: int, gib: float, *, unified: bool = False) -> Gpu:
    size = int(gib * GIB)
    return Gpu(name, (major, minor), size, size, unified=unified)


# Memory as nvidia-smi reports it, which is a little less than the nominal size. Capabilities:
# https://developer.nvidia.com/cuda-gpus
KNOWN: tuple[Gpu, ...] = (
    _gpu("V100", 7, 0, 16.0),
    _gpu("T4", 7, 5, 15.0),
    _gpu("RTX 3060", 8, 6, 12.0),
    _gpu("RTX 3090", 8, 6, 24.0),
    _gpu("A10G", 8, 6, 22.5),
    _gpu("A100 40GB", 8, 0, 40.0),
    _gpu("A100 80GB", 8, 0, 80.0),
    _gpu("L4", 8, 9, 22.5),
    _gpu("L40S", 8, 9, 45.0),
    _gpu("RTX 4090", 8, 9, 24.0),
    _gpu("H100", 9, 0, 79.6),
    _gpu("H200", 9, 0, 140.4),
    _gpu("B200", 10, 0, 179.0),
    _gpu("RTX 5090", 12, 0, 31.8),
    _gpu("RTX PRO 6000", 12, 0, 95.6),
    _gpu("GB10", 12, 1, 119.7, unified=True),
)


def known_gpu(name: str) -> Gpu:
    """The GPU whose name holds every word of ``name``, in any case; ``a100-80`` finds A100 80GB.

    Raises:
        CannotRun: no name fits, or several do.
    """
    words = name.lower().replace("-", " ").replace("_", " ").split()
    found = [gpu for gpu in KNOWN if all(word in gpu.name.lower() for word in words)]
    exact = [gpu for gpu in found if gpu.name.lower().split() == words]
    if len(exact or found) == 1:
        return (exact or found)[0]
    names = ", ".join(gpu.name for gpu in (found or KNOWN))
    problem = "fits several GPUs" if found else "is not a known GPU"
    raise CannotRun(
        f"{name!r} {problem}: {names}", "name one of them, or give --capability and --memory-gib"
    )


def with_memory(gpu: Gpu, gib: float) -> Gpu:
    """The GPU with another amount of memory, all of it free."""
    size = int(gib * GIB)
    return replace(gpu, total_bytes=size, free_bytes=size)


def gpu_of_capability(capability: str, gib: float) -> Gpu:
    """A GPU of a compute capability such as ``12.1`` with that much memory, all of it free.

    Raises:
        CannotRun: the capability is not of that form.
    """
    found = re.fullmatch(r"([0-9]{1,2})\.([0-9])", capability)
    if found is None:
        raise CannotRun(
            f"{capability!r} is not a compute capability", "give it as in --capability 12.1"
        )
    return _gpu(f"GPU of capability {capability}", int(found[1]), int(found[2]), gib)
