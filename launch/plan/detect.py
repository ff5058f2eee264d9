"""What this machine has: GPUs from nvidia-smi, memory and processors from the system."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launch.plan.gpus import GIB, Gpu

_FIELDS = "index,name,compute_cap,memory.total,memory.free,driver_version,uuid"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Hardware:
    """What is here to run an engine on."""

    gpus: tuple[Gpu, ...]
    memory_bytes: int
    """Host memory that is available without swapping."""
    cores: int
    problem: str = ""
    """Why no GPU could be read although nvidia-smi is installed."""


def detect(smi: str | None = None) -> Hardware:
    """What this machine has. ``smi`` is the nvidia-smi to run; by default the one that is found."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    tool = smi or find_smi()
    gpus, problem = read_gpus(tool) if tool else ([], "")
    gpus = visible(gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return Hardware(tuple(gpus), available_memory(), cores or 1, problem)


def parse_smi(text: str, host_bytes: int) -> list[Gpu]:
    """The GPUs in nvidia-smi's CSV answer, without header and units, memory in MiB.

    A GPU that shares the host's memory (GB10) reports ``[N/A]`` for its own: it gets ``host_bytes``
    as free and what the system has as total.
    """
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 7 or not cells[0].isdigit():
            continue
        index, name, capability, total, free, driver, uuid = cells
        major, _, minor = capability.partition(".")
        if not (major.isdigit() and minor.isdigit()):
            continue
        unified = not total.isdigit()
        found.append(
            Gpu(
                name=name.removeprefix("NVIDIA "),
                capability=(int(major), int(minor)),
                total_bytes=total_memory() if unified else int(total) * _MIB,
                free_bytes=host_bytes if unified or not free.isdigit() else int(free) * _MIB,
                driver=driver,
                uuid=uuid,
                index=int(index),
                unified=unified,
            )
        )
    return found


def visible(gpus: list[Gpu], wanted: str | None) -> list[Gpu]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` leaves, named by number or by UUID; None: all.

    The name of a MIG slice is left to CUDA: then all GPUs are returned, without numbers.
    """
    if wanted is None:
        return gpus
    names = [name.strip() for name in wanted.split(",")]
    if any(name.startswith("MIG") for name in names):
        return [replace(gpu, index=None) for gpu in gpus]
    found = []
    for name in names:
        chosen = [
            gpu
            for gpu in gpus
            if name == str(gpu.index) or (name.startswith("GPU-") and gpu.uuid.startswith(name))
        ]
        # CUDA stops at the first name that it does not recognise.
        if not chosen:
            break
        found += chosen
    return found


def given_back(gpus: Sequence[Gpu], held: str) -> tuple[Gpu, ...]:
    """The GPUs as they will be once a running engine has ended.

    Args:
        gpus: as they are now.
        held: ``NUMBER:SHARE``, the GPU of that engine and its ``--gpu-memory-utilization``.

    Raises:
        ValueError: ``held`` has another form.
    """
    number, _, share = held.partition(":")
    index, part = int(number), float(share)
    return tuple(
        replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + int(part * gpu.total_bytes)))
        if gpu.index == index
        else gpu
        for gpu in gpus
    )


def available_memory() -> int:
    """Bytes of host memory that are available without swapping; 8 GiB if that cannot be read."""
    return meminfo("MemAvailable") or 8 * GIB


def total_memory() -> int:
    """Bytes of host memory; 8 GiB if that cannot be read."""
    return meminfo("MemTotal") or 8 * GIB


def meminfo(field: str, table: Path = Path("/proc/meminfo")) -> int:
    """Bytes of one field of the kernel's table; 0 if there is no such table or field."""
    try:
        lines = table.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def find_smi() -> str | None:
    """The nvidia-smi of this machine; None if there is no NVIDIA driver."""
    # Clients often start servers with a bare PATH.
    places = os.pathsep.join((os.defpath, "/usr/local/nvidia/bin", "/usr/lib/wsl/lib"))
    return shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path=places)


def read_gpus(tool: str, timeout_s: float = 10.0) -> tuple[list[Gpu], str]:
    """All GPUs that nvidia-smi lists, and the reason if it fails."""
    command = [tool, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"nvidia-smi did not answer: {error}"
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        return [], f"nvidia-smi failed: {said[0] if said else f'exit status {done.returncode}'}"
    return parse_smi(done.stdout, available_memory()), ""
