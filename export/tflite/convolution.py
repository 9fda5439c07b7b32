# CONV_2D and DEPTHWISE_CONV_2D, and the geometry of windows that pools share.
# Never here: pools (pooling.py), fused activations (network.py).
"""Convolutions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from edgecl.export.errors import Unsupported
from edgecl.export.tflite.network import Network, Value
from edgecl.export.tflite.read import Operator
from edgecl.export.tflite.registry import handles
from numpy.typing import NDArray

_SAME = 0  # Padding of the schema; VALID is 1


@dataclass(frozen=True)
class Window:
    """Attributes of an ONNX node over height and width; `spatial`: the size of the output."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    spatial: tuple[int, int]


def window_of(op: Operator, shape: tuple[int, ...], kernel: tuple[int, int]) -> Window:
    """SAME gives ceil(size / stride) outputs, and the zeros that they need are split evenly, the odd one behind (the
    rule of TensorFlow's `tf.nn.convolution`). VALID gives ceil((size - reach + 1) / stride) without zeros."""
    strides = (op.option("StrideH", least=1), op.option("StrideW", least=1))
    dilations = (op.option("DilationHFactor", 1, least=1), op.option("DilationWFactor", 1, least=1))
    begins, ends, outputs = [], [], []
    for size, taps, stride, dilation in zip(shape[1:3], kernel, strides, dilations, strict=True):
        reach = dilation * (taps - 1) + 1
        if op.option("Padding") == _SAME:
            count = -(-size // stride)
            total = max((count - 1) * stride + reach - size, 0)
        else:
            count, total = (size - reach) // stride + 1, 0
        if count < 1:
            raise Unsupported(f"a window of {reach} cells does not fit into {size}", "use a larger input")
        begins.append(total // 2)
        ends.append(total - total // 2)
        outputs.append(count)
    return Window(kernel, strides, dilations, (begins[0], begins[1], ends[0], ends[1]), (outputs[0], outputs[1]))


def image(network: Network, op: Operator) -> Value:
    """Input 0, which must have four axes."""
    value = network.value(op)
    if len(value.shape) != 4:
        raise Unsupported(f"expected an input [N][H][W][C]; found {list(value.shape)}", "convert the model again")
    return value


@handles("CONV_2D")
def convert_conv(network: Network, op: Operator) -> None:
    """Weight [O][kh][kw][I / groups] as [O][I / groups][kh][kw]."""
    value, weight = image(network, op), network.floats(op, 1)
    if weight.ndim != 4 or 0 in weight.shape or value.shape[3] % weight.shape[3]:
        raise Unsupported(f"a weight of {list(weight.shape)} over {value.shape[3]} channels", "convert it again")
    _convolution(network, op, value, weight.transpose(0, 3, 1, 2), value.shape[3] // weight.shape[3])


@handles("DEPTHWISE_CONV_2D")
def convert_depthwise(network: Network, op: Operator) -> None:
    """Weight [1][kh][kw][C * multiplier] as [C * multiplier][1][kh][kw], in groups of one channel."""
    value, weight = image(network, op), network.floats(op, 1)
    if weight.ndim != 4 or weight.shape[0] != 1 or not weight.size or weight.shape[3] % value.shape[3]:
        raise Unsupported(f"a weight of {list(weight.shape)} over {value.shape[3]} channels", "convert it again")
    _convolution(network, op, value, weight.transpose(3, 0, 1, 2), value.shape[3])


def _convolution(network: Network, op: Operator, value: Value, weight: NDArray[np.float32], groups: int) -> None:
    outputs, kernel = weight.shape[0], (weight.shape[2], weight.shape[3])
    if outputs % groups:
        raise Unsupported(f"{outputs} output channels in {groups} groups", "convert the model again")
    window = window_of(op, value.shape, kernel)
    inputs = [value.name, network.initialiser(op, 1, weight, "weight")]
    if network.has(op, 2):
        bias = network.floats(op, 2)
        if bias.shape != (outputs,):
            raise Unsupported(f"a bias of {list(bias.shape)} for {outputs} channels", "convert the model again")
        inputs.append(network.initialiser(op, 2, bias, "bias"))
    name = network.node(
        network.label(op),
        "Conv",
        inputs,
        kernel_shape=kernel,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
        group=groups,
    )
    network.bind(op, name, (value.shape[0], *window.spatial, outputs), first=True)
