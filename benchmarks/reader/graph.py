"""The reader's network as an ONNX graph in int8, from its weights alone.

The graph is written node by node, so that no PyTorch is needed and nothing depends on how a version
of an exporter sees the network.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[Any]]

HEADS: Final = 12
INPUTS: Final = ("input_ids", "token_type_ids", "attention_mask")
_OPSET: Final = 17
_FORMAT: Final = 8


class _Graph:
    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._weights = weights

    def constant(self, name: str, value: Any, kind: Any = np.float32) -> str:
        array = np.asarray(value, kind, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *, turned: bool = False) -> str:
        value = np.asarray(self._weights[name], np.float32)
        return self.constant(name, value.T if turned else value)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def linear(self, x: str, name: str) -> str:
        product = self.add("MatMul", x, self.weight(f"{name}.weight", turned=True))
        return self.add("Add", product, self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)


def build(weights: Weights, heads: int) -> onnx.ModelProto:
    """The graph of a ``network.ReaderNetwork`` in float32, from its state; ``INPUTS`` to score."""
    hidden = weights["word.weight"].shape[1]
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
    graph = _Graph(weights)
    words = _words(graph, np.asarray(weights["word.weight"], np.float32))
    kinds = graph.add("Gather", graph.weight("kind.weight"), "token_type_ids")
    length = graph.add(
        "Slice",
        graph.add("Shape", "input_ids"),
        graph.constant("one", [1], np.int64),
        graph.constant("two", [2], np.int64),
    )
    none = graph.constant("none", [0], np.int64)
    places = graph.add("Slice", graph.weight("position.weight"), none, length, none)
    x = graph.norm(graph.add("Add", graph.add("Add", words, kinds), places), "norm")
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = graph.add("Sub", mask, graph.constant("unit", 1.0))
    mask = graph.add("Mul", mask, graph.constant("far", 1e4))
    mask = graph.add("Unsqueeze", mask, graph.constant("axes", [1, 2], np.int64))
    apart = graph.constant("apart", [0, 0, heads, hidden // heads], np.int64)
    together = graph.constant("together", [0, 0, hidden], np.int64)
    scale = graph.constant("scale", (hidden / heads) ** -0.5)
    half, root = graph.constant("half", 0.5), graph.constant("root", 2**0.5)
    for layer in range(layers):
        at = f"layers.{layer}"

        def split(part: str, order: list[int], x: str = x, at: str = at) -> str:
            projected = graph.add("Reshape", graph.linear(x, f"{at}.{part}"), apart)
            return graph.add("Transpose", projected, perm=order)

        query, key = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])
        fits = graph.add("Mul", graph.add("MatMul", query, key), scale)
        fits = graph.add("Softmax", graph.add("Add", fits, mask), axis=-1)
        mixed = graph.add("MatMul", fits, split("value", [0, 2, 1, 3]))
        mixed = graph.add("Reshape", graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), together)
        added = graph.add("Add", x, graph.linear(mixed, f"{at}.attended"))
        x = graph.norm(added, f"{at}.attended_norm")
        up = graph.linear(x, f"{at}.up")
        gate = graph.add("Add", graph.add("Erf", graph.add("Div", up, root)), "unit")
        up = graph.add("Mul", graph.add("Mul", up, gate), half)
        x = graph.norm(graph.add("Add", x, graph.linear(up, f"{at}.down")), f"{at}.norm")
    first = graph.add("Gather", x, graph.constant("first", 0, np.int64), axis=1)
    score = graph.linear(graph.add("Tanh", graph.linear(first, "pooler")), "score")
    last = graph.constant("last", [1], np.int64)
    graph.nodes.append(helper.make_node("Squeeze", [score, last], ["score"], name="score"))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["pairs", "length"])
        for name in INPUTS
    ]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["pairs"])
    body = helper.make_graph(graph.nodes, "reader", inputs, [output], graph.constants)
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(body, opset_imports=opset, ir_version=_FORMAT)
    onnx.checker.check_model(model)
    return model


def _words(graph: _Graph, table: NDArray[Any]) -> str:
    """The words' vectors, kept as int8 with one scale a word."""
    step = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-8)
    kept = graph.constant("word.int8", np.round(table / step), np.int8)
    steps = graph.constant("word.step", step)
    whole = graph.add("Cast", graph.add("Gather", kept, "input_ids"), to=TensorProto.FLOAT)
    return graph.add("Mul", whole, graph.add("Gather", steps, "input_ids"))


def quantize(model: Path, into: Path) -> None:
    """Write the graph with int8 weights, one scale a column.

    Activations are quantized as the network runs, with one scale a run: a score depends on what
    else is in the run, so a pair is read by itself.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        model,
        into,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
    )


def mean_of(paths: Sequence[Path]) -> Weights:
    """The mean of the weights in these safetensors, which have the same names and shapes.

    Of weights from one training it is often better than each (Wortsman et al. 2022, Model soups).

    Raises:
        KeyError: a weight is missing in one of them.
    """
    from safetensors.numpy import load_file

    known = [load_file(path) for path in paths]
    return {
        name: np.mean([np.asarray(each[name], np.float32) for each in known], axis=0)
        for name in known[0]
    }


def main(args: Sequence[str] | None = None) -> int:
    """Write the reader in int8; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader.graph")
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        required=True,
        help="reader.safetensors; of several, the mean",
    )
    parser.add_argument("--into", type=Path, required=True, help="reader.onnx")
    options = parser.parse_args(args)
    whole = options.into.with_suffix(".float32.onnx")
    onnx.save(build(mean_of(options.weights), HEADS), whole)
    quantize(whole, options.into)
    print(f"{options.into}: {options.into.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
