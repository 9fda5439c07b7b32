# Sparse patterns in numpy: the blocked order of kernels.h, its transpose, stored values from and to dense weights.
# Never here: kernels, and any import but numpy.
"""Which weights exist, in the order in which the kernels visit them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SparsePattern:
    """Stored positions of a weight of `rows` x `channels` x `taps`; see SparsePattern in kernels/kernels.h.

    row_start: uint32 (n_blocks * rows + 1); channel block b of row r has the entries
        row_start[b * rows + r] : row_start[b * rows + r + 1].
    index: uint16 (nnz), (channel within its block) * taps + tap.
    order: uint32 (nnz), place among the entries of the k-th position of numpy.flatnonzero(mask); forward pattern only.
    source: uint32 (nnz), the forward pattern's entry that is this entry; transposed pattern only.
    """

    rows: int
    channels: int
    kernel_size: tuple[int, int]
    channel_block: int
    row_start: NDArray[np.uint32]
    index: NDArray[np.uint16]
    order: NDArray[np.uint32]
    source: NDArray[np.uint32]

    @property
    def taps(self) -> int:
        return self.kernel_size[0] * self.kernel_size[1]

    @property
    def n_blocks(self) -> int:
        return -(-self.channels // self.channel_block)

    @property
    def nnz(self) -> int:
        return int(self.index.size)

    def coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """(row, channel, tap) of every entry, int64 arrays of shape (nnz,), in the stored order."""
        start = self.row_start.astype(np.int64)
        per_unit: NDArray[np.int64] = start[1:] - start[:-1]
        unit = np.repeat(np.arange(per_unit.size), per_unit)
        channel = unit // self.rows * self.channel_block + self.index // self.taps
        return unit % self.rows, channel, (self.index % self.taps).astype(np.int64)


def channel_block(channels: int, taps: int) -> int:
    """Input channels of one block: sparse_channel_block of kernels/sparse/format.cpp, a function of the shape alone."""
    target = 256 if taps <= 1 else max(4, 144 // taps)
    if channels <= target:
        return max(channels, 1)
    n_blocks = -(-channels // target)
    return -(-channels // n_blocks)


def _sorted_pattern(
    row: NDArray[np.int64],
    channel: NDArray[np.int64],
    tap: NDArray[np.int64],
    rows: int,
    channels: int,
    kernel_size: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint16], int]:
    taps = kernel_size[0] * kernel_size[1]
    block = channel_block(channels, taps)
    visit = np.lexsort((tap, channel, row, channel // block))
    unit = channel // block * rows + row
    counts = np.bincount(unit, minlength=-(-channels // block) * rows)
    row_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
    index = (channel % block * taps + tap)[visit].astype(np.uint16)
    return visit, row_start, index, block


def build_pattern(mask: NDArray[np.bool_]) -> SparsePattern:
    """The pattern of a boolean mask of shape (out, in, kernel height, kernel width) or (out, in). O(n log n).

    Raises ValueError when the mask is not boolean or has another number of axes.
    """
    if mask.dtype != np.bool_ or mask.ndim not in (2, 4):
        raise ValueError(
            "expected a boolean mask of 2 or 4 axes (out, in[, kernel height, kernel width]), "
            f"found {mask.dtype} of shape {mask.shape}; convert it with astype(bool) and reshape it like the weight"
        )
    kernel_size = (mask.shape[2], mask.shape[3]) if mask.ndim == 4 else (1, 1)
    rows, channels = mask.shape[:2]
    row, channel, tap = np.nonzero(mask.reshape(rows, channels, -1))
    visit, row_start, index, block = _sorted_pattern(row, channel, tap, rows, channels, kernel_size)
    order = np.empty(visit.size, np.uint32)
    order[visit] = np.arange(visit.size)
    return SparsePattern(rows, channels, kernel_size, block, row_start, index, order, np.empty(0, np.uint32))


def transpose_pattern(pattern: SparsePattern) -> SparsePattern:
    """The same positions, rows = input channels and channels = output rows; values are value[source]. O(n log n)."""
    row, channel, tap = pattern.coordinates()
    visit, row_start, index, block = _sorted_pattern(
        channel, row, tap, pattern.channels, pattern.rows, pattern.kernel_size
    )
    return SparsePattern(
        pattern.channels,
        pattern.rows,
        pattern.kernel_size,
        block,
        row_start,
        index,
        np.empty(0, np.uint32),
        visit.astype(np.uint32),
    )


def values_of(pattern: SparsePattern, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stored values (nnz,) of a dense weight of the mask's shape, in the pattern's order."""
    row, channel, tap = pattern.coordinates()
    dense = np.asarray(weight, np.float32).reshape(pattern.rows, pattern.channels, pattern.taps)
    return np.ascontiguousarray(dense[row, channel, tap])


def dense_of(pattern: SparsePattern, value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dense weight (out, in, kernel height, kernel width), 0 where nothing is stored; to look at, not to compute."""
    row, channel, tap = pattern.coordinates()
    dense = np.zeros((pattern.rows, pattern.channels, pattern.taps), np.float32)
    dense[row, channel, tap] = value
    return dense.reshape(pattern.rows, pattern.channels, *pattern.kernel_size)
