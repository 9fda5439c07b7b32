# Scales, zero points and fixed-point multipliers of int8 layers, and how their weights lie in a bundle.
# Never here: graphs, ranges of activations.
"""Numbers of the TensorFlow Lite 8-bit quantization specification, as `kernels/int8.h` wants them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNELS, GROUP = 16, 4  # weights are filled up to multiples of these
LIMIT = 2**30 - 1  # of sums
_BIAS_LIMIT = 2**28
_ONE = (2**30, 1)  # multiplier and shift of 1


@dataclass(frozen=True)
class Quantisation:
    """value = (stored - zero_point) * scale, stored in -128..127; scale is a float32."""

    scale: float
    zero_point: int

    def stored(self, value: float) -> int:
        """The number that stands for a value, clamped."""
        steps = min(max(value / self.scale, -512.0), 512.0)
        return int(np.clip(_rounded(steps) + self.zero_point, -128, 127))

    def stored_bounds(self, bounds: tuple[float, float]) -> tuple[int, int]:
        """The numbers between which an output stays that is kept in `bounds` (may be infinite)."""
        ends = zip(bounds, (-128, 127), strict=True)
        lo, hi = (self.stored(bound) if math.isfinite(bound) else end for bound, end in ends)
        return lo, max(lo, hi)


def is_scale(values: NDArray[np.float32]) -> bool:
    """They may be scales: finite, above 0, and so that products of two are numbers of float32."""
    return bool(values.size and ((values >= 1e-18) & (values <= 1e18)).all())


@dataclass(frozen=True)
class Int8Layer:
    """What an int8 layer stores.

    Attributes:
        weight: int8, in the layout of the kernels.
        table: int32 [4][channels filled up]: bias, sum of weights, multiplier, shift.
        lo, hi: bounds of its output.
    """

    weight: NDArray[np.int8]
    table: NDArray[np.int32]
    lo: int
    hi: int


def quantisation_of(low: float, high: float) -> Quantisation:
    """The one that covers low..high and 0, which has a number of its own."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255.0))
    if scale < 1e-30:  # a tensor that is always 0
        return Quantisation(1.0, 0)
    return Quantisation(scale, int(np.clip(_rounded(-128 - low / scale), -128, 127)))


def multiplier_of(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real = multiplier / 2^31 * 2^shift: QuantizeMultiplier of the specification."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = _rounded(fraction * 2.0**31)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def int8_layer(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    x: Quantisation,
    y: Quantisation,
    bounds: tuple[float, float],
    depthwise: bool,
) -> Int8Layer | None:
    """A layer of weights [O][I][kh][kw] between two tensors, its output kept in `bounds` (may be infinite). None where
    a sum could leave its range."""
    flat = weight.reshape(weight.shape[0], -1).astype(np.float64)
    offset = np.zeros(len(flat)) if bias is None else bias.astype(np.float64)
    largest = np.abs(flat).max(axis=1)
    # A bias that is huge against its channel's weights takes the scale up, so that it stays in range.
    scales = np.maximum(largest / 127.0, np.abs(offset) / (x.scale * _BIAS_LIMIT))
    scales = np.where(scales < 1e-30, 1.0, scales).astype(np.float32).astype(np.float64)
    stored = np.clip(_rounded_array(flat / scales[:, None]), -127, 127).astype(np.int64)
    biases = _rounded_array(offset / (scales * x.scale)).astype(np.int64)
    constants = [multiplier_of(float(scale) * x.scale / y.scale) for scale in scales]
    return packed_layer(stored.reshape(weight.shape), biases, constants, x, y, bounds, depthwise)


