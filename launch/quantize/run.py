"""Makes a verified NVFP4 checkpoint from a BF16 one."""

import importlib
import importlib.metadata
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from launch.errors import CheckpointError, QuantizeError
from launch.quantize import modelopt_steps as steps
from launch.quantize.calibration import Item, batches, news, token_windows
from launch.quantize.modelopt_steps import Recipe
from launch.quantize.publish import partial_folder, refuse_existing
from launch.quantize.room import CalibrationDevice, choose_place, require_disk, require_memory
from launch.verify.behaviour import check_behaviour
from launch.verify.layout import expected_bytes, shape_of
from launch.verify.probes import Conversation
from launch.verify.run import RECORD, verify
from launch.verify.tensors import read_json, read_tensors
from launch.verify.verdicts import Verification

Progress = Callable[[str, int, int], None]
"""Called with a stage, the steps done and the steps in all."""

# What serving needs besides the weights, and ModelOpt's export leaves out or rewrites. Copied byte
# for byte.
COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
)


@dataclass(frozen=True, slots=True)
class QuantizeRequest:
    """What to quantize, and how."""

    source: Path
    out: Path
    recipe: Recipe = Recipe()
    items: tuple[Item, ...] = ()
    """What to calibrate on. Empty: CNN/DailyMail."""
    origin: str = "texts"
    """Where the items come from, for the record."""
    device: str = "auto"
    """auto, cuda or cpu."""
    behaviour: bool = True
    """Whether to compare logits and calls too: pointless for an untrained model."""


@dataclass(frozen=True, slots=True)
class Result:
    """The checkpoint that was made."""

    report: Verification
    record: dict[str, Any]
    """Versions, recipe, counts, seconds and bytes, as stored in the checkpoint."""


def quantize(request: QuantizeRequest, progress: Progress = lambda *_: None) -> Result:
    """Make the checkpoint, check it, and only then give it its name.

    Raises:
        QuantizeError: it was not made; there is nothing at ``request.out``.
    """
    begun = time.monotonic()
    refuse_existing(request.out)
    size = _source_bytes(request.source)
    config = read_json(request.source / "config.json")
    planned = expected_bytes(shape_of(config), request.recipe.exclude)
    require_disk(request.out.parent, planned)
    torch, versions = _packages()
    place = choose_place(torch, request.device)
    require_memory(place, size)
    with partial_folder(request.out) as folder:
        record = _make(torch, request, place, folder, progress)
        record |= {"versions": versions, "elapsed_s": round(time.monotonic() - begun, 1)}
        text = json.dumps(record, indent=2) + "\n"
        (folder / RECORD).write_text(text, encoding="utf-8")
        report = _checked(folder, request, progress)
    return Result(replace(report, checkpoint=str(request.out)), record)


def _checked(folder: Path, request: QuantizeRequest, progress: Progress) -> Verification:
    """The report on the new checkpoint."""
    progress("verify", 0, 1)
    report = verify(folder, request.source)
    progress("verify", 1, 1)
    if report.passed and request.behaviour:
        talks = [item for item in request.items if isinstance(item, Conversation)]
        more = check_behaviour(
            folder, request.source, conversations=talks, device=request.device, progress=progress
        )
        report = replace(report, checks=(*report.checks, *more))
    for bad in report.checks:
        if bad.status == "failed":
            raise QuantizeError(f"the new checkpoint is wrong: {bad.name}: {bad.detail}")
    return report


def _make(
    torch: Any, request: QuantizeRequest, place: CalibrationDevice, folder: Path, progress: Progress
) -> dict[str, Any]:
    recipe = request.recipe
    tokenizer = steps.load_tokenizer(request.source)
    items = list(request.items) or news(recipe.samples)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    windows = token_windows(items, tokenizer, recipe.tokens)
    prepared = batches(windows, samples=recipe.samples, batch=recipe.batch, padding=padding)
    progress("load", 0, 1)
    model = steps.load_model(torch, request.source, place.device)
    progress("load", 1, 1)
    begun = time.monotonic()
    counts = steps.calibrate(torch, model, recipe, prepared, place.device, progress)
    calibrated_s = time.monotonic() - begun
    progress("export", 0, 1)
    steps.export(torch, model, folder)
    for name in COMPANIONS:
        if (request.source / name).is_file():
            shutil.copyfile(request.source / name, folder / name)
    steps.complete_config(folder)
    progress("export", 1, 1)
    return {
        "format": 1,
        "recipe": asdict(recipe) | {"exclude": list(recipe.exclude)},
        "calibration": request.origin if request.items else "CNN/DailyMail 3.0.0",
        "samples": sum(len(ids) for ids, _ in prepared),
        "tokens": sum(sum(row) for _, mask in prepared for row in mask),
        "device": place.device,
        "calibration_s": round(calibrated_s, 1),
        "peak_bytes": steps.peak_bytes(torch, place.device),
        **counts,
    }


def _source_bytes(source: Path) -> int:
    """Bytes of the source's tensors."""
    try:
        config = read_json(source / "config.json")
        tensors = read_tensors(source)
        shape_of(config)
    except CheckpointError as error:
        raise QuantizeError(f"{str(source)!r} cannot be quantized: {error}", error.hint) from None
    if config.get("quantization_config") or (source / "hf_quant_config.json").exists():
        raise QuantizeError(
            f"{str(source)!r} is quantized already",
            "name the BF16 checkpoint that it was made from",
        )
    return sum(tensor.bytes for tensor in tensors.values())


def _packages() -> tuple[Any, dict[str, str]]:
    """Torch, and the versions of the packages that make the checkpoint."""
    versions = {}
    for name, package in (
        ("torch", "torch"),
        ("transformers", "transformers"),
        ("modelopt.torch.quantization", "nvidia-modelopt"),
    ):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise QuantizeError(
                f"quantizing needs {package}, which cannot be imported: {error}",
                "pip install 'fastcontext-mcp[quantize]'",
            ) from None
        versions[package] = importlib.metadata.version(package)
    return importlib.import_module("torch"), versions
