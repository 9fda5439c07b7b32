# ScatterND, ScatterElements and Scatter: numbers of a row replaced or added to at positions that are known now.
# Never here: picking (slices.py), positions that depend on values of the input.
"""Assignments to slices and indices: `x[:, 1:] = y`, `index_copy`, `index_add`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.graph import Dims
from edgecl.export.ops.elementwise import combine
from edgecl.export.ops.registry import handles
from edgecl.export.ops.slices import BATCH
from edgecl.export.ops.views import dense_strides, join, place, strided, take
from numpy.typing import NDArray

_MOST = 1 << 22  # entries of the matrix that adds up updates of one place; it is stored sparse


@dataclass(frozen=True)
class _Target:
    """Where updates go: of a row of `dims` its first `depth` axes are told by `places`, in row-major order."""

    dims: Dims
    depth: int
    places: NDArray[np.int64]

    @property
    def inner(self) -> Dims:
        return self.dims[self.depth :]

    def lists(self) -> list[NDArray[np.int64]] | None:
        """The places as all combinations of a list for each axis, in order, if they are that."""
        found = [
            np.asarray(list(dict.fromkeys(along.tolist())), np.int64)
            for along in np.unravel_index(self.places, self.dims[: self.depth])
        ]
        if prod(along.size for along in found) != self.places.size:
            return None
        grid = np.ravel_multi_index(np.meshgrid(*found, indexing="ij"), self.dims[: self.depth])
        return found if np.array_equal(np.ravel(grid), self.places) else None

    def whole_behind(self) -> tuple[Dims, Dims]:
        """The told axes, cut in front of the last ones that are covered from end to end at every place."""
        lead, places = self.dims[: self.depth], self.places
        for cut in range(len(lead)):
            behind = prod(lead[cut:])
            if places.size % behind == 0 and np.array_equal(
                places, (places[::behind, None] + np.arange(behind)).reshape(-1)
            ):
                return lead[:cut], lead[cut:]
        return lead, ()


@handles("ScatterND")
def convert_scatter_nd(context: Context, node: Node) -> None:
    """Constant indices, the same for all rows of a batch."""
    indices = np.asarray(context.constant(node, 1, "indices").values, np.int64)
    data, updates = context.value(node, 0), context.value(node, 2)
    dims, depth = _dims(context, data, updates), indices.shape[-1] - 1
    at, here = indices[..., 0], np.arange(context.batch).reshape(-1, *(1,) * max(indices.ndim - 2, 0))
    rows = at.ndim > 0 and at.shape[0] == context.batch and np.array_equal(at, np.broadcast_to(here, at.shape))
    if not rows or (indices[..., 1:] != indices[:1, ..., 1:]).any():
        raise Unfit("positions that mix the rows of a batch", BATCH)
    own = np.moveaxis(indices[0, ..., 1:], -1, 0).reshape(depth, -1)
    _scatter(context, node, data, updates, _Target(dims, depth, _flat(own, dims[:depth])))


@handles("ScatterElements", "Scatter")
def convert_scatter_elements(context: Context, node: Node) -> None:
    """Constant indices along one axis behind the batch."""
    indices = np.asarray(context.constant(node, 1, "indices").values, np.int64)
    data, updates = context.value(node, 0), context.value(node, 2)
    dims = _dims(context, data, updates)
    axis = node.integer("axis", 0) % (len(dims) + 1)
    if axis == 0 or indices.shape[0] != context.batch or (indices != indices[:1]).any():
        raise Unfit("positions that mix the rows of a batch", BATCH)
    places = list(np.indices(indices.shape[1:]).reshape(len(dims), -1))
    places[axis - 1] = indices[0].reshape(-1)
    _scatter(context, node, data, updates, _Target(dims, len(dims), _flat(np.stack(places), dims)))


def _dims(context: Context, data: Row | Constant, updates: Row | Constant) -> Dims:
    if isinstance(data, Constant) and isinstance(updates, Constant):
        raise Unsupported("expected a tensor that depends on the network's input", "compute it beforehand")
    return data.dims if isinstance(data, Row) else data.values.shape[1:]


def _flat(places: NDArray[np.int64], sizes: Dims) -> NDArray[np.int64]:
    ends = np.array(sizes, np.int64)[:, None]
    if (places < -ends).any() or (places >= ends).any():
        raise Unsupported(f"positions beyond axes of {list(sizes)}", "correct the indices")
    strides = np.array(dense_strides(sizes), np.int64)[:, None]
    return np.asarray(((places % ends) * strides).sum(0), np.int64)


def _scatter(context: Context, node: Node, data: Row | Constant, updates: Row | Constant, target: _Target) -> None:
    how = node.text("reduction", "none")
    if how not in ("none", "add"):
        raise Unsupported(f"numbers that are put in by '{how}'", "replace them or add to them")
    apart = np.unique(target.places).size == target.places.size
    if how == "none" and not apart:
        raise Unsupported("several numbers for one position", "give each position one number, or add them up")
    if how == "none" and isinstance(data, Row) and isinstance(updates, Row):
        mixed = _chosen(context, node, data, updates, target)
        if mixed is not None:
            context.bind(node, mixed)
            return
    if how == "none":
        data = _kept(context, node, data, target)
    put = _put(context, node, updates, target, apart)
    if isinstance(put, Constant) and not put.values.any():
        assert isinstance(data, Row)
        context.bind(node, data)
    elif isinstance(data, Constant) and data.source is None and not data.values.any():
        assert isinstance(put, Row)
        context.bind(node, put)
    else:
        context.bind(node, combine(context, node, "add", put, data, "sum"))


def _chosen(context: Context, node: Node, data: Row, updates: Row, target: _Target) -> Row | None:
    """What picks alone do: everything replaced, or irregular positions along an axis."""
    lead = target.dims[: target.depth]
    count, size = target.places.size, prod(lead)
    block = context.reshape(node, updates, (count, *target.inner))
    if count == size:
        order = np.argsort(target.places)
        return context.reshape(node, take(context, node, block, 0, order), target.dims)
    lists = target.lists()
    if lists is not None and all(_steps(along) is not None for along in lists):
        return None
    axis, sizes, chosen = 0, (size, *target.inner), target.places
    if lists is not None:
        partial = [k for k, along in enumerate(lists) if not np.array_equal(along, np.arange(lead[k]))]
        if len(partial) == 1:
            axis, sizes, chosen = partial[0], target.dims, lists[partial[0]]
    beside = context.reshape(node, updates, (*sizes[:axis], chosen.size, *sizes[axis + 1 :]))
    both = join(context, node, [context.reshape(node, data, sizes), beside], axis)
    order = np.arange(sizes[axis])
    order[chosen] = sizes[axis] + np.arange(chosen.size)
    return context.reshape(node, take(context, node, both, axis, order), target.dims)


def _kept(context: Context, node: Node, data: Row | Constant, target: _Target) -> Row | Constant:
    """Zeros where other numbers come."""
    mask = np.ones((prod(target.dims[: target.depth]), 1), np.float32)
    mask[target.places] = 0.0
    mask = mask.reshape(1, *target.dims[: target.depth], *(1,) * len(target.inner))
    if isinstance(data, Row):
        return combine(context, node, "mul", data, Constant(f"{node.name}.kept", mask), "kept")
    if data.source is not None and context.learns(data.source, "offset"):
        raise Unsupported("a parameter in which numbers are replaced", "join its parts (torch.cat)")
    data = context.one_for_all(data, len(target.dims) + 1)
    return Constant(f"{node.name}.kept", np.asarray(data.values * mask, data.values.dtype))


def _put(context: Context, node: Node, updates: Row | Constant, target: _Target, apart: bool) -> Row | Constant:
    """The updates at their places, zeros around."""
    lead = target.dims[: target.depth]
    if isinstance(updates, Constant):
        own = context.one_for_all(updates, updates.values.ndim).values
        held = np.zeros((prod(lead), *target.inner), np.float32)
        np.add.at(held, target.places, own.reshape(-1, *target.inner))
        return Constant(f"{node.name}.updates", held.reshape(1, *target.dims))
    lists = target.lists() if apart else None
    steps = [_steps(along) for along in lists] if lists is not None else [None]
    if lists is not None and all(step is not None for step in steps):
        regular = [(int(along[0]), step or 1) for along, step in zip(lists, steps, strict=True)]
        block = context.reshape(node, updates, (*(along.size for along in lists), *target.inner))
        return _placed(context, node, block, target.dims, regular)
    front, back = target.whole_behind()
    count, size = target.places.size // prod(back), prod(front)
    if count * size > _MOST:
        raise Unsupported(f"{count} numbers at irregular positions among {size}", "use slices")
    ones = np.zeros((size, count, 1, 1), np.float32)
    ones[target.places[:: prod(back)] // prod(back), np.arange(count)] = 1.0
    weight = context.param(Constant(f"{node.name}.places", ones), "fixed")
    weight.mask = ones != 0
    behind = prod(back) * prod(target.inner)
    block = context.reshape(node, updates, (count, behind))
    made = context.emit(node, "conv", [block], (size, behind), params=[weight, None], suffix="places")
    return context.reshape(node, made, target.dims)


def _steps(along: NDArray[np.int64]) -> int | None:
    """The positive step of a list of places; None: there is none."""
    steps = np.unique(np.diff(along))
    return 1 if along.size == 1 else int(steps[0]) if steps.size == 1 and steps[0] > 0 else None


def _placed(context: Context, node: Node, block: Row, dims: Dims, regular: list[tuple[int, int]]) -> Row:
    """A block in a grid of zeros: along its first axes from a place on, in steps."""
    begins, own, grid = [], [], []
    for (first, step), count, size in zip(regular, block.dims, dims, strict=False):
        begins += [first // step, first % step] if step > 1 else [first]
        own += [count, 1] if step > 1 else [count]
        grid += [-(-size // step), step] if step > 1 else [size]
    inner = dims[len(regular) :]
    wide = context.reshape(node, block, (*own, *inner))
    row = place(context, node, [wide], (*grid, *inner), [[*begins, *(0 for _ in inner)]])
    whole = tuple(-(-size // step) * step for (_, step), size in zip(regular, dims, strict=False))
    row = context.reshape(node, row, (*whole, *inner))
    return row if row.dims == dims else strided(context, node, row, dims, dense_strides(row.dims))
