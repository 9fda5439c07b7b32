# Greater, Less, Equal, Sign and what joins their results: ones and zeros of float32, without a gradient.
# Never here: choices (where.py), comparisons of constants (folding.py).
"""Comparisons of values that depend on the input, out of products and bounds."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.ops.elementwise import combine, difference
from edgecl.export.ops.reduce import apply
from edgecl.export.ops.registry import handles

# Twice this factor takes every float32 above zero, the smallest too, beyond 1, where a bound passes no gradient.
_LARGE = 2.0**100


def above_zero(context: Context, node: Node, row: Row) -> Row:
    """1 where a row is above zero, else 0."""
    factor = context.param(Constant(f"{node.name}.large", np.full((1, 1, 1), _LARGE, np.float32)), "fixed")
    for _ in range(2):
        row = context.emit(node, "mul", [row], row.dims, params=[factor], suffix="enlarged")
    return apply(context, node, row, "clip", 0.0, 1.0)


def opposite(context: Context, node: Node, row: Row) -> Row:
    """1 where a row is 0, and 0 where it is 1."""
    one = Constant(f"{node.name}.opposite", np.ones((), np.float32))
    return combine(context, node, "add", apply(context, node, row, "negate"), one, "opposite")


def _unlike(context: Context, node: Node, row: Row) -> Row:
    """1 where a row is not zero, else 0."""
    below = above_zero(context, node, apply(context, node, row, "negate"))
    return combine(context, node, "add", above_zero(context, node, row), below, "unlike")


@handles("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
def convert_order(context: Context, node: Node) -> None:
    """a > b is a - b > 0; a >= b is not b > a."""
    left, right = (_number(context.value(node, index)) for index in (0, 1))
    if node.op_type in ("Less", "GreaterOrEqual"):
        left, right = right, left
    found = above_zero(context, node, difference(context, node, left, right))
    _bind(context, node, opposite(context, node, found) if node.op_type.endswith("OrEqual") else found)


@handles("Equal")
def convert_equal(context: Context, node: Node) -> None:
    """a - b is zero."""
    left, right = (_number(context.value(node, index)) for index in (0, 1))
    unlike = _unlike(context, node, difference(context, node, left, right))
    _bind(context, node, opposite(context, node, unlike))


@handles("Sign")
def convert_sign(context: Context, node: Node) -> None:
    """1 above zero, -1 below."""
    row = context.row(node)
    below = above_zero(context, node, apply(context, node, row, "negate"))
    context.bind(node, difference(context, node, above_zero(context, node, row), below))


@handles("Not")
def convert_not(context: Context, node: Node) -> None:
    """1 - a."""
    _bind(context, node, opposite(context, node, context.row(node)))


@handles("And")
def convert_and(context: Context, node: Node) -> None:
    """a * b."""
    left, right = (_number(context.value(node, index)) for index in (0, 1))
    _bind(context, node, combine(context, node, "mul", left, right))


@handles("Or", "Xor")
def convert_or(context: Context, node: Node) -> None:
    """Whether a + b is not zero, or is 1."""
    left, right = (_number(context.value(node, index)) for index in (0, 1))
    total = combine(context, node, "add", left, right)
    if node.op_type == "Xor":
        one = Constant(f"{node.name}.one", np.full((), -1.0, np.float32))
        total = opposite(context, node, _unlike(context, node, combine(context, node, "add", total, one, "apart")))
    else:
        total = apply(context, node, total, "clip", 0.0, 1.0)
    _bind(context, node, total)


def _bind(context: Context, node: Node, truths: Row) -> None:
    context.truths.add(truths.tensor)
    context.bind(node, truths)


def _number(value: Row | Constant) -> Row | Constant:
    """Truths as ones and zeros."""
    if isinstance(value, Row) or value.values.dtype != np.bool_:
        return value
    return Constant(value.name, value.values.astype(np.float32))
