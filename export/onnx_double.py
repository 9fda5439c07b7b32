# An ONNX model in float64, node by node: its weights may be most of the memory.
# Never here: which engine answers for the model (onnx_reference.py).
"""`DoubleModel` runs a model in float64 in ONNX's own evaluator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from edgecl.export.opset import upgraded
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def _doubled(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float64) if values.dtype == np.float32 else values


def _double_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == onnx.TensorProto.FLOAT:
            attribute.t.CopyFrom(numpy_helper.from_array(_doubled(numpy_helper.to_array(attribute.t))))
        elif attribute.type == onnx.AttributeProto.GRAPH:
            for inner in attribute.g.node:
                _double_attributes(inner)


def _reads(node: onnx.NodeProto) -> set[str]:
    """Names that a node takes from around it, those of its branches included."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            graph = attribute.g
            own = {name for inner in graph.node for name in inner.output}
            own |= {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            wanted = {value.name for value in graph.output}.union(*(_reads(inner) for inner in graph.node))
            names |= wanted - own
    return names


class DoubleModel:
    """Every float32 of the model as float64. A weight is converted when a node reads it and goes with that node, a
    tensor goes with the last node that reads it. Peak: the weights of the largest node as float64, and its tensors.

    Args:
        beside: large weights that are inputs of the model, by name.
    """

    def __init__(self, model: onnx.ModelProto, beside: Mapping[str, NDArray[Any]]) -> None:
        newest = upgraded(model)
        self._input, self._output = newest.graph.input[0].name, newest.graph.output[0].name
        self._weights = {t.name: numpy_helper.to_array(t) for t in newest.graph.initializer} | dict(beside)
        self._steps: list[tuple[list[str], list[str], ReferenceEvaluator]] = []
        for original in newest.graph.node:
            node = onnx.NodeProto()
            node.CopyFrom(original)
            _double_attributes(node)
            reads = sorted(_reads(node))
            graph = helper.make_graph(
                [node], "node", [onnx.ValueInfoProto(name=name) for name in reads],
                [onnx.ValueInfoProto(name=name) for name in node.output if name],
            )  # fmt: skip
            one = helper.make_model(graph, opset_imports=newest.opset_import, functions=newest.functions)
            self._steps.append((reads, [name for name in node.output if name], ReferenceEvaluator(one)))

    def run(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The first output. Raises what ONNX's operators raise: some are written for float32 alone."""
        left = Counter(name for reads, _, _ in self._steps for name in reads)
        left[self._output] += 1
        values: dict[str, Any] = {self._input: rows}
        for reads, names, node in self._steps:
            fed = {name: values[name] if name in values else _doubled(self._weights[name]) for name in reads}
            answers: Any = node.run(None, fed)
            values.update(zip(names, answers, strict=True))
            left.subtract(reads)
            for name in [name for name in values if left[name] <= 0]:
                del values[name]
        return np.asarray(values[self._output], np.float64)
