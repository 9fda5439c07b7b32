# RESHAPE and its kin, CONCATENATION, PAD.
# Never here: turning an axis order (network.py).
"""Operators that compute nothing."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.errors import Unsupported
from edgecl.export.tflite.network import Dims, Network, Value, dims_first
from edgecl.export.tflite.read import Operator
from edgecl.export.tflite.registry import handles


@handles("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def convert_reshape(network: Network, op: Operator) -> None:
    """To the shape that the file states for the output, which must keep the batch axis."""
    value, target = network.value(op), network.tensor(op.outputs[0]).shape
    if target and target[0] == 1 and value.shape[0] != 1 and prod(target) == prod(value.shape[1:]):
        target = (value.shape[0], *target[1:])
    if not target or target[0] != value.shape[0] or prod(target) != prod(value.shape):
        raise Unsupported(
            f"a reshape of {list(value.shape)} to {list(target)} mixes or drops the batch axis",
            "keep the batch as the first axis",
        )
    network.bind_value(op, _reshaped(network, op, value, target))


def _reshaped(network: Network, op: Operator, value: Value, target: Dims) -> Value:
    label = network.label(op)
    wanted = Value("", target, len(target) == 4)
    same_channels = value.first and len(target) in (3, 4) and target[-1] == value.shape[-1]
    if same_channels or (value.one_order and wanted.one_order):  # the numbers keep their places
        wanted.first = wanted.first or same_channels
        source = value.name or network.plain(value)
        wanted.name = source if wanted.dims == value.dims else network.reshape_node(label, source, wanted.dims)
        return wanted
    if value.first and len(target) == 2:
        wanted.pending = value
        return wanted
    wanted.name = network.plain(value)
    if not wanted.first:
        wanted.name = network.reshape_node(label, wanted.name, target)
    elif wanted.one_order:
        wanted.name = network.reshape_node(label, wanted.name, wanted.dims)
    else:
        last = network.reshape_node(f"{label}/last", wanted.name, target)
        wanted.name = network.node(label, "Transpose", [last], perm=[0, 3, 1, 2])
    return wanted


@handles("CONCATENATION")
def convert_concatenation(network: Network, op: Operator) -> None:
    """Over any axis behind the batch."""
    values = [network.value(op, position) for position in range(len(op.inputs))]
    if not values or any(len(value.shape) != len(values[0].shape) for value in values):
        raise Unsupported(f"joining {[list(value.shape) for value in values]}", "give all the same number of axes")
    rank = len(values[0].shape)
    axis = op.option("Axis", 0)
    axis += rank if axis < 0 else 0
    others = {value.shape[:axis] + value.shape[axis + 1 :] for value in values}
    if not 0 < axis < rank or len(others) != 1:
        raise Unsupported(
            f"joining {[list(value.shape) for value in values]} over axis {axis}", "join over the channels"
        )
    first = all(value.first for value in values)
    shape = (*values[0].shape[:axis], sum(value.shape[axis] for value in values), *values[0].shape[axis + 1 :])
    place = axis if not first else 1 if axis == rank - 1 else axis + 1
    names = [value.name if first else network.plain(value) for value in values]
    network.bind(op, network.node(network.label(op), "Concat", names, axis=place), shape, first)


@handles("PAD", "PADV2")
def convert_pad(network: Network, op: Operator) -> None:
    """Zeros, or the constant of PADV2, around the axes."""
    value, pads = network.value(op), np.asarray(network.constant(op, 1))
    rank = len(value.shape)
    if pads.shape != (rank, 2) or pads.dtype.kind != "i" or pads.min() < 0 or pads.max() > np.iinfo(np.int32).max:
        raise Unsupported(f"padding of shape {list(pads.shape)} over {rank} axes", "convert the model again")
    constant = float(np.ravel(network.floats(op, 2))[0]) if op.kind == "PADV2" else 0.0
    shape = tuple(int(size + before + behind) for size, (before, behind) in zip(value.shape, pads, strict=True))
    order = dims_first(tuple(range(rank))) if value.first else tuple(range(rank))
    sizes = network.add_initialiser("pads", pads[list(order)].T.reshape(-1).astype(np.int64))
    fill = network.add_initialiser(f"{constant:g}", np.float32(constant))
    source = value.name if value.first else network.plain(value)
    network.bind(op, network.node(network.label(op), "Pad", [source, sizes, fill]), shape, value.first)
