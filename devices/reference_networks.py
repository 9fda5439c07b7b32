"""Operator lists of public networks whose latencies others have published: what the cost model is calibrated with.

Never here: device figures (the TOML files hold those) and networks of a user (their bundle describes itself).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from edgecl.devices.operators import FLOAT_BYTES, Operator, side

WINOGRAD_CHANNELS = 8, 128  # ncnn takes 6 x 6 outputs a tile up to the second number of channels, else 4 x 4


class _Builder:
    """Collects operators of one image; keeps the current shape."""

    def __init__(self, channels: int, size: int) -> None:
        self.channels, self.size = channels, size
        self.operators: list[Operator] = []

    def conv(self, out: int, kernel: int, stride: int = 1, depthwise: bool = False) -> None:
        """A convolution with 'same' padding; activation and normalisation are fused into it."""
        inputs = self.channels * self.size**2
        self.size = -(-self.size // stride)
        per_output = kernel**2 * (1 if depthwise else self.channels)
        outputs = out * self.size**2
        self.operators.append(
            Operator(
                name=f"conv{len(self.operators)}",
                kind="depthwise" if depthwise else "conv",
                macs=outputs * per_output,
                weight_bytes=FLOAT_BYTES * out * per_output,
                input_bytes=FLOAT_BYTES * inputs,
                output_bytes=FLOAT_BYTES * outputs,
                channels=out,
                positions=self.size**2,
                taps=kernel**2,
                stride=stride,
            )
        )
        self.channels = out

    def elementwise(self, inputs: int = 1, kind: str = "elementwise") -> None:
        """An operator that reads so many tensors of the current shape and writes one."""
        moved = FLOAT_BYTES * self.channels * self.size**2
        self.operators.append(Operator(f"{kind}{len(self.operators)}", kind, 0, 0, inputs * moved, moved))

    def squeeze(self, hidden: int) -> None:
        """Squeeze and excitation: the means of the planes, two small layers, a product with every plane."""
        channels, size = self.channels, self.size
        self.operators.append(
            Operator("mean", "elementwise", 0, 0, FLOAT_BYTES * channels * size**2, FLOAT_BYTES * channels)
        )
        self.size = 1
        self.conv(hidden, 1)
        self.conv(channels, 1)
        self.size = size
        self.elementwise()

    def linear(self, out: int) -> None:
        """Global average pooling and a linear layer."""
        weights = self.channels * out
        moved = FLOAT_BYTES * self.channels, FLOAT_BYTES * out
        self.operators.append(
            Operator("linear", "linear", weights, FLOAT_BYTES * weights, *moved, channels=out, positions=1)
        )
        self.channels = out


def mobilenet_v1() -> list[Operator]:
    """MobileNet 1.0, 224 x 224 (Howard et al. 2017, table 1): 0.57 G multiply-adds."""
    net = _Builder(3, 224)
    net.conv(32, 3, 2)
    stages = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + 5 * [(512, 1)] + [(1024, 2), (1024, 1)]
    for out, stride in stages:
        net.conv(net.channels, 3, stride, depthwise=True)
        net.conv(out, 1)
    net.linear(1000)
    return net.operators


def mobilenet_v2() -> list[Operator]:
    """MobileNetV2 1.0, 224 x 224 (Sandler et al. 2018, table 2): 0.30 G multiply-adds."""
    net = _Builder(3, 224)
    net.conv(32, 3, 2)
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, out, repeats, first_stride in table:
        for i in range(repeats):
            if expansion > 1:
                net.conv(net.channels * expansion, 1)
            net.conv(net.channels, 3, first_stride if i == 0 else 1, depthwise=True)
            net.conv(out, 1)
            if i > 0:
                net.elementwise(2)
    net.conv(1280, 1)
    net.linear(1000)
    return net.operators


def efficientnet_b0() -> list[Operator]:
    """EfficientNet-B0, 224 x 224 (Tan & Le 2019, table 1): 0.39 G multiply-adds; swish is an operator of its own."""
    net = _Builder(3, 224)
    net.conv(32, 3, 2)
    net.elementwise(kind="sigmoid")
    table = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
             (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]  # fmt: skip
    for expansion, out, repeats, first_stride, kernel in table:
        for i in range(repeats):
            before = net.channels
            if expansion > 1:
                net.conv(net.channels * expansion, 1)
                net.elementwise(kind="sigmoid")
            net.conv(net.channels, kernel, first_stride if i == 0 else 1, depthwise=True)
            net.elementwise(kind="sigmoid")
            net.squeeze(before // 4)
            net.conv(out, 1)
            if i > 0:
                net.elementwise(2)
    net.conv(1280, 1)
    net.elementwise(kind="sigmoid")
    net.linear(1000)
    return net.operators


def _resnet(blocks: tuple[int, ...], bottleneck: bool) -> list[Operator]:
    """ResNet, 224 x 224 (He et al. 2016, table 1); projection shortcuts where the shape changes."""
    net = _Builder(3, 224)
    net.conv(64, 7, 2)
    net.elementwise()
    net.size //= 2  # max-pooling
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            channels, size = net.channels, net.size
            if bottleneck:
                net.conv(width, 1)
                net.conv(width, 3, stride)
                net.conv(4 * width, 1)
            else:
                net.conv(width, 3, stride)
                net.conv(width, 3)
            out, out_size = net.channels, net.size
            if channels != out or stride != 1:
                net.channels, net.size = channels, size
                net.conv(out, 1, stride)
                assert net.size == out_size
            net.elementwise(2)
    net.linear(1000)
    return net.operators


def resnet18() -> list[Operator]:
    """ResNet-18: 1.8 G multiply-adds."""
    return _resnet((2, 2, 2, 2), bottleneck=False)


def resnet50() -> list[Operator]:
    """ResNet-50: 4.1 G multiply-adds (stride in the 3x3 convolution)."""
    return _resnet((3, 4, 6, 3), bottleneck=True)


NETWORKS: dict[str, Callable[[], list[Operator]]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_b0": efficientnet_b0,
    "resnet18": resnet18,
    "resnet50": resnet50,
}


def with_winograd(operators: Iterable[Operator]) -> list[Operator]:
    """The same network as ncnn computes it: dense 3x3 convolutions of stride 1 by Winograd's method (A. Lavin, S. Gray,
    "Fast Algorithms for Convolutional Neural Networks", 2016).

    A tile of m x m outputs takes (m + 2)^2 products of all channels in place of 9 m^2: a matrix product for each place
    of the tile, between two transforms that stream through memory. m = 6 up to 128 channels, else 4, as ncnn chooses.
    edgecl computes such layers directly; this is for comparison with published times alone.
    """
    result: list[Operator] = []
    for op in operators:
        inputs = op.macs // (op.channels * op.positions * op.taps) if op.kind == "conv" else 0
        if op.kind != "conv" or op.taps != 9 or op.stride != 1 or min(inputs, op.channels) < WINOGRAD_CHANNELS[0]:
            result.append(op)
            continue
        m = 6 if max(inputs, op.channels) <= WINOGRAD_CHANNELS[1] else 4
        places = (m + 2) ** 2
        tiles = (-(-side(op.positions) // m)) ** 2
        wide_in, wide_out = (FLOAT_BYTES * places * tiles * c for c in (inputs, op.channels))
        result += [
            Operator(f"{op.name} transform", "elementwise", 0, 0, op.input_bytes, wide_in),
            replace(
                op, macs=places * tiles * inputs * op.channels, taps=1, positions=places * tiles,
                weight_bytes=FLOAT_BYTES * places * inputs * op.channels, input_bytes=wide_in, output_bytes=wide_out,
            ),
            Operator(f"{op.name} transform back", "elementwise", 0, 0, wide_out, op.output_bytes),
        ]  # fmt: skip
    return result
