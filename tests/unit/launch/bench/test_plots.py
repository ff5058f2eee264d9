from pathlib import Path

import pytest

from tests.unit.launch.bench.test_report import pairs

pytest.importorskip("matplotlib")

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_ratio_over_the_batch_is_drawn_as_a_png(tmp_path: Path) -> None:
    from launch.bench.plots import plot_matmul

    plot_matmul(pairs("q_proj", (1, 9.0, 3.0), (64, 9.0, 11.0)), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(PNG)


def test_the_variants_are_drawn_as_a_png(tmp_path: Path) -> None:
    from launch.bench.plots import plot_engine

    row = {"variant": "bf16", "kind": "decode_tok_s", "streams": 1, "context_tokens": 512}
    rows = [{**row, "n": 5, "median": 100.0}, {**row, "variant": "nvfp4", "n": 5, "median": 90.0}]
    plot_engine(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(PNG)
