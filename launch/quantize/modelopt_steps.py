"""The recipe, and the steps that need torch, transformers and ModelOpt (0.44.0 and 0.47.0)."""

import contextlib
import copy
import importlib
import importlib.metadata
import json
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.errors import QuantizeError

Batch = tuple[list[list[int]], list[list[int]]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to quantize: ModelOpt's preset and the calibration.

    The defaults are those of r0b0tlab/FastContext-1.0-4B-RL-NVFP4, from its model card: ModelOpt
    0.44.0, NVFP4_DEFAULT_CFG, CNN/DailyMail 3.0.0, 512 samples of 1,024 tokens, batch 16.
    """

    preset: str = "NVFP4_DEFAULT_CFG"
    samples: int = 512
    tokens: int = 1024
    """Most tokens of a sample; longer texts are cut off, longer explorations are divided."""
    batch: int = 16
    exclude: tuple[str, ...] = ()
    """Name patterns of modules that stay in BF16, besides those that the preset leaves out."""


def quantization_config(presets: Any, recipe: Recipe) -> dict[str, Any]:
    """ModelOpt's configuration for the recipe.

    ``presets`` is ``modelopt.torch.quantization``. Up to 0.44 a preset's ``quant_cfg`` maps
    patterns to settings; later it is a list of rules, of which the last that matches counts.
    """
    config: dict[str, Any] = copy.deepcopy(getattr(presets, recipe.preset))
    rules = config["quant_cfg"]
    for pattern in recipe.exclude:
        # The pattern names modules; ModelOpt matches it against the quantizers inside them.
        name = pattern if pattern.endswith("*") else f"{pattern}*"
        if isinstance(rules, list):
            rules.append({"quantizer_name": name, "enable": False})
        else:
            rules[name] = {"enable": False}
    return config


def load_tokenizer(source: Path) -> Any:
    """The source's tokenizer.

    Raises:
        QuantizeError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(source))
    except (OSError, ValueError) as error:
        raise QuantizeError(f"the tokenizer of {str(source)!r} cannot be loaded: {error}") from None


def load_model(torch: Any, source: Path, device: str) -> Any:
    """The source's model on the device, in BF16.

    Raises:
        QuantizeError: it cannot be loaded.
    """
    from transformers import AutoModelForCausalLM

    problem = f"the model of {str(source)!r} cannot be loaded"
    with _explained(torch, problem, "download it again, or try another version of transformers"):
        model = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.bfloat16)
        return model.to(device).eval()


@contextlib.contextmanager
def _explained(torch: Any, problem: str, hint: str) -> Iterator[None]:
    """Turns what the packages raise about files and memory into a ``QuantizeError``.

    ``hint`` is for problems other than memory.
    """
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError):
        raise QuantizeError(
            f"{problem}: the memory ran out",
            "close what else uses it, or give a smaller --batch, fewer --tokens or --device cpu",
        ) from None
    except (OSError, ValueError) as error:
        raise QuantizeError(f"{problem}: {error}", hint) from None


def calibrate(
    torch: Any,
    model: Any,
    recipe: Recipe,
    batches: Sequence[Batch],
    device: str,
    progress: Callable[[str, int, int], None],
) -> dict[str, int]:
    """Insert the quantizers and run the batches; returns how many there are and how many are on.

    Raises:
        QuantizeError: there is too little memory.
    """
    import modelopt.torch.quantization as mtq

    def run(calibrated: Any) -> None:
        # Only the backbone: the head is not quantized, and the logits of a batch take 10 GB.
        backbone = calibrated.get_decoder()
        with torch.no_grad():
            for done, (ids, mask) in enumerate(batches):
                progress("calibrate", done, len(batches))
                backbone(
                    input_ids=torch.tensor(ids, device=device),
                    attention_mask=torch.tensor(mask, device=device),
                    use_cache=False,
                )
        progress("calibrate", len(batches), len(batches))

    hint = "docs/quantize.md lists the versions of ModelOpt that were tried"
    with _explained(torch, "the model cannot be calibrated", hint):
        mtq.quantize(model, quantization_config(mtq, recipe), run)
    quantizers = [
        each for each in model.modules() if type(each).__name__.endswith("TensorQuantizer")
    ]
    enabled = sum(1 for each in quantizers if each.is_enabled)
    return {"quantizers": len(quantizers), "enabled_quantizers": enabled}


def export(torch: Any, model: Any, folder: Path) -> None:
    """Write the packed weights and the configuration.

    Raises:
        QuantizeError: there is too little disk space or memory.
    """
    from modelopt.torch.export import export_hf_checkpoint

    if not torch.cuda.is_available():
        _allow_export_without_gpu()
    problem, hint = "the checkpoint cannot be written", "check the free space on the disk"
    with _explained(torch, problem, hint), torch.inference_mode():
        export_hf_checkpoint(model, export_dir=folder)


def _allow_export_without_gpu() -> None:
    """Let ModelOpt 0.44 pack FP4 on the CPU: it asks CUDA for a capability that it does not use.

    0.47 first asks whether there is a GPU; it makes the same tensors.
    """
    if not importlib.metadata.version("nvidia-modelopt").startswith("0.44."):
        return
    module = importlib.import_module("modelopt.torch.quantization.qtensor.nvfp4_tensor")
    module.__dict__["fp4_compatible"] = lambda: False


def complete_config(folder: Path) -> None:
    """Add the ``quant_method`` that vLLM looks for and that ModelOpt leaves out."""
    path = folder / "hf_quant_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.setdefault("quant_method", "modelopt")
    path.write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")


def peak_bytes(torch: Any, device: str) -> int:
    """Most memory used so far: of the GPU, or on the CPU of this process."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return used if sys.platform == "darwin" else used * 1024
