# Concat and Pad: operators that put tensors or zeros beside each other.
# Never here: merging a Pad into the window behind it (fuse.py).
"""Concatenation and zero padding."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.ops.registry import handles

_MAX_INPUTS = 8  # kMaxInputs of kernels.h


@handles("Concat")
def convert_concat(context: Context, node: Node) -> None:
    """Over channels, or over a later axis. More than eight inputs are joined in turns. A tensor that is joined twice
    goes through a copy, so that each has its own gradient."""
    rows = [context.row(node, index) for index in range(len(node.inputs))]
    rank = len(rows[0].dims) + 1
    axis = node.integer("axis", 1) % rank
    if any(len(row.dims) != rank - 1 for row in rows) or axis == 0:
        raise Unsupported(
            f"joining over axis {axis} of rows {[row.dims for row in rows]}", "join over the channels (axis 1)"
        )
    for index, row in enumerate(rows):
        if any(row.tensor == other.tensor for other in rows[:index]):
            one = context.param(Constant(f"{node.name}.one", np.ones((1, 1, 1), np.float32)), "fixed")
            rows[index] = context.emit(node, "mul", [row], row.dims, params=[one], suffix=f"copy{index}")
    before, after = rows[0].dims[: axis - 1], rows[0].dims[axis:]
    sizes = [row.dims[axis - 1] for row in rows]
    if axis == 1 and rank <= 4:
        joined = _join_channels(context, node, rows)
    elif prod(before) == 1:
        flat = [context.reshape(node, row, (size, 1, prod(after))) for row, size in zip(rows, sizes, strict=True)]
        joined = _join_channels(context, node, flat)
    else:
        blocks = [
            context.reshape(node, row, (prod(before), size, prod(after))) for row, size in zip(rows, sizes, strict=True)
        ]
        joined = _join_by_sum(context, node, blocks)
    context.bind(node, context.reshape(node, joined, (*before, sum(sizes), *after)))


def _join_channels(context: Context, node: Node, rows: list[Row]) -> Row:
    turn = 0
    while len(rows) > 1:
        group, rows = rows[:_MAX_INPUTS], rows[_MAX_INPUTS:]
        dims = (sum(row.dims[0] for row in group), *group[0].dims[1:])
        rows.insert(0, context.emit(node, "concat", group, dims, suffix=f"turn{turn}" if turn else None))
        turn += 1
    return rows[0]


def _join_by_sum(context: Context, node: Node, blocks: list[Row]) -> Row:
    """Blocks [B][n_i][A] beside each other in the second axis: each padded with zeros to the whole length, then added
    (exact)."""
    total = sum(block.dims[1] for block in blocks)
    result: Row | None = None
    start = 0
    for index, block in enumerate(blocks):
        dims = (block.dims[0], total, block.dims[2])
        pads = (start, 0, total - start - block.dims[1], 0)
        wide = context.emit(node, "pad", [block], dims, pads=pads, suffix=f"part{index}") if any(pads) else block
        start += block.dims[1]
        result = wide if result is None else context.emit(node, "add", [result, wide], dims, suffix=f"sum{index}")
    assert result is not None
    return result


@handles("Pad")
def convert_pad(context: Context, node: Node) -> None:
    """A constant around the spatial axes; zeros become the padding of the window behind where they can, others are
    added to zeros."""
    row = context.row(node)
    rank = len(row.dims) + 1
    mode = node.text("mode", "constant")
    if mode != "constant":
        raise Unsupported(f"padding mode '{mode}'", "pad with a constant")
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
    if min(begins + ends) < 0 or any(begins[:2] + ends[:2]) or (rank not in (3, 4) and any(begins + ends)):
        raise Unsupported(
            f"padding {begins} / {ends} of rows {row.dims}",
            "pad the spatial axes of 1-D or 2-D data, by zero or more cells",
        )
    if not any(begins + ends):
        context.bind(node, row)
        return
    top, bottom = (begins[2], ends[2]) if rank == 4 else (0, 0)
    left, right = begins[-1], ends[-1]
    spatial = tuple(size + begins[axis + 2] + ends[axis + 2] for axis, size in enumerate(row.dims[1:]))
    padded = context.emit(node, "pad", [row], (row.dims[0], *spatial), pads=(top, left, bottom, right))
    if value != 0.0:
        inside = row.dims[1:] if rank == 4 else (1, *row.dims[1:])
        border = np.pad(
            np.zeros((1, *inside), np.float32),
            ((0, 0), (top, bottom), (left, right)),
            constant_values=np.float32(value),
        )
        frame = context.param(Constant(f"{node.name}.border", border), "fixed")
        padded = context.emit(node, "add", [padded], padded.dims, params=[frame], suffix="border")
    context.bind(node, padded)
