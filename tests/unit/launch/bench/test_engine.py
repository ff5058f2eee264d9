import json
from pathlib import Path
from typing import Any

import pytest

from launch.bench.engine import BenchPlan, RowFile, measure
from launch.bench.matmul import layer_shapes
from launch.bench.variants import Variant, standard_variants, weight_bytes, write_weightless
from tests.tooling import python_that_runs

# Stands in for the Python that has vLLM: ``-m launch.bench.engine_child PLAN`` runs it instead.
CHILD = """\
import json, os, subprocess, sys
plan = json.loads(sys.argv[-1])
row = {"variant": plan["name"], "kind": "start_s", "cache": plan["cache"], "median": 1.0}
row["vllm_cache"] = os.environ["VLLM_CACHE_ROOT"]
row["measurements"] = len(plan["measurements"])
with open(plan["rows"], "a") as file:
    file.write(json.dumps(row) + "\\n")
print("log of", plan["name"])
sys.exit(3 if plan["name"] == "fp8" else 0)
"""


@pytest.fixture
def python(tmp_path: Path) -> str:
    return python_that_runs(CHILD, tmp_path)


def variants(folder: Path, *names: str) -> list[Variant]:
    plain, packed = write_weightless(folder)
    return standard_variants(plain, packed, compute_capability=90, weightless=True, names=names)


def kinds(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row.get("variant", ""), row["kind"]) for row in rows]


def test_each_variant_is_started_cold_then_warm_in_a_cache_of_its_run(
    tmp_path: Path, python: str
) -> None:
    rows: list[dict[str, Any]] = []
    plan = BenchPlan()
    measure(variants(tmp_path, "bf16", "nvfp4"), plan, emit=rows.append, python=python)
    starts = [row for row in rows if row["kind"] == "start_s"]
    assert [(row["variant"], row["cache"]) for row in starts] == [
        ("bf16", "cold"),
        ("bf16", "warm"),
        ("nvfp4", "cold"),
        ("nvfp4", "warm"),
    ]
    assert [row["measurements"] for row in starts] == [len(plan.measurements()), 0] * 2
    assert len({row["vllm_cache"] for row in starts}) == 1
    assert not Path(starts[0]["vllm_cache"]).exists()


def test_a_cache_that_is_kept_makes_the_next_start_a_warm_one(tmp_path: Path, python: str) -> None:
    chosen = variants(tmp_path, "bf16")
    for wanted in ("cold", "warm"):
        rows: list[dict[str, Any]] = []
        measure(
            chosen, None, emit=rows.append, python=python, warm_starts=0, cache=tmp_path / "cache"
        )
        assert [row["cache"] for row in rows if row["kind"] == "start_s"] == [wanted]


def test_a_variant_that_fails_keeps_its_rows_and_the_others_are_measured(
    tmp_path: Path, python: str
) -> None:
    rows: list[dict[str, Any]] = []
    measure(
        variants(tmp_path, "fp8", "nvfp4"), None, emit=rows.append, python=python, warm_starts=0
    )
    assert kinds(rows) == [
        ("fp8", "weight_bytes"),
        ("fp8", "start_s"),
        ("fp8", "error"),
        ("nvfp4", "weight_bytes"),
        ("nvfp4", "start_s"),
        ("", "total"),
    ]
    error = next(row for row in rows if row["kind"] == "error")
    assert error["error"] == "the engine's process ended with 3"
    assert error["log_tail"] == "log of fp8\n"


def test_rows_are_read_line_by_line_and_half_ones_later(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    assert list(rows.new()) == []
    with (tmp_path / "rows.jsonl").open("w") as file:
        file.write('{"n": 1}\n{"n":')
        file.flush()
        assert list(rows.new()) == [{"n": 1}]
        file.write(" 2}\n")
        file.flush()
        assert list(rows.new()) == [{"n": 2}]
    assert list(rows.new()) == []


def test_past_the_deadline_what_is_left_is_said_to_be_skipped(tmp_path: Path, python: str) -> None:
    rows: list[dict[str, Any]] = []
    measure(variants(tmp_path, "bf16"), None, emit=rows.append, python=python, deadline=0.0)
    assert kinds(rows) == [("bf16", "weight_bytes"), ("bf16", "skipped"), ("", "total")]


def test_the_cards_flags_are_used_where_fp4_is_native_and_nowhere_else(tmp_path: Path) -> None:
    plain, packed = write_weightless(tmp_path)
    hopper, blackwell = (
        {
            each.name: each.arguments
            for each in standard_variants(plain, packed, compute_capability=sm)
        }
        for sm in (90, 121)
    )
    assert "kv_cache_dtype" not in hopper["nvfp4"]
    assert blackwell["nvfp4"]["kv_cache_dtype"] == "fp8"
    assert blackwell["nvfp4"]["attention_backend"] == "FLASHINFER"
    assert "kv_cache_dtype" not in blackwell["bf16"]


def test_weightless_sizes_are_those_of_the_real_model(tmp_path: Path) -> None:
    sizes = {each.name: weight_bytes(each) for each in variants(tmp_path, "bf16", "fp8", "nvfp4")}
    assert sizes["bf16"] == pytest.approx(8.045e9, rel=0.001)
    assert sizes["fp8"] == pytest.approx(4.41e9, rel=0.01)
    assert sizes["nvfp4"] == pytest.approx(2.82e9, rel=0.001)


def test_a_checkpoint_with_weights_is_as_large_as_its_files(tmp_path: Path) -> None:
    (plain,) = variants(tmp_path, "bf16")
    (plain.model / "model.safetensors").write_bytes(b"x" * 77)
    assert weight_bytes(plain) == 77


def test_a_weightless_model_has_the_shape_that_the_card_describes(tmp_path: Path) -> None:
    config = json.loads((write_weightless(tmp_path)[1] / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"]) == (36, 2560)
    assert config["quantization_config"]["quant_method"] == "modelopt"


def test_the_four_shapes_of_the_card_are_measured_and_what_vllm_merges() -> None:
    card = {(shape.out, shape.inner) for shape in layer_shapes() if shape.card}
    assert card == {(2560, 9728), (9728, 2560), (4096, 2560), (2560, 4096)}
    merged = {shape.layer: (shape.out, shape.inner) for shape in layer_shapes() if shape.merged}
    assert merged == {"qkv_proj": (6144, 2560), "gate_up_proj": (19456, 2560)}
