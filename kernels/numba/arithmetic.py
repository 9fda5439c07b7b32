# The arithmetic that Numba lacks (a fused multiply-add, the tree over 16 virtual lanes) and the checks of arguments.
# Never here: loops over tensors.
# ruff: noqa: I001  (the folder's own name, numba, would be taken for the first party)
"""Building blocks of the Numba kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from edgecl.kernels_numba.pattern import SparsePattern

SPARSE_GRADIENT_CHUNKS = 16  # kSparseGradientChunks of kernels.h
GRADIENT_CHUNKS = 128  # kGradientChunks

Window = tuple[int, int, int, int, int, int, int, int]


def _fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c of three float32 with one rounding (LLVM's fma; IEEE 754-2008, 5.4.1)."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), code


fma: Any = intrinsic(_fma)


@njit(nogil=True)
def tree(lanes: Any) -> Any:
    """Sum of 16 lanes, t[i] += t[i+8], then +4, +2, +1; overwrites them."""
    step = 8
    while step > 0:
        for i in range(step):
            lanes[i] = lanes[i] + lanes[i + step]
        step //= 2
    return lanes[0]


def lanes_of(rows: int) -> int:
    """Batch lanes of the kernels' memory layout: 16 when the batch is a multiple of 16, else the whole batch."""
    return 16 if rows % 16 == 0 else rows


def window(
    pattern: SparsePattern,
    stride: tuple[int, int],
    padding: tuple[int, ...],
    dilation: tuple[int, int],
    height: int,
    width: int,
) -> tuple[Window, int, int]:
    """((stride, dilation, kernel, top, left), output height, output width) for an input of this extent.

    padding is (height, width) or (top, left, bottom, right). Raises ValueError when the window does not fit.
    """
    top, left, bottom, right = padding if len(padding) == 4 else (*padding, *padding)
    kernel = pattern.kernel_size
    out_h = (height + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    out_w = (width + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    if min(*stride, *dilation) < 1 or min(top, left, bottom, right) < 0 or out_h < 1 or out_w < 1:
        raise ValueError(
            f"expected a window that fits the padded input, found kernel {kernel}, stride {stride}, "
            f"dilation {dilation}, padding {padding} on {height} x {width}; enlarge the padding or shrink the kernel"
        )
    return (stride[0], stride[1], dilation[0], dilation[1], kernel[0], kernel[1], top, left), out_h, out_w


def check(name: str, array: Any, shape: tuple[int, ...]) -> Any:
    """`array` as contiguous float32, after checking its shape; -1 stands for any extent."""
    array = np.ascontiguousarray(array, np.float32)
    if array.ndim != len(shape) or any(want not in (-1, have) for want, have in zip(shape, array.shape, strict=True)):
        raise ValueError(
            f"expected {name} of shape {shape} (-1: any), found {array.shape}; "
            "make it fit the pattern and the other arrays"
        )
    return array
