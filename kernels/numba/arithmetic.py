# The arithmetic that Numba lacks (a fused multiply-add, the tree over 16 virtual lanes) and the checks of arguments.
# Never here: loops over tensors.
# ruff: noqa: I001  (the folder's own name, numba, would be taken for the first party)
"""Building blocks of the Numba kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from edgecl.kernels_numba.pattern import SparsePattern

SPARSE_GRADIENT_CHUNKS = 16  # kSparseGradientChunks of kernels.h
GRADIENT_TILE = 4  # kSparseGradientTile
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


def gradient_order(height: int, width: int, lanes: int) -> tuple[NDArray[np.int64], int]:
    """(order, chunks): the floats of a plane of dY in the order in which a sparse convolution's weight gradient takes
    them, and the chunks of 16 floats in a block of that sum.

    With 16 or 20 lanes and a height and width that are multiples of 4 the blocks are tiles of 4 x 4 positions: 16 lanes
    of each position, then the other four lanes of each row's four positions. Else the order is that of memory.
    """
    if lanes not in (16, 20) or height % GRADIENT_TILE or width % GRADIENT_TILE:
        return np.arange(height * width * lanes), SPARSE_GRADIENT_CHUNKS
    plane = np.arange(height * width * lanes).reshape(height, width, lanes)
    tiles = plane.reshape(height // 4, 4, width // 4, 4, lanes).swapaxes(1, 2).reshape(-1, 16, lanes)
    main, rest = tiles[:, :, :16], tiles[:, :, 16:]
    return np.concatenate([part.reshape(len(tiles), -1) for part in (main, rest)], axis=1).ravel(), lanes


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
