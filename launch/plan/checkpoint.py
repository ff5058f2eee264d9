"""What a checkpoint is, read from its own files, in a folder or in the Hugging Face cache.

Nothing is downloaded and no weight is read.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from launch.errors import CannotRun
from launch.files import POINTER_HINT, is_lfs_pointer

Precision = Literal["nvfp4", "fp8", "bf16", "other"]

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")
_DOWNLOAD_HINT = "download it with `fastcontext engine up --download`"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One model on the disk."""

    name: str
    """As the caller wrote it: a folder or a hub id."""
    path: Path
    precision: Precision
    weight_bytes: int
    """Bytes of the weight files; 0 if there are none."""
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    max_positions: int
    """Longest context that the configuration allows, in tokens."""

    @property
    def linear_weights(self) -> int:
        """Number of weights in the linear layers, which quantization makes smaller."""
        attention = self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def embedding_weights(self) -> int:
        """Number of weights in the embeddings, which stay at 16 bits."""
        return self.vocab * self.hidden * (1 if self.tied else 2)

    def bytes_at(self, precision: Precision) -> int:
        """Bytes of the loaded weights. In NVFP4 16 weights of half a byte share a byte of scale."""
        per_weight = {"nvfp4": 0.5 + 1 / 16, "fp8": 1.0}.get(precision, 2.0)
        return int(self.linear_weights * per_weight) + 2 * self.embedding_weights

    def kv_bytes_per_token(self, kv_bytes: int) -> int:
        """Bytes of key and value cache for one token, at 1 (fp8) or 2 bytes for each element."""
        return 2 * self.layers * self.kv_heads * self.head_dim * kv_bytes


def read_checkpoint(name: str, hub: Path) -> Checkpoint:
    """The checkpoint in the folder ``name``, or of the hub id ``name`` in the cache ``hub``.

    Raises:
        CannotRun: it is not here, not complete, or not a language model.
    """
    folder = find_folder(name, hub)
    config = _read_json(folder / "config.json")
    text = config.get("text_config", config)
    try:
        heads = int(text["num_attention_heads"])
        hidden = int(text["hidden_size"])
        return Checkpoint(
            name=name,
            path=folder,
            precision=_precision(config, folder),
            weight_bytes=_weights(name, folder),
            layers=int(text["num_hidden_layers"]),
            hidden=hidden,
            intermediate=int(text.get("intermediate_size", 4 * hidden)),
            heads=heads,
            kv_heads=int(text.get("num_key_value_heads", heads)),
            head_dim=int(text.get("head_dim") or hidden // heads),
            vocab=int(text["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", True))),
            max_positions=int(text.get("max_position_embeddings", 4096)),
        )
    except (KeyError, TypeError, ValueError) as error:
        problem = f"config.json of {name!r} does not describe a language model: {error}"
        raise CannotRun(problem, "check the model's name") from None


def is_whole(name: str, hub: Path) -> bool:
    """Whether a checkpoint is here together with its weights."""
    try:
        return read_checkpoint(name, hub).weight_bytes > 0
    except CannotRun:
        return False


def names_folder(name: str) -> bool:
    """Whether the name of a checkpoint means a folder, which need not exist, and no hub id."""
    local = Path(name).expanduser()
    return local.is_absolute() or name.startswith((".", "~")) or local.is_dir()


def cache_folder(name: str, hub: Path) -> Path:
    """Where huggingface_hub keeps the model of that hub id; it need not exist."""
    return hub / ("models--" + name.replace("/", "--"))


def find_folder(name: str, hub: Path) -> Path:
    """The folder of a checkpoint that is on the disk.

    Raises:
        CannotRun: it is not.
    """
    local = Path(name).expanduser()
    if names_folder(name):
        if not (local / "config.json").is_file():
            problem = f"no model in {str(local)!r}: it has no config.json"
            raise CannotRun(problem, "name a folder that holds a checkpoint, or a hub id")
        return local.resolve()
    cached = cache_folder(name, hub)
    snapshot = _snapshot(cached)
    if snapshot is None:
        if any(cached.glob("blobs/*")):
            raise CannotRun(f"the model {name!r} is only partly downloaded", _DOWNLOAD_HINT)
        raise CannotRun(f"the model {name!r} is not on this machine", _DOWNLOAD_HINT)
    return snapshot


def _snapshot(cached: Path) -> Path | None:
    """The snapshot that ``main`` points to, else the newest that has a configuration."""
    try:
        revision = (cached / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        revision = ""
    if revision and (cached / "snapshots" / revision / "config.json").is_file():
        return cached / "snapshots" / revision
    found = [path.parent for path in cached.glob("snapshots/*/config.json")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _weights(name: str, folder: Path) -> int:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(_read_json(index).get("weight_map", {}).values()))
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors"))
    cached = folder.parent.name == "snapshots"
    partial = (
        any(folder.parent.parent.glob("blobs/*.incomplete"))
        if cached
        else any(folder.glob(".cache/huggingface/download/*.incomplete"))
    )
    expected = {*names, *(each for name in names for each in _shards(name))}
    missing = sorted(each for each in expected if not (folder / each).is_file())
    # The tokenizer of a folder may lie elsewhere, named in FASTCONTEXT_ENGINE_ARGS.
    if cached and names and not any((folder / each).is_file() for each in _TOKENIZERS):
        missing.append(_TOKENIZERS[0])
    if missing or (partial and not names):
        which = f": {missing[0]!r} is missing" if missing else ""
        raise CannotRun(f"the model {name!r} is only partly downloaded{which}", _DOWNLOAD_HINT)
    if pointer := next((each for each in names if is_lfs_pointer(folder / each)), None):
        problem = f"the model {name!r} is not here: {pointer!r} is a Git LFS pointer"
        raise CannotRun(problem, POINTER_HINT)
    return sum((folder / each).stat().st_size for each in names)


def _shards(file: str) -> list[str]:
    """All files of a checkpoint in several files, from the name of one of them."""
    found = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})(\.safetensors)", file)
    if found is None:
        return []
    stem, count, ending = found.groups()
    return [f"{stem}-{number:05}-of-{count}{ending}" for number in range(1, int(count) + 1)]


def _precision(config: dict[str, Any], folder: Path) -> Precision:
    quantization = config.get("quantization_config") or {}
    exported = folder / "hf_quant_config.json"
    if exported.is_file():
        quantization = {**quantization, **_read_json(exported).get("quantization", {})}
    if not quantization:
        return "bf16"
    algorithm = str(quantization.get("quant_algo") or quantization.get("quant_method") or "")
    if "nvfp4" in algorithm.lower():
        return "nvfp4"
    return "fp8" if "fp8" in algorithm.lower() else "other"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotRun(
            f"{str(path)!r} cannot be read: {error}", "download the model again"
        ) from None
    if not isinstance(value, dict):
        raise CannotRun(f"{str(path)!r} does not hold an object", "download the model again")
    return value
