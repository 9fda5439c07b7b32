# LpNormalization, and the pieces that frameworks write it in: ReduceL2, a lower bound, Expand, Div.
# Never here: the Div and the Clip of other values (elementwise.py, activation.py).
"""L2 normalisation over any neighbouring axes of a row."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from edgecl.export.context import Constant, Context, Node, Norm, Row
from edgecl.export.errors import Unsupported
from edgecl.export.ops.registry import handles
from edgecl.export.ops.transpose import swap_blocks

# A norm without a lower bound: where PyTorch divides zero by zero, the device gives zero, as ONNX asks for.
SMALLEST_EPSILON = float(np.finfo(np.float32).tiny)
_ALONE = "a norm that is not the divisor of the tensor that it is the norm of"
_LEAVE_OUT = "replace it, or leave this part out of the exported model"


@handles("LpNormalization")
def convert_lp_normalization(context: Context, node: Node) -> None:
    """p = 2, over one axis."""
    row = context.row(node)
    order = node.integer("p", 2)
    if order != 2:
        raise Unsupported(f"expected p = 2; found p = {order}", _LEAVE_OUT)
    context.bind(node, normalize(context, node, _norm(row, [node.integer("axis", -1)])))


@handles("ReduceL2")
def convert_reduce_l2(context: Context, node: Node) -> None:
    """Waits for the division of its own input. Axes as attribute (before operator set 18) or constant input."""
    row = context.row(node)
    axes = context.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes", [])
    if not node.integer("keepdims", 1):
        raise Unsupported("a norm without its axis", "keep the axis (keepdim=True) and divide the same tensor by it")
    context.environment[node.outputs[0]] = _norm(row, axes or list(range(len(row.dims) + 1)))


@handles("Max")
def convert_max(context: Context, node: Node) -> None:
    """Only of a norm and a constant."""
    values = [context.environment.get(key) for key in node.inputs]
    norms = [value for value in values if isinstance(value, Norm)]
    constants = [value for value in values if isinstance(value, Constant)]
    if len(values) != 2 or len(norms) != 1 or len(constants) != 1:
        raise Unsupported("expected a norm and a constant; found other operands", _LEAVE_OUT)
    context.environment[node.outputs[0]] = at_least(norms[0], constants[0].values)


@handles("Expand")
def convert_expand(context: Context, node: Node) -> None:
    """Only of a norm, to the shape of its tensor at most: the division repeats it anyway."""
    norm = context.environment.get(node.inputs[0])
    if not isinstance(norm, Norm):
        raise Unsupported("expected a norm to be expanded; found another tensor", _LEAVE_OUT)
    target = context.integers(node, 1, "shape")
    full = (context.batch, *norm.row.dims)
    if len(target) > len(full) or any(a not in (1, b) for a, b in zip(target[::-1], full[::-1], strict=False)):
        raise Unsupported(f"a norm of {list(full)} expanded to {target}", "expand it to its tensor's shape")
    context.environment[node.outputs[0]] = norm


def at_least(norm: Norm, bound: Any) -> Norm:
    """The norm with a lower bound, one number for all rows."""
    values = np.unique(np.asarray(bound, np.float32))
    if values.size != 1 or not values[0] <= 1.0:
        raise Unsupported(f"expected one lower bound of a norm, at most 1; found {values.tolist()}", "use 1e-12")
    return replace(norm, epsilon=max(norm.epsilon, float(values[0])))


def normalize(context: Context, node: Node, norm: Norm) -> Row:
    """Row / norm. The operator works on the first of [size][after]; axes in front are swapped behind and back."""
    row, dims = norm.row, norm.row.dims
    before, size, after = (
        prod(part) for part in (dims[: norm.begin], dims[norm.begin : norm.end], dims[norm.end :])
    )  # fmt: skip
    if before > 1:
        row = swap_blocks(context, node, row, 1, before, size, after)
    row = context.reshape(node, row, (size, 1, before * after) if before * after > 1 else (size,))
    row = context.emit(node, "l2_normalize", [row], row.dims, epsilon=norm.epsilon)
    if before > 1:
        row = swap_blocks(context, node, row, 1, size, before, after)
    return context.reshape(node, row, dims)


def _norm(row: Row, axes: list[int]) -> Norm:
    rank = len(row.dims) + 1
    wanted = sorted({axis % rank for axis in axes})
    if 0 in wanted:
        raise Unsupported("a norm over the batch axis", "normalise over channels or spatial axes only")
    begin, end = wanted[0] - 1, wanted[-1]
    if prod(row.dims[axis] for axis in range(begin, end) if axis + 1 not in wanted) > 1:
        raise Unsupported(f"a norm over axes {wanted} with others between", "normalise over neighbouring axes")
    return Norm(_ALONE, row, begin, end, SMALLEST_EPSILON)
