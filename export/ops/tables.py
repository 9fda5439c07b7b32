# Constants that a model picks from a table which learns, by indices that are known: biases of relative positions.
# Never here: picking from tensors of the input (slices.py).
"""`picked_row`: the table as a row, and what is picked from it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.folding import picked
from edgecl.export.ops.rearrange import constant_row
from edgecl.export.ops.views import permute, take, takes
from numpy.typing import NDArray


@dataclass(frozen=True)
class _Pick:
    """Numbers of one parameter, a table [rows][columns].

    Attributes:
        picks: which of its rows (turned: columns) stand where.
        axis: of the result, along which the other ones lie.
    """

    name: str
    table: Constant
    picks: NDArray[np.int64]
    axis: int
    turned: bool


def is_pick(context: Context, constant: Constant, rank: int) -> bool:
    """`picked_row` gives a row of this constant beside a tensor of so many axes, the batch one of them."""
    return _pick_of(context, constant, rank - 1) is not None


def picked_row(context: Context, node: Node, constant: Constant, like: Row) -> Row | None:
    """A constant operand of `like` as a row that learns; None where it is no such pick."""
    pick = _pick_of(context, constant, len(like.dims))
    if pick is None:
        return None
    values = pick.table.values
    flat = context.reshape(node, like, (prod(like.dims),))
    held = Constant(pick.name, values.reshape(1, -1), pick.name, pick.table.source_shape)
    row = constant_row(context, node, held, flat)
    row = context.reshape(node, row, (values.shape[0], prod(values.shape[1:])))
    row = take(context, node, permute(context, node, row, (1, 0)) if pick.turned else row, 0, pick.picks)
    order = list(range(pick.picks.ndim))
    order.insert(pick.axis, pick.picks.ndim)
    return permute(context, node, row, order)


def _pick_of(context: Context, constant: Constant, rank: int) -> _Pick | None:
    if constant.source is not None or constant.values.dtype != np.float32 or constant.values.size < 2:
        return None
    found = picked(context, constant.name)
    if found is None or not context.learns(found[0], "offset"):
        return None
    name, places = found
    table = context.environment[name]
    if not isinstance(table, Constant) or table.values.ndim > 2 or constant.values.ndim > rank + 1:
        return None
    if not np.array_equal(table.values.reshape(-1)[places.reshape(-1)], constant.values.reshape(-1)):
        return None
    places = places.reshape((1,) * (rank + 1 - constant.values.ndim) + constant.values.shape)
    if places.shape[0] != 1:
        return None
    rows, columns = table.values.reshape(table.values.shape[0], -1).shape
    way = _way(places[0], rows, columns)
    if way is None or not takes((columns, rows) if way[2] else (rows, columns), 0, way[0]):
        return None
    return _Pick(name, table, *way)


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
