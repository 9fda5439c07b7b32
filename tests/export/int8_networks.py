# Int8 TFLite files of our own with every operator that runs as integers, in ranges that real ones have.
# Never here: tests, single operators of floats.
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tflite_files import Options, TfliteFile, window

Shape = tuple[int, ...]
_SPREAD, _LAYER = 74.0, 40.0  # standard deviations: of uniform bytes, and what a layer's output is to have


@dataclass
class Int8File:
    """A file in the making; every tensor knows its scale and zero point."""

    shape: Shape
    seed: int = 1
    scale: float = 0.05
    zero: int = -3
    file: TfliteFile = field(init=False)
    made: dict[int, Shape] = field(init=False)
    random: np.random.Generator = field(init=False)
    steps: dict[int, tuple[float, int]] = field(init=False)
    spread: dict[int, float] = field(init=False)

    def __post_init__(self) -> None:
        self.file = TfliteFile(self.shape, kind="INT8", scale=(self.scale,), zero=(self.zero,))
        self.random = np.random.default_rng(self.seed)
        self.made = {0: self.shape}
        self.steps = {0: (self.scale, self.zero)}
        self.spread = {0: _SPREAD}

    def add(
        self, kind: str, inputs: list[int], shape: Shape, options: Options | None, step: tuple[float, int] | None = None
    ) -> int:
        """An operator; `step`: scale and zero point of its output, else those of its first input."""
        scale, zero = step or self.steps[inputs[0]]
        index = self.file.op(kind, inputs, shape, options, ("INT8", (scale,), (zero,)))
        self.made[index], self.steps[index] = shape, (scale, zero)
        self.spread[index] = self.spread.get(inputs[0], _SPREAD)
        return index

    def layer(
        self,
        kind: str,
        x: int,
        stored: NDArray[np.int8],
        shape: Shape,
        options: Options,
        per_channel: bool = True,
        zero: int = 4,
        bias: NDArray[np.int32] | None = None,
    ) -> int:
        """A layer of these weights; the scale of its output is what its sums spread over, or 6 / 255 for a RELU6."""
        outputs = shape[-1]
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
        scales = self.random.uniform(0.004, 0.012, outputs if per_channel else 1).astype(np.float32)
        weight = self.file.constant(
            stored, f"{kind.lower()}{len(self.file.tensors)}/w", tuple(scales.tolist()), (0,) * scales.size, axis
        )
        if bias is None:
            bias = self.random.integers(-3000, 3000, outputs).astype(np.int32)
        product = np.float32(self.steps[x][0]) * scales
        offset = self.file.constant(
            bias, f"{kind.lower()}{len(self.file.tensors)}/b", tuple(product.tolist()), (0,) * scales.size
        )
        k = stored.size // outputs
        scale = float(np.float32(float(product.mean()) * _SPREAD * self.spread[x] * k**0.5 / _LAYER))
        if options[1].get("FusedActivationFunction") == 3:
            scale = float(np.float32(6 / 255))
        index = self.add(kind, [x, weight, offset], shape, options, (scale, zero))
        self.spread[index] = _LAYER
        return index

    def bytes(self, *shape: int) -> NDArray[np.int8]:
        """Weights."""
        return self.random.integers(-127, 128, shape).astype(np.int8)

    def rows(self, n: int, seed: int = 9) -> NDArray[np.uint8]:
        """Samples as the bundle takes them: int8 plus 128, channels last."""
        return np.random.default_rng(seed).integers(0, 256, (n, *self.shape[1:])).astype(np.uint8)


def whole_network(seed: int = 1) -> Int8File:
    """Images [12][10][3] to six outputs through every operator with an int8 form."""
    net = Int8File((1, 12, 10, 3), seed)
    conv, deep, pool = "Conv2DOptions", "DepthwiseConv2DOptions", "Pool2DOptions"
    x = net.layer(
        "CONV_2D",
        0,
        net.bytes(8, 3, 3, 3),
        (1, 6, 5, 8),
        window(conv, True, (2, 2), FusedActivationFunction=3),
        zero=-128,
    )
    left = net.layer(
        "DEPTHWISE_CONV_2D", x, net.bytes(1, 3, 3, 8), (1, 6, 5, 8), window(deep, FusedActivationFunction=1), zero=-90
    )
    right = net.layer("CONV_2D", left, net.bytes(8, 1, 1, 8), (1, 6, 5, 8), window(conv))
    both = net.add("ADD", [x, right], (1, 6, 5, 8), ("AddOptions", {}), (net.steps[right][0] * 1.2, -20))
    half = window(pool, True, (2, 2), FilterHeight=2, FilterWidth=2)
    x = net.add("MAX_POOL_2D", [both], (1, 3, 3, 8), half)
    pads = net.file.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32), "pads")
    wide = net.add("PAD", [x, pads], (1, 5, 5, 8), ("PadOptions", {}))
    x = net.layer("CONV_2D", wide, net.bytes(10, 3, 3, 8), (1, 3, 3, 10), window(conv, False))
    several = window(deep, False, DepthMultiplier=2)
    x = net.layer("DEPTHWISE_CONV_2D", x, net.bytes(1, 1, 1, 20), (1, 3, 3, 20), several)
    x = net.add("AVERAGE_POOL_2D", [x], (1, 3, 3, 20), window(pool, FilterHeight=2, FilterWidth=2))
    dense: Options = ("FullyConnectedOptions", {"FusedActivationFunction": 1})
    row = net.file.constant(np.array([1, 180], np.int32), "row")
    flat = net.add("RESHAPE", [x, row], (1, 180), ("ReshapeOptions", {}))
    x = net.layer("FULLY_CONNECTED", flat, net.bytes(24, 180), (1, 24), dense, per_channel=False)
    x = net.layer("FULLY_CONNECTED", x, net.bytes(6, 24), (1, 6), ("FullyConnectedOptions", {}), per_channel=False)
    net.add("SOFTMAX", [x], (1, 6), ("SoftmaxOptions", {"Beta": 1.0}), (1 / 256, -128))
    return net


def mean_network(axes: list[int], positions: Shape = (7, 5)) -> Int8File:
    """A convolution, MEAN to another scale, a layer."""
    net = Int8File((1, *positions, 4), 3)
    x = net.layer("CONV_2D", 0, net.bytes(12, 1, 1, 4), (1, *positions, 12), window("Conv2DOptions"))
    mean = net.file.constant(np.array(axes, np.int32), "axes")
    scale = net.steps[x][0] * 0.31
    x = net.add("MEAN", [x, mean], (1, 12), ("ReducerOptions", {"KeepDims": 0}), (scale, 11))
    net.layer("FULLY_CONNECTED", x, net.bytes(5, 12), (1, 5), ("FullyConnectedOptions", {}), per_channel=False)
    return net
