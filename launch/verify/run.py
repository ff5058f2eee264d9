"""Runs all checks of a checkpoint that need neither torch nor a GPU."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launch.errors import CheckpointError
from launch.verify.configuration import (
    check_companions,
    check_quantization,
    check_quantizers,
    excluded_modules,
)
from launch.verify.fidelity import check_copies, check_weights
from launch.verify.layout import is_excluded, shape_of
from launch.verify.packing import check_head, check_linears, check_others, check_scales, check_size
from launch.verify.tensors import Tensor, read_json, read_tensors
from launch.verify.verdicts import Verdict, Verification

RECORD = "fastcontext_quantization.json"
"""File in which ``fastcontext quantize`` records how the checkpoint was made."""

_NO_SOURCE = "needs the BF16 checkpoint: --against SOURCE"


def verify(
    folder: Path, source: Path | None = None, *, listener: Callable[[Verdict], None] | None = None
) -> Verification:
    """Verify a checkpoint; each verdict is passed to ``listener`` as soon as it is made.

    Reads headers, scales and, with ``source``, the weights, in parts and never as a whole.
    """
    checks: list[Verdict] = []

    def add(check: Verdict) -> None:
        checks.append(check)
        if listener is not None:
            listener(check)

    try:
        tensors = read_tensors(folder)
        config = read_json(folder / "config.json")
        shape = shape_of(config)
    except CheckpointError as error:
        add(Verdict("files", "failed", f"{error}" + (f"; {error.hint}" if error.hint else "")))
        return Verification(str(folder), tuple(checks))
    files = {tensor.file for tensor in tensors.values()}
    add(Verdict("files", "passed", f"{len(tensors)} tensors in {len(files)} complete files"))
    excluded = excluded_modules(folder)
    packed = [each for each in shape.linears() if not is_excluded(each.name, excluded)]
    unpacked = [each for each in shape.linears() if is_excluded(each.name, excluded)]
    add(check_quantization(config, folder))
    add(check_quantizers(_record(folder), shape.layers, bool(unpacked)))
    add(check_linears(tensors, packed))
    add(check_scales(tensors, packed))
    add(check_others(tensors, shape, unpacked))
    add(check_head(tensors, shape))
    add(check_size(tensors, shape, excluded))
    add(check_companions(folder, source))
    originals = _source(source, config, add)
    if originals is not None:
        add(check_weights(tensors, originals, packed))
        names = [*shape.others(), *(f"{each.name}.weight" for each in unpacked)]
        add(check_copies(tensors, originals, names))
    return Verification(str(folder), tuple(checks))


def _source(
    source: Path | None, config: Mapping[str, Any], add: Callable[[Verdict], None]
) -> Mapping[str, Tensor] | None:
    """The source's tensors, or a verdict that says why there are none."""
    name = "weights against source"
    if source is None:
        add(Verdict(name, "skipped", _NO_SOURCE))
        return None
    try:
        if shape_of(read_json(source / "config.json")) != shape_of(config):
            add(Verdict(name, "failed", "the source's model has another shape"))
            return None
        return read_tensors(source)
    except CheckpointError as error:
        add(Verdict(name, "failed", f"the source cannot be read: {error}"))
        return None


def _record(folder: Path) -> Mapping[str, Any] | None:
    try:
        return read_json(folder / RECORD) if (folder / RECORD).exists() else None
    except CheckpointError:
        return {}
