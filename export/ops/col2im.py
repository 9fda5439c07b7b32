# Col2Im: windows that are added where they overlap, as torch.nn.functional.fold does.
# Never here: transposed convolutions (conv_transpose.py).
"""Sums of windows."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Constant, Context, Node
from edgecl.export.errors import Unsupported
from edgecl.export.ops.conv_transpose import Axis, all_phases, in_phases
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import permute
from edgecl.export.ops.windows import MAX_TAPS


@handles("Col2Im")
def convert_col2im(context: Context, node: Node) -> None:
    """Columns [C * kh * kw][windows] to [C][H][W]. Windows side by side are a view; else a transposed convolution of
    ones and zeros, each group of which has the numbers of one channel's window as its inputs."""
    row = context.row(node)
    size, kernel = context.integers(node, 1, "size of the map"), context.integers(node, 2, "size of a window")
    if len(size) != 2 or len(kernel) != 2:
        raise Unsupported(f"windows of {len(kernel)} axes; expected two", "use two-dimensional maps")
    stride, dilation = node.integers("strides", [1, 1]), node.integers("dilations", [1, 1])
    pads = node.integers("pads", [0] * 4)
    channels, counts, left = row.dims[0] // (kernel[0] * kernel[1]), [], []
    for axis in range(2):
        room = size[axis] + pads[axis] + pads[axis + 2] - dilation[axis] * (kernel[axis] - 1) - 1
        counts.append(room // stride[axis] + 1)
        left.append(room % stride[axis])
    if min(counts) < 1 or row.dims != (channels * kernel[0] * kernel[1], counts[0] * counts[1]):
        raise Unsupported(f"columns {row.dims} for a map of {size} in windows of {kernel}", "correct the sizes")
    if kernel == stride and dilation == [1, 1] and not any(pads + left):
        windows = context.reshape(node, row, (channels, *kernel, *counts))
        moved = permute(context, node, windows, (0, 3, 1, 4, 2))
        context.bind(node, context.reshape(node, moved, (channels, *size)))
        return
    ones = np.tile(np.eye(kernel[0] * kernel[1], dtype=np.float32).reshape(-1, 1, *kernel), (channels, 1, 1, 1))
    axes = [Axis(counts[k], stride[k], dilation[k], kernel[k], pads[k], size[k]) for k in range(2)]
    phases = all_phases(ones, channels, axes)
    if phases.shape[2] * phases.shape[3] > MAX_TAPS:
        raise Unsupported(f"windows of {kernel} cells", "use smaller windows")
    weight = context.param(Constant(f"{node.name}.ones", phases), "fixed")
    windows = context.reshape(node, row, (row.dims[0], *counts))
    context.bind(node, in_phases(context, node, windows, weight, None, axes, channels))
