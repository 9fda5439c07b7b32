# Where: a choice by a mask, one that is known at export as in masked attention, or by values of the input.
# Never here: comparisons (comparisons.py).
"""Choices."""

from __future__ import annotations

from typing import Any

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.graph import FLOAT_MAX
from edgecl.export.ops.comparisons import opposite
from edgecl.export.ops.elementwise import MASKED, combine
from edgecl.export.ops.reduce import apply
from edgecl.export.ops.registry import handles
from numpy.typing import NDArray


@handles("Where")
def convert_where(context: Context, node: Node) -> None:
    """x where the mask is true, else y: each times ones and zeros, and their sum. A constant has its zeros already."""
    found = context.value(node, 0)
    if isinstance(found, Row):
        _by_values(context, node, found)
        return
    sides = [context.value(node, index) for index in (1, 2)]
    rank = max(len(side.dims) + 1 if isinstance(side, Row) else side.values.ndim for side in sides)
    mask = context.one_for_all(found, rank).values.astype(bool)
    kept = [
        _kept(context, node, side, chosen, rank, name)
        for side, chosen, name in zip(sides, (mask, ~mask), ("chosen", "else"), strict=True)
    ]
    context.bind(node, combine(context, node, "add", kept[0], kept[1]))


def _by_values(context: Context, node: Node, mask: Row) -> None:
    """What is not chosen may be infinite or no number, whose product with 0 is none either: bounds make it one."""
    kept = []
    for index, chosen in ((1, mask), (2, opposite(context, node, mask))):
        side = context.value(node, index)
        if isinstance(side, Row):
            side = apply(context, node, side, "clip", -FLOAT_MAX, FLOAT_MAX)
        else:
            side = Constant(side.name, _finite(side.values), side.source, side.source_shape, side.transposed)
        kept.append(combine(context, node, "mul", chosen, side, f"kept{index}"))
    context.bind(node, combine(context, node, "add", kept[0], kept[1]))


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.isneginf(values), MASKED, values) if values.dtype == np.float32 else values


def _kept(
    context: Context, node: Node, side: Row | Constant, chosen: NDArray[np.bool_], rank: int, name: str
) -> Row | Constant:
    """The side with zeros where it is not chosen."""
    if isinstance(side, Row):
        return combine(context, node, "mul", side, Constant(f"{node.name}.{name}", chosen.astype(np.float32)), name)
    values = _finite(context.one_for_all(side, rank).values)
    return Constant(f"{node.name}.{name}", np.where(chosen, values, np.zeros((), values.dtype)))
