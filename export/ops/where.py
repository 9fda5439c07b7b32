# Where: a choice by a mask that is known at export, as in masked attention.
# Never here: choices that depend on values of the input.
"""Choices by constant masks."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.ops.elementwise import MASKED, combine
from edgecl.export.ops.registry import handles
from numpy.typing import NDArray


@handles("Where")
def convert_where(context: Context, node: Node) -> None:
    """x where the mask is true, else y: each times ones and zeros, and their sum. A constant has its zeros already."""
    found = context.value(node, 0)
    if isinstance(found, Row):
        raise Unsupported(
            "a choice that depends on values of the input",
            "use a function that does it (torch.nn.functional.leaky_relu, clamp, maximum), or a constant mask",
        )
    sides = [context.value(node, index) for index in (1, 2)]
    rank = max(len(side.dims) + 1 if isinstance(side, Row) else side.values.ndim for side in sides)
    mask = context.one_for_all(found, rank).values.astype(bool)
    kept = [
        _kept(context, node, side, chosen, rank, name)
        for side, chosen, name in zip(sides, (mask, ~mask), ("chosen", "else"), strict=True)
    ]
    context.bind(node, combine(context, node, "add", kept[0], kept[1]))


def _kept(
    context: Context, node: Node, side: Row | Constant, chosen: NDArray[np.bool_], rank: int, name: str
) -> Row | Constant:
    """The side with zeros where it is not chosen."""
    if isinstance(side, Row):
        return combine(context, node, "mul", side, Constant(f"{node.name}.{name}", chosen.astype(np.float32)), name)
    values = context.one_for_all(side, rank).values
    if values.dtype == np.float32:
        values = np.where(np.isneginf(values), MASKED, values)
    return Constant(f"{node.name}.{name}", np.where(chosen, values, np.zeros((), values.dtype)))
