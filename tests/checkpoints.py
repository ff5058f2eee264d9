"""Small BF16 and NVFP4 checkpoints, packed by numpy alone, for tests of what reads them."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from launch.verify.layout import LinearShape, shape_of

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 2820000000\n"
)
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "attention_bias": False,
    "head_dim": 16,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "vocab_size": 128,
}
_LEVELS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
_E4M3 = np.array(
    [
        (m / 8) * 2.0**-6 if e == 0 else (1 + m / 8) * 2.0 ** (e - 7)
        for e in range(16)
        for m in range(8)
    ][:127]
)


@dataclass
class Draft:
    """A checkpoint before it is written, so that a test can spoil a part of it."""

    tensors: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    exported: dict[str, Any] | None = None
    texts: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """The folder with the checkpoint in it."""
        folder.mkdir(parents=True)
        write_safetensors(folder / "model.safetensors", self.tensors)
        (folder / "config.json").write_text(json.dumps(self.config))
        if self.exported is not None:
            (folder / "hf_quant_config.json").write_text(json.dumps(self.exported))
        for name, text in self.texts.items():
            (folder / name).write_text(text)
        return folder


def bf16(values: np.ndarray) -> np.ndarray:
    """The values cut to BF16, as the uint16 that is stored."""
    return (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def _nearest(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    return np.abs(values[..., None] - table).argmin(-1).astype(np.uint8)


def pack(matrix: np.ndarray, tensor_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Packed weights and E4M3 block scales of a matrix."""
    blocks = matrix.reshape(matrix.shape[0], -1, 16)
    scale = _nearest(np.abs(blocks).max(-1) / 6.0 / tensor_scale, _E4M3)
    step = _E4M3[scale][..., None] * tensor_scale
    codes = _nearest(np.abs(blocks) / np.where(step > 0, step, 1), _LEVELS)
    codes = (codes | (blocks < 0).astype(np.uint8) << 3).reshape(matrix.shape)
    return (codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8), scale


def drafts(config: Mapping[str, Any] = CONFIG, seed: int = 0) -> tuple[Draft, Draft]:
    """A BF16 checkpoint and its NVFP4 form."""
    random = np.random.default_rng(seed)
    shape = shape_of(config)
    source, packed = _companions(Draft(config=dict(config))), _companions(Draft())
    for name, dimensions in shape.others().items():
        kept = bf16(random.standard_normal(dimensions))
        source.tensors[name] = packed.tensors[name] = ("BF16", kept)
    for linear in shape.linears():
        weights = bf16(random.standard_normal((linear.out, linear.inner)))
        source.tensors[f"{linear.name}.weight"] = ("BF16", weights)
        _add_packed(packed, linear, (weights.astype(np.uint32) << 16).view(np.float32))
    bits = {"dynamic": False, "group_size": 16, "num_bits": 4, "type": "float"}
    packed.config = {
        **config,
        "quantization_config": {
            "quant_method": "modelopt",
            "quant_algo": "NVFP4",
            "ignore": ["lm_head"],
            "config_groups": {
                "group_0": {"weights": dict(bits), "input_activations": dict(bits)},
            },
        },
    }
    packed.exported = {
        "quant_method": "modelopt",
        "quantization": {
            "quant_algo": "NVFP4",
            "group_size": 16,
            "exclude_modules": ["lm_head"],
        },
    }
    return source, packed


def _add_packed(draft: Draft, linear: LinearShape, matrix: np.ndarray) -> None:
    # One scale for all, as ModelOpt shares it between layers that vLLM merges.
    weight, scale = pack(matrix, 6.0 / (6.0 * 448.0))
    draft.tensors[f"{linear.name}.weight"] = ("U8", weight)
    draft.tensors[f"{linear.name}.weight_scale"] = ("F8_E4M3", scale)
    second = np.array(6.0 / (6.0 * 448.0), np.float32)
    draft.tensors[f"{linear.name}.weight_scale_2"] = ("F32", second)
    draft.tensors[f"{linear.name}.input_scale"] = ("F32", np.array(0.01, np.float32))


def _companions(draft: Draft) -> Draft:
    draft.texts = {
        "tokenizer.json": '{"version": "1.0"}',
        "tokenizer_config.json": "{}",
        "generation_config.json": "{}",
        "chat_template.jinja": "{{ messages }}",
    }
    return draft


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, np.ndarray]]) -> None:
    """A safetensors file of types that numpy may not have, given as their stored bytes."""
    header: dict[str, Any] = {}
    at = 0
    for name, (dtype, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(data.shape),
            "data_offsets": [at, at + data.nbytes],
        }
        at += data.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            file.write(np.ascontiguousarray(data).tobytes())


Damage = Callable[[Draft], None]
