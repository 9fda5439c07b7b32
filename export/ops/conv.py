# Conv.
# Never here: three axes (frames.py), fusing with what follows (fuse.py).
"""Convolution."""

from __future__ import annotations

from math import prod

from edgecl.export.context import Context, Node
from edgecl.export.errors import Unsupported
from edgecl.export.ops.frames import convolve_volume
from edgecl.export.ops.registry import handles
from edgecl.export.ops.windows import window_of


@handles("Conv")
def convert_conv(context: Context, node: Node) -> None:
    """Conv with constant weight [O][I/groups][k...] and optional bias. On a 1 x 1 map it is a linear layer and becomes
    one."""
    row = context.row(node)
    weight = context.floats(node, 1, "weight")
    if weight.values.ndim not in (3, 4, 5) or weight.values.ndim != len(row.dims) + 1:
        raise Unsupported(
            f"expected a convolution over one to three axes; found a weight of rank {weight.values.ndim} over "
            f"{len(row.dims) - 1} spatial axes",
            "use Conv1d, Conv2d or Conv3d",
        )
    outputs, inputs = weight.values.shape[:2]
    groups = node.integer("group", 1)
    if groups < 1 or inputs * groups != row.dims[0] or outputs % groups:
        raise Unsupported(
            f"expected {row.dims[0]} input channels in whole groups; found weight {weight.values.shape}, groups "
            f"{groups}",
            "correct the node",
        )
    bias = context.param(context.floats(node, 2, "bias"), "bias") if node.has_input(2) else None
    if len(row.dims) == 4:
        context.bind(node, convolve_volume(context, node, row, weight, bias))
        return
    window = window_of(node, row.dims, list(weight.values.shape[2:]))
    if prod(row.dims[1:]) == 1 and groups == 1 and window.kernel == (1, 1) and not any(window.pads):
        matrix = context.param(weight, "weight", weight.values.reshape(outputs, inputs))
        flat = context.emit(node, "linear", [context.reshape(node, row, (inputs,))], (outputs,), params=[matrix, bias])
        context.bind(node, context.reshape(node, flat, (outputs, *row.dims[1:])))
        return
    kernel = context.param(weight, "weight", weight.values.reshape(outputs, inputs, *window.kernel))
    pads = window.pads
    if window.pads_beyond_reach:  # the bundle's windows hold a cell of the input: more zeros are a pad of their own
        row = context.emit(node, "pad", [row], (row.dims[0], *window.padded(row.dims[1:])), pads=pads, suffix="pad")
        pads = (0, 0, 0, 0)
    result = context.emit(
        node,
        "conv",
        [row],
        (outputs, *window.spatial),
        params=[kernel, bias],
        kernel=window.kernel,
        stride=window.stride,
        dilation=window.dilation,
        pads=pads,
        groups=groups,
    )
    context.bind(node, result)
