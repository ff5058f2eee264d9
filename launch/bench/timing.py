"""Timing GPU work: CUDA events around replays of a graph, on operands larger than the cache."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

CACHE_MULTIPLE = 4
"""The rotated operands are this many times as large as the L2 cache."""
MOST_COPIES = 64
WARM_UPS = 3


def copies_for(torch: Any, device: str, operand_bytes: int) -> int:
    """How many sets of operands to rotate, so that none is still cached when it is used again."""
    if device == "cpu":
        return 2
    properties = torch.cuda.get_device_properties(0)
    cache = int(getattr(properties, "L2_cache_size", 64 << 20))
    return max(2, min(MOST_COPIES, -(-CACHE_MULTIPLE * cache // max(1, operand_bytes))))


def time_calls(
    torch: Any, device: str, calls: Sequence[Callable[[], Any]], repeats: int
) -> tuple[list[float], str]:
    """Seconds per call in each of ``repeats`` rounds over all calls, and how they were timed.

    "graph": as vLLM decodes, without gaps between kernels. "eager": the calls could not be
    captured in a graph. "wall": on the CPU, which has no events.
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


def memory_bytes_per_s(torch: Any, device: str) -> float:
    """Memory bandwidth: bytes read and written in a second, in the fastest of several ways.

    A copy inside a CUDA graph is not the limit: on an H200 it reached 2.8 TB/s, while products
    with one token, which read much and write little, read their weights at 3.5 TB/s.
    """
    size_bytes = 16 << 20 if device == "cpu" else 4 << 30
    source = torch.randint(0, 255, (size_bytes // 4,), dtype=torch.int32, device=device)
    target = torch.empty_like(source)
    # Only half of it: kernels count the elements of a matrix in 31 bits.
    weights = source[: len(source) // 2].view(torch.bfloat16).view(-1, 8192)
    token = torch.ones(1, 8192, dtype=torch.bfloat16, device=device)
    ways: list[tuple[int, Callable[[], Any]]] = [
        (2 * size_bytes, lambda: target.copy_(source)),
        (2 * size_bytes, lambda: torch.add(source, 1, out=target)),
        (size_bytes // 2, lambda: torch.nn.functional.linear(token, weights)),
        (size_bytes, lambda: source.sum()),
    ]
    rates = []
    for moved, way in ways:
        taken, _ = time_calls(torch, device, [way], 10)
        if device != "cpu":
            taken = [*taken, *_events(torch, way, 1, 10)]
        rates.append(moved / min(taken))
    return float(max(rates))


PRODUCTS = ((8192, 8192, 8192), (4096, 4096, 4096), (4096, 9728, 2560))
"""Rows, inner length and columns. The last is down_proj with 4,096 tokens, which was faster than
the first on an H200."""


def matmul_flop_per_s(torch: Any, device: str) -> float:
    """Operations a second of BF16 products of random data: the fastest round of all."""
    rates = []
    for rows, inner, columns in PRODUCTS if device != "cpu" else ((128, 128, 128),):
        left = torch.randn(rows, inner, dtype=torch.bfloat16, device=device)
        right = torch.randn(columns, inner, dtype=torch.bfloat16, device=device)
        taken, _ = time_calls(torch, device, [partial(torch.matmul, left, right.T)] * 4, 10)
        rates.append(2 * rows * inner * columns / min(taken))
    return float(max(rates))
