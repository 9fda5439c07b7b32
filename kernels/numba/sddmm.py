# Sampled dense-dense product in Numba: weight gradients of linear layers and convolutions at stored positions only.
# Never here: forward pass and input gradient, and gradients of weights that are not stored.
# ruff: noqa: I001  (the folder's own name, numba, would be taken for the first party)
"""One dot product per stored (and selected) entry, in the order that kernels/kernels.h lays down."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from edgecl.kernels_numba.arithmetic import (
    GRADIENT_CHUNKS,
    SPARSE_GRADIENT_CHUNKS,
    check,
    fma,
    gradient_order,
    lanes_of,
    tree,
    window,
)
from edgecl.kernels_numba.pattern import SparsePattern

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Pair = tuple[int, int]


@njit(nogil=True)
def _conv(
    padded: Any,
    dy: Any,
    row_start: Any,
    index: Any,
    selected: Any,
    block: int,
    window: Any,
    lanes: int,
    order: Any,
    chunks: int,
    dvalue: Any,
) -> None:
    stride_h, stride_w, dilation_h, dilation_w, kernel_h, kernel_w, _, _ = window
    n, rows, out_h, out_w = dy.shape
    taps = kernel_h * kernel_w
    n_blocks = (row_start.size - 1) // rows
    plane = out_h * out_w * lanes
    t = np.zeros(16, np.float32)
    for o in range(rows):
        for b in range(n_blocks):
            for k in range(row_start[b * rows + o], row_start[b * rows + o + 1]):
                total = np.float32(0)
                if selected[k]:
                    c = b * block + index[k] // taps
                    up, across = index[k] % taps // kernel_w * dilation_h, index[k] % taps % kernel_w * dilation_w
                    t[:] = np.float32(0)
                    held, blocks = 0, 0  # chunks in this block of the contract, blocks before it
                    for first in range(0, n, lanes):  # a group of batch rows: one plane
                        for chunk in range(0, plane, 16):
                            if held == chunks:
                                total = tree(t) if blocks == 0 else total + tree(t)
                                t[:] = np.float32(0)
                                held, blocks = 0, blocks + 1
                            for at in range(chunk, min(chunk + 16, plane)):
                                f = order[at]
                                r, i, j = first + f % lanes, f // lanes // out_w, f // lanes % out_w
                                source = padded[r, c, i * stride_h + up, j * stride_w + across]
                                t[at - chunk] = fma(dy[r, o, i, j], source, t[at - chunk])
                            held += 1
                    total = tree(t) if blocks == 0 else total + tree(t)
                dvalue[k] = total


@njit(nogil=True)
def _conv_bias(dy: Any, lanes: int, chunks: int, dbias: Any) -> None:
    n, rows, out_h, out_w = dy.shape
    plane = out_h * out_w * lanes
    t = np.zeros(16, np.float32)
    for o in range(rows):
        total = np.float32(0)
        t[:] = np.float32(0)
        held, blocks = 0, 0
        for first in range(0, n, lanes):
            for chunk in range(0, plane, 16):
                if held == chunks:
                    total = tree(t) if blocks == 0 else total + tree(t)
                    t[:] = np.float32(0)
                    held, blocks = 0, blocks + 1
                for f in range(chunk, min(chunk + 16, plane)):
                    t[f - chunk] = t[f - chunk] + dy[first + f % lanes, o, f // lanes // out_w, f // lanes % out_w]
                held += 1
        dbias[o] = tree(t) if blocks == 0 else total + tree(t)


def _selection(selected: Mask | None, nnz: int) -> Mask:
    if selected is None:
        return np.ones(nnz, np.bool_)
    if selected.shape != (nnz,):
        raise ValueError(
            f"expected selected of shape ({nnz},), one flag per entry, found {selected.shape}; index it like the values"
        )
    return np.ascontiguousarray(selected, np.bool_)


def linear_backward_weight(
    x: Floats, dy: Floats, pattern: SparsePattern, selected: Mask | None = None
) -> tuple[Floats, Floats]:
    """(dvalue (nnz,), dbias (out,)) of x (rows, in) and dy (rows, out).

    dvalue is in the pattern's order. selected (nnz,): only these entries are computed, the others are 0. The order of
    summation is that of a 1x1 convolution over one position: batch rows in chunks of 16, lane i of each to virtual lane
    i, then the tree; dbias likewise, in blocks of as many chunks. Cost: rows multiply-adds per selected entry. Raises
    ValueError when a shape does not fit.
    """
    x = check("x", x, (-1, pattern.channels))
    dy = check("dy", dy, (x.shape[0], pattern.rows))
    pixel, pixel_dy = x[:, :, None, None], dy[:, :, None, None]
    lanes = lanes_of(x.shape[0])
    dvalue, dbias = np.empty(pattern.nnz, np.float32), np.empty(pattern.rows, np.float32)
    one_tap = (1, 1, 1, 1, 1, 1, 0, 0)
    flags = _selection(selected, pattern.nnz)
    rows, block, chunks = pattern.row_start, pattern.channel_block, SPARSE_GRADIENT_CHUNKS
    _conv(pixel, pixel_dy, rows, pattern.index, flags, block, one_tap, lanes, np.arange(lanes), chunks, dvalue)
    _conv_bias(pixel_dy, lanes, chunks, dbias)
    return dvalue, dbias


def conv_backward_weight(
    x: Floats,
    dy: Floats,
    pattern: SparsePattern,
    selected: Mask | None = None,
    stride: Pair = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    dilation: Pair = (1, 1),
) -> tuple[Floats, Floats]:
    """(dvalue (nnz,), dbias (out,)) of x (rows, in, height, width) and dy (rows, out, height, width).

    dvalue is in the pattern's order; selected as in linear_backward_weight. The order of summation: dY of one output
    channel as [group][height * width * lane] (16 lanes when the batch is a multiple of 16, else one group of all rows)
    in chunks of 16 floats; 16 chunks make a block, in which each of 16 virtual lanes is one chain; the lanes are summed
    by a tree, the blocks in order. With 16 or 20 lanes and dY's height and width multiples of 4 the blocks are tiles of
    4 x 4 positions (gradient_order). Cost: positions * rows multiply-adds per selected entry. Raises ValueError when a
    shape does not fit.
    """
    x = check("x", x, (-1, pattern.channels, -1, -1))
    shape, out_h, out_w = window(pattern, stride, padding, dilation, x.shape[2], x.shape[3])
    dy = check("dy", dy, (x.shape[0], pattern.rows, out_h, out_w))
    top, left, bottom, right = padding if len(padding) == 4 else (*padding, *padding)
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    lanes = lanes_of(x.shape[0])
    dvalue, dbias = np.empty(pattern.nnz, np.float32), np.empty(pattern.rows, np.float32)
    flags = _selection(selected, pattern.nnz)
    order, chunks = gradient_order(out_h, out_w, lanes)
    _conv(
        padded,
        dy,
        pattern.row_start,
        pattern.index,
        flags,
        pattern.channel_block,
        shape,
        lanes,
        order,
        chunks,
        dvalue,
    )
    _conv_bias(dy, lanes, GRADIENT_CHUNKS, dbias)
    return dvalue, dbias
