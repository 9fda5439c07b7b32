# Constants that a model picks from a table which learns, by indices that are known: biases of relative positions.
# Never here: picking from tensors of the input (slices.py).
"""`picked_row`: the table as a row, and a convolution of ones and zeros that picks from it."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.folding import picked
from edgecl.export.ops.rearrange import constant_row
from edgecl.export.ops.views import permute
from numpy.typing import NDArray

_MOST = 1 << 22  # entries of the convolution's weight while it is made; it is stored sparse


def picked_row(context: Context, node: Node, constant: Constant, like: Row) -> Row | None:
    """A constant operand of `like` as a row that learns; None where it is no such pick."""
    if constant.source is not None or constant.values.dtype != np.float32 or constant.values.size < 2:
        return None
    found = picked(context, constant.name)
    if found is None or not context.learns(found[0], "offset"):
        return None
    name, places = found
    table = context.environment[name]
    rank = len(like.dims)
    if not isinstance(table, Constant) or table.values.ndim > 2 or constant.values.ndim > rank + 1:
        return None
    if not np.array_equal(table.values.reshape(-1)[places.reshape(-1)], constant.values.reshape(-1)):
        return None
    places = places.reshape((1,) * (rank + 1 - constant.values.ndim) + constant.values.shape)
    if places.shape[0] != 1:
        return None
    rows, columns = table.values.reshape(table.values.shape[0], -1).shape
    way = _way(places[0], rows, columns)
    if way is None or way[0].size * (columns if way[2] else rows) > _MOST:
        return None
    picks, axis, turned = way
    flat = context.reshape(node, like, (prod(like.dims),))
    held = Constant(name, table.values.reshape(1, -1), name, table.source_shape)
    row = context.reshape(node, constant_row(context, node, held, flat), (rows, columns))
    if turned:
        row = permute(context, node, row, (1, 0))
    ones = np.zeros((picks.size, row.dims[0], 1, 1), np.float32)
    ones[np.arange(picks.size), picks.reshape(-1)] = 1.0
    weight = context.param(Constant(f"{node.name}.picks", ones), "fixed")
    weight.mask = ones != 0
    found_row = context.emit(node, "conv", [row], (picks.size, row.dims[1]), params=[weight, None], suffix="picked")
    order = list(range(picks.ndim))
    order.insert(axis, picks.ndim)
    return permute(context, node, context.reshape(node, found_row, (*picks.shape, row.dims[1])), order)


def _way(places: NDArray[np.int64], rows: int, columns: int) -> tuple[NDArray[np.int64], int, bool] | None:
    """Picks among one axis of the table, the axis of the result that the other one is, and whether the table is turned
    (the second one is picked among)."""
    row, column = places // columns, places % columns
    for axis in range(places.ndim):
        shape = [-1 if k == axis else 1 for k in range(places.ndim)]
        for along, other, size, turned in ((column, row, columns, False), (row, column, rows, True)):
            steps = np.arange(size).reshape(shape)
            if places.shape[axis] != size or (along != steps).any() or (other != other.take([0], axis)).any():
                continue
            return np.asarray(other.take(0, axis), np.int64), axis, turned
    return None
