# LSTM, GRU and RNN nodes: one operator a direction and sequence, over (features, 1, steps).
# Never here: where the batch lies (batch_axis.py), sequences of several lengths.
"""Recurrent layers."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import BatchAt, Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.folding import origin
from edgecl.export.graph import Dims, Param
from edgecl.export.ops.batch_axis import settled, whole
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import join, permute, strided, take
from numpy.typing import NDArray

CELLS = {"RNN tanh": 0, "RNN relu": 1, "GRU": 2, "GRU linear": 3, "LSTM": 4}
_ACTIVATIONS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_ZEROS = "begin with zeros; give a state as features of each step instead, joined to the input"
_MOST_SEQUENCES = 128  # of one row, each an operator
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


@handles("LSTM", "GRU", "RNN")
def convert_recurrent(context: Context, node: Node) -> None:
    """Steps along an axis of the row, states of zeros in front; Y and Y_h. Gates are in ONNX's order. Several sequences
    of one row (the lines of a map) are as many operators with the same weights."""
    gates, by_row = _GATES[node.op_type], node.integer("layout", 0)
    value = whole(context, node)
    full = value.full(context.batch)
    batch_axis = 0 if by_row else 1
    parts = full[batch_axis] // context.batch if len(full) == 3 else 0  # sequences of one row
    if value.axis not in (batch_axis, None) or parts < 1 or full[batch_axis] != parts * context.batch:
        raise Unsupported(
            f"sequences of shape {list(full)} whose batch is not axis {batch_axis}",
            "let the layer take the batch first (PyTorch: batch_first=True), or transpose its input and output",
        )
    reverses = _DIRECTIONS[node.text("direction", "forward")]
    count = len(reverses)
    if parts * count > _MOST_SEQUENCES:
        raise Unsupported(f"{parts} sequences of one row; at most {_MOST_SEQUENCES // count}", "use fewer windows")
    steps, features = (size for axis, size in enumerate(full) if axis != batch_axis)
    hidden = context.floats(node, 2, "weight of the states").values.shape[-1]
    _check(context, node, steps, hidden)
    of_step, of_part = (features, steps * features) if by_row else (parts * features, features)
    params = [_params(context, node, direction, gates * hidden) for direction in range(count)]
    outputs: list[Row] = []  # of each part, of each direction: [H][T]
    for part in range(parts):
        row = strided(context, node, value.row, (features, steps), [1, of_step], part * of_part)
        for direction, reverse in enumerate(reverses):
            cell = CELLS[_cell(node, direction)]
            suffix = ".".join([("forward", "reverse")[direction]] * (count > 1) + [f"part{part}"] * (parts > 1))
            made = context.emit(
                node, "recurrent", [row], (hidden, steps), params=params[direction], i=(cell, int(reverse)),
                suffix=suffix or None,
            )  # fmt: skip
            outputs.append(made)
    inner = (value.outer, value.inner) if value.axis is not None else (1, 1)
    apart = parts > 1 or value.axis is None  # the parts have an axis of their own
    if _wanted(node, 0):
        together = outputs[0] if len(outputs) == 1 else join(context, node, outputs, 0)
        sequence = context.reshape(node, together, (parts, count, hidden, steps))
        made = permute(context, node, sequence, (0, 3, 1, 2) if by_row else (3, 1, 0, 2))
        dims: Dims = (parts, steps, count, hidden) if by_row else (steps, count, parts, hidden)
        at = 0 if by_row else 2
        made = context.reshape(node, made, dims if apart else (*dims[:at], *dims[at + 1 :]))
        context.environment[node.outputs[0]] = settled(context, node, made, _axis(value, at), *inner)
    if _wanted(node, 1):
        last = [
            take(context, node, made, 1, np.array(0 if reverses[k % count] else steps - 1, np.int64))
            for k, made in enumerate(outputs)
        ]
        state = last[0] if len(last) == 1 else join(context, node, last, 0)
        state = context.reshape(node, state, (parts, count, hidden))
        at = 0 if by_row else 1
        state = state if by_row else permute(context, node, state, (1, 0, 2))
        dims = state.dims if apart else (count, hidden)
        context.environment[node.outputs[1]] = settled(
            context, node, context.reshape(node, state, dims), _axis(value, at), *inner
        )


def _axis(value: BatchAt, axis: int) -> int | None:
    return None if value.axis is None else axis


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
