# Add, Sub, Mul, Div of two tensors or of a tensor and a constant, with broadcasting over the axes of a row.
# Never here: fusing a constant into a bias (fuse.py).
"""Elementwise arithmetic."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Constant, Context, Node, Norm, Row
from edgecl.export.errors import Unsupported
from edgecl.export.graph import Dims, canonical
from edgecl.export.ops.l2_norm import normalize
from edgecl.export.ops.registry import handles
from numpy.typing import NDArray


@handles("Add")
def convert_add(context: Context, node: Node) -> None:
    """a + b."""
    context.bind(node, _combine(context, node, "add", context.value(node, 0), context.value(node, 1)))


@handles("Mul")
def convert_mul(context: Context, node: Node) -> None:
    """a * b."""
    context.bind(node, _combine(context, node, "mul", context.value(node, 0), context.value(node, 1)))


@handles("Sub")
def convert_sub(context: Context, node: Node) -> None:
    """a - b as a + (-b): the negation is done now for a constant, else by a multiplication (exact)."""
    left, right = context.value(node, 0), context.value(node, 1)
    if isinstance(right, Constant):
        context.bind(node, _combine(context, node, "add", left, _derived(right, "negated", -right.values)))
        return
    minus = Constant(f"{node.name}.minus_one", np.full((), -1.0, np.float32))
    negated = _combine(context, node, "mul", right, minus, suffix="negated")
    context.bind(node, _combine(context, node, "add", left, negated))


@handles("Div")
def convert_div(context: Context, node: Node) -> None:
    """a / constant as a * (1 / constant), the reciprocal rounded once; a over its own norm as one operator."""
    left = context.value(node, 0)
    norm = context.environment.get(node.inputs[1])
    if isinstance(norm, Norm) and left == norm.row:
        context.bind(node, normalize(context, node, norm))
        return
    divisor = context.floats(node, 1, "divisor")
    if (divisor.values == 0).any():
        raise Unsupported("a division by zero", "correct the constant")
    reciprocal = (1.0 / divisor.values.astype(np.float64)).astype(np.float32)
    context.bind(node, _combine(context, node, "mul", left, _derived(divisor, "reciprocal", reciprocal)))


def _derived(constant: Constant, what: str, values: NDArray[np.float32]) -> Constant:
    return Constant(f"{constant.name}.{what}", values)


def _combine(
    context: Context, node: Node, kind: str, left: Row | Constant, right: Row | Constant, suffix: str | None = None
) -> Row:
    if isinstance(left, Constant):
        left, right = right, left
    if isinstance(left, Constant):
        raise Unsupported(
            "expected an operand that depends on the network's input; found two constants", "compute it beforehand"
        )
    if isinstance(right, Constant):
        values = _aligned(context, left, right)
        param = context.param(right, "scale" if kind == "mul" else "offset", values)
        return context.emit(node, kind, [left], left.dims, params=[param], suffix=suffix)
    if len(left.dims) != len(right.dims):
        raise Unsupported(
            f"rows of {left.dims} and {right.dims}: their batch axes do not line up", "give both the same rank"
        )
    if not _fits(right.dims, left.dims):
        left, right = right, left
    if not _fits(right.dims, left.dims):
        raise Unsupported(f"rows of {left.dims} and {right.dims} enlarge each other", "expand one of them beforehand")
    if len(left.dims) > 3 and left.dims != right.dims:
        raise Unsupported(f"broadcasting over rows of rank {len(left.dims)}", "use at most three axes beside the batch")
    if left.tensor == right.tensor:  # a tensor with itself: through a copy, so that each operand has its own gradient
        one = context.param(Constant(f"{node.name}.one", np.ones((1, 1, 1), np.float32)), "fixed")
        right = context.emit(node, "mul", [right], right.dims, params=[one], suffix="copy")
    return context.emit(node, kind, [left, right], left.dims, suffix=suffix)


def _fits(small: Dims, large: Dims) -> bool:
    return all(a == b or a == 1 for a, b in zip(small, large, strict=True))


def _aligned(context: Context, row: Row, constant: Constant) -> NDArray[np.float32]:
    """The constant as [C|1][H|1][W|1] of the row's tensor."""
    if constant.values.dtype != np.float32:
        raise Unsupported(
            f"expected a constant of float32; found {constant.values.dtype}", "convert the model to float32 first"
        )
    shape = constant.values.shape
    rank = len(row.dims) + 1
    if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
        raise Unsupported(
            f"a constant of shape {shape} reaches over the batch axis of rows {row.dims}", "make it one for all rows"
        )
    inner: Dims = ((1,) * rank + shape)[-len(row.dims) :] if row.dims else ()
    if not _fits(inner, row.dims):
        raise Unsupported(
            f"a constant of shape {shape} would enlarge rows of {row.dims}", "expand the input beforehand"
        )
    values: NDArray[np.float32] = constant.values.reshape(inner)
    if len(row.dims) > 3 and any(size != 1 for size in inner[2:]):
        values = np.broadcast_to(values, (*inner[:2], *row.dims[2:]))
    shape3 = canonical(values.shape)
    return np.ascontiguousarray(values).reshape(shape3)
