# Transpose: where numbers keep their order nothing at all, else swaps of neighbouring blocks, each a convolution that
# copies.
# Never here: the transpose of channels-last input (taken out by the front end).
"""Transposes within a row."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row, Turned
from edgecl.export.errors import Unsupported
from edgecl.export.ops.registry import handles
from edgecl.export.ops.windows import MAX_TAPS

_MAX_WEIGHTS = 1 << 22  # scalars of the copying convolution's weight


@handles("Transpose")
def convert_transpose(context: Context, node: Node) -> None:
    """Any order of the axes behind the batch. A matrix [N][I] turned as a whole waits for a Gemm that turns it back."""
    row = context.row(node)
    rank = len(row.dims) + 1
    order = node.integers("perm", list(range(rank))[::-1])
    if order == [1, 0]:
        context.environment[node.outputs[0]] = Turned("its rows are the columns of the batch", row)
        return
    if order[0] != 0:
        raise Unsupported(f"a transpose {order} moves the batch axis", "keep the batch as the first axis")
    dims = tuple(row.dims[axis - 1] for axis in order[1:])
    target = [axis - 1 for axis in order[1:] if row.dims[axis - 1] != 1]
    blocks = sorted(target)  # as they lie now
    sizes = [row.dims[axis] for axis in blocks]
    for place, axis in enumerate(target):
        found = blocks.index(axis)
        if found == place:
            continue
        last = found + 1  # blocks that follow each other in the target too move together
        while blocks[last : last + 1] == target[place + last - found :][:1] != []:
            last += 1
        before, first = prod(sizes[:place]), prod(sizes[place:found])
        second, after = prod(sizes[found:last]), prod(sizes[last:])
        row = swap_blocks(context, node, row, before, first, second, after)
        blocks[place:last] = blocks[found:last] + blocks[place:found]
        sizes[place:last] = sizes[found:last] + sizes[place:found]
    context.bind(node, context.reshape(node, row, dims))


def swap_blocks(context: Context, node: Node, row: Row, before: int, first: int, second: int, after: int) -> Row:
    """[before][first][second][after] to [before][second][first][after], exactly: of every map [first][second * after]
    filter b takes the cells b * after + 0 .. after - 1. Costs `second` multiply-adds a number."""
    if second > MAX_TAPS or before * second * second > _MAX_WEIGHTS:
        raise Unsupported(
            f"a transpose of {before} blocks of {first} x {second} x {after} numbers is too large",
            "keep data channels-first; only the input may be channels-last",
        )
    kernel = np.tile(np.eye(second, dtype=np.float32), (before, 1)).reshape(before * second, 1, 1, second)
    weight = context.param(Constant(f"{node.name}.copy{before}x{second}", kernel), "fixed")
    return context.emit(
        node,
        "conv",
        [context.reshape(node, row, (before, first, second * after))],
        (before * second, first, after),
        params=[weight, None],
        kernel=(1, second),
        dilation=(1, after),
        groups=before,
        suffix="swap",
    )
