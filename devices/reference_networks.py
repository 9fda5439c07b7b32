"""Operator lists of public networks whose latencies others have published: what the cost model is calibrated with.

Never here: device figures (the TOML files hold those) and networks of a user (their bundle describes itself).
"""

from __future__ import annotations

from edgecl.devices.cost_model import Operator


class _Builder:
    """Collects convolutions of one image; keeps the current shape."""

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
                weight_bytes=4 * out * per_output,
                input_bytes=4 * inputs,
                output_bytes=4 * outputs,
            )
        )
        self.channels = out

    def linear(self, out: int) -> None:
        """Global average pooling and a linear layer."""
        weights = self.channels * out
        self.operators.append(Operator("linear", "linear", weights, 4 * weights, 4 * self.channels, 4 * out))
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
    net.conv(1280, 1)
    net.linear(1000)
    return net.operators


def _resnet(blocks: tuple[int, ...], bottleneck: bool) -> list[Operator]:
    """ResNet, 224 x 224 (He et al. 2016, table 1); projection shortcuts where the shape changes."""
    net = _Builder(3, 224)
    net.conv(64, 7, 2)
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
    net.linear(1000)
    return net.operators


def resnet18() -> list[Operator]:
    """ResNet-18: 1.8 G multiply-adds."""
    return _resnet((2, 2, 2, 2), bottleneck=False)


def resnet50() -> list[Operator]:
    """ResNet-50: 4.1 G multiply-adds (stride in the 3x3 convolution)."""
    return _resnet((3, 4, 6, 3), bottleneck=True)


NETWORKS = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "resnet18": resnet18,
    "resnet50": resnet50,
}
