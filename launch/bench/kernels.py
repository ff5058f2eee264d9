"""The linear kernels to compare: BF16 as vLLM runs it, and the NVFP4 kernel that vLLM selects."""

import contextlib
import copy
import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from launch.nvfp4 import Packed, dequantize, quantize

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinearKernel:
    """A linear layer that is ready to run."""

    kernel: str
    weight_bytes: int
    reference: Any
    """The float32 matrix that the weights stand for."""
    activation_bits: int
    """16 for weight-only kernels; 4 if the activations are quantized too."""
    copies: Callable[[int], list[Callable[[Any], Any]]]
    """``copies(n)`` gives n functions of the input, each with its own operands."""


def bf16_linear(torch: Any, matrix: Any) -> LinearKernel:
    """A BF16 layer through ``torch.nn.functional.linear``, which vLLM 0.23 uses on CUDA."""
    linear = torch.nn.functional.linear

    def copies(count: int) -> list[Callable[[Any], Any]]:
        weights = [matrix.clone() for _ in range(count)]
        return [_bind(linear, weight) for weight in weights]

    return LinearKernel("torch linear", matrix.numel() * 2, matrix.float(), 16, copies)


def nvfp4_linear(torch: Any, matrix: Any) -> LinearKernel:
    """An NVFP4 layer through the kernel that vLLM selects for this GPU (0.23.0 and later).

    Raises:
        ImportError: there is no vLLM, or its NVFP4 kernels cannot be selected.
        ValueError: vLLM has no kernel for this GPU.
    """
    from vllm.model_executor.kernels.linear import init_nvfp4_linear_kernel

    packed = quantize(torch, matrix)
    kernel = init_nvfp4_linear_kernel()
    layer = _layer(torch, packed, matrix.shape)
    kernel.process_weights_after_loading(layer)
    name = type(kernel).__name__

    def copies(count: int) -> list[Callable[[Any], Any]]:
        layers = [layer, *(copy.deepcopy(layer) for _ in range(count - 1))]
        return [functools.partial(kernel.apply_weights, each) for each in layers]

    bits = 16 if any(word in name for word in ("Marlin", "A16", "Humming")) else 4
    return LinearKernel(name, packed.bytes, dequantize(torch, packed), bits, copies)


def _bind(linear: Callable[[Any, Any], Any], weight: Any) -> Callable[[Any], Any]:
    return lambda x: linear(x, weight)


def reference_linear(torch: Any, matrix: Any) -> LinearKernel:
    """An NVFP4 layer that is unpacked at every call: slow, for trying the bench on a CPU."""
    packed = quantize(torch, matrix)
    linear = torch.nn.functional.linear

    def copies(count: int) -> list[Callable[[Any], Any]]:
        def run(x: Any) -> Any:
            return linear(x, dequantize(torch, packed).to(x.dtype))

        return [run] * count

    return LinearKernel(
        "unpacked on every call", packed.bytes, dequantize(torch, packed), 16, copies
    )


def _layer(torch: Any, packed: Packed, shape: tuple[int, int]) -> Any:
    """A module whose parts have the names that vLLM gives to those of an NVFP4 layer."""
    out, inner = shape
    layer = torch.nn.Module()

    def keep(name: str, value: Any) -> None:
        layer.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))

    device = packed.weight.device
    # Inputs are drawn from a unit normal: 6 standard deviations stay within the range.
    input_scale = torch.tensor(6.0 / (6.0 * 448.0), device=device)
    keep("weight", packed.weight.clone())
    keep("weight_scale", packed.scale.clone())
    keep("weight_global_scale", packed.tensor_scale.clone())
    keep("input_global_scale", input_scale)
    keep("alpha", input_scale * packed.tensor_scale)
    keep("input_global_scale_inv", 1.0 / input_scale)
    layer.logical_widths = [out]
    layer.input_size_per_partition = inner
    layer.output_size_per_partition = out
    layer.params_dtype = torch.bfloat16
    return layer


@contextlib.contextmanager
def vllm_config() -> Iterator[str]:
    """The version of vLLM. While open, a default configuration is set, which some kernels need.

    Raises:
        ImportError: there is no vLLM.
    """
    import vllm
    from vllm.config import VllmConfig, set_current_vllm_config

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(set_current_vllm_config(VllmConfig()))
        except (ValueError, TypeError, RuntimeError) as error:
            # Only FlashInfer's kernels need it; Marlin and CUTLASS are measured without.
            log.warning("vLLM makes no default configuration: %s", error)
        yield str(vllm.__version__)
