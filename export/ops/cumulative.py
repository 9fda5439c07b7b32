# CumSum: a product with a triangle of ones.
# Never here: sums over a whole axis (reduce.py).
"""Running sums."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import permute

_MOST = 2048  # numbers of the axis


@handles("CumSum")
def convert_cumulative_sum(context: Context, node: Node) -> None:
    """Along any axis behind the batch, from either end, with the own number or without: the axis as channels of a 1 x 1
    convolution of ones and zeros."""
    row = context.row(node)
    (given,) = context.integers(node, 1, "axis")
    axis = given % (len(row.dims) + 1) - 1
    if axis < 0:
        raise Unfit("a running sum over the batch axis", "sum over other axes only")
    size = row.dims[axis]
    if size > _MOST:
        raise Unsupported(f"a running sum of {size} numbers", f"take {_MOST} at most")
    ones = np.tril(np.ones((size, size), np.float32), -1 if node.integer("exclusive", 0) else 0)
    if node.integer("reverse", 0):
        ones = ones.T
    weight = context.param(Constant(f"{node.name}.triangle", ones.reshape(size, size, 1, 1)), "fixed")
    order = [axis, *(k for k in range(len(row.dims)) if k != axis)]
    front = permute(context, node, row, order)
    flat = context.reshape(node, front, (size, prod(front.dims[1:])))
    made = context.emit(node, "conv", [flat], flat.dims, params=[weight, None])
    back = [order.index(k) for k in range(len(order))]
    context.bind(node, permute(context, node, context.reshape(node, made, front.dims), back))
