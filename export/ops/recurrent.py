# LSTM, GRU and RNN nodes: one operator a direction, over (features, 1, steps).
# Never here: where the batch lies (batch_axis.py), sequences of several lengths.
"""Recurrent layers."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Constant, Context, Node
from edgecl.export.errors import Unsupported
from edgecl.export.folding import origin
from edgecl.export.graph import Param
from edgecl.export.ops.batch_axis import settled, whole
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import join, permute, take
from numpy.typing import NDArray

CELLS = {"RNN tanh": 0, "RNN relu": 1, "GRU": 2, "GRU linear": 3, "LSTM": 4}
_ACTIVATIONS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_ZEROS = "begin with zeros; give a state as features of each step instead, joined to the input"
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


@handles("LSTM", "GRU", "RNN")
def convert_recurrent(context: Context, node: Node) -> None:
    """Steps along an axis of the row, states of zeros in front; Y and Y_h. Gates are in ONNX's order."""
    gates, by_row = _GATES[node.op_type], node.integer("layout", 0)
    value = whole(context, node)
    full = value.full(context.batch)
    batch_axis = 0 if by_row else 1
    elsewhere = value.axis is not None and (value.axis != batch_axis or value.parts > 1)
    if len(full) != 3 or elsewhere or full[batch_axis] != context.batch:
        raise Unsupported(
            f"sequences of shape {list(full)} whose batch is not axis {batch_axis}",
            "let the layer take the batch first (PyTorch: batch_first=True), or transpose its input and output",
        )
    steps, features = (size for axis, size in enumerate(full) if axis != batch_axis)
    reverses = _DIRECTIONS[node.text("direction", "forward")]
    hidden = context.floats(node, 2, "weight of the states").values.shape[-1]
    _check(context, node, steps, hidden)
    row = permute(context, node, context.reshape(node, value.row, (steps, features)), (1, 0))
    outputs = []
    for direction, reverse in enumerate(reverses):
        params = _params(context, node, direction, gates * hidden)
        cell = CELLS[_cell(node, direction)]
        suffix = None if len(reverses) == 1 else ("forward", "reverse")[direction]
        made = context.emit(
            node, "recurrent", [row], (hidden, steps), params=params, i=(cell, int(reverse)), suffix=suffix
        )
        outputs.append(made)
    count = len(outputs)
    if _wanted(node, 0):
        together = outputs[0] if count == 1 else join(context, node, outputs, 0)
        sequence = permute(context, node, context.reshape(node, together, (count * hidden, steps)), (1, 0))
        made = context.reshape(node, sequence, (steps, count, hidden))
        context.environment[node.outputs[0]] = settled(context, node, made, 0 if by_row else 2)
    if _wanted(node, 1):
        last = [
            take(context, node, made, 1, np.array(0 if reverse else steps - 1, np.int64))
            for made, reverse in zip(outputs, reverses, strict=True)
        ]
        state = last[0] if count == 1 else join(context, node, last, 0)
        state = context.reshape(node, state, (count, hidden))
        context.environment[node.outputs[1]] = settled(context, node, state, 0 if by_row else 1)


def _wanted(node: Node, index: int) -> bool:
    return index < len(node.outputs) and node.outputs[index] != ""


def _cell(node: Node, direction: int) -> str:
    if node.op_type == "GRU":
        return "GRU linear" if node.integer("linear_before_reset", 0) else "GRU"
    if node.op_type == "RNN":
        names = node.attributes.get("activations", [b"Tanh"])
        return f"RNN {_text(names[min(direction, len(names) - 1)]).lower()}"
    return "LSTM"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check(context: Context, node: Node, steps: int, hidden: int) -> None:
    """What the device's layers do not have."""
    remedy = "use the layer's defaults, or keep it outside"
    names = [_text(value).lower() for value in node.attributes.get("activations", [])]
    usual = _ACTIVATIONS[node.op_type]
    for begin in range(0, len(names), len(usual)):
        own = tuple(names[begin : begin + len(usual)])
        if own != usual and not (node.op_type == "RNN" and own == ("relu",)):
            raise Unsupported(f"activations {', '.join(own)} in place of {', '.join(usual)}", remedy)
    if node.attributes.get("clip", 0.0):
        raise Unsupported(f"sums clipped at {node.number('clip', 0.0):g}", remedy)
    if node.integer("input_forget", 0):
        raise Unsupported("input and forget gate coupled (input_forget)", remedy)
    if node.has_input(7) and np.any(context.constant(node, 7, "peepholes").values):
        raise Unsupported("peepholes (P)", remedy)
    if node.has_input(4):
        lengths = context.constant(node, 4, "lengths of sequences").values
        if np.any(lengths != steps):
            raise Unsupported("sequences of several lengths (sequence_lens)", "pad them to one length")
    for index in (5, 6):
        states = context.environment.get(node.inputs[index]) if node.has_input(index) else None
        if states is not None and not isinstance(states, Constant):
            raise Unsupported(f"states in front that another layer computes ({_INPUTS[index]})", _ZEROS)
        if isinstance(states, Constant) and np.any(states.values):
            raise Unsupported(f"states that are not zero in front ({_INPUTS[index]})", _ZEROS)


def _params(context: Context, node: Node, direction: int, rows: int) -> list[Param | None]:
    """Weights [gates * H][I] and [gates * H][H], two biases or none, of one direction."""
    params: list[Param | None] = [_param(context, node, index, direction, slice(None)) for index in (1, 2)]
    if not node.has_input(3):
        return [*params, None, None]
    return [*params, *(_param(context, node, 3, direction, slice(k * rows, (k + 1) * rows)) for k in (0, 1))]


def _param(context: Context, node: Node, index: int, direction: int, rows: slice) -> Param:
    """A part of an input. It is known by the initialiser whose numbers it holds, as PyTorch's `weight_ih_l0`, where
    these are all of its numbers in some order; else by the one that it is a part of, or by the node."""
    constant = context.floats(node, index, f"{_INPUTS[index]}")
    values: NDArray[np.float32] = constant.values[direction][rows]
    source, complete = origin(context, node.inputs[index], (direction, rows))
    role = "bias" if index == 3 else "weight"
    name = source or f"{node.name}.{_INPUTS[index]}"
    if not complete:
        parts = [constant.values.shape[0] > 1 and ("forward", "reverse")[direction]]
        parts += [index == 3 and ("input", "state")[rows.start > 0]]
        name = ".".join([name, *(part for part in parts if part)])
    learns = source is not None and context.learns(source, role)
    param = Param(
        name=name, values=np.ascontiguousarray(values), learnable=learns, learnable_in_layer=learns,
        whole_of=name if source is not None else None, computed=source is None,
    )  # fmt: skip
    return context.once(param, role)
