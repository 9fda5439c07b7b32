# ONNX operator sets: a model or a node of an old set in the words of the newest one.
# Never here: which operators the device has (ops/).
"""`upgraded` and `upgraded_node`: what is evaluated by code that knows the newest operator set alone."""

from __future__ import annotations

import onnx
import onnx.version_converter
from onnx import defs, helper


def opset_of(model: onnx.ModelProto) -> int:
    """The set of standard operators that the model is written in."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def changed_since(op_type: str, opset: int) -> bool:
    """The operator of set `opset` is not that of the newest set. False for operators that ONNX does not know."""
    try:
        return int(defs.get_schema(op_type, opset).since_version) != int(defs.get_schema(op_type).since_version)
    except defs.SchemaError:
        return False


def upgraded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in the newest operator set; the model itself where nothing changed, or where ONNX's converter has no
    way for one of its nodes."""
    opset = opset_of(model)
    if not any(changed_since(node.op_type, opset) for node in model.graph.node):
        return model
    try:
        return onnx.version_converter.convert_version(model, defs.onnx_opset_version())
    except Exception:  # the converter raises RuntimeError, and protobuf's classes
        return model


def upgraded_node(node: onnx.NodeProto, inputs: list[onnx.ValueInfoProto], opset: int) -> onnx.ModelProto:
    """A model of one node in the newest operator set (in `opset` where the converter has no way)."""
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", inputs, outputs)
    return upgraded(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10))
