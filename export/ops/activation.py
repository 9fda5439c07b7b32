# Relu, Clip, HardSwish, HardSigmoid, Sigmoid, and the softmax that ends a classifier.
# Never here: fusing into the layer before (fuse.py).
"""Elementwise functions."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Context, Node, Norm, Row
from edgecl.export.errors import Unsupported
from edgecl.export.graph import FLOAT_MAX, Activation
from edgecl.export.ops.l2_norm import at_least
from edgecl.export.ops.registry import handles

_SIXTH = float(np.float32(1.0) / np.float32(6.0))


def _emit(context: Context, node: Node, activation: Activation) -> None:
    row = context.row(node)
    context.bind(node, context.emit(node, "activation", [row], row.dims, activation=activation))


@handles("Relu")
def convert_relu(context: Context, node: Node) -> None:
    """max(x, 0)."""
    _emit(context, node, Activation("relu"))


@handles("Clip")
def convert_clip(context: Context, node: Node) -> None:
    """min(max(x, lo), hi); bounds as attributes (before operator set 11) or constant inputs; an open side is the
    largest float. The lower bound of a norm is its epsilon."""
    norm = context.environment.get(node.inputs[0])
    if isinstance(norm, Norm):
        if node.has_input(2) or node.number("max", FLOAT_MAX) < FLOAT_MAX:
            raise Unsupported("an upper bound of a norm", "bound the norm from below only")
        bound = context.floats(node, 1, "min bound").values if node.has_input(1) else node.number("min", 0.0)
        context.environment[node.outputs[0]] = at_least(norm, bound)
        return
    bounds = []
    for index, (key, default) in enumerate((("min", -FLOAT_MAX), ("max", FLOAT_MAX)), start=1):
        if node.has_input(index):
            value = float(context.floats(node, index, f"{key} bound").values.reshape(-1)[0])
        else:
            value = node.number(key, default)
        bounds.append(float(np.clip(value, -FLOAT_MAX, FLOAT_MAX)))
    lo, hi = bounds
    if lo > hi:  # ONNX: then every output is the upper bound
        lo = hi
    if lo == 0.0 and hi == FLOAT_MAX:
        _emit(context, node, Activation("relu"))
    else:
        _emit(context, node, Activation("clip", lo, hi))


@handles("HardSwish")
def convert_hard_swish(context: Context, node: Node) -> None:
    """x * clip(x / 6 + 1/2, 0, 1)."""
    _emit(context, node, Activation("hard_swish"))


@handles("HardSigmoid")
def convert_hard_sigmoid(context: Context, node: Node) -> None:
    """clip(alpha * x + beta, 0, 1)."""
    _emit(context, node, Activation("hard_sigmoid", node.number("alpha", 0.2), node.number("beta", 0.5)))


@handles("Sigmoid")
def convert_sigmoid(context: Context, node: Node) -> None:
    """1 / (1 + exp(-x)). Behind the linear layer that ends a classifier it is left out, as softmax is: the largest
    output stays the largest, and the layer stays a head that learns."""
    row = context.row(node)
    layer = context.graph.producer(row.tensor)
    if node.outputs[0] == context.output and len(row.dims) == 1 and layer is not None and layer.kind == "linear":
        _leave_out(context, node, row, "sigmoid")
    else:
        _emit(context, node, Activation("sigmoid"))


@handles("Softmax", "LogSoftmax")
def convert_softmax(context: Context, node: Node) -> None:
    """Only as the last node over the classes: the device's loss and predict apply it themselves, so it is left out."""
    row = context.row(node)
    axis = node.integer("axis", -1 if context.opset >= 13 else 1)
    if node.outputs[0] != context.output or len(row.dims) != 1 or axis not in (1, -1):
        raise Unsupported(
            "softmax inside the network", "only a softmax over the classes at the end is supported (it is left out)"
        )
    _leave_out(context, node, row, "softmax" if node.op_type == "Softmax" else "log_softmax")


def _leave_out(context: Context, node: Node, row: Row, final: str) -> None:
    context.graph.final = final
    context.note(f"{node.name}: the {final} at the end is left out; the bundle gives logits")
    context.bind(node, row)
