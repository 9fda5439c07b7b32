# The layer shapes of `edgecl bench --suite sparse`: names, sizes, and one layer as an ONNX file.
# Never here: timing.
"""Layers of the benchmarks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecl.cli.failure import UsageError

KERNEL = 3
_CONVOLUTION = re.compile(r"(\d+)(?:-(\d+))?x(\d+)x(\d+)(?:s(\d))?")
_LINEAR = re.compile(r"linear-(\d+)x(\d+)")
NAMES = (  # ResNet-18 on CIFAR, and one linear layer
    "64x32x32",
    "128x16x16",
    "256x8x8",
    "512x4x4",
    "64-128x32x32s2",
    "128-256x16x16s2",
    "256-512x8x8s2",
    "linear-1024x1024",
)
OPSET, NEWEST_IR = 17, 10


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution with padding 1, or a linear layer (size None). size: (height, width) of the input."""

    name: str
    in_channels: int
    out_channels: int
    size: tuple[int, int] | None = None
    stride: int = 1
    kernel: int = KERNEL


def parse_layer(name: str) -> Layer:
    """A layer by its name: CxHxW, C-OxHxW or C-OxHxWs2 (a 3x3 convolution, of stride 2), linear-IxO."""
    if found := _LINEAR.fullmatch(name):
        sizes = [int(text) for text in found.groups()]
        if min(sizes) > 0:
            return Layer(name, sizes[0], sizes[1], kernel=1)
    elif found := _CONVOLUTION.fullmatch(name):
        first, second, height, width, stride = (int(text) if text else None for text in found.groups())
        assert first is not None and height is not None and width is not None
        layer = Layer(name, first, second or first, (height, width), 1 if stride is None else stride)
        if min(layer.in_channels, layer.out_channels, height, width, layer.stride) > 0:
            return layer
    raise UsageError(
        f"expected --layer as CxHxW, C-OxHxWs2 or linear-IxO; found '{name}'; the suite has {','.join(NAMES)}"
    )


def write_layer_onnx(layer: Layer, batch: int, path: Path) -> tuple[int, ...]:
    """Writes the layer with random weights for one batch size; returns the input's shape. Raises ImportError."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    if layer.size is None:
        shape, out_shape = (batch, layer.in_channels), (batch, layer.out_channels)
        weight = rng.standard_normal((layer.out_channels, layer.in_channels), dtype=np.float32)
        node = helper.make_node("Gemm", ["x", "weight"], ["y"], transB=1)
    else:
        shape = (batch, layer.in_channels, *layer.size)
        out_shape = (batch, layer.out_channels, *((n - 1) // layer.stride + 1 for n in layer.size))
        window = (layer.kernel, layer.kernel)
        weight = rng.standard_normal((layer.out_channels, layer.in_channels, *window), dtype=np.float32)
        strides, pads = [layer.stride] * 2, [layer.kernel // 2] * 4
        node = helper.make_node("Conv", ["x", "weight"], ["y"], kernel_shape=window, strides=strides, pads=pads)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, out_shape)],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=NEWEST_IR)
    onnx.save(model, path)
    return shape
