# ConvTranspose, one- and two-dimensional.
# Never here: Conv (conv.py), emitting views (views.py).
"""Transposed convolution: a convolution of stride 1 that makes all phases of the output as channels, and a view that
puts them between each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.graph import Param
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import dense_strides, strided
from edgecl.export.ops.windows import MAX_TAPS
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """One axis. Output place a * stride + phase is the sum over j in low..high of input place a - j times tap phase + j
    * stride + pad of the kernel (dilated taps between which there are zeros)."""

    size: int  # of the input
    stride: int
    dilation: int
    taps: int
    pad: int  # cut off in front
    outputs: int
    cut: int = 0  # of the outputs, taken off in front at the end

    @property
    def without_zeros(self) -> Axis:
        """The same, with whole windows: nothing is cut off before the end."""
        return replace(self, pad=0, outputs=self.outputs + self.pad, cut=self.pad)

    @property
    def low(self) -> int:
        return min(0, -((self.pad + self.stride - 1) // self.stride))

    @property
    def high(self) -> int:
        return max(0, (self.dilation * (self.taps - 1) - self.pad) // self.stride)

    @property
    def places(self) -> int:
        """Values of a."""
        return -(-self.outputs // self.stride)

    @property
    def behind(self) -> int:
        """Zeros behind the input."""
        return max(0, self.places - self.size - self.low)

    def phases(self) -> NDArray[np.int64]:
        """[stride][high - low + 1]: which tap of the kernel stands at each place of each phase's window; -1: none."""
        window = np.arange(self.high, self.low - 1, -1)  # j, in the order in which a window walks the input
        reach = np.arange(self.stride)[:, None] + window[None, :] * self.stride + self.pad
        found = (reach >= 0) & (reach % self.dilation == 0) & (reach // self.dilation < self.taps)
        return np.where(found, reach // self.dilation, -1)


@handles("ConvTranspose")
def convert_conv_transpose(context: Context, node: Node) -> None:
    """Constant weight [I][O/groups][k...]; any stride, dilation, padding, output_padding, output_shape and auto_pad.
    In the bundle weights lie in another order. They learn where the kernel is a whole number of strides, so that all
    phases have as many taps; else there are zeros between them, and they are fixed."""
    row = context.row(node)
    weight = context.floats(node, 1, "weight")
    rank = len(row.dims) - 1
    if rank not in (1, 2) or weight.values.ndim != rank + 2:
        raise Unsupported(
            f"expected a 1-D or 2-D convolution; found a weight of rank {weight.values.ndim} over {rank} spatial axes",
            "use ConvTranspose1d or ConvTranspose2d",
        )
    groups = node.integer("group", 1)
    inputs = weight.values.shape[0]
    if groups < 1 or inputs != row.dims[0] or inputs % groups:
        raise Unsupported(
            f"expected {row.dims[0]} input channels in whole groups; found weight {weight.values.shape}, groups "
            f"{groups}",
            "correct the node",
        )
    axes = _axes(node, row.dims[1:], weight.values.shape[2:])
    even = all(axis.dilation == 1 and axis.taps % axis.stride == 0 for axis in axes)
    if even:
        axes = [axis.without_zeros for axis in axes]
    learns = even and weight.source is not None and context.learns(weight.source, "weight")
    values = weight.values
    if rank == 1:
        axes = [Axis(1, 1, 1, 1, 0, 1), *axes]
        values = values[:, :, None, :]
    kernel = all_phases(values, groups, axes)
    if kernel.shape[2] * kernel.shape[3] > MAX_TAPS:
        raise Unsupported(f"kernel of {values.shape[2:]} cells", "use a smaller kernel")
    phases = axes[0].stride * axes[1].stride
    constant = context.floats(node, 2, "bias") if node.has_input(2) else None
    bias = None
    if learns:
        param = context.param(weight, "weight", kernel)
        context.note(
            f"'{param.name}' of a transposed convolution lies in the bundle as {kernel.shape}, a channel a phase"
        )
    else:
        param = context.param(Constant(weight.source or weight.name, kernel), "fixed")
        param.rearranged = True
        if constant is not None:
            bias = context.param(constant, "fixed", np.repeat(constant.values.reshape(-1), phases))
    made = in_phases(context, node, row, param, bias, axes, groups)
    if learns and constant is not None:  # one number for all phases
        offset = context.param(constant, "bias", constant.values.reshape(-1, 1, 1))
        made = context.emit(node, "add", [made], made.dims, params=[offset], suffix="bias")
    context.bind(node, context.reshape(node, made, made.dims if rank == 2 else (made.dims[0], made.dims[2])))


def in_phases(
    context: Context, node: Node, row: Row, kernel: Param, bias: Param | None, axes: list[Axis], groups: int
) -> Row:
    """Rows [I][a] or [I][a][b] through a kernel of `all_phases`, to [O][height][width]."""
    phases = axes[0].stride * axes[1].stride
    places = [axis.size + axis.high + axis.behind - (axis.high - axis.low) for axis in axes]
    pads = (axes[0].high, axes[1].high, axes[0].behind, axes[1].behind)
    if any(axis.behind > axis.high - axis.low for axis in axes):
        grown = (row.dims[0], *(axis.size + axis.high + axis.behind for axis in axes))
        row = context.emit(node, "pad", [row], grown, pads=pads, suffix="pad")
        pads = (0, 0, 0, 0)
    elif len(row.dims) == 2:
        row = context.reshape(node, row, (row.dims[0], 1, row.dims[1]))
    filters, _, height, width = kernel.values.shape
    made = context.emit(
        node, "conv", [row], (filters, *places), params=[kernel, bias],
        kernel=(height, width), pads=pads, groups=groups, suffix="phases",
    )  # fmt: skip
    return _between(context, node, made, filters // phases, axes)


def _between(context: Context, node: Node, made: Row, outputs: int, axes: list[Axis]) -> Row:
    """[O * phases][a][b] as [O][a * stride + phase][...], cut to the output's size."""
    of_channel, of_row, of_column = dense_strides(made.dims)
    (high, wide) = axes
    row = strided(
        context, node, made, (outputs, high.places, high.stride, wide.places, wide.stride),
        [of_channel * high.stride * wide.stride, of_row, of_channel * wide.stride, of_column, of_channel],
    )  # fmt: skip
    dims = (outputs, high.places * high.stride, wide.places * wide.stride)
    row = context.reshape(node, row, dims)
    cut = (outputs, high.outputs - high.cut, wide.outputs - wide.cut)
    first = high.cut * dims[2] + wide.cut
    return row if cut == dims else strided(context, node, row, cut, dense_strides(dims), first)


def all_phases(values: NDArray[np.float32], groups: int, axes: list[Axis]) -> NDArray[np.float32]:
    """[O * phases][I / groups][window...] of a weight [I][O / groups][kh][kw]."""
    inputs, share = values.shape[:2]
    padded = np.pad(values, ((0, 0), (0, 0), (0, 1), (0, 1)))  # so that tap -1 is zero
    rows, columns = (axis.phases() for axis in axes)
    taken = padded[:, :, rows[:, None, :, None], columns[None, :, None, :]]  # [I][O/g][p][q][u][v]
    taken = taken.reshape(groups, inputs // groups, share, *taken.shape[2:])
    turned = np.moveaxis(taken, 1, 4)  # [g][O/g][p][q][I/g][u][v]
    return np.ascontiguousarray(turned.reshape(-1, inputs // groups, *taken.shape[-2:]))


def _axes(node: Node, sizes: tuple[int, ...], taps: tuple[int, ...]) -> list[Axis]:
    rank = len(sizes)
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    more, pads = node.integers("output_padding", [0] * rank), node.integers("pads", [0] * (2 * rank))
    auto, asked = node.text("auto_pad", "NOTSET"), node.integers("output_shape", [])
    made = []
    for axis, size in enumerate(sizes):
        whole = strides[axis] * (size - 1) + more[axis] + dilations[axis] * (taps[axis] - 1) + 1
        begin, end = pads[axis], pads[rank + axis]
        if asked or auto in ("SAME_UPPER", "SAME_LOWER"):
            total = whole - (asked[len(asked) - rank + axis] if asked else size * strides[axis])
            begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
            end = total - begin
        elif auto == "VALID":
            begin = end = 0
        outputs = whole - begin - end
        if outputs < 1 or begin < 0:
            raise Unsupported(f"an output of {outputs} cells, {begin} cut off in front", "correct the pads")
        made.append(Axis(size, strides[axis], dilations[axis], taps[axis], begin, outputs))
    return made
