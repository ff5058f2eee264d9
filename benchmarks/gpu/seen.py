"""What the system says of processes and of the GPU."""

import os
from pathlib import Path

from launch.plan.detect import detect


def gpu_used_mib() -> int:
    """Memory in use on the first GPU, by nvidia-smi; 0 without one."""
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
