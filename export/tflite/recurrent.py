# UNIDIRECTIONAL_SEQUENCE_LSTM, and what stands around it: STRIDED_SLICE, REVERSE_V2.
# Never here: loops of control flow, which other recurrent layers become.
"""Recurrent layers over [N][T][F]."""

from __future__ import annotations

import numpy as np
from edgecl.export.errors import Unsupported
from edgecl.export.tflite.network import Network, Value, dims_first
from edgecl.export.tflite.read import Operator
from edgecl.export.tflite.registry import handles
from numpy.typing import NDArray

_TANH = 4  # ActivationFunctionType
_LEFT_OUT = {9: "peepholes", 10: "peepholes", 11: "peepholes", 16: "a projection", 20: "layer normalisation"}
_LEAST_CLIP = 10.0  # what Keras's converter writes; an ordinary state does not come near
_UNCLIPPED = "the file clips states of LSTM layers at 10 or more, which none should reach; here they are not clipped"
_GATES = (0, 3, 1, 2)  # i, f, g, o of the file in ONNX's order i, o, f, g


@handles("UNIDIRECTIONAL_SEQUENCE_LSTM")
def convert_lstm(network: Network, op: Operator) -> None:
    """Weights of four gates each for the inputs and for the states, one bias; states of zeros in front."""
    value = network.value(op)
    remedy = "use the layer's defaults, or keep it outside"
    for position, what in _LEFT_OUT.items():
        if network.has(op, position):
            raise Unsupported(what, remedy)
    if not network.has(op, 1) or not network.has(op, 5):
        raise Unsupported("input and forget gate coupled", remedy)
    if len(value.shape) != 3 or op.option("TimeMajor", 0):
        raise Unsupported(f"sequences of shape {list(value.shape)} that are not [N][T][F]", "put the batch first")
    if op.option("FusedActivationFunction", _TANH) != _TANH:
        raise Unsupported(f"fused activation {op.option('FusedActivationFunction')}", "use TANH")
    clip = float(op.options.get("CellClip", 0.0))
    if 0.0 < clip < _LEAST_CLIP:
        raise Unsupported(f"states clipped at {clip:g}", remedy)
    if clip and _UNCLIPPED not in network.notes:
        network.notes.append(_UNCLIPPED)
    label = network.label(op)
    weight, states = (_gates(network, op, first) for first in (1, 5))
    hidden = states.shape[-1]
    if weight.shape[1:] != (4 * hidden, value.shape[2]) or states.shape[1:] != (4 * hidden, hidden):
        raise Unsupported(f"weights {list(weight.shape[1:])} and {list(states.shape[1:])}", "convert the model again")
    bias = _gates(network, op, 12)
    names = [
        network.node(f"{label}/steps", "Transpose", [network.plain(value)], perm=[1, 0, 2]),
        network.add_initialiser(f"{label}/W", weight),
        network.add_initialiser(f"{label}/R", states),
        network.add_initialiser(f"{label}/B", np.concatenate([bias, np.zeros_like(bias)], axis=1)),
    ]
    made = network.node(f"{label}/lstm", "LSTM", names, hidden_size=hidden)
    axes = network.add_initialiser("second", np.array([1], np.int64))
    steps = network.node(f"{label}/one_direction", "Squeeze", [made, axes])
    turned = network.node(label, "Transpose", [steps], perm=[1, 0, 2])
    network.bind_value(op, Value(turned, (*value.shape[:2], hidden), False))


def _gates(network: Network, op: Operator, first: int) -> NDArray[np.float32]:
    """Four inputs of the operator one behind the other in ONNX's order, [1][4 H][...]."""
    parts = [network.floats(op, first + gate) for gate in _GATES]
    if any(part.shape != parts[0].shape for part in parts):
        raise Unsupported("gates of several sizes", "convert the model again")
    return np.concatenate(parts)[None]


@handles("STRIDED_SLICE")
def convert_strided_slice(network: Network, op: Operator) -> None:
    """Constant bounds behind the batch axis; axes that are cut to one number may go."""
    value = network.value(op)
    rank, label = len(value.shape), network.label(op)
    begin, end, step = (np.ravel(network.constant(op, position)).astype(np.int64) for position in (1, 2, 3))
    begins, ends, shrink = (op.option(f"{name}Mask", 0) for name in ("Begin", "End", "ShrinkAxis"))
    if not len(begin) == len(end) == len(step) <= rank or op.option("EllipsisMask", 0) or op.option("NewAxisMask", 0):
        raise Unsupported("a slice with new or left out axes", "give one begin, end and step an axis")
    chosen: list[range] = [range(size) for size in value.shape]
    for axis, (low, high, stride) in enumerate(zip(begin.tolist(), end.tolist(), step.tolist(), strict=True)):
        bounds = slice(None if begins >> axis & 1 else low, None if ends >> axis & 1 else high, stride or 1)
        if shrink >> axis & 1:
            at = low + value.shape[axis] * (low < 0)
            bounds = slice(at, at + 1, 1)
        chosen[axis] = chosen[axis][bounds]
    gone = [axis for axis in range(rank) if shrink >> axis & 1]
    if chosen[0] != range(value.shape[0]) or 0 in gone:
        raise Unsupported("a slice of the batch", "keep the batch whole")
    if any(len(part) == 0 for part in chosen):
        raise Unsupported("a slice without elements", "correct its bounds")
    keeps = value.first and not gone
    order = dims_first(tuple(range(rank))) if keeps else tuple(range(rank))
    cut = [k for k, axis in enumerate(order) if chosen[axis] != range(value.shape[axis])]
    source = value.name if keeps else network.plain(value)
    if cut:
        parts = [chosen[order[k]] for k in cut]
        stops = [part[-1] + (1 if part.step > 0 else -1) for part in parts]
        stops = [stop if stop >= 0 else int(np.iinfo(np.int64).min) for stop in stops]
        lists = ([part[0] for part in parts], stops, cut, [part.step for part in parts])
        names = [network.add_initialiser(f"{label}/{k}", np.array(line, np.int64)) for k, line in enumerate(lists)]
        source = network.node(label, "Slice", [source, *names])
    if gone:
        axes = network.add_initialiser(f"{label}/gone", np.array(gone, np.int64))
        source = network.node(f"{label}/squeeze", "Squeeze", [source, axes])
    shape = tuple(len(part) for axis, part in enumerate(chosen) if axis not in gone)
    network.bind_value(op, Value(source, shape, keeps))


@handles("REVERSE_V2")
def convert_reverse(network: Network, op: Operator) -> None:
    """Steps in the other order, as a layer that goes backwards reads them."""
    value, axes = network.value(op), np.ravel(network.constant(op, 1)).tolist()
    rank, label = len(value.shape), network.label(op)
    if value.first or any(axis % rank == 0 for axis in axes):
        raise Unsupported(f"axes {axes} in the other order", "reverse the steps of [N][T][F]")
    ends = np.full(len(axes), np.iinfo(np.int64).min)
    lists = (np.full(len(axes), -1), ends, np.array(axes), np.full(len(axes), -1))
    names = [network.add_initialiser(f"{label}/{k}", line.astype(np.int64)) for k, line in enumerate(lists)]
    network.bind_value(op, Value(network.node(label, "Slice", [network.plain(value), *names]), value.shape, False))
