# Convolutions over three axes, and over maps of which one row of the batch has several: [N * frames][C][H][W].
# Never here: convolutions over one or two axes of one map a row (conv.py), what merges nodes (simplify.py).
"""Frames are stacked: one map with zeros between them goes through one two-dimensional convolution, whose weight is the
source's own and learns as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.graph import Param
from edgecl.export.ops.views import dense_strides, permute, place, strided
from edgecl.export.ops.windows import Window, window_of


@dataclass(frozen=True)
class _Layer:
    """A convolution's parameters: the weight [O][I / groups][height][width], and a bias or none."""

    weight: Constant
    bias: Param | None
    groups: int


def convolve_volume(context: Context, node: Node, row: Row, weight: Constant, bias: Param | None) -> Row:
    """Rows [C][D][H][W] and a weight [O][C / groups][kd][kh][kw]. The frames lie along an axis that the kernel has one
    cell of; where there is none, the windows along the depth become channels."""
    kernel = list(weight.values.shape[2:])
    groups = node.integer("group", 1)
    plane, line = window_of(node, row.dims, kernel, slice(1, 3)), window_of(node, row.dims, kernel, slice(0, 1))
    if _is_point(line.kernel[1], line.stride[1], line.pads[1::2]):
        return stacked(context, node, row, _Layer(weight, bias, groups), plane)
    if _is_point(plane.kernel[1], plane.stride[1], plane.pads[1::2]):  # the last axis in front
        upright = Window(
            (line.kernel[1], plane.kernel[0]), (line.stride[1], plane.stride[0]), (line.dilation[1], plane.dilation[0]),
            (line.pads[1], plane.pads[0], line.pads[3], plane.pads[2]), (*line.spatial, plane.spatial[0]),
        )  # fmt: skip
        turned = permute(context, node, row, (0, 3, 1, 2))
        made = stacked(context, node, turned, _Layer(weight, bias, groups), upright)
        return permute(context, node, made, (0, 2, 3, 1))
    windows = _windows_as_channels(context, node, row, line)
    return stacked(context, node, windows, _Layer(weight, bias, groups), plane)


def convolve_frames(context: Context, node: Node, row: Row, weight: Constant, bias: Param | None) -> Row:
    """Rows [C][frames][W] or [C][frames][H][W], and a weight over one frame."""
    sizes = row.dims[2:]
    window = window_of(node, (row.dims[0], *sizes), list(weight.values.shape[2:]))
    maps = row if len(sizes) == 2 else context.reshape(node, row, (*row.dims[:2], 1, *sizes))
    made = stacked(context, node, maps, _Layer(weight, bias, node.integer("group", 1)), window)
    return context.reshape(node, made, (*made.dims[:2], *window.spatial))


def _is_point(kernel: int, stride: int, pads: Sequence[int]) -> bool:
    return kernel == 1 and stride == 1 and not any(pads)


def _windows_as_channels(context: Context, node: Node, row: Row, line: Window) -> Row:
    """[C][D][H][W] to [C * kd][windows][H][W], cells of a window beside each other as in the weight."""
    channels, depth, height, width = row.dims
    (_, front, _, back), taps, count = line.pads, line.kernel[1], line.spatial[0]
    if front or back:
        padded = (channels, front + depth + back, height, width)
        row = place(context, node, [row], padded, [[0, front, 0, 0]])
    of_channel, of_frame, of_line, _ = dense_strides(row.dims)
    windows = strided(
        context, node, row, (channels, taps, count, height, width),
        [of_channel, line.dilation[1] * of_frame, line.stride[1] * of_frame, of_line, 1],
    )  # fmt: skip
    return context.reshape(node, windows, (channels * taps, count, height, width))


def stacked(context: Context, node: Node, row: Row, layer: _Layer, window: Window) -> Row:
    """Rows [C][frames][H][W], the window over each frame, to [O][frames][...]."""
    channels, frames, height, width = row.dims
    outputs = layer.weight.values.shape[0]
    share = channels // layer.groups
    if layer.groups < 1 or channels % layer.groups or outputs % layer.groups:
        raise Unsupported(f"{channels} input channels in {layer.groups} groups", "correct the node")
    shape = (outputs, share, *window.kernel)
    if layer.weight.values.size != np.prod(shape):
        raise Unsupported(
            f"expected a weight of {shape}; found {layer.weight.values.shape}", "correct the node's parameters"
        )
    top, left, bottom, right = window.pads
    if window.pads_beyond_reach:  # the bundle's windows hold a cell of the input
        height, width = height + top + bottom, width + left + right
        row = place(context, node, [row], (channels, frames, height, width), [[0, 0, top, left]])
        top = left = bottom = right = 0
    down = window.stride[0]
    apart = -(-(height + max(top, bottom)) // down) * down if frames > 1 else height
    if apart > height:
        row = place(context, node, [row], (channels, frames, apart, width), [[0, 0, 0, 0]])
    tall = context.reshape(node, row, (channels, frames * apart, width))
    end = bottom if frames == 1 else 0
    lines = (frames * apart + top + end - window.dilation[0] * (window.kernel[0] - 1) - 1) // down + 1
    high, wide = (1, *window.spatial)[-2:]
    kernel = context.param(layer.weight, "weight", layer.weight.values.reshape(shape))
    made = context.emit(
        node, "conv", [tall], (outputs, lines, wide), params=[kernel, layer.bias], kernel=window.kernel,
        stride=window.stride, dilation=window.dilation, pads=(top, left, end, right), groups=layer.groups,
    )  # fmt: skip
    dims = (outputs, frames, high, wide)
    return strided(context, node, made, dims, [lines * wide, apart // down * wide, wide, 1])
