from typing import Any

import pytest

from launch.bench.report import crossover, engine_table, matmul_table, problems
from launch.bench.samples import quantile, summary


def matmul(layer: str, batch: int, precision: str, time_us: float, **more: Any) -> dict[str, Any]:
    return {
        "kind": "matmul",
        "layer": layer,
        "out": 4096,
        "inner": 2560,
        "card": True,
        "batch": batch,
        "precision": precision,
        "time_us": {"n": 20, "median": time_us},
        "limit": "memory",
        "limit_share": 0.5,
        "relative_error": 0.002,
        **more,
    }


def pairs(layer: str, *times: tuple[int, float, float]) -> list[dict[str, Any]]:
    return [
        row
        for batch, plain, packed in times
        for row in (matmul(layer, batch, "bf16", plain), matmul(layer, batch, "nvfp4", packed))
    ]


def test_the_engine_table_has_a_column_for_each_variant_and_ratios_to_the_first() -> None:
    rows = [
        {"variant": "bf16", "kind": "weight_bytes", "median": 8.0e9},
        {"variant": "bf16", "kind": "decode_tok_s", "streams": 1, "context_tokens": 512,
         "n": 5, "median": 100.0, "gpu": {"power_w": {"n": 9, "median": 400.0}}},
        {"variant": "bf16", "kind": "ttft_ms", "prompt_tokens": 1024, "n": 5, "median": 20.0},
        {"variant": "nvfp4", "kind": "weight_bytes", "median": 2.0e9},
        {"variant": "nvfp4", "kind": "decode_tok_s", "streams": 1, "context_tokens": 512,
         "n": 3, "median": 250.0, "gpu": {"power_w": {"n": 9, "median": 200.0}}},
        {"variant": "nvfp4", "kind": "ttft_ms", "prompt_tokens": 1024, "n": 5, "median": 40.0},
    ]  # fmt: skip
    assert engine_table(rows).splitlines() == [
        "|  | bf16 | nvfp4 | nvfp4 / bf16 | n |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| decode, 1 stream, context 512, tok/s | 100.0 | 250.0 | 2.50x | 3 |",
        "| TTFT of 1024 tokens, ms | 20.0 | 40.0 | 0.50x | 5 |",
        "| model size, GB | 8.00 | 2.00 | 4.00x | 1 |",
        "| power, 1 stream, context 512, W | 400.0 | 200.0 | 2.00x | 9 |",
    ]


def test_a_variant_that_failed_leaves_no_column_but_is_named() -> None:
    rows = [
        {"variant": "bf16", "kind": "ttft_ms", "prompt_tokens": 32, "n": 5, "median": 20.0},
        {"variant": "fp8", "kind": "weight_bytes", "median": 2.0e9},
        {"variant": "fp8", "kind": "error", "error": "ended with 1"},
        {"variant": "nvfp4", "kind": "skipped", "reason": "out of time"},
    ]
    assert "fp8" not in engine_table(rows)
    assert problems(rows) == ["fp8: error: ended with 1", "nvfp4: skipped: out of time"]


def test_tables_of_nothing_say_so() -> None:
    assert engine_table([]) == "Nothing was measured.\n"
    assert matmul_table([]) == "Nothing was measured.\n"


def test_the_matmul_table_pairs_the_precisions_and_says_how_near_each_is_to_its_limit() -> None:
    lines = matmul_table(pairs("q_proj", (1, 12.0, 4.0))).splitlines()
    assert lines[2] == (
        "| q_proj (card) | 4096 x 2560 | 1 | 12.0 | 4.0 | 3.00x | 50% memory | 50% memory "
        "| 0.0020 | 20 |"
    )


def test_a_product_faster_than_the_limit_was_measured_is_the_limit() -> None:
    fast = matmul("q_proj", 1, "bf16", 12.0, limit_share=1.25)
    lines = matmul_table([fast, matmul("q_proj", 1, "nvfp4", 4.0)]).splitlines()
    assert "| 100% memory | 40% memory |" in lines[2]


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ([(1, 9.0, 3.0), (64, 9.0, 5.0), (256, 9.0, 11.0)], 256),
        ([(1, 9.0, 3.0), (64, 9.0, 5.0)], None),
        ([(1, 3.0, 9.0)], 1),
        # One slow batch among fast ones is no crossover.
        ([(1, 9.0, 3.0), (16, 9.0, 10.0), (64, 9.0, 5.0)], None),
        ([(256, 9.0, 11.0), (1, 9.0, 3.0), (512, 9.0, 12.0)], 256),
    ],
)
def test_the_crossover_is_the_batch_from_which_nvfp4_stays_slower(
    times: list[tuple[int, float, float]], at: int | None
) -> None:
    assert crossover(pairs("q_proj", *times)) == {"q_proj": at}


def test_quantiles_lie_between_samples() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert quantile([5.0], 0.95) == 5.0


def test_a_summary_of_no_samples_holds_no_figures() -> None:
    assert summary([]) == {"n": 0}
    assert summary([3.0, 1.0, 2.0])["median"] == 2.0
