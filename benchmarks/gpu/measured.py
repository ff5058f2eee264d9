"""Measurements as rows, and what the system says about processes and the GPU."""

import json
import os
from pathlib import Path
from typing import Any

from launch.plan.detect import detect


def gpu_used_mib() -> int:
    """Memory in use on the first GPU, from nvidia-smi; 0 without a GPU."""
    gpus = detect().gpus
    return (gpus[0].total_bytes - gpus[0].free_bytes) >> 20 if gpus else 0


def is_core(pid: int) -> bool:
    """Whether a process is vLLM's engine core."""
    try:
        return b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes()[:40]
    except OSError:
        return False


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


class Rows:
    """Measurements, written to the disk after each one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: list[dict[str, Any]] = []

    def add(self, profile: str, what: str, **values: Any) -> None:
        """Keep and print one measurement."""
        row = {"profile": profile, "what": what, **values}
        self.all.append(row)
        self._path.write_text(json.dumps(self.all, indent=1))
        shown = "  ".join(f"{name}={value}" for name, value in values.items())
        print(f"{profile:<7} {what:<28} {shown}", flush=True)
