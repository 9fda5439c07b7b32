# A part of an ONNX model: what one of its tensors needs, and nothing else.
# Never here: which tensor that is (onnx_front.py, external_onnx.py).
"""`cut_behind` ends a model at a tensor, `with_output` at one of its outputs; `with_own_names` tells nodes apart."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from edgecl.export.errors import ExportError
from edgecl.export.graph import unique


def cut_behind(model: onnx.ModelProto, wanted: onnx.ValueInfoProto) -> onnx.ModelProto:
    """A copy with one output; nodes and weights that it does not need are gone."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    needed = {wanted.name}
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(_reads(node))
    for weight in [tensor for tensor in graph.initializer if tensor.name not in needed]:
        graph.initializer.remove(weight)
    for sparse in [tensor for tensor in graph.sparse_initializer if tensor.values.name not in needed]:
        graph.sparse_initializer.remove(sparse)
    held = {tensor.name for tensor in model.graph.initializer} - needed
    for value in [value for value in graph.input if value.name in held]:
        graph.input.remove(value)
    del graph.quantization_annotation[:]
    del graph.output[:]
    graph.output.append(wanted)
    return copy


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and what the graphs inside it read from around them."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from _reads(inner)


def with_output(model: onnx.ModelProto, logits: str | int) -> onnx.ModelProto:
    """A copy whose only output is that of this name or position; what only led to the others goes.

    Raises:
        ExportError: there is none.
    """
    names = [value.name for value in model.graph.output]
    position = logits if isinstance(logits, int) else names.index(logits) if logits in names else -1
    if not 0 <= position < len(names):
        raise ExportError(
            f"expected an output of the model, by name or position; found {logits!r}; its outputs: {', '.join(names)}",
            -23,
        )
    return cut_behind(model, model.graph.output[position])


def with_own_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which no two nodes have one name, which onnxruntime does not take."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    taken: set[str] = set()
    for node in copy.graph.node:
        if node.name:
            node.name = unique(node.name, taken)
            taken.add(node.name)
    return copy
