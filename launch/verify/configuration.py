"""Checks of the files besides the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launch.errors import CheckpointError
from launch.files import POINTER_HINT, is_lfs_pointer
from launch.nvfp4 import GROUP
from launch.verify.tensors import read_json
from launch.verify.verdicts import Verdict, verdict

REQUIRED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
OPTIONAL = ("vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json")
TEMPLATE = "chat_template.jinja"
QUANTIZERS_A_LAYER = 25
QUANTIZERS_BESIDE = {"0.44": 3, "0.47": 6}
"""Quantizers that ModelOpt inserts, counted with 0.44.0 and 0.47.0. In each layer three for each of
the seven linear layers and four in the attention (q, k, v, softmax); besides, three in lm_head and
since 0.47 three in the embedding. 36 layers make 903 and 906; the model card counts 903."""


def check_quantization(config: Mapping[str, Any], folder: Path) -> Verdict:
    """Whether vLLM reads the checkpoint as ModelOpt's NVFP4 with blocks of 16.

    vLLM 0.23 to 0.32 read ``quantization_config`` in config.json, older versions read
    hf_quant_config.json. A checkpoint has both, so both must be right.
    """
    problems: list[str] = []
    inner = config.get("quantization_config")
    if not isinstance(inner, Mapping):
        problems.append("config.json has no quantization_config")
    else:
        problems += _method("config.json", inner, inner)
        problems += _groups(inner)
        if not isinstance(inner.get("ignore", []), list):
            problems.append("config.json: ignore is not a list")
    try:
        exported = read_json(folder / "hf_quant_config.json")
    except CheckpointError as error:
        problems.append(str(error))
    else:
        problems += _exported(exported)
    good = f"modelopt, NVFP4, group size {GROUP}, in config.json and hf_quant_config.json"
    return verdict("quantization config", problems, good)


def _method(file: str, outer: Mapping[str, Any], inner: Mapping[str, Any]) -> list[str]:
    problems = []
    method, algorithm = outer.get("quant_method"), inner.get("quant_algo")
    if not str(method or "").lower().startswith("modelopt"):
        problems.append(f"{file}: quant_method is {method!r}, not 'modelopt'")
    if str(algorithm or "").upper() != "NVFP4":
        problems.append(f"{file}: quant_algo is {algorithm!r}, not 'NVFP4'")
    return problems


def _groups(inner: Mapping[str, Any]) -> list[str]:
    problems = []
    groups = inner.get("config_groups")
    settings = list(groups.values()) if isinstance(groups, Mapping) else []
    for group in settings:
        for part in ("weights", "input_activations"):
            of_part = group.get(part) if isinstance(group, Mapping) else None
            size = of_part.get("group_size", GROUP) if isinstance(of_part, Mapping) else GROUP
            if size != GROUP:
                problems.append(f"config.json: {part} have group size {size!r}, not {GROUP}")
    if not settings and inner.get("group_size") != GROUP:
        problems.append(f"config.json: group size is {inner.get('group_size')!r}, not {GROUP}")
    return problems


def _exported(exported: Mapping[str, Any]) -> list[str]:
    name = "hf_quant_config.json"
    inner = exported.get("quantization")
    if not isinstance(inner, Mapping):
        return [f"{name} has no quantization"]
    problems = _method(name, exported, inner)
    if inner.get("group_size") != GROUP:
        problems.append(f"{name}: group size is {inner.get('group_size')!r}, not {GROUP}")
    excluded = inner.get("exclude_modules")
    if not isinstance(excluded, list) or not any("lm_head" in str(each) for each in excluded):
        problems.append(f"{name}: exclude_modules is {excluded!r}, without lm_head")
    return problems


def excluded_modules(folder: Path) -> tuple[str, ...]:
    """Patterns of the modules that hf_quant_config.json excludes; none if it cannot be read."""
    try:
        inner = read_json(folder / "hf_quant_config.json").get("quantization")
    except CheckpointError:
        return ()
    listed = inner.get("exclude_modules") if isinstance(inner, Mapping) else None
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def check_companions(folder: Path, source: Path | None) -> Verdict:
    """Whether tokenizer, generation config and chat template exist and equal the source's."""
    problems = [f"{name} is missing" for name in REQUIRED if not (folder / name).is_file()]
    problems += [
        f"{name} is a Git LFS pointer ({POINTER_HINT})"
        for name in (*REQUIRED, *OPTIONAL, TEMPLATE)
        if is_lfs_pointer(folder / name)
    ]
    if not _has_template(folder):
        problems.append(f"no chat template: neither {TEMPLATE} nor one in tokenizer_config.json")
    compared = 0
    for name in (*REQUIRED, *OPTIONAL, TEMPLATE) if source is not None else ():
        assert source is not None
        wanted, found = source / name, folder / name
        if not wanted.is_file():
            continue
        compared += 1
        if not found.is_file():
            if name not in REQUIRED:
                problems.append(f"{name} is missing")
        elif wanted.read_bytes() != found.read_bytes():
            problems.append(f"{name} differs from the source's")
    good = "tokenizer, generation config and chat template are present"
    if source is not None:
        good += f"; {compared} files equal the source's byte for byte"
    return verdict("tokenizer and template", problems, good)


def _has_template(folder: Path) -> bool:
    if (folder / TEMPLATE).is_file():
        return bool((folder / TEMPLATE).read_bytes().strip())
    try:
        return bool(read_json(folder / "tokenizer_config.json").get("chat_template"))
    except CheckpointError:
        return False


def check_quantizers(record: Mapping[str, Any] | None, layers: int, excluded: bool) -> Verdict:
    """Whether ModelOpt inserted as many quantizers as its version does, by the stored record."""
    name = "quantizers"
    if record is None:
        return Verdict(
            name,
            "skipped",
            "unknown: they are counted while quantizing, and there is no record of it",
        )
    try:
        found, enabled = int(record["quantizers"]), int(record["enabled_quantizers"])
        version = str(record["versions"]["nvidia-modelopt"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return Verdict(name, "failed", "the record of the quantization cannot be read")
    extra = QUANTIZERS_BESIDE.get(".".join(version.split(".")[:2]))
    wanted = QUANTIZERS_A_LAYER * layers + (extra or 0)
    problems = []
    if extra is not None and found != wanted:
        problems.append(f"ModelOpt {version} inserts {wanted}, not {found}")
    if enabled != 14 * layers and not excluded:
        problems.append(f"{enabled} are enabled, not two for each of {7 * layers} linears")
    rule = "" if extra is None else f" = {QUANTIZERS_A_LAYER} x {layers} + {extra}"
    good = f"{found}{rule} inserted by ModelOpt {version}, {enabled} enabled"
    return verdict(name, problems, good, quantizers=found, enabled=enabled)
