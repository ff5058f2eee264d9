"""Statistics of samples, and sampling a GPU's power, temperature and memory through NVML."""

import contextlib
import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any, Self

INTERVAL_S = 0.05
"""Seconds between samples. NVML itself refreshes its power reading every 25 to 100 ms."""


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a ``share`` of the samples lies, interpolated; NaN without samples."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """``n``, ``median``, ``p95``, ``min`` and ``max`` of the samples, in their own unit."""
    if not values:
        return {"n": 0}
    return {
        "n": len(values),
        "median": statistics.median(values),
        "p95": quantile(values, 0.95),
        "min": min(values),
        "max": max(values),
    }


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of the whole GPU: watts, degrees Celsius (-1: unknown), bytes (0: unknown)."""

    power_w: float
    temperature_c: float
    memory_bytes: int


class Sampler:
    """Samples the first GPU in a thread from entry to exit. ``problem`` says why it cannot."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.problem = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._nvml: ModuleType | None = None

    def __enter__(self) -> Self:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception as error:
            # The package, the driver or the permission is missing: measure without power.
            self.problem = f"NVML is not usable: {error}"
            return self
        self._nvml = pynvml
        self._thread = threading.Thread(target=self._run, args=(pynvml,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._nvml is not None:
            with contextlib.suppress(Exception):
                self._nvml.nvmlShutdown()

    def _run(self, nvml: Any) -> None:
        try:
            device = nvml.nvmlDeviceGetHandleByIndex(0)
        except nvml.NVMLError as error:
            self.problem = f"NVML finds no GPU: {error}"
            return
        while not self._ended.wait(INTERVAL_S):
            with contextlib.suppress(nvml.NVMLError):
                self.samples.append(_read(nvml, device))

    def row(self) -> dict[str, Any]:
        """``power_w`` and ``temperature_c`` with their spread, and the largest ``memory_bytes``."""
        if not self.samples:
            return {"problem": self.problem or "no sample was taken"}
        temperatures = [s.temperature_c for s in self.samples if s.temperature_c >= 0]
        memory = max(s.memory_bytes for s in self.samples)
        return {
            "power_w": summary([s.power_w for s in self.samples if s.power_w >= 0]),
            "temperature_c": summary(temperatures),
            **({"memory_bytes": memory} if memory else {}),
        }


def _read(nvml: Any, device: Any) -> Sample:
    """One reading. GB10 reports no memory of its own: the host's is the GPU's."""
    try:
        memory = int(nvml.nvmlDeviceGetMemoryInfo(device).used)
    except nvml.NVMLError:
        memory = 0
    try:
        temperature = float(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU))
    except nvml.NVMLError:
        temperature = -1.0
    return Sample(nvml.nvmlDeviceGetPowerUsage(device) / 1000.0, temperature, memory)
