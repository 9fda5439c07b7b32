# MatMul of two tensors that both depend on the input, as attention has it.
# Never here: products with constant matrices (linear.py).
"""`product` emits one `matmul`; `product_view` is its parameter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.graph import Activation, Param
from edgecl.export.ops.views import dense_strides

BATCHES = 3  # axes of a matmul in front of rows, columns and sum


def product_view(name: str, axes: Sequence[tuple[int, int, int, int]]) -> Param:
    """The parameter of a matmul: of each batch axis (at most three), of the rows, the columns and the sum the size, and
    the strides in elements of a, b and the output, 0 where the axis is not theirs."""
    front = [(1, 0, 0, 0)] * (BATCHES + 3 - len(axes))
    return Param(name=name, values=np.ascontiguousarray(np.array([*front, *axes], np.int32).T))


def product(context: Context, node: Node, left: Row, right: Row, factor: float = 1.0) -> Row:
    """factor * left @ right over the last two axes; those in front are batches of matrices, of one size or 1."""
    a, b = left.dims, right.dims
    if len(a) != len(b) or len(a) < 2 or a[-1] != b[-2]:
        raise Unsupported(
            f"expected rows of matrices [...][M][K] and [...][K][N] with equally many axes; found {a} and {b}",
            "reshape or expand the smaller one",
        )
    batch = [max(x, y) for x, y in zip(a[:-2], b[:-2], strict=True)]
    if any(x not in (1, size) or y not in (1, size) for x, y, size in zip(a, b, batch, strict=False)):
        raise Unsupported(f"batches of matrices {a[:-2]} and {b[:-2]}", "make their sizes equal, or 1")
    dims = (*batch, a[-2], b[-1])
    axes: list[tuple[int, int, int, int]] = []
    for size, *steps in zip(batch, _steps(left), _steps(right), dense_strides(dims), strict=False):
        axis = (size, steps[0], steps[1], steps[2])
        if size == 1:
            continue
        if axes and all(outer == size * inner for outer, inner in zip(axes[-1][1:], axis[1:], strict=True)):
            axis = (axes.pop()[0] * size, *axis[1:])
        axes.append(axis)
    if len(axes) > BATCHES:
        raise Unsupported(f"{len(axes)} axes of matrices that do not lie together; at most {BATCHES}", "join some")
    columns, summed = b[-1], a[-1]
    axes += [(a[-2], summed, 0, columns), (columns, 0, 1, 1), (summed, 1, columns, 0)]
    axes = [axis if axis[0] > 1 else (1, 0, 0, 0) for axis in axes]
    if left.tensor == right.tensor:  # so that each has its own gradient
        one = context.param(Constant(f"{node.name}.one", np.ones((1, 1, 1), np.float32)), "fixed")
        right = context.emit(node, "mul", [right], right.dims, params=[one], suffix="copy")
    return context.emit(
        node, "matmul", [left, right], dims,
        params=[product_view(f"{node.name}.view", axes)], i=(0, 0), activation=Activation("none", factor),
    )  # fmt: skip


def _steps(row: Row) -> list[int]:
    """Strides of the axes of matrices, 0 along those that the row repeats."""
    return [0 if size == 1 else step for size, step in zip(row.dims, dense_strides(row.dims), strict=True)][:-2]
