# Pools over windows, global pools and means over axes.
# Never here: windows' geometry (windows.py).
"""Pooling."""

from __future__ import annotations

from math import prod

from edgecl.export.context import Context, Node, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.ops.reduce import MAX, MEAN, reduce_axes
from edgecl.export.ops.registry import handles
from edgecl.export.ops.windows import MAX_TAPS, Window, window_of


@handles("MaxPool", "AveragePool")
def convert_pool(context: Context, node: Node) -> None:
    """Windows of any stride, dilation and padding; ceil_mode; average with or without the padded cells. Three spatial
    axes in two turns, the last two and then the first: a maximum of maxima, and a mean of means, since the number of
    cells of a window is a product over its axes."""
    row = context.row(node)
    kernel = node.integers("kernel_shape", [])
    if len(row.dims) != 4:
        context.bind(node, _pool(context, node, row, window_of(node, row.dims, kernel)))
        return
    channels, depth = row.dims[:2]
    plane, line = window_of(node, row.dims, kernel, slice(1, 3)), window_of(node, row.dims, kernel, slice(0, 1))
    row = _pool(context, node, context.reshape(node, row, (channels * depth, *row.dims[2:])), plane)
    upright = Window(
        line.kernel[::-1], line.stride[::-1], line.dilation[::-1], (line.pads[1], 0, line.pads[3], 0),
        (line.spatial[0], prod(plane.spatial)),
    )  # fmt: skip
    row = _pool(context, node, context.reshape(node, row, (channels, depth, prod(plane.spatial))), upright)
    context.bind(node, context.reshape(node, row, (channels, *line.spatial, *plane.spatial)))


def _pool(context: Context, node: Node, row: Row, window: Window) -> Row:
    is_max = node.op_type == "MaxPool"
    if window.pads_beyond_reach:
        raise Unsupported(
            f"padding {window.pads} of a window of {window.kernel}: some windows hold no cell",
            "pad by less than the kernel",
        )
    if not is_max and window.kernel == ((1, *row.dims[1:])[-2:]) and not any(window.pads):  # one window: the mean
        pooled = context.emit(node, "global_average_pool", [row], (row.dims[0], 1, 1))
        return context.reshape(node, pooled, (row.dims[0], *window.spatial))
    return context.emit(
        node,
        "max_pool" if is_max else "average_pool",
        [row],
        (row.dims[0], *window.spatial),
        kernel=window.kernel,
        stride=window.stride,
        dilation=window.dilation,
        pads=window.pads,
        i=() if is_max else (node.integer("count_include_pad", 0),),
    )


@handles("GlobalAveragePool")
def convert_global_average(context: Context, node: Node) -> None:
    """Mean over all spatial axes, which stay as 1."""
    row = context.row(node)
    _check_spatial(row)
    context.bind(node, _mean(context, node, row, 1, len(row.dims), keep=True))


@handles("GlobalMaxPool")
def convert_global_max(context: Context, node: Node) -> None:
    """Maximum over all spatial axes: one window as large as the map, or two (columns, then rows) where that has too
    many cells."""
    row = context.row(node)
    _check_spatial(row)
    channels, height, width = row.dims[0], prod(row.dims[1:-1]), row.dims[-1]
    row = context.reshape(node, row, (channels, height, width))
    if max(height, width) > MAX_TAPS:
        context.bind(node, reduce_axes(context, node, row, list(range(1, len(row.dims))), MAX, True))
        return
    steps = [((height, width), 1, 1)]
    if height * width > MAX_TAPS:
        steps = [((1, width), height, 1), ((height, 1), 1, 1)]
    for index, (kernel, rows, columns) in enumerate(steps):
        row = context.emit(
            node, "max_pool", [row], (channels, rows, columns), kernel=kernel, suffix=f"step{index}" if index else None
        )
    context.bind(node, context.reshape(node, row, (channels, *(1 for _ in context.row(node).dims[1:]))))


@handles("ReduceMean")
def convert_reduce_mean(context: Context, node: Node) -> None:
    """Mean over row axes, given as attribute (before operator set 18) or constant input; the batch axis cannot be
    reduced."""
    row = context.row(node)
    rank = len(row.dims) + 1
    axes = context.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes", [])
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            context.bind(node, row)
            return
        axes = list(range(rank))
    axes = sorted({axis % rank for axis in axes})
    if 0 in axes:
        raise Unfit("a mean over the batch axis", "reduce over channels or spatial axes only")
    keep = bool(node.integer("keepdims", 1))
    dims = row.dims
    runs: list[list[int]] = []
    for axis in axes:
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    for run in reversed(runs):  # from the last axes on, so that the numbers of the others stay right
        row = _mean(context, node, row, run[0] - 1, run[-1], keep=True)
    final = tuple(size for axis, size in enumerate(row.dims, start=1) if keep or axis not in axes)
    assert len(dims) == len(row.dims)
    context.bind(node, context.reshape(node, row, final))


def _mean(context: Context, node: Node, row: Row, begin: int, end: int, keep: bool) -> Row:
    """Mean over row axes begin..end-1 (neighbours): with [before][reduced][after], a global or a tall average pool."""
    before, size, after = prod(row.dims[:begin]), prod(row.dims[begin:end]), prod(row.dims[end:])
    dims = (*row.dims[:begin], *([1] * (end - begin) if keep else []), *row.dims[end:])
    if size == 1:
        return context.reshape(node, row, dims)
    if after == 1:
        spatial = row if begin == 1 else context.reshape(node, row, (before, 1, size))
        pooled = context.emit(node, "global_average_pool", [spatial], (before, 1, 1), suffix=None)
    else:
        block = context.reshape(node, row, (before, size, after))
        if size > MAX_TAPS:
            mean = context.emit(node, "reduce", [block], (before, 1, after), i=(MEAN,))
            return context.reshape(node, mean, dims)
        pooled = context.emit(node, "average_pool", [block], (before, 1, after), kernel=(size, 1), i=(0,))
    return context.reshape(node, pooled, dims)


def _check_spatial(row: Row) -> None:
    if len(row.dims) not in (2, 3, 4):
        raise Unsupported(f"expected one to three spatial axes; found {len(row.dims) - 1}", "use 1-D to 3-D data")
