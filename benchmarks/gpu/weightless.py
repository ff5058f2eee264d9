"""Model folders of the published shape without weights, but with a usable tokenizer.

vLLM's ``--load-format dummy`` makes up the weights: good for speed, not for answers. The tokenizer
has a token for every byte and names for the rest of the vocabulary, so that whatever a model
without weights writes can be shown; a prompt has as many tokens as bytes.
"""

import json
from pathlib import Path
from typing import Any

VOCABULARY = 151_936
SPECIAL = {
    151_643: "<|endoftext|>",
    151_644: "<|im_start|>",
    151_645: "<|im_end|>",
}
TAGS = {151_657: "<tool_call>", 151_658: "</tool_call>"}
SHAPE: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 151_643,
    "eos_token_id": 151_645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2560,
    "initializer_range": 0.02,
    "intermediate_size": 9728,
    "max_position_embeddings": 262_144,
    "max_window_layers": 36,
    "model_type": "qwen3",
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 5_000_000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": VOCABULARY,
}
TEMPLATE = """{%- if tools %}<|im_start|>system
{{ messages[0]['content'] if messages[0]['role'] == 'system' else '' }}
Tools:
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}<|im_end|>
{% elif messages[0]['role'] == 'system' %}<|im_start|>system
{{ messages[0]['content'] }}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message['role'] != 'system' %}<|im_start|>{{ message['role'] }}
{{ message['content'] or '' }}
{%- for call in message.get('tool_calls') or [] %}
<tool_call>{{ call | tojson }}</tool_call>
{%- endfor %}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def write_models(out: Path, shape: dict[str, Any] | None = None) -> tuple[Path, Path]:
    """The folders of the 16-bit and of the NVFP4 checkpoint, made in ``out``."""
    base = SHAPE | (shape or {})
    bf16, nvfp4 = out / "bf16", out / "nvfp4"
    for folder in (bf16, nvfp4):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "tokenizer.json", tokenizer(int(base["vocab_size"])))
        _write(
            folder / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "model_max_length": base["max_position_embeddings"],
            },
        )
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        _write(folder / "generation_config.json", {"eos_token_id": base["eos_token_id"]})
    _write(bf16 / "config.json", base)
    number = {"dynamic": False, "num_bits": 4, "type": "float", "group_size": 16}
    producer = {"name": "modelopt", "version": "0.44.0"}
    quantization = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "group_size": 16,
        "ignore": ["lm_head"],
        "producer": producer,
        "config_groups": {
            "group_0": {"input_activations": number, "weights": number, "targets": ["Linear"]}
        },
    }
    _write(nvfp4 / "config.json", base | {"quantization_config": quantization})
    exported = {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": None,
        "group_size": 16,
        "exclude_modules": ["lm_head"],
    }
    _write(
        nvfp4 / "hf_quant_config.json",
        {"producer": producer, "quantization": exported, "quant_method": "modelopt_fp4"},
    )
    return bf16, nvfp4


def tokenizer(size: int) -> dict[str, Any]:
    """``tokenizer.json`` of a byte-level tokenizer with ``size`` tokens."""
    special = {number: text for number, text in (SPECIAL | TAGS).items() if number < size}
    vocabulary = {char: number for number, char in enumerate(_byte_characters())}
    vocabulary |= {f"Ġw{number}": number for number in range(256, size) if number not in special}
    # Listed here as well: a token that is only in the list of added tokens gets the next number.
    vocabulary |= {text: number for number, text in special.items()}
    added = [
        {
            "id": number,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": number in SPECIAL,
        }
        for number, text in special.items()
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {**level, "use_regex": True},
        "post_processor": None,
        "decoder": {**level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }


def _byte_characters() -> list[str]:
    """The printable character that byte-level tokenizers write for each byte, by byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    names = {byte: chr(byte) for byte in shown}
    names |= {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return [names[byte] for byte in range(256)]


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
