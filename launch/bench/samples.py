"""Samples and what is said of them."""

import statistics
from collections.abc import Sequence
from typing import Any


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the samples lie, interpolated; NaN for no samples."""
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
