# Geometry of sliding windows: kernel, stride, dilation and padding of convolutions and pools, in two dimensions.
# Never here: emitting operators.
"""`window_of` reads the attributes of a node over one or two spatial axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecl.export.errors import Unsupported
from edgecl.export.graph import Dims

if TYPE_CHECKING:
    from edgecl.export.context import Node

MAX_TAPS = 1024  # kMaxTaps of kernels.h


@dataclass(frozen=True)
class Window:
    """Two-dimensional window (1-D data: height 1); `spatial` is the output's size in the source's own rank."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    spatial: Dims

    @property
    def pads_beyond_reach(self) -> bool:
        """More padding on a side than dilation * (kernel - 1): some window would lie in zeros alone."""
        reach = [step * (size - 1) for step, size in zip(self.dilation, self.kernel, strict=True)] * 2
        return any(pad > limit for pad, limit in zip(self.pads, reach, strict=True))

    def padded(self, sizes: Dims) -> Dims:
        """Spatial sizes (one or two) with the padding added."""
        top, left, bottom, right = self.pads
        return (*(size + top + bottom for size in sizes[:-1]), sizes[-1] + left + right)


def window_of(node: Node, dims: Dims, kernel: list[int], part: slice = slice(None)) -> Window:
    """The window of a Conv, MaxPool or AveragePool over rows of `dims` (C, then the spatial sizes), or over the spatial
    axes `part` of it: one or two.

    Output size per axis: floor (or ceil, with ceil_mode) of (size + pads - dilation * (kernel - 1) - 1) / stride, + 1;
        with ceil_mode the last
    window must begin inside the input or its leading pad (ONNX, PyTorch). auto_pad SAME: ceil(size / stride).
    """
    whole = len(dims) - 1
    sizes = dims[1:][part]
    rank = len(sizes)
    if rank not in (1, 2):
        raise Unsupported(f"expected one or two spatial axes; found {rank}", "use 1-D or 2-D layers")
    if len(kernel) != whole:
        raise Unsupported(f"expected a kernel of {whole} sizes; found {kernel}", "correct kernel_shape")
    kernel = kernel[part]
    stride = node.integers("strides", [1] * whole)[part]
    dilation = node.integers("dilations", [1] * whole)[part]
    pads = node.integers("pads", [0] * (2 * whole))
    pads = pads[:whole][part] + pads[whole:][part]
    auto = node.text("auto_pad", "NOTSET")
    ceil_mode = bool(node.integer("ceil_mode", 0))
    begins, ends, outputs = [], [], []
    for axis, size in enumerate(sizes):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        begin, end = (pads[axis], pads[rank + axis]) if auto == "NOTSET" else (0, 0)
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-size // stride[axis]) - 1) * stride[axis] + reach - size, 0)
            begin, end = (total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2)
        room = size + begin + end - reach
        if room < 0:
            raise Unsupported(
                f"window of {reach} does not fit into {size + begin + end} cells",
                "use a larger input or a smaller kernel",
            )
        count = (-(-room // stride[axis]) if ceil_mode else room // stride[axis]) + 1
        if ceil_mode and (count - 1) * stride[axis] >= size + begin:
            count -= 1
        begins.append(begin)
        ends.append(end)
        outputs.append(count)
    if min(begins + ends) < 0:
        raise Unsupported(f"negative padding {pads}", "crop the input in front of the model")
    if rank == 1:
        kernel, stride, dilation = [1, *kernel], [1, *stride], [1, *dilation]
        begins, ends = [0, *begins], [0, *ends]
    if kernel[0] * kernel[1] > MAX_TAPS:
        raise Unsupported(f"kernel of {kernel[0]} x {kernel[1]} cells; at most {MAX_TAPS}", "use a smaller kernel")
    return Window(
        (kernel[0], kernel[1]),
        (stride[0], stride[1]),
        (dilation[0], dilation[1]),
        (begins[0], begins[1], ends[0], ends[1]),
        tuple(outputs),
    )
