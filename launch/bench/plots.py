"""Plots of the measurements as PNG files. Needs matplotlib, from the extra ``bench``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launch.bench.report import matmul_pairs

Row = Mapping[str, Any]

_PARTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("decode, one stream\n(tok/s)", "decode_tok_s", {"streams": 1}),
    ("TTFT, longest prompt\n(ms)", "ttft_ms", {}),
    ("power, one stream\n(W)", "power", {"streams": 1}),
    ("model size\n(GB)", "weight_bytes", {}),
)


def plot_matmul(rows: Sequence[Row], path: Path) -> None:
    """Plot BF16 time / NVFP4 time against the batch size, one line for each layer.

    Raises:
        ImportError: there is no matplotlib.
    """
    figure, axes = _figure(9, 5)
    lines: dict[str, list[tuple[int, float]]] = {}
    for plain, packed in matmul_pairs(rows):
        ratio = plain["time_us"]["median"] / packed["time_us"]["median"]
        name = f"{plain['layer']} [{plain['out']}, {plain['inner']}]"
        lines.setdefault(name, []).append((plain["batch"], ratio))
    for name, points in lines.items():
        batches, ratios = zip(*sorted(points), strict=True)
        axes.plot(batches, ratios, marker="o", markersize=3, label=name)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("batch (tokens computed in a step)")
    axes.set_ylabel("BF16 time / NVFP4 time")
    axes.set_title(f"NVFP4 is faster above the line: {_machine(rows)}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def plot_engine(rows: Sequence[Row], path: Path) -> None:
    """Plot decoding, time to first token, power and size of each variant as bars.

    Raises:
        ImportError: there is no matplotlib.
    """
    figure, grid = _figure(11, 3.4, columns=len(_PARTS))
    for axes, (title, kind, wanted) in zip(grid, _PARTS, strict=True):
        bars = {
            str(row["variant"]): value
            for row in rows
            if (value := _value(row, kind, wanted)) is not None
        }
        drawn = axes.bar(range(len(bars)), list(bars.values()), color="#4878a8")
        axes.bar_label(drawn, fmt="%.4g", fontsize=8)
        axes.set_xticks(range(len(bars)), list(bars), fontsize=8)
        axes.set_title(title, fontsize=9)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def _value(row: Row, kind: str, wanted: Mapping[str, Any]) -> float | None:
    if any(row.get(key) != value for key, value in wanted.items()):
        return None
    if kind == "power":
        power = (row.get("gpu") or {}).get("power_w") or {}
        # The model card's figure is for the short context.
        return power.get("median") if row.get("context_tokens", 0) < 1024 else None
    if row.get("kind") != kind or "median" not in row:
        return None
    if kind == "decode_tok_s" and row["context_tokens"] >= 1024:
        return None
    return float(row["median"]) / (1e9 if kind == "weight_bytes" else 1.0)


def _machine(rows: Sequence[Row]) -> str:
    for row in rows:
        if row.get("kind") == "machine" and "vllm" in row:
            return f"{row['device']}, vLLM {row['vllm']}"
    return "unknown machine"


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    # Needs no display, and leaves pyplot's global state alone.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns)
