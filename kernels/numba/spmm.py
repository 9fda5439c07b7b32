# Sparse times dense in Numba: forward pass and input gradient of linear layers and convolutions.
# Never here: weight gradients, and loops that visit a weight which is not stored.
# ruff: noqa: I001  (the folder's own name, numba, would be taken for the first party)
"""Every output element is one chain of fused multiply-adds over the stored entries of its row, in ascending order of
channel, tap row, tap column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from edgecl.kernels_numba.arithmetic import check, fma, window
from edgecl.kernels_numba.pattern import SparsePattern, transpose_pattern

Floats = NDArray[np.float32]
Pair = tuple[int, int]


@njit(nogil=True)
def _linear(x: Any, start: Any, row_start: Any, index: Any, value: Any, block: int, y: Any) -> None:
    n, rows = y.shape
    n_blocks = (row_start.size - 1) // rows
    for r in range(n):
        for o in range(rows):
            acc = start[o]
            for b in range(n_blocks):
                for k in range(row_start[b * rows + o], row_start[b * rows + o + 1]):
                    acc = fma(value[k], x[r, b * block + index[k]], acc)
            y[r, o] = acc


@njit(nogil=True)
def _conv_forward(
    x: Any, start: Any, row_start: Any, index: Any, value: Any, block: int, window: Any, padded: Any, y: Any
) -> None:
    stride_h, stride_w, dilation_h, dilation_w, kernel_h, kernel_w, top, left = window
    n, rows, out_h, out_w = y.shape
    taps = kernel_h * kernel_w
    n_blocks = (row_start.size - 1) // rows
    for r in range(n):
        padded[:, top : top + x.shape[2], left : left + x.shape[3]] = x[r]
        for o in range(rows):
            plane = y[r, o]
            plane[:] = start[o]
            for b in range(n_blocks):
                for k in range(row_start[b * rows + o], row_start[b * rows + o + 1]):
                    source = padded[b * block + index[k] // taps]
                    tap = index[k] % taps
                    up, across = tap // kernel_w * dilation_h, tap % kernel_w * dilation_w
                    for i in range(out_h):
                        for j in range(out_w):
                            plane[i, j] = fma(value[k], source[i * stride_h + up, j * stride_w + across], plane[i, j])


@njit(nogil=True)
def _conv_backward_data(dy: Any, row_start: Any, index: Any, value: Any, block: int, window: Any, dx: Any) -> None:
    stride_h, stride_w, dilation_h, dilation_w, kernel_h, kernel_w, top, left = window
    n, rows, height, width = dx.shape
    out_h, out_w = dy.shape[2], dy.shape[3]
    taps = kernel_h * kernel_w
    n_blocks = (row_start.size - 1) // rows
    for r in range(n):
        for c in range(rows):
            plane = dx[r, c]
            plane[:] = np.float32(0)
            for b in range(n_blocks):
                for k in range(row_start[b * rows + c], row_start[b * rows + c + 1]):
                    source = dy[r, b * block + index[k] // taps]
                    tap = index[k] % taps
                    up, across = top - tap // kernel_w * dilation_h, left - tap % kernel_w * dilation_w
                    for i in range(height):
                        if (i + up) % stride_h != 0:
                            continue  # between two strides: the tap takes no part
                        oh = (i + up) // stride_h
                        for j in range(width):
                            if (j + across) % stride_w != 0:
                                continue
                            ow = (j + across) // stride_w
                            inside = 0 <= oh < out_h and 0 <= ow < out_w
                            d = source[oh, ow] if inside else np.float32(0)  # beyond the border it does, with +0
                            plane[i, j] = fma(value[k], d, plane[i, j])


def _start(bias: Floats | None, rows: int) -> Floats:
    return np.zeros(rows, np.float32) if bias is None else check("bias", bias, (rows,))


def linear_forward(x: Floats, pattern: SparsePattern, value: Floats, bias: Floats | None = None) -> Floats:
    """y (rows, out) of x (rows, in), value (nnz,) in the pattern's order, bias (out,). Cost: rows * nnz multiply-adds.

    Raises ValueError when a shape does not fit.
    """
    x = check("x", x, (-1, pattern.channels))
    value = check("value", value, (pattern.nnz,))
    y = np.empty((x.shape[0], pattern.rows), np.float32)
    _linear(x, _start(bias, pattern.rows), pattern.row_start, pattern.index, value, pattern.channel_block, y)
    return y


def linear_backward_data(dy: Floats, pattern: SparsePattern, value: Floats) -> Floats:
    """dx (rows, in) of dy (rows, out): the forward kernel on the transposed pattern.

    Cost: rows * nnz multiply-adds, and nnz log nnz to transpose. Raises ValueError when a shape does not fit.
    """
    dy = check("dy", dy, (-1, pattern.rows))
    value = check("value", value, (pattern.nnz,))
    turned = transpose_pattern(pattern)
    dx = np.empty((dy.shape[0], pattern.channels), np.float32)
    _linear(
        dy, _start(None, turned.rows), turned.row_start, turned.index, value[turned.source], turned.channel_block, dx
    )
    return dx


def conv_forward(
    x: Floats,
    pattern: SparsePattern,
    value: Floats,
    bias: Floats | None = None,
    stride: Pair = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    dilation: Pair = (1, 1),
) -> Floats:
    """y (rows, out, height, width) of x (rows, in, height, width), value (nnz,) in the pattern's order, bias (out,).

    padding is (height, width) or (top, left, bottom, right). Cost: nnz multiply-adds per output position and row.
    Raises ValueError when a shape does not fit.
    """
    x = check("x", x, (-1, pattern.channels, -1, -1))
    value = check("value", value, (pattern.nnz,))
    shape, out_h, out_w = window(pattern, stride, padding, dilation, x.shape[2], x.shape[3])
    y = np.empty((x.shape[0], pattern.rows, out_h, out_w), np.float32)
    reach_h = (out_h - 1) * stride[0] + dilation[0] * (pattern.kernel_size[0] - 1) + 1
    reach_w = (out_w - 1) * stride[1] + dilation[1] * (pattern.kernel_size[1] - 1) + 1
    extent = (pattern.channels, max(reach_h, shape[6] + x.shape[2]), max(reach_w, shape[7] + x.shape[3]))
    padded = np.zeros(extent, np.float32)
    start = _start(bias, pattern.rows)
    _conv_forward(x, start, pattern.row_start, pattern.index, value, pattern.channel_block, shape, padded, y)
    return y


def conv_backward_data(
    dy: Floats,
    pattern: SparsePattern,
    value: Floats,
    input_size: Pair,
    stride: Pair = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    dilation: Pair = (1, 1),
) -> Floats:
    """dx (rows, in, *input_size) of dy (rows, out, height, width); arguments as in conv_forward.

    Each input position gathers over the transposed pattern, so that no position is written twice. Cost: nnz
    multiply-adds per output position and row. Raises ValueError when a shape does not fit.
    """
    shape, out_h, out_w = window(pattern, stride, padding, dilation, input_size[0], input_size[1])
    dy = check("dy", dy, (-1, pattern.rows, out_h, out_w))
    value = check("value", value, (pattern.nnz,))
    turned = transpose_pattern(pattern)
    dx = np.empty((dy.shape[0], pattern.channels, *input_size), np.float32)
    _conv_backward_data(dy, turned.row_start, turned.index, value[turned.source], turned.channel_block, shape, dx)
    return dx
