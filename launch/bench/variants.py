"""The variants to measure: precisions with their model folders and vLLM arguments."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launch.verify.layout import expected_bytes, shape_of

CONTEXT_TOKENS = 131_072
SEQUENCES = 16
MEMORY_SHARE = 0.40
"""The model card's values, like the two above."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One engine to measure. ``arguments`` are vLLM's ``AsyncEngineArgs`` by name."""

    name: str
    model: Path
    arguments: dict[str, Any] = field(default_factory=dict)
    weightless: bool = False
    """Use random weights instead of the checkpoint's: measures only speed."""


def standard_variants(
    bf16: Path,
    nvfp4: Path,
    *,
    compute_capability: int,
    weightless: bool = False,
    names: tuple[str, ...] = ("bf16", "fp8", "nvfp4"),
) -> list[Variant]:
    """BF16, FP8 and NVFP4 as each is served fastest on a GPU of that capability (90 for 9.0).

    The card's FP8 cache and FlashInfer are used from SM100 on; below it they were measured slower.
    "nvfp4-card" is NVFP4 with the card's flags on any GPU.

    Raises:
        KeyError: a name is not one of these.
    """
    common = {
        "gpu_memory_utilization": MEMORY_SHARE,
        "max_num_seqs": SEQUENCES,
        "max_model_len": CONTEXT_TOKENS,
        "enable_prefix_caching": True,
    }
    card = {"quantization": "modelopt", "kv_cache_dtype": "fp8", "attention_backend": "FLASHINFER"}
    native = compute_capability >= 100
    known = {
        "bf16": (bf16, {}),
        "fp8": (bf16, {"quantization": "fp8"}),
        "nvfp4": (nvfp4, card if native else {"quantization": "modelopt"}),
        "nvfp4-card": (nvfp4, card),
    }
    return [Variant(name, known[name][0], common | known[name][1], weightless) for name in names]


def write_weightless(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """Write folders of a BF16 and an NVFP4 model of FastContext-1.0-4B's shape without weights.

    vLLM makes random weights (``load_format="dummy"``). ``changes`` replace entries of the
    configuration, for a smaller model.
    """
    shape: dict[str, Any] = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": False,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "max_position_embeddings": 262_144,
        "max_window_layers": 36,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6,
        "rope_theta": 5_000_000,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": 151_936,
    } | changes
    four_bits = {"dynamic": False, "group_size": 16, "num_bits": 4, "type": "float"}
    quantization = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "group_size": 16,
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {"input_activations": four_bits, "weights": four_bits, "targets": ["Linear"]}
        },
    }
    exported = {
        "quant_method": "modelopt",
        "quantization": {
            "quant_algo": "NVFP4",
            "kv_cache_quant_algo": None,
            "group_size": 16,
            "exclude_modules": ["lm_head"],
        },
    }
    plain, packed = folder / "bf16", folder / "nvfp4"
    _write(plain / "config.json", shape)
    _write(packed / "config.json", shape | {"quantization_config": quantization})
    _write(packed / "hf_quant_config.json", exported)
    return plain, packed


def weight_bytes(variant: Variant) -> int:
    """Bytes of the weights: of the files, or computed for a weightless or FP8 model."""
    files = sum(path.stat().st_size for path in variant.model.glob("*.safetensors"))
    scheme = variant.arguments.get("quantization")
    if files and scheme != "fp8":
        return files
    config = json.loads((variant.model / "config.json").read_text(encoding="utf-8"))
    shape = shape_of(config)
    weights = sum(linear.out * linear.inner for linear in shape.linears())
    if scheme == "fp8":
        return expected_bytes(shape, ("*",)) - weights
    return expected_bytes(shape, () if scheme == "modelopt" else ("*",))


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
