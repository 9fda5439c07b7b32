# ADD, SUB, MUL, and functions of one number.
# Never here: fused activations (network.py).
"""Elementwise operators."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.errors import Unsupported
from edgecl.export.tflite.network import Network, Value
from edgecl.export.tflite.read import Operator
from edgecl.export.tflite.registry import handles
from numpy.typing import NDArray

_BINARY = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}
_CLIPPED = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_UNARY = {"LOGISTIC": "Sigmoid", "HARD_SWISH": "HardSwish"}


@handles(*_BINARY)
def convert_binary(network: Network, op: Operator) -> None:
    """Two tensors, or a tensor and a constant, with broadcasting."""
    computed = [network.value(op, i) for i in (0, 1) if not network.is_constant(op, i)]
    if not computed:
        raise Unsupported("two constants", "compute the result beforehand")
    ranks = {len(value.shape) for value in computed}
    if len(ranks) != 1:
        raise Unsupported(
            f"tensors of {[list(value.shape) for value in computed]}", "give both the same number of axes"
        )
    first = all(value.first for value in computed)
    inputs, shapes = [], []
    for position in (0, 1):
        if network.is_constant(op, position):
            values = _aligned(network.floats(op, position), ranks.pop(), first)
            inputs.append(network.initialiser(op, position, values, "constant"))
            shapes.append(network.constant(op, position).shape)
        else:
            value = network.value(op, position)
            inputs.append(value.name if first else network.plain(value))
            shapes.append(value.shape)
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise Unsupported(f"tensors of {[list(s) for s in shapes]} do not fit", "convert the model again") from None
    network.bind(op, network.node(network.label(op), _BINARY[op.kind], inputs), shape, first)


def _aligned(values: NDArray[np.float32], rank: int, first: bool) -> NDArray[np.float32]:
    """A constant with as many axes as the tensor that it meets, in the tensor's order."""
    if values.ndim > rank:
        raise Unsupported(f"a constant of {list(values.shape)} over {rank} axes", "convert the model again")
    wide = values.reshape((1,) * (rank - values.ndim) + values.shape)
    return np.moveaxis(wide, -1, 1) if first else wide


@handles(*_CLIPPED)
def convert_clipped(network: Network, op: Operator) -> None:
    """max(x, 0), min(max(x, 0), 6), min(max(x, -1), 1)."""
    value = network.value(op)
    source = value.name if value.first else network.plain(value)
    network.bind_value(op, Value(network.activated(op, source, _CLIPPED[op.kind]), value.shape, value.first))


@handles(*_UNARY)
def convert_unary(network: Network, op: Operator) -> None:
    """1 / (1 + exp(-x)); x * clip(x / 6 + 1/2, 0, 1). A logistic function of one vector is kept a vector, as
    `convert_softmax` does."""
    value = network.value(op)
    source = value.name if value.first else network.plain(value)
    if op.kind == "LOGISTIC" and len(value.shape) > 2 and prod(value.shape[1:-1]) == 1:
        value = Value("", (value.shape[0], value.shape[-1]), first=False)
        source = network.reshape_node(f"{network.label(op)}/rows", source, value.shape)
    network.bind_value(op, Value(network.node(network.label(op), _UNARY[op.kind], [source]), value.shape, value.first))


@handles("QUANTIZE", "DEQUANTIZE", "CAST")
def convert_quantise(network: Network, op: Operator) -> None:
    """Nothing: every number is held as the real number that it stands for. A constant (float16 weights) is converted
    now."""
    if network.is_constant(op, 0):
        network.constants[op.outputs[0]] = network.floats(op, 0)
        return
    target = network.tensor(op.outputs[0])
    if op.kind == "CAST" and target.kind not in ("FLOAT32", "FLOAT16"):
        raise Unsupported(f"a cast to {target.kind}", "the device computes in float32")
    network.bind_value(op, network.value(op))
