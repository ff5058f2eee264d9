from types import SimpleNamespace

import pytest

from launch.quantize.modelopt_steps import Recipe, quantization_config
from launch.verify.layout import expected_bytes, shape_of

REAL = {
    "model_type": "qwen3",
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}


def test_the_defaults_are_the_published_recipe() -> None:
    assert Recipe() == Recipe("NVFP4_DEFAULT_CFG", 512, 1024, 16, ())


def test_exclusions_become_rules_behind_the_presets_own() -> None:
    presets = SimpleNamespace(NVFP4_DEFAULT_CFG={"quant_cfg": [{"quantizer_name": "*"}]})
    config = quantization_config(presets, Recipe(exclude=("*.o_proj", "model.layers.0.*")))
    assert config["quant_cfg"] == [
        {"quantizer_name": "*"},
        {"quantizer_name": "*.o_proj*", "enable": False},
        {"quantizer_name": "model.layers.0.*", "enable": False},
    ]
    assert presets.NVFP4_DEFAULT_CFG["quant_cfg"] == [{"quantizer_name": "*"}]


def test_older_presets_are_tables() -> None:
    presets = SimpleNamespace(NVFP4_DEFAULT_CFG={"quant_cfg": {"default": {"enable": False}}})
    config = quantization_config(presets, Recipe(exclude=("*.o_proj",)))
    assert config["quant_cfg"]["*.o_proj*"] == {"enable": False}


def test_the_real_model_comes_to_less_than_the_promised_size() -> None:
    assert expected_bytes(shape_of(REAL)) == pytest.approx(2.82e9, rel=0.001)


def test_what_is_left_out_keeps_its_two_bytes_a_weight() -> None:
    shape = shape_of(REAL)
    assert expected_bytes(shape, ("*",)) == pytest.approx(8.045e9, rel=0.001)
    grown = expected_bytes(shape, ("*.mlp.down_proj",)) - expected_bytes(shape)
    weights = 36 * 2560 * 9728
    assert grown == weights * 2 - weights * 9 // 16 - 36 * 8
