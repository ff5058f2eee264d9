import json
import struct
from pathlib import Path

import numpy as np
import pytest

from launch.verify.run import RECORD, verify
from launch.verify.verdicts import Verification
from tests.checkpoints import CONFIG, LFS_POINTER, Damage, Draft, drafts, write_safetensors

Q = "model.layers.0.self_attn.q_proj"


def status(report: Verification) -> dict[str, str]:
    return {check.name: check.status for check in report.checks}


def detail(report: Verification, name: str) -> str:
    return next(check.detail for check in report.checks if check.name == name)


def test_a_good_checkpoint_passes_every_check(tmp_path: Path) -> None:
    source, packed = drafts()
    report = verify(packed.write(tmp_path / "nvfp4"), source.write(tmp_path / "bf16"))
    assert report.passed, report
    # Only the count of quantizers cannot be known of a checkpoint made elsewhere.
    assert [name for name, found in status(report).items() if found != "passed"] == ["quantizers"]


def test_without_the_source_the_comparison_is_skipped_and_says_what_is_missing(
    tmp_path: Path,
) -> None:
    report = verify(drafts()[1].write(tmp_path / "nvfp4"))
    assert report.passed
    assert status(report)["weights against source"] == "skipped"
    assert "--against" in detail(report, "weights against source")


def test_every_check_is_heard_as_it_is_made(tmp_path: Path) -> None:
    heard: list[str] = []
    report = verify(
        drafts()[1].write(tmp_path / "nvfp4"), listener=lambda check: heard.append(check.name)
    )
    assert heard == [check.name for check in report.checks]


def retype(name: str, dtype: str) -> Damage:
    def damage(draft: Draft) -> None:
        draft.tensors[name] = (dtype, draft.tensors[name][1])

    return damage


def wrong_scale_dtype(draft: Draft) -> None:
    scale = draft.tensors[f"{Q}.weight_scale"][1]
    draft.tensors[f"{Q}.weight_scale"] = ("BF16", scale.astype(np.uint16))


def wrong_scalar_dtype(draft: Draft) -> None:
    draft.tensors[f"{Q}.weight_scale_2"] = ("BF16", np.array(1, np.uint16))


def missing_scale(draft: Draft) -> None:
    del draft.tensors[f"{Q}.input_scale"]


def blocks_of_32(draft: Draft) -> None:
    scale = draft.tensors[f"{Q}.weight_scale"][1]
    draft.tensors[f"{Q}.weight_scale"] = ("F8_E4M3", np.ascontiguousarray(scale[:, ::2]))


def group_size_of_32(draft: Draft) -> None:
    assert draft.exported is not None
    draft.exported["quantization"]["group_size"] = 32


def group_size_of_32_inside(draft: Draft) -> None:
    groups = draft.config["quantization_config"]["config_groups"]
    groups["group_0"]["weights"]["group_size"] = 32


def no_method(draft: Draft) -> None:
    del draft.config["quantization_config"]["quant_method"]


def other_algorithm(draft: Draft) -> None:
    draft.config["quantization_config"]["quant_algo"] = "FP8"


def no_exported_config(draft: Draft) -> None:
    draft.exported = None


def head_not_excluded(draft: Draft) -> None:
    assert draft.exported is not None
    draft.exported["quantization"]["exclude_modules"] = []


def no_template(draft: Draft) -> None:
    del draft.texts["chat_template.jinja"]


def other_template(draft: Draft) -> None:
    draft.texts["chat_template.jinja"] = "{{ messages[0] }}"


def no_tokenizer(draft: Draft) -> None:
    del draft.texts["tokenizer.json"]


def stray_head(draft: Draft) -> None:
    draft.tensors["lm_head.weight"] = draft.tensors["model.embed_tokens.weight"]


def quantized_head(draft: Draft) -> None:
    draft.tensors["lm_head.weight"] = ("U8", np.zeros((128, 32), np.uint8))


def norm_in_fp32(draft: Draft) -> None:
    draft.tensors["model.norm.weight"] = ("F32", np.ones(64, np.float32))


def stranger(draft: Draft) -> None:
    draft.tensors["model.layers.9.mlp.up_proj.weight"] = ("BF16", np.zeros((2, 2), np.uint16))


def nan_scale(draft: Draft) -> None:
    scale = draft.tensors[f"{Q}.weight_scale"][1].copy()
    scale[1, 1] = 0x7F
    draft.tensors[f"{Q}.weight_scale"] = ("F8_E4M3", scale)


def negative_scale(draft: Draft) -> None:
    scale = draft.tensors[f"{Q}.weight_scale"][1] | 0x80
    draft.tensors[f"{Q}.weight_scale"] = ("F8_E4M3", scale)


def zero_tensor_scale(draft: Draft) -> None:
    draft.tensors[f"{Q}.input_scale"] = ("F32", np.array(0.0, np.float32))


