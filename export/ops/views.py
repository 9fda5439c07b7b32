# Emitting `strided` and `place`: views of a row's elements with strides, and boxes in a grid; transposes, repetitions.
# Never here: handlers of ONNX operators.
"""Views and boxes, up to six axes once neighbours are merged."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from zlib import crc32

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.graph import Activation, Dims, Param
from numpy.typing import NDArray

_RANK = 6  # kViewRank of kernels.h
_MAX_INPUTS = 8  # kMaxInputs of kernels.h
_MOST_RUNS = 64  # of regular indices, each a view; beyond, a convolution picks
MOST_PICKS = 1 << 23  # entries of that convolution's weight while it is made
_TOO_MANY = "use fewer axes, or steps that a few axes express"


def dense_strides(dims: Dims) -> list[int]:
    """Strides of a row of these dimensions in row-major order."""
    return [prod(dims[axis + 1 :]) for axis in range(len(dims))]


def strided(context: Context, node: Node, row: Row, dims: Dims, strides: Sequence[int], offset: int = 0) -> Row:
    """A row of dimensions `dims` whose element (i, j, ...) is number offset + i * strides[0] + j * strides[1] + ... of
    `row`. Nothing is copied where that is the order in memory."""
    axes: list[list[int]] = []
    for size, stride in zip(dims, strides, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == size * stride:
            axes[-1] = [axes[-1][0] * size, stride]
        else:
            axes.append([size, stride])
    if offset == 0 and prod(dims) == prod(row.dims) and axes in ([], [[prod(dims), 1]]):
        return context.reshape(node, row, dims)
    if len(axes) > _RANK:
        raise Unsupported(f"a view of {len(axes)} axes that do not lie together; at most {_RANK}", _TOO_MANY)
    axes = [[1, 0]] * (_RANK - len(axes)) + axes
    view = np.array(axes, np.int32).T
    return context.emit(
        node, "strided", [row], dims, params=[_integers(f"{node.name}.view", view)], i=(offset,), suffix="view"
    )


def permute(context: Context, node: Node, row: Row, order: Sequence[int]) -> Row:
    """Row axes in another order."""
    strides = dense_strides(row.dims)
    return strided(context, node, row, tuple(row.dims[axis] for axis in order), [strides[axis] for axis in order])


def expand(context: Context, node: Node, row: Row, dims: Dims) -> Row:
    """Axes of size 1 repeated to `dims`, which may have more axes in front."""
    own = (1,) * (len(dims) - len(row.dims)) + row.dims
    strides = [0 if size == 1 else stride for size, stride in zip(own, dense_strides(own), strict=True)]
    return strided(context, node, row, dims, strides)


def place(
    context: Context, node: Node, rows: Sequence[Row], dims: Dims, begins: Sequence[Sequence[int]], fill: float = 0.0
) -> Row:
    """A row of dimensions `dims` with each of `rows`, of as many axes, put where `begins` says, and `fill` around."""
    grid: list[int] = []
    starts: list[list[int]] = [[] for _ in rows]
    sizes: list[list[int]] = [[] for _ in rows]
    for axis, size in enumerate(dims):
        whole = all(row.dims[axis] == size for row in rows)
        if whole and grid:
            grid[-1] *= size
        else:
            grid.append(size)
        for index, row in enumerate(rows):
            if whole and len(sizes[index]) == len(grid):
                starts[index][-1] *= size
                sizes[index][-1] *= size
            else:
                starts[index].append(begins[index][axis])
                sizes[index].append(row.dims[axis])
    if len(grid) > _RANK:
        raise Unsupported(f"boxes of {len(grid)} axes; at most {_RANK}", _TOO_MANY)
    front = [1] * (_RANK - len(grid))
    lines = [front + grid]
    for start, extent in zip(starts, sizes, strict=True):
        lines += [[0] * len(front) + start, front + extent]
    boxes = _integers(f"{node.name}.boxes", np.array(lines, np.int32))
    return context.emit(
        node, "place", list(rows), dims, params=[boxes], activation=Activation("none", fill), suffix="place"
    )


def join(context: Context, node: Node, rows: Sequence[Row], axis: int) -> Row:
    """Rows one behind the other along a row axis."""
    rows = list(rows)
    while len(rows) > 1:
        rows = [_joined(context, node, rows[at : at + _MAX_INPUTS], axis) for at in range(0, len(rows), _MAX_INPUTS)]
    return rows[0]


def _joined(context: Context, node: Node, rows: Sequence[Row], axis: int) -> Row:
    if len(rows) == 1:
        return rows[0]
    dims, begins, at = rows[0].dims, [], 0
    for row in rows:
        begins.append([at if k == axis else 0 for k in range(len(dims))])
        at += row.dims[axis]
    whole = (*dims[:axis], at, *dims[axis + 1 :])
    if axis == 0 and len(whole) <= 3:
        return context.emit(node, "concat", rows, whole, suffix="join")
    return place(context, node, rows, whole, begins)


def take(context: Context, node: Node, row: Row, axis: int, indices: NDArray[np.int64]) -> Row:
    """Constant indices along a row axis, their own axes in its place: one view where steps are regular, else views of
    the regular runs, joined, or a convolution that picks."""
    size = row.dims[axis]
    indices = np.where(indices < 0, indices + size, indices)
    if indices.size == 0 or indices.min() < 0 or indices.max() >= size:
        raise Unsupported(f"indices beyond an axis of {size}", "correct the indices")
    strides = dense_strides(row.dims)
    before, after = row.dims[:axis], row.dims[axis + 1 :]
    dims = (*before, *indices.shape, *after)
    steps = _regular(indices)
    fit = (indices.shape, steps) if steps is not None else _factored(indices.reshape(-1))
    if fit is not None and (steps is not None or _is_view(row.dims, axis, fit)):
        inner = strided(
            context, node, row, (*before, *fit[0], *after),
            [*strides[:axis], *(step * strides[axis] for step in fit[1]), *strides[axis + 1 :]],
            int(indices.reshape(-1)[0]) * strides[axis],
        )  # fmt: skip
        return context.reshape(node, inner, dims)
    flat = indices.reshape(-1)
    ends = _ends_of_runs(flat)
    if len(ends) > _MOST_RUNS:
        return _picked(context, node, row, axis, indices)
    pieces = []
    for start, end in zip([0, *ends], ends, strict=False):
        step = int(flat[start + 1] - flat[start]) if end - start > 1 else 0
        pieces.append(
            strided(
                context, node, row, (*before, end - start, *after),
                [*strides[:axis], step * strides[axis], *strides[axis + 1 :]], int(flat[start]) * strides[axis],
            )
        )  # fmt: skip
    return context.reshape(node, join(context, node, pieces, axis), dims)


def takes(row: Dims, axis: int, indices: NDArray[np.int64]) -> bool:
    """`take` has a form of these indices, 0 <= index < size of the axis."""
    few = indices.size * row[axis] <= MOST_PICKS
    return few or _regular(indices) is not None or _is_view(row, axis, _factored(indices.reshape(-1)))


def _is_view(row: Dims, axis: int, fit: tuple[Dims, list[int]] | None) -> bool:
    return fit is not None and len(row) - 1 + len(fit[0]) <= _RANK


def _ends_of_runs(flat: NDArray[np.int64]) -> list[int]:
    """Where runs of equal steps end."""
    ends = []
    start = 0
    while start < flat.size:
        end = start + 1
        while end < flat.size and flat[end] - flat[end - 1] == flat[start + 1] - flat[start]:
            end += 1
        ends.append(end)
        start = end
    return ends


def _regular(indices: NDArray[np.int64]) -> list[int] | None:
    """Steps along each axis, if the indices are a first one and multiples of them."""
    steps = [
        int(np.take(indices, 1, k).reshape(-1)[0] - indices.reshape(-1)[0]) if size > 1 else 0
        for k, size in enumerate(indices.shape)
    ]
    expected = indices.reshape(-1)[0] + sum(
        step * np.arange(size).reshape([-1 if k == j else 1 for j in range(indices.ndim)])
        for k, (step, size) in enumerate(zip(steps, indices.shape, strict=True))
    )
    return steps if np.array_equal(np.broadcast_to(expected, indices.shape), indices) else None


def _factored(flat: NDArray[np.int64]) -> tuple[Dims, list[int]] | None:
    """Sizes and steps of the axes of which a list is all sums: repetitions, blocks, differences of positions."""
    sizes: list[int] = []
    steps: list[int] = []
    while flat.size > 1:
        step = int(flat[1] - flat[0])
        run = 1 + int(np.argmin(np.append(np.diff(flat) == step, False)))
        for size in range(min(run, flat.size), 1, -1):
            if flat.size % size == 0:
                rows = flat.reshape(-1, size)
                if np.array_equal(rows, rows[:, :1] + step * np.arange(size)):
                    break
        else:
            return None
        sizes.insert(0, size)
        steps.insert(0, step)
        flat = rows[:, 0]
    return tuple(sizes), steps


def picked_from(context: Context, node: Node, row: Row, picks: NDArray[np.int64]) -> Row:
    """Rows [R][C] picked by constant indices, [...][C]: a convolution of ones and zeros, which is stored sparse."""
    if picks.size * row.dims[0] > MOST_PICKS:
        raise Unsupported(f"{picks.size} irregular indices of {row.dims[0]}", "use fewer or regular indices")
    name = f"picks.{crc32(picks.tobytes()):08x}.{row.dims[0]}"  # one for all layers that pick alike
    ones = np.zeros((picks.size, row.dims[0], 1, 1), np.float32)
    ones[np.arange(picks.size), picks.reshape(-1)] = 1.0
    weight = context.param(Constant(name, ones), "fixed")
    weight.mask = ones != 0
    found = context.emit(node, "conv", [row], (picks.size, row.dims[1]), params=[weight, None], suffix="picked")
    return context.reshape(node, found, (*picks.shape, row.dims[1]))


def _picked(context: Context, node: Node, row: Row, axis: int, indices: NDArray[np.int64]) -> Row:
    """Picks along a row axis."""
    others = [size for k, size in enumerate(row.dims) if k != axis]
    order = [axis, *(k for k in range(len(row.dims)) if k != axis)]
    front = context.reshape(node, permute(context, node, row, order), (row.dims[axis], prod(others)))
    found = context.reshape(node, picked_from(context, node, front, indices), (*indices.shape, *others))
    back = list(range(indices.ndim))
    back = [*range(indices.ndim, indices.ndim + axis), *back, *range(indices.ndim + axis, len(found.dims))]
    return permute(context, node, found, back)


def _integers(name: str, values: NDArray[np.int32]) -> Param:
    return Param(name=name, values=np.ascontiguousarray(values, np.int32))
