# Relu, Clip, Sigmoid, Tanh, Gelu and the other elementwise functions, and softmax.
# Never here: fusing into the layer before (fuse.py).
"""Elementwise functions."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Norm, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.graph import FLOAT_MAX, Activation
from edgecl.export.ops.elementwise import combine
from edgecl.export.ops.l2_norm import at_least, is_epsilon
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import permute


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
    if isinstance(norm, Norm) and not node.has_input(2) and node.number("max", FLOAT_MAX) >= FLOAT_MAX:
        bound = context.floats(node, 1, "min bound").values if node.has_input(1) else node.number("min", 0.0)
        if is_epsilon(bound):
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


_PLAIN = {
    "Tanh": "tanh", "Erf": "erf", "Softplus": "softplus", "Mish": "mish", "Softsign": "softsign", "Exp": "exp",
    "Log": "log", "Sqrt": "sqrt", "Reciprocal": "reciprocal", "Abs": "abs", "Neg": "negate",
}  # fmt: skip


@handles(*_PLAIN)
def convert_plain(context: Context, node: Node) -> None:
    """Functions without parameters; some are the pieces of others (patterns.py)."""
    _emit(context, node, Activation(_PLAIN[node.op_type]))


@handles("Gelu")
def convert_gelu(context: Context, node: Node) -> None:
    """Exact, or approximated by tanh."""
    approximate = node.text("approximate", "none")
    _emit(context, node, Activation("gelu_tanh" if approximate == "tanh" else "gelu"))


@handles("Elu", "Selu", "Celu", "LeakyRelu", "Swish")
def convert_with_slopes(context: Context, node: Node) -> None:
    """Functions with numbers of their own, the same for all elements."""
    if node.op_type == "Selu":
        alpha, gamma = node.number("alpha", 1.67326319217681884765625), node.number("gamma", 1.05070102214813232421875)
        _emit(context, node, Activation("elu", alpha, gamma))
    elif node.op_type == "Elu":
        _emit(context, node, Activation("elu", node.number("alpha", 1.0), 1.0))
    elif node.op_type == "LeakyRelu":
        _emit(context, node, Activation("leaky_relu", node.number("alpha", 0.01)))
    elif node.op_type == "Celu" and node.number("alpha", 1.0) == 0.0:
        raise Unsupported("celu with alpha = 0", "use relu")
    else:
        _emit(context, node, Activation("celu" if node.op_type == "Celu" else "silu", node.number("alpha", 1.0)))


@handles("PRelu")
def convert_prelu(context: Context, node: Node) -> None:
    """A slope a channel is one operator. Others, and one for all: max(x, 0) + slope * min(x, 0)."""
    row, slope = context.row(node), context.value(node, 1)
    channels = row.dims[0] if row.dims else 1
    if isinstance(slope, Constant):
        slope = context.floats(node, 1, "slope")
        shape = (1,) * (len(row.dims) + 1 - slope.values.ndim) + slope.values.shape
        if shape == (1, channels, *([1] * (len(row.dims) - 1))) and channels > 1:
            param = context.param(slope, "scale", slope.values.reshape(-1))
            context.bind(node, context.emit(node, "prelu", [row], row.dims, params=[param]))
            return
    above = context.emit(node, "activation", [row], row.dims, activation=Activation("relu"), suffix="above")
    below = context.emit(
        node, "activation", [row], row.dims, activation=Activation("clip", -FLOAT_MAX, 0.0), suffix="below"
    )
    scaled = combine(context, node, "mul", below, slope, suffix="scaled")
    context.bind(node, context.emit(node, "add", [above, scaled], row.dims))


@handles("Softmax", "LogSoftmax")
def convert_softmax(context: Context, node: Node) -> None:
    """As the last node over the classes it is left out: the device's loss and predict apply it themselves. Elsewhere
    over one axis (before operator set 13: all from one axis on)."""
    row = context.row(node)
    axis = node.integer("axis", -1 if context.opset >= 13 else 1)
    if node.outputs[0] != context.output or len(row.dims) != 1 or axis not in (1, -1):
        axis %= len(row.dims) + 1
        if axis == 0:
            raise Unfit("a softmax over the batch axis", "normalise over an axis behind it")
        context.bind(node, _softmax(context, node, row, axis - 1))
        return
    _leave_out(context, node, row, "softmax" if node.op_type == "Softmax" else "log_softmax")


def _softmax(context: Context, node: Node, row: Row, axis: int) -> Row:
    dims, rank = row.dims, len(row.dims)
    order = [k for k in range(rank) if k != axis] + [axis]
    whole = context.opset < 13
    if not whole:
        row = permute(context, node, row, order)
    width = prod(dims[axis:]) if whole else dims[axis]
    block = context.reshape(node, row, (prod(dims) // width, 1, width))
    logarithm = int(node.op_type == "LogSoftmax")
    result = context.emit(node, "softmax", [block], block.dims, i=(logarithm,))
    if whole:
        return context.reshape(node, result, dims)
    result = context.reshape(node, result, tuple(dims[k] for k in order))
    return permute(context, node, result, [order.index(k) for k in range(rank)])


def _leave_out(context: Context, node: Node, row: Row, final: str) -> None:
    context.graph.final = final
    context.note(f"{node.name}: the {final} at the end is left out; the bundle gives logits")
    context.bind(node, row)