def unequal_scales(draft: Draft) -> None:
    draft.tensors[f"{Q}.weight_scale_2"] = ("F32", np.array(0.5, np.float32))


def swapped_halves(draft: Draft) -> None:
    weight = draft.tensors[f"{Q}.weight"][1]
    draft.tensors[f"{Q}.weight"] = ("U8", weight >> 4 | weight << 4)


def other_weights(draft: Draft) -> None:
    weight = np.random.default_rng(5).integers(0, 256, (64, 32), np.uint8)
    draft.tensors[f"{Q}.weight"] = ("U8", weight)


def other_norm(draft: Draft) -> None:
    norm = draft.tensors["model.norm.weight"][1].copy()
    norm[3] ^= 1
    draft.tensors["model.norm.weight"] = ("BF16", norm)


DAMAGES: list[tuple[Damage, str, str]] = [
    (wrong_scale_dtype, "packed linears", "q_proj.weight_scale is BF16, not F8_E4M3"),
    (wrong_scalar_dtype, "packed linears", "weight_scale_2 is BF16, not F32"),
    (retype(f"{Q}.weight", "I8"), "packed linears", "q_proj.weight is I8, not U8"),
    (missing_scale, "packed linears", "q_proj.input_scale is missing"),
    (blocks_of_32, "packed linears", "has shape [64, 2], not [64, 4]"),
    (group_size_of_32, "quantization config", "hf_quant_config.json: group size is 32, not 16"),
    (group_size_of_32_inside, "quantization config", "config.json: weights have group size 32"),
    (no_method, "quantization config", "config.json: quant_method is None"),
    (other_algorithm, "quantization config", "quant_algo is 'FP8'"),
    (no_exported_config, "quantization config", "hf_quant_config.json is missing"),
    (head_not_excluded, "quantization config", "without lm_head"),
    (no_template, "tokenizer and template", "no chat template"),
    (other_template, "tokenizer and template", "chat_template.jinja differs"),
    (no_tokenizer, "tokenizer and template", "tokenizer.json is missing"),
    (stray_head, "lm_head", "although the embeddings are tied"),
    (quantized_head, "lm_head", "lm_head is quantized"),
    (norm_in_fp32, "16-bit tensors", "model.norm.weight is F32"),
    (stranger, "16-bit tensors", "does not belong to this model"),
    (nan_scale, "scales", "holds NaN"),
    (negative_scale, "scales", "holds negative scales"),
    (zero_tensor_scale, "scales", "input_scale is 0.0"),
    (unequal_scales, "scales", "weight_scale_2 differs within model.layers.0"),
    (stray_head, "size", "bytes of tensors"),
    (swapped_halves, "weights against source", f"{Q}: cosine"),
    (other_weights, "weights against source", f"{Q}: cosine"),
    (other_norm, "unchanged tensors", "model.norm.weight differs"),
]


@pytest.mark.parametrize(
    ("damage", "name", "why"), DAMAGES, ids=[f"{d.__name__}-{n}" for d, n, _ in DAMAGES]
)
def test_a_damaged_checkpoint_fails_the_check_that_says_why(
    tmp_path: Path, damage: Damage, name: str, why: str
) -> None:
    source, packed = drafts()
    damage(packed)
    report = verify(packed.write(tmp_path / "nvfp4"), source.write(tmp_path / "bf16"))
    assert not report.passed
    assert status(report)[name] == "failed"
    assert why in detail(report, name)


def test_a_truncated_file_is_named_with_the_tensor_that_is_cut(tmp_path: Path) -> None:
    folder = drafts()[1].write(tmp_path / "nvfp4")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    report = verify(folder)
    assert status(report) == {"files": "failed"}
    assert "model.safetensors is truncated" in detail(report, "files")


@pytest.mark.parametrize(
    ("file", "check"),
    [
        ("model.safetensors", "files"),
        ("config.json", "files"),
        ("hf_quant_config.json", "quantization config"),
        ("tokenizer.json", "tokenizer and template"),
    ],
)
def test_a_git_lfs_pointer_is_named_as_one(tmp_path: Path, file: str, check: str) -> None:
    folder = drafts()[1].write(tmp_path / "nvfp4")
    (folder / file).write_bytes(LFS_POINTER)
    told = detail(verify(folder), check)
    assert f"{file} is a Git LFS pointer" in told
    assert "git lfs pull" in told or check == "quantization config"


