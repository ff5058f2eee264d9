"""Power, temperature and memory of a GPU while something runs on it, through NVML."""

import contextlib
import threading
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any, Self

from launch.bench.samples import summary

INTERVAL_S = 0.05
"""Seconds between samples. NVML itself refreshes its power reading every 25 to 100 ms."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading: watts, degrees Celsius, bytes in use on the whole GPU."""

    power_w: float
    temperature_c: float
    memory_bytes: int


class Sampler:
    """Samples a GPU in a thread from entry to exit. Says why in ``problem`` where it cannot."""

    def __init__(self, index: int = 0, interval_s: float = INTERVAL_S) -> None:
        self.samples: list[Sample] = []
        self.problem = ""
        self._index = index
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._nvml: ModuleType | None = None

    def __enter__(self) -> Self:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception as error:
            # Without the package, the driver or the right to ask: the bench goes on without.
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
            device = nvml.nvmlDeviceGetHandleByIndex(self._index)
        except nvml.NVMLError as error:
            self.problem = f"NVML has no GPU {self._index}: {error}"
            return
        while not self._ended.wait(self._interval_s):
            with contextlib.suppress(nvml.NVMLError):
                self.samples.append(_read(nvml, device))

    def row(self) -> dict[str, Any]:
        """What was sampled: ``power_w``, ``temperature_c`` and ``memory_bytes`` with spread."""
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
