"""What the packages that quantize raise, as the errors that a caller is told."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from launch.errors import QuantizeError
from launch.quantize import modelopt_steps as steps
from launch.quantize.modelopt_steps import Recipe


class OutOfMemory(RuntimeError):
    """As torch's, which is raised for the GPU's memory."""


TORCH: Any = SimpleNamespace(
    bfloat16="bfloat16", cuda=SimpleNamespace(OutOfMemoryError=OutOfMemory)
)
FAILURES = [
    (OSError("no file named model.safetensors"), "no file named", "version"),
    (ValueError("unknown architecture"), "unknown architecture", "version"),
    (OutOfMemory("CUDA out of memory. Tried to allocate"), "the memory ran out", "--batch"),
    (MemoryError(), "the memory ran out", "--batch"),
]


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_given: object, **_named: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(("error", "says", "hint"), FAILURES)
def test_a_model_that_cannot_be_loaded_is_an_error_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str, hint: str
) -> None:
    package = ModuleType("transformers")
    package.__dict__["AutoModelForCausalLM"] = SimpleNamespace(from_pretrained=failing(error))
    monkeypatch.setitem(sys.modules, "transformers", package)
    with pytest.raises(QuantizeError, match=says) as caught:
        steps.load_model(TORCH, Path("bf16"), "cuda")
    assert hint in caught.value.hint


@pytest.mark.parametrize(("error", "says", "hint"), FAILURES)
def test_a_calibration_that_does_not_fit_is_an_error_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str, hint: str
) -> None:
    package = ModuleType("modelopt.torch.quantization")
    package.__dict__.update(quantize=failing(error), NVFP4_DEFAULT_CFG={"quant_cfg": {}})
    for name in ("modelopt", "modelopt.torch"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["modelopt.torch"].__dict__["quantization"] = package
    monkeypatch.setitem(sys.modules, "modelopt.torch.quantization", package)
    with pytest.raises(QuantizeError, match=says) as caught:
        steps.calibrate(TORCH, None, Recipe(), [], "cuda", lambda *_: None)
    assert hint in caught.value.hint
