# Sums, means, extrema and norms over axes of a row.
# Never here: pools (pooling.py), norms that divide their own tensor (l2_norm.py).
"""Reductions over any axes behind the batch."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.graph import Activation
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import expand, permute

SUM, MEAN, MAX = 0, 1, 2  # Reduction of kernels.h


def axes_of(context: Context, node: Node, row: Row) -> list[int] | None:
    """Row axes, ascending, of the attribute (before operator set 18, of sums 13) or the constant input; None: the row
    stays as it is."""
    rank = len(row.dims) + 1
    axes = context.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes", [])
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            return None
        axes = list(range(rank))
    found = sorted({axis % rank for axis in axes})
    if 0 in found:
        what = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceL2": "norm"}.get(node.op_type, "reduction")
        raise Unfit(f"a {what} over the batch axis", "reduce over channels or spatial axes only")
    return [axis - 1 for axis in found]


def reduce_axes(context: Context, node: Node, row: Row, axes: list[int], kind: int, keep: bool) -> Row:
    """One reduction over row axes; where they are no neighbours, they are brought together first."""
    final = tuple(1 if axis in axes else size for axis, size in enumerate(row.dims) if keep or axis not in axes)
    wide = [axis for axis in axes if row.dims[axis] != 1]
    size = prod(row.dims[axis] for axis in wide)
    if size == 1:
        return context.reshape(node, row, final)
    between = prod(row.dims[axis] for axis in range(wide[0], wide[-1] + 1) if axis not in wide)
    if between != 1:
        others = [axis for axis in range(len(row.dims)) if axis not in wide]
        row = permute(context, node, row, [*others, *wide])
        before, after = prod(row.dims[: len(others)]), 1
    else:
        before, after = prod(row.dims[: wide[0]]), prod(row.dims[wide[-1] + 1 :])
    block = context.reshape(node, row, (before, size, after))
    return context.reshape(node, context.emit(node, "reduce", [block], (before, 1, after), i=(kind,)), final)


def apply(context: Context, node: Node, row: Row, kind: str, lo: float = 0.0, hi: float = 0.0) -> Row:
    """An elementwise function of a row."""
    return context.emit(node, "activation", [row], row.dims, activation=Activation(kind, lo, hi), suffix=kind)


@handles("ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1", "ReduceLogSum", "ReduceLogSumExp")
def convert_reduce(context: Context, node: Node) -> None:
    """Squares, magnitudes, logarithms and signs are operators of their own before and behind the sum or maximum."""
    row = context.row(node)
    before = {
        "ReduceSumSquare": "square",
        "ReduceL1": "abs",
        "ReduceMin": "negate",
        "ReduceLogSumExp": "exp",
    }.get(node.op_type)
    behind = {"ReduceMin": "negate", "ReduceLogSum": "log", "ReduceLogSumExp": "log"}.get(node.op_type)
    axes = axes_of(context, node, row)
    keep = bool(node.integer("keepdims", 1))
    shift: Row | None = None
    if axes is not None and node.op_type == "ReduceLogSumExp":  # less the largest, so that exp stays finite
        shift = reduce_axes(context, node, row, axes, MAX, True)
        lowered = expand(context, node, apply(context, node, shift, "negate"), row.dims)
        row = context.emit(node, "add", [row, lowered], row.dims, suffix="shifted")
    if before is not None:
        row = apply(context, node, row, before)
    if axes is not None:
        row = reduce_axes(context, node, row, axes, MAX if node.op_type in ("ReduceMax", "ReduceMin") else SUM, keep)
    if behind is not None:
        row = apply(context, node, row, behind)
    if shift is not None:
        row = context.emit(node, "add", [row, context.reshape(node, shift, row.dims)], row.dims, suffix="back")
    context.bind(node, row)


def norm_of(context: Context, node: Node, row: Row, axes: list[int], keep: bool, epsilon: float) -> Row:
    """sqrt(max(sum of squares, epsilon^2)), by which the gradient at 0 is finite."""
    total = reduce_axes(context, node, apply(context, node, row, "square"), axes, SUM, keep)
    largest = float(np.finfo(np.float32).max)
    least = max(float(np.float32(epsilon)) ** 2, float(np.finfo(np.float32).tiny))
    bounded = apply(context, node, total, "clip", float(np.float32(least)), largest)
    return apply(context, node, bounded, "sqrt")


def one_over(values: Constant) -> Constant:
    """The reciprocals of a constant, rounded once."""
    if (values.values == 0).any():
        raise Unsupported("a division by zero", "correct the constant")
    reciprocal = (1.0 / values.values.astype(np.float64)).astype(np.float32)
    return Constant(f"{values.name}.reciprocal", reciprocal)
