# LRN: normalisation by the squares of neighbouring channels.
# Never here: normalisations with parameters (normalisation.py).
"""Local response normalisation."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node
from edgecl.export.errors import Unsupported
from edgecl.export.ops.elementwise import power
from edgecl.export.ops.reduce import apply
from edgecl.export.ops.registry import handles


@handles("LRN")
def convert_lrn(context: Context, node: Node) -> None:
    """x * (bias + alpha * mean of the squares of `size` neighbouring channels) ** -beta; channels beyond the ends count
    as 0 (Krizhevsky, Sutskever and Hinton 2012, section 3.3; ONNX divides the sum by the size)."""
    row = context.row(node)
    size, bias = node.integer("size", 1), node.number("bias", 1.0)
    if size < 1 or size > row.dims[0] or bias <= 0.0:
        raise Unsupported(
            f"size {size} of {row.dims[0]} channels, bias {bias}", "use a size up to the channels, and a bias above 0"
        )
    channels, places = row.dims[0], prod(row.dims[1:])
    squares = context.reshape(node, apply(context, node, row, "square"), (1, channels, places))
    before = (size - 1) // 2
    mean = context.emit(
        node, "average_pool", [squares], squares.dims, kernel=(size, 1), pads=(before, 0, size - 1 - before, 0),
        i=(1,), suffix="mean",
    )  # fmt: skip

    def fixed(name: str, value: float) -> list[object]:
        return [context.param(Constant(f"{node.name}.{name}", np.full((1, 1, 1), value, np.float32)), "fixed")]

    alpha = node.number("alpha", 1e-4)
    scaled = context.emit(node, "mul", [mean], mean.dims, params=fixed("alpha", alpha), suffix="alpha")
    shifted = context.emit(node, "add", [scaled], mean.dims, params=fixed("bias", bias), suffix="bias")
    factor = context.reshape(node, power(context, node, shifted, -node.number("beta", 0.75)), row.dims)
    context.bind(node, context.emit(node, "mul", [row, factor], row.dims))
