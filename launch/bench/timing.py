"""Time of GPU work: CUDA events around replays of a graph, on operands that outgrow the cache."""

import time
from collections.abc import Callable, Sequence
from typing import Any

CACHE_MULTIPLE = 4
"""Operands that are rotated add up to this many times the L2 cache."""
MOST_COPIES = 64
WARM_UPS = 3


def copies_for(torch: Any, device: str, operand_bytes: int) -> int:
    """How many sets of operands to rotate so that none is still in the cache when used again."""
    if device == "cpu":
        return 2
    properties = torch.cuda.get_device_properties(0)
    cache = int(getattr(properties, "L2_cache_size", 64 << 20))
    return max(2, min(MOST_COPIES, -(-CACHE_MULTIPLE * cache // max(1, operand_bytes))))


def time_calls(
    torch: Any, device: str, calls: Sequence[Callable[[], Any]], repeats: int
) -> tuple[list[float], str]:
    """Seconds per call for each of ``repeats`` rounds over all calls, and how they were timed.

    "graph": as vLLM decodes, without launch gaps. "eager": the calls could not be captured.
    "wall": the CPU, where there are no events.
    """
    if device == "cpu":
        return _wall(calls, repeats), "wall"
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            for call in calls[:2]:
                call()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in calls:
                call()
    except RuntimeError:
        torch.cuda.synchronize()

        def run() -> None:
            for call in calls:
                call()

        return _events(torch, run, len(calls), repeats), "eager"
    return _events(torch, graph.replay, len(calls), repeats), "graph"


def _events(torch: Any, run: Callable[[], Any], calls: int, repeats: int) -> list[float]:
    for _ in range(WARM_UPS):
        run()
    pairs = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        pairs.append((start, end))
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1000.0 / calls for start, end in pairs]


def _wall(calls: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        for call in calls:
            call()
        taken.append((time.perf_counter() - start) / len(calls))
    return taken


def copy_bytes_per_s(torch: Any, device: str, size_bytes: int = 4 << 30) -> float:
    """Memory bandwidth: bytes read and written in a second by a copy on the device."""
    if device == "cpu":
        size_bytes = 16 << 20
    source = torch.randint(0, 255, (size_bytes,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    taken, _ = time_calls(torch, device, [lambda: target.copy_(source)], 10)
    return 2 * size_bytes / min(taken)


def matmul_flop_per_s(torch: Any, device: str, size: int = 8192) -> float:
    """Arithmetic rate of a large BF16 product on random data, in operations a second."""
    if device == "cpu":
        size = 128
    left = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    right = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    taken, _ = time_calls(torch, device, [lambda: left @ right] * 4, 5)
    return float(2 * size**3 / sorted(taken)[len(taken) // 2])