def test_a_file_cut_within_its_header_is_refused(tmp_path: Path) -> None:
    folder = drafts()[1].write(tmp_path / "nvfp4")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    assert "truncated" in detail(verify(folder), "files")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    folder = drafts()[1].write(tmp_path / "nvfp4")
    (folder / "model.safetensors").write_bytes(b"")
    assert "cannot be read" in detail(verify(folder), "files")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"[1]", "the header of model.safetensors is not an object"),
        (b"null", "the header of model.safetensors is not an object"),
        (b"[" * 100_000, "model.safetensors cannot be read"),
        (b'{"x": {"dtype": "U8", "shape": [1e999], "data_offsets": [0, 1]}}', "an unknown form"),
        (b'{"x": {"dtype": "U8", "shape": [1], "data_offsets": [-2, -1]}}', "an unknown form"),
        (b'{"x": {"dtype": "U8", "shape": [-1, -1], "data_offsets": [0, 1]}}', "an unknown form"),
    ],
)
def test_a_header_that_describes_no_tensors_is_refused(
    tmp_path: Path, header: bytes, why: str
) -> None:
    folder = drafts()[1].write(tmp_path / "nvfp4")
    data = struct.pack("<Q", len(header)) + header + b"\0"
    (folder / "model.safetensors").write_bytes(data)
    assert why in detail(verify(folder), "files")


@pytest.mark.parametrize("layers", [10**9, 0, -1, True, "2", 2.0, None, [2]])
def test_a_number_of_layers_that_no_model_has_is_refused(tmp_path: Path, layers: object) -> None:
    _, packed = drafts()
    packed.config["num_hidden_layers"] = layers
    report = verify(packed.write(tmp_path / "nvfp4"))
    assert f"num_hidden_layers is {layers!r}, not a whole number" in detail(report, "files")


@pytest.mark.parametrize("file", ["config.json", "hf_quant_config.json", "tokenizer_config.json"])
def test_a_file_that_nests_too_deep_fails_a_check(tmp_path: Path, file: str) -> None:
    _, packed = drafts()
    del packed.texts["chat_template.jinja"]
    folder = packed.write(tmp_path / "nvfp4")
    (folder / file).write_text('{"a":' * 100_000)
    assert not verify(folder).passed


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    _, packed = drafts()
    folder = packed.write(tmp_path / "nvfp4")
    (folder / "model.safetensors").unlink()
    names = sorted(packed.tensors)
    halves = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, kept in halves.items():
        write_safetensors(folder / file, {name: packed.tensors[name] for name in kept})
    index = {name: file for file, kept in halves.items() for name in kept}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert verify(folder).passed
    (folder / "model-2.safetensors").unlink()
    report = verify(folder)
    assert "the shard 'model-2.safetensors' is missing" in detail(report, "files")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    assert "no .safetensors file" in detail(verify(tmp_path), "files")


def test_a_source_of_another_shape_is_not_compared(tmp_path: Path) -> None:
    source, _ = drafts({**CONFIG, "num_hidden_layers": 1})
    _, packed = drafts()
    report = verify(packed.write(tmp_path / "nvfp4"), source.write(tmp_path / "bf16"))
    assert "another shape" in detail(report, "weights against source")


def test_an_untied_head_has_to_be_there_in_16_bits(tmp_path: Path) -> None:
    _, packed = drafts({**CONFIG, "tie_word_embeddings": False})
    assert verify(packed.write(tmp_path / "whole")).passed
    del packed.tensors["lm_head.weight"]
    assert status(verify(packed.write(tmp_path / "headless")))["lm_head"] == "failed"


def test_linears_that_were_left_out_are_expected_in_16_bits(tmp_path: Path) -> None:
    source, packed = drafts()
    for part in ("weight_scale", "weight_scale_2", "input_scale"):
        del packed.tensors[f"{Q}.{part}"]
    packed.tensors[f"{Q}.weight"] = source.tensors[f"{Q}.weight"]
    assert packed.exported is not None
    packed.exported["quantization"]["exclude_modules"] = ["lm_head", Q]
    report = verify(packed.write(tmp_path / "nvfp4"), source.write(tmp_path / "bf16"))
    assert report.passed, report
    assert "linear layers left out: 1" in detail(report, "16-bit tensors")


@pytest.mark.parametrize(
    ("version", "quantizers", "enabled", "found"),
    [
        ("0.44.0", 53, 28, "passed"),
        ("0.47.0", 56, 28, "passed"),
        ("0.47.0", 53, 28, "failed"),
        ("0.44.0", 53, 26, "failed"),
        ("0.50.1", 70, 28, "passed"),
    ],
)
def test_the_record_of_quantization_is_held_against_the_versions_count(
    tmp_path: Path, version: str, quantizers: int, enabled: int, found: str
) -> None:
    folder = drafts()[1].write(tmp_path / "nvfp4")
    record = {
        "quantizers": quantizers,
        "enabled_quantizers": enabled,
        "versions": {"nvidia-modelopt": version},
    }
    (folder / RECORD).write_text(json.dumps(record))
    assert status(verify(folder))["quantizers"] == found
