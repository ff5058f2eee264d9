"""How a checkpoint is quantized: by default as the published one was."""

import copy
from dataclasses import dataclass
from typing import Any

GROUP_SIZE = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """ModelOpt's preset and the calibration.

    The defaults are those of r0b0tlab/FastContext-1.0-4B-RL-NVFP4, by its model card: ModelOpt
    0.44.0, NVFP4_DEFAULT_CFG, CNN/DailyMail 3.0.0, 512 samples of 1,024 tokens, batch 16.
    """

    preset: str = "NVFP4_DEFAULT_CFG"
    samples: int = 512
    tokens: int = 1024
    """Most tokens of a sample; longer texts are cut, longer explorations divided."""
    batch: int = 16
    exclude: tuple[str, ...] = ()
    """Patterns of module names that stay in BF16, beside those that the preset leaves out."""


def quantization_config(presets: Any, recipe: Recipe) -> dict[str, Any]:
    """ModelOpt's configuration for the recipe.

    ``presets`` is ``modelopt.torch.quantization``. Up to 0.44 its ``quant_cfg`` is a table from
    pattern to settings, later a list of rules of which the last that fits counts.
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
