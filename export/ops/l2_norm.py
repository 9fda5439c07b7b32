# LpNormalization, and the pieces that frameworks write it in: ReduceL2, a lower bound, Expand, Div.
# Never here: the Div, the Clip and the Expand of other values (elementwise.py, activation.py, slices.py).
"""L2 normalisation over any neighbouring axes of a row."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from edgecl.export.context import Context, Node, Norm, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.ops.reduce import SUM, apply, axes_of, norm_of, reduce_axes
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import expand, permute

# A norm without a lower bound: where PyTorch divides zero by zero, the device gives zero, as ONNX asks for.
SMALLEST_EPSILON = float(np.finfo(np.float32).tiny)
_ALONE = "a norm"
_LEAVE_OUT = "replace it, or leave this part out of the exported model"


@handles("LpNormalization")
def convert_lp_normalization(context: Context, node: Node) -> None:
    """p = 2 or 1, over one axis."""
    row = context.row(node)
    order, axis = node.integer("p", 2), node.integer("axis", -1) % (len(row.dims) + 1)
    if order not in (1, 2):
        raise Unsupported(f"expected p = 1 or 2; found p = {order}", _LEAVE_OUT)
    if axis == 0:
        raise Unfit("a norm over the batch axis", "normalise over channels or spatial axes only")
    if order == 2:
        context.bind(node, normalize(context, node, Norm(_ALONE, row, axis - 1, axis, SMALLEST_EPSILON)))
        return
    total = reduce_axes(context, node, apply(context, node, row, "abs"), [axis - 1], SUM, True)
    bounded = apply(context, node, total, "clip", SMALLEST_EPSILON, float(np.finfo(np.float32).max))
    factor = expand(context, node, apply(context, node, bounded, "reciprocal"), row.dims)
    context.bind(node, context.emit(node, "mul", [row, factor], row.dims))


@handles("ReduceL2")
def convert_reduce_l2(context: Context, node: Node) -> None:
    """With its axes kept, and these neighbours, it waits for the division of its own input."""
    row = context.row(node)
    axes = axes_of(context, node, row)
    if axes is None:
        context.bind(node, apply(context, node, row, "abs"))
        return
    neighbours = prod(row.dims[axis] for axis in range(axes[0], axes[-1]) if axis not in axes) == 1
    if node.integer("keepdims", 1) and neighbours:
        norm = Norm(_ALONE, row, axes[0], axes[-1] + 1, SMALLEST_EPSILON)
        context.environment[node.outputs[0]] = norm
        if node.outputs[0] == context.output:
            context.bind(node, computed(context, node, norm))
        return
    context.bind(node, norm_of(context, node, row, axes, bool(node.integer("keepdims", 1)), SMALLEST_EPSILON))


def expand_norm(context: Context, node: Node, norm: Norm, target: list[int]) -> bool:
    """Keeps a norm that is repeated to the shape of its tensor at most; False: the target is another."""
    full = (context.batch, *norm.row.dims)
    if len(target) > len(full) or any(a not in (1, b) for a, b in zip(target[::-1], full[::-1], strict=False)):
        return False
    wanted = [1] * (len(full) - len(target)) + target
    kept = [1 if norm.begin <= axis < norm.end else size for axis, size in enumerate(norm.row.dims)]
    dims = tuple(max(a, b) for a, b in zip(kept, wanted[1:], strict=True))
    context.environment[node.outputs[0]] = replace(norm, dims=dims)
    return True


def computed(context: Context, node: Node, norm: Norm) -> Row:
    """The norm itself, piece by piece."""
    row = norm_of(context, node, norm.row, list(range(norm.begin, norm.end)), True, norm.epsilon)
    return expand(context, node, row, norm.dims) if norm.dims else row


def is_epsilon(bound: Any) -> bool:
    """One number that may be the epsilon of a normalisation."""
    values = np.unique(np.asarray(bound, np.float32))
    return values.size == 1 and bool(values[0] <= 1.0)


def at_least(norm: Norm, bound: Any) -> Norm:
    """The norm with a lower bound, one number for all rows."""
    values = np.unique(np.asarray(bound, np.float32))
    if values.size != 1 or not values[0] <= 1.0:
        raise Unsupported(f"expected one lower bound of a norm, at most 1; found {values.tolist()}", "use 1e-12")
    return replace(norm, epsilon=max(norm.epsilon, float(values[0])))


def normalize(context: Context, node: Node, norm: Norm) -> Row:
    """Row / norm. The operator works on the first of [size][after]; axes in front go behind and come back."""
    row, dims = norm.row, norm.row.dims
    before, size, after = (
        prod(part) for part in (dims[: norm.begin], dims[norm.begin : norm.end], dims[norm.end :])
    )  # fmt: skip
    if before > 1:
        row = permute(context, node, context.reshape(node, row, (before, size, after)), (1, 0, 2))
    row = context.reshape(node, row, (size, 1, before * after) if before * after > 1 else (size,))
    row = context.emit(node, "l2_normalize", [row], row.dims, epsilon=norm.epsilon)
    if before > 1:
        row = permute(context, node, context.reshape(node, row, (size, before, after)), (1, 0, 2))
    return context.reshape(node, row, dims)
