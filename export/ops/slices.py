# Slice, Split, Gather, GatherND, Expand, Tile, DepthToSpace, SpaceToDepth: numbers picked and repeated.
# Never here: emitting views (views.py), Transpose, joining tensors (rearrange.py), Resize.
"""Operators that pick, order and repeat the numbers of a row by positions that are known now."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Norm, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.ops.l2_norm import expand_norm
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import dense_strides, expand, permute, strided, take

BATCH = "keep the batch as the first axis, whole"


def _row_axis(axis: int, row: Row) -> int:
    """A row axis of an ONNX axis, which counts the batch."""
    found = axis % (len(row.dims) + 1)
    if found == 0:
        raise Unfit("an axis 0 that is the batch", BATCH)
    return found - 1


@handles("Slice")
def convert_slice(context: Context, node: Node) -> None:
    """Starts, ends, axes and steps as attributes (before operator set 10) or constant inputs; steps of any sign."""
    row = context.row(node)
    if node.has_input(1):
        starts, ends = context.integers(node, 1, "starts"), context.integers(node, 2, "ends")
        axes = context.integers(node, 3, "axes") if node.has_input(3) else list(range(len(starts)))
        steps = context.integers(node, 4, "steps") if node.has_input(4) else [1] * len(starts)
    else:
        starts, ends = node.integers("starts", []), node.integers("ends", [])
        axes, steps = node.integers("axes", list(range(len(starts)))), [1] * len(starts)
    dims, strides, offset = list(row.dims), dense_strides(row.dims), 0
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % (len(row.dims) + 1) == 0:
            if len(range(context.batch)[start:end:step]) == context.batch and step == 1:
                continue
            raise Unfit("a slice of the batch", BATCH)
        k = _row_axis(axis, row)
        chosen = range(row.dims[k])[start:end:step]
        if len(chosen) > 0:
            offset += chosen[0] * strides[k]
        dims[k], strides[k] = len(chosen), strides[k] * step
    if 0 in dims:  # as torch.roll by 0 has it; Concat leaves it out
        context.bind(node, Constant(node.outputs[0], np.zeros((context.batch, *dims), np.float32)))
        return
    context.bind(node, strided(context, node, row, tuple(dims), strides, offset))


@handles("Split")
def convert_split(context: Context, node: Node) -> None:
    """Sizes as attribute (before operator set 13), constant input, or equal ones, the last one smaller."""
    row = context.row(node)
    axis = _row_axis(node.integer("axis", 0), row)
    size, count = row.dims[axis], len(node.outputs)
    if node.has_input(1):
        parts = context.integers(node, 1, "split")
    else:
        each = -(-size // node.integer("num_outputs", count))
        parts = node.integers("split", [min(each, size - each * k) for k in range(count)])
    if sum(parts) != size or len(parts) != count or min(parts) < 1:
        raise Unsupported(f"an axis of {size} in parts of {parts}", "correct the sizes")
    strides, at = dense_strides(row.dims), 0
    for index, part in enumerate(parts):
        dims = (*row.dims[:axis], part, *row.dims[axis + 1 :])
        if node.outputs[index]:
            context.bind(node, strided(context, node, row, dims, strides, at * strides[axis]), index)
        at += part


@handles("Gather")
def convert_gather(context: Context, node: Node) -> None:
    """Constant indices along one axis behind the batch."""
    row = context.row(node)
    axis = _row_axis(node.integer("axis", 0), row)
    indices = np.asarray(context.constant(node, 1, "indices").values, np.int64)
    context.bind(node, take(context, node, row, axis, indices))


@handles("GatherND")
def convert_gather_nd(context: Context, node: Node) -> None:
    """Constant indices of several axes behind the batch, the same for all rows of a batch."""
    row = context.row(node)
    indices = np.asarray(context.constant(node, 1, "indices").values, np.int64)
    shared = node.integer("batch_dims", 0)
    if shared < 1 or (indices != indices[:1]).any():
        raise Unfit("indices that pick among the rows of a batch", BATCH)
    indices, own = indices[0], shared - 1  # row axes that indices and data share
    depth = own + indices.shape[-1]
    sizes, inner = row.dims[:depth], row.dims[depth:]
    wanted = [index + size * (index < 0) for index, size in zip(np.moveaxis(indices, -1, 0), sizes[own:], strict=True)]
    if any((index < 0).any() or (index >= size).any() for index, size in zip(wanted, sizes[own:], strict=True)):
        raise Unsupported(f"indices beyond axes of {list(sizes[own:])}", "correct the indices")
    strides = dense_strides(sizes)
    flat = sum((index * stride for index, stride in zip(wanted, strides[own:], strict=True)), np.int64(0))
    for axis in range(own):
        shape = [-1 if k == axis else 1 for k in range(np.ndim(flat))]
        flat = flat + (np.arange(sizes[axis]) * strides[axis]).reshape(shape)
    block = context.reshape(node, row, (prod(sizes), *inner))
    context.bind(node, take(context, node, block, 0, np.asarray(flat)))


@handles("Expand")
def convert_expand(context: Context, node: Node) -> None:
    """To constant sizes behind the batch. A norm stays one: the division repeats it anyway."""
    target = context.integers(node, 1, "shape")
    norm = context.environment.get(node.inputs[0])
    if isinstance(norm, Norm) and expand_norm(context, node, norm, target):
        return
    row = context.row(node)
    full = (context.batch, *row.dims)
    rank = max(len(target), len(full))
    if len(full) < rank and context.batch != 1:
        raise Unsupported(f"rows of {list(full)} expanded to {target}", BATCH)
    own = (1,) * (rank - len(full)) + full if len(full) < rank else full
    wanted = [1] * (rank - len(target)) + target
    sizes = [max(a, b) for a, b in zip(own, wanted, strict=True)]
    if sizes[0] != own[0] or any(a not in (1, b) for a, b in zip(own, sizes, strict=True)):
        raise Unsupported(f"rows of {list(full)} expanded to {target}", BATCH)
    context.bind(node, expand(context, node, row, tuple(sizes[1:])))


@handles("Tile")
def convert_tile(context: Context, node: Node) -> None:
    """Constant repetitions of the axes behind the batch."""
    row = context.row(node)
    repeats = context.integers(node, 1, "repeats")
    if len(repeats) != len(row.dims) + 1 or repeats[0] != 1 or min(repeats) < 1:
        raise Unsupported(f"repetitions {repeats} of rows {row.dims}", BATCH)
    for first in range(0, len(row.dims), 2):  # two axes at a time: four of a view
        counts = [count if axis in (first, first + 1) else 1 for axis, count in enumerate(repeats[1:])]
        dims: list[int] = []
        strides: list[int] = []
        for size, stride, count in zip(row.dims, dense_strides(row.dims), counts, strict=True):
            dims += [count, size]
            strides += [0, stride]
        whole = tuple(size * count for size, count in zip(row.dims, counts, strict=True))
        row = context.reshape(node, strided(context, node, row, tuple(dims), strides), whole)
    context.bind(node, row)


@handles("DepthToSpace")
def convert_depth_to_space(context: Context, node: Node) -> None:
    """Blocks of channels to squares of cells (pixel shuffle); modes DCR and CRD."""
    row = context.row(node)
    block, (channels, height, width) = node.integer("blocksize", 1), row.dims
    rest = channels // (block * block)
    if node.text("mode", "DCR") == "DCR":
        wide, order = (block, block, rest, height, width), (2, 3, 0, 4, 1)
    else:
        wide, order = (rest, block, block, height, width), (0, 3, 1, 4, 2)
    moved = permute(context, node, context.reshape(node, row, wide), order)
    context.bind(node, context.reshape(node, moved, (rest, height * block, width * block)))


@handles("SpaceToDepth")
def convert_space_to_depth(context: Context, node: Node) -> None:
    """Squares of cells to blocks of channels."""
    row = context.row(node)
    block, (channels, height, width) = node.integer("blocksize", 1), row.dims
    wide = (channels, height // block, block, width // block, block)
    order = (2, 4, 0, 1, 3) if node.text("mode", "DCR") == "DCR" else (0, 2, 4, 1, 3)
    moved = permute(context, node, context.reshape(node, row, wide), order)
    context.bind(node, context.reshape(node, moved, (channels * block * block, height // block, width // block)))