def packed_layer(
    stored: NDArray[np.int64],
    biases: NDArray[np.int64],
    constants: list[tuple[int, int]],
    x: Quantisation,
    y: Quantisation,
    bounds: tuple[float, float],
    depthwise: bool,
) -> Int8Layer | None:
    """A layer of stored weights [O][I][kh][kw] and biases [O]; `constants`: multiplier and shift of each output. A
    channel whose sums could leave their range, and whose output is the same for all of them, becomes that constant;
    None where one has several."""
    flat, biases, constants = stored.reshape(len(stored), -1).copy(), biases.copy(), list(constants)
    lo, hi = y.stored_bounds(bounds)
    farthest = max(127 - x.zero_point, 128 + x.zero_point)
    reach = np.abs(flat).sum(axis=1) * farthest
    for o, (multiplier, shift) in enumerate(constants):
        if abs(biases[o]) + reach[o] <= LIMIT >> max(shift, 0) and shift <= 30:
            continue
        # A channel that is always 0 has scales so small that its bias fills an int32 (2^30, by the converter's rule).
        ends = [requantized(int(biases[o] + sign * reach[o]), multiplier, shift) for sign in (-1, 1)]
        constant = [min(max(end + y.zero_point, lo), hi) for end in ends if end is not None]
        if len(constant) != 2 or constant[0] != constant[1]:
            return None
        flat[o], biases[o], constants[o] = 0, constant[0] - y.zero_point, _ONE
    channels = _filled(len(flat), CHANNELS)
    table = np.zeros((4, channels), np.int32)
    table[:, : len(flat)] = [biases, flat.sum(axis=1), *zip(*constants, strict=True)]
    packed = _depthwise(flat, channels) if depthwise else _dense(flat.reshape(stored.shape), channels)
    return Int8Layer(packed.astype(np.int8), table, lo, hi)


def single_multiplier_of(real: float) -> tuple[int, int]:
    """The same without a shift behind the product, so that a sum is rounded once, as arithmetic in floats rounds it.
    Where that would cost the multiplier more than a thousandth of a step, the one of the specification."""
    if 2.0**-12 <= real < 1.0:
        return _rounded(real * 2.0**31), 0
    return multiplier_of(real)


def requantized(acc: int, multiplier: int, shift: int) -> int | None:
    """`requantize` of kernels/int8.h for sums of up to 32 bits; None beyond."""
    scaled = acc << max(shift, 0)
    if not -(2**31) < scaled < 2**31:
        return None
    high, down = (scaled * multiplier + 2**30) >> 31, max(-shift, 0)
    mask = (1 << down) - 1
    return (high >> down) + ((high & mask) > (mask >> 1) + (high < 0))


def add_constants(a: Quantisation, b: Quantisation, y: Quantisation) -> NDArray[np.int32] | None:
    """int32 [2][3], multipliers and shifts of both inputs and the output; None where the output's is above 1."""
    twice = 2.0 * max(a.scale, b.scale)
    constants = [multiplier_of(real) for real in (a.scale / twice, b.scale / twice, twice / (2.0**20 * y.scale))]
    if any(shift > 0 or shift < -31 for _, shift in constants):
        return None
    return np.array(constants, np.int32).T.copy()


def mean_constants(
    x: Quantisation, y: Quantisation, positions: int, once: bool = False
) -> tuple[int, int, int, int] | None:
    """Multiplier, shift, offset and start of a mean over `positions`, as TensorFlow Lite's MEAN has them: the
    multiplier of the scales, divided by the number of positions; with `once` as `single_multiplier_of`. None where its
    sum could leave its range."""
    multiplier, shift = multiplier_of(x.scale / y.scale)
    down = max(min(positions.bit_length() - 1, 31 + shift), 0)
    multiplier, shift = (multiplier << down) // positions, shift - down
    if once:
        multiplier, shift = single_multiplier_of(x.scale / (positions * y.scale))
    start = -x.zero_point * positions
    if 128 * positions + abs(start) > LIMIT >> max(shift, 0) or shift > 30:
        return None
    return multiplier, shift, y.zero_point, start


def _dense(stored: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    """[O / 16][K / 4][16][4], K = (tap row, tap column, input channel)."""
    rows = stored.transpose(0, 2, 3, 1).reshape(len(stored), -1)
    full = np.zeros((channels, _filled(rows.shape[1], GROUP)), np.int64)
    full[: rows.shape[0], : rows.shape[1]] = rows
    return np.ascontiguousarray(full.reshape(channels // CHANNELS, CHANNELS, -1, GROUP).transpose(0, 2, 1, 3))


def _depthwise(stored: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    """[taps][channels]."""
    full = np.zeros((stored.shape[1], channels), np.int64)
    full[:, : len(stored)] = stored.T
    return full


def _filled(n: int, to: int) -> int:
    return (n + to - 1) // to * to


def _rounded(value: float) -> int:
    """To the nearest, ties away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _rounded_array(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.copysign(np.floor(np.abs(values) + 0.5), values))
