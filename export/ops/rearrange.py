# Concat and Pad: operators that put tensors or constants beside each other.
# Never here: merging a Pad into the window behind it (simplify.py).
"""Concatenation and padding."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.graph import FLOAT_MAX, Dims, canonical
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import dense_strides, join, place, strided, take


@handles("Concat")
def convert_concat(context: Context, node: Node) -> None:
    """Over any axis behind the batch; constants too, as class tokens are. More than eight inputs are joined in turns. A
    tensor that is joined twice goes through a copy, so that each has its own gradient."""
    values = [context.value(node, index) for index in range(len(node.inputs))]
    values = [value for value in values if isinstance(value, Row) or value.values.size]
    like = next((value for value in values if isinstance(value, Row)), None)
    if like is None:
        raise Unsupported("expected an input that depends on the network's input", "compute it beforehand")
    rank = len(like.dims) + 1
    rows = [value if isinstance(value, Row) else constant_row(context, node, value, like) for value in values]
    axis = node.integer("axis", 1) % rank
    if any(len(row.dims) != rank - 1 for row in rows) or axis == 0:
        raise Unsupported(
            f"joining over axis {axis} of rows {[row.dims for row in rows]}", "join over the channels (axis 1)"
        )
    for index, row in enumerate(rows):
        if any(row.tensor == other.tensor for other in rows[:index]):
            one = context.param(Constant(f"{node.name}.one", np.ones((1, 1, 1), np.float32)), "fixed")
            rows[index] = context.emit(node, "mul", [row], row.dims, params=[one], suffix=f"copy{index}")
    context.bind(node, join(context, node, rows, axis - 1))


def constant_row(context: Context, node: Node, constant: Constant, like: Row) -> Row:
    """A constant as a row, of `like`'s rank: zeros from any number of `like`, and the constant added, which may
    learn."""
    constant = context.one_for_all(constant, len(like.dims) + 1)
    shape = constant.values.shape
    if constant.values.dtype != np.float32 or len(shape) != len(like.dims) + 1 or shape[0] != 1:
        raise Unsupported(
            f"expected a constant of float32 with one batch row; found {constant.values.dtype} "
            f"{list(constant.values.shape)}",
            "make it one for all rows",
        )
    dims: Dims = constant.values.shape[1:]
    repeated = strided(context, node, like, dims, [0] * len(dims))
    zero = context.param(Constant(f"{node.name}.zero", np.zeros((1, 1, 1), np.float32)), "fixed")
    zeros = context.emit(node, "mul", [repeated], dims, params=[zero], suffix="zeros")
    values = context.param(constant, "offset", constant.values.reshape(canonical(dims)))
    return context.emit(node, "add", [zeros], dims, params=[values], suffix="constant")


@handles("Pad")
def convert_pad(context: Context, node: Node) -> None:
    """Around any axes behind the batch: a constant, or cells of the row itself (reflect, edge, wrap). Zeros around
    spatial axes become the padding of the window behind where they can. Negative pads cut off."""
    row = context.row(node)
    rank = len(row.dims) + 1
    mode = node.text("mode", "constant")
    pads = context.integers(node, 1, "pads") if node.has_input(1) else node.integers("pads", [])
    value = (
        float(context.floats(node, 2, "value").values.reshape(-1)[0])
        if node.has_input(2)
        else node.number("value", 0.0)
    )
    axes = [axis % rank for axis in context.integers(node, 3, "axes")] if node.has_input(3) else list(range(rank))
    begins, ends = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        begins[axis], ends[axis] = pads[position], pads[len(axes) + position]
    if begins[0] or ends[0]:
        raise Unsupported(f"padding {begins} / {ends} of rows {row.dims}", "pad axes behind the batch")
    if min(begins + ends) < 0:
        row = _cut(context, node, row, begins, ends)
        begins, ends = [max(pad, 0) for pad in begins], [max(pad, 0) for pad in ends]
    if not any(begins + ends):
        context.bind(node, row)
        return
    if mode != "constant":
        for axis in range(1, rank):
            if begins[axis] or ends[axis]:
                row = _own_cells(context, node, row, axis - 1, begins[axis], ends[axis], mode)
        context.bind(node, row)
        return
    dims = tuple(size + begins[axis] + ends[axis] for axis, size in enumerate(row.dims, start=1))
    if value == 0.0 and rank in (3, 4) and not begins[1] and not ends[1]:
        top, bottom = (begins[2], ends[2]) if rank == 4 else (0, 0)
        pads4 = (top, begins[-1], bottom, ends[-1])
        context.bind(node, context.emit(node, "pad", [row], dims, pads=pads4))
        return
    finite = max(value, -FLOAT_MAX)  # minus infinity, as in front of a pool of maxima
    context.bind(node, place(context, node, [row], dims, [begins[1:]], finite))


def _cut(context: Context, node: Node, row: Row, begins: list[int], ends: list[int]) -> Row:
    strides = dense_strides(row.dims)
    first = [max(-pad, 0) for pad in begins[1:]]
    dims = tuple(size - start - max(-pad, 0) for size, start, pad in zip(row.dims, first, ends[1:], strict=True))
    if min(dims) < 1:
        raise Unsupported(f"padding {begins} / {ends} cuts off all of rows {row.dims}", "correct the pads")
    return strided(context, node, row, dims, strides, sum(a * b for a, b in zip(first, strides, strict=True)))


def _own_cells(context: Context, node: Node, row: Row, axis: int, begin: int, end: int, mode: str) -> Row:
    size = row.dims[axis]
    at = np.arange(-begin, size + end)
    if mode == "edge":
        indices = np.clip(at, 0, size - 1)
    elif mode == "wrap":
        indices = at % size
    elif mode == "reflect":
        period = max(2 * (size - 1), 1)
        indices = (size - 1) - np.abs(at % period - (size - 1)) if size > 1 else at * 0
    else:
        raise Unsupported(f"padding mode '{mode}'", "use constant, reflect, edge or wrap")
    return take(context, node, row, axis, indices)
