# FULLY_CONNECTED and SOFTMAX: what a classifier ends in.
# Never here: 1 x 1 convolutions (convolution.py; the ONNX front makes linear layers of those on one cell).
"""Linear layers and softmax."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.errors import Unsupported
from edgecl.export.tflite.network import Network, Value
from edgecl.export.tflite.read import Operator
from edgecl.export.tflite.registry import handles


@handles("FULLY_CONNECTED")
def convert_fully_connected(network: Network, op: Operator) -> None:
    """Weight [O][I]. Over a map that is flattened channels-last the weight's columns are put into the order of
    channels-first, once, and the map stays as it is."""
    value, weight = network.value(op), network.floats(op, 1)
    inputs = prod(value.shape[1:])
    if op.option("WeightsFormat", 0) != 0:
        raise Unsupported("shuffled weights", "convert the model with the default weights_format")
    if weight.ndim != 2 or weight.shape[1] != inputs:
        raise Unsupported(
            f"a weight of {list(weight.shape)} over rows of {list(value.shape[1:])}: not one product a row",
            "flatten the input of the layer",
        )
    outputs = weight.shape[0]
    map_ = value.pending or value
    if map_.first:
        weight = np.moveaxis(weight.reshape(outputs, *map_.shape[1:]), -1, 1).reshape(outputs, inputs)
    source = map_.name if map_.first or not value.pending else network.plain(value)
    if len(map_.shape) != 2:
        source = network.reshape_node(f"{network.label(op)}/rows", source, (map_.shape[0], inputs))
    names = [source, network.initialiser(op, 1, weight, "weight")]
    if network.has(op, 2):
        bias = network.floats(op, 2)
        if bias.shape != (outputs,):
            raise Unsupported(f"a bias of {list(bias.shape)} for {outputs} outputs", "convert the model again")
        names.append(network.initialiser(op, 2, bias, "bias"))
    name = network.node(network.label(op), "Gemm", names, transB=1)
    network.bind(op, name, (value.shape[0], outputs), first=False)


@handles("SOFTMAX", "LOG_SOFTMAX")
def convert_softmax(network: Network, op: Operator) -> None:
    """Over the last axis of a vector. A vector that has axes of one before its last loses them, so that the softmax at
    the end of a network is its last node, which the bundle leaves out."""
    value = network.value(op)
    if prod(value.shape[1:-1]) != 1:
        raise Unsupported(f"a softmax over rows of {list(value.shape[1:])}", "use it over one vector of classes")
    shape = (value.shape[0], value.shape[-1])
    source = network.plain(value) if not value.first else value.name
    if len(value.shape) > 2:
        source = network.reshape_node(f"{network.label(op)}/rows", source, shape)
    beta = op.options.get("Beta", 1.0)
    if op.kind == "SOFTMAX" and beta != 1.0:
        factor = network.add_initialiser(f"{network.label(op)}/beta", np.float32(beta))
        source = network.node(f"{network.label(op)}/scaled", "Mul", [source, factor])
    kind = "Softmax" if op.kind == "SOFTMAX" else "LogSoftmax"
    network.bind_value(op, Value(network.node(network.label(op), kind, [source], axis=-1), shape, False))
