"""Writes a PyTorch network as a .tflite file for the LiteRT peer; batch-norm is folded into the convolutions.

Never here: running the file (worker_litert.py). Only what the networks of networks.py are made of is understood.
"""

from __future__ import annotations

import operator
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from networks import INPUT_SHAPE, build
from torch import fx, nn
from torch.nn import functional

ACTIVATION = {None: 0, "relu": 1, "relu6": 3}  # values of schema.ActivationFunctionType
RESHAPES = (torch.flatten, "flatten", "view", "reshape")  # nothing to do after global pooling


@dataclass
class Step:
    """One operator to be; `weight` and `bias` change while batch-norm folds in, `activation` while it fuses."""

    kind: str
    inputs: list[int]
    out: int
    weight: np.ndarray[Any, Any] | None = None
    bias: np.ndarray[Any, Any] | None = None
    stride: int = 1
    same: bool = True
    activation: str | None = None
    shape: list[int] = field(default_factory=list)


class Tracer(fx.Tracer):
    """Keeps layers whole, also the padding convolutions of EfficientNet-Lite."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


def _conv(module: nn.Conv2d, entry: int, out: int) -> Step:
    weight = module.weight.detach().numpy()
    bias = np.zeros(len(weight), np.float32) if module.bias is None else module.bias.detach().numpy()
    depthwise = module.groups > 1
    # TFLite: [O][kh][kw][I], depthwise [1][kh][kw][O]. Its padding at stride 2 may sit one pixel off: equal work.
    weight = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)
    kind = "depthwise" if depthwise else "conv"
    return Step(kind, [entry], out, weight.copy(), bias.copy(), module.stride[0], module.kernel_size[0] > 1)


def _fold(step: Step, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None and step.weight is not None
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
    axes = (1, 1, 1, -1) if step.kind == "depthwise" else (-1, 1, 1, 1)
    step.weight = step.weight * scale.reshape(axes)
    step.bias = (step.bias - norm.running_mean.numpy()) * scale + norm.bias.detach().numpy()


def steps_of(network: nn.Module, shape: tuple[int, ...]) -> list[Step]:
    """The network as steps with their output shapes (NHWC); tensor 0 is the input."""
    network.eval()
    graph = Tracer().trace(network)
    traced = fx.GraphModule(network, graph)
    from torch.fx.passes.shape_prop import ShapeProp

    ShapeProp(traced).propagate(torch.zeros(1, *shape))
    modules = dict(traced.named_modules())
    index: dict[fx.Node, int] = {}
    made: dict[int, Step] = {}
    steps: list[Step] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            index[node] = 0
            continue
        if node.op == "output":
            break
        if node.target == "size":  # reads a shape that is known here
            continue
        entry = index[node.args[0]]
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        previous = made.get(entry)
        relu = isinstance(module, nn.ReLU) or node.target in (functional.relu, torch.relu)
        relu6 = isinstance(module, nn.ReLU6) or node.target is functional.relu6
        step: Step | None = None
        if isinstance(module, nn.Conv2d):
            step = _conv(module, entry, len(made) + 1)
        elif isinstance(module, nn.Linear):
            weight, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
            step = Step("linear", [entry], len(made) + 1, weight, bias)
        elif isinstance(module, nn.BatchNorm2d):
            assert previous is not None
            _fold(previous, module)
        elif relu or relu6:
            assert previous is not None
            previous.activation = "relu6" if relu6 else "relu"
        elif node.target in (operator.add, torch.add):
            step = Step("add", [entry, index[node.args[1]]], len(made) + 1)
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            step = Step("mean", [entry], len(made) + 1)
        elif not (isinstance(module, (nn.Identity, nn.Dropout, nn.Flatten)) or node.target in RESHAPES):
            raise UnknownLayer(f"expected a layer that litert_model.py writes; found {node.format_node()}")
        if step is not None:
            dims = list(node.meta["tensor_meta"].shape)
            step.shape = [dims[0], dims[2], dims[3], dims[1]] if len(dims) == 4 and step.kind != "mean" else dims[:2]
            made[step.out] = step
            steps.append(step)
            index[node] = step.out
        else:
            index[node] = entry
    return steps


class UnknownLayer(ValueError):
    """A layer outside of what the benchmark's networks use."""


def _buffer(model: Any, data: np.ndarray[Any, Any]) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _tensor(graph: Any, name: str, shape: list[int], buffer: int = 0, kind: int = 0) -> int:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.type = name, shape, buffer, kind
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _signature(entry: int, end: int) -> Any:
    """Names of the input and the output, which quantisers ask for."""
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    for side, label, index in (("inputs", "x", entry), ("outputs", "y", end)):
        place = schema.TensorMapT()
        place.name, place.tensorIndex = label, index
        setattr(signature, side, [place])
    return signature


def write(name: str, path: Path) -> Path:
    """Writes the named network, batch 1, to `path`."""
    return write_network(build(name), INPUT_SHAPE[name], path)


def write_network(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    """Writes a network, batch 1, to `path`."""
    steps = steps_of(network, shape)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [], [schema.BufferT()]
    graph.tensors, graph.operators = [], []
    nhwc = [1, shape[1], shape[2], shape[0]] if len(shape) == 3 else [1, *shape]
    places = {0: _tensor(graph, "x", nhwc)}
    codes: dict[int, int] = {}
    B, O = schema.BuiltinOperator, schema.BuiltinOptions  # noqa: E741
    kinds: dict[str, tuple[int, int, Any]] = {
        "conv": (B.CONV_2D, O.Conv2DOptions, schema.Conv2DOptionsT),
        "depthwise": (B.DEPTHWISE_CONV_2D, O.DepthwiseConv2DOptions, schema.DepthwiseConv2DOptionsT),
        "linear": (B.FULLY_CONNECTED, O.FullyConnectedOptions, schema.FullyConnectedOptionsT),
        "add": (B.ADD, O.AddOptions, schema.AddOptionsT),
        "mean": (B.MEAN, O.ReducerOptions, schema.ReducerOptionsT),
    }
    for step in steps:
        code, options_type, options_class = kinds[step.kind]
        options = options_class()
        inputs = [places[i] for i in step.inputs]
        if step.kind == "mean":
            options.keepDims = False
            axes = np.array([1, 2], np.int32)
            inputs.append(_tensor(graph, f"axes{step.out}", [2], _buffer(model, axes), schema.TensorType.INT32))
        else:
            options.fusedActivationFunction = ACTIVATION[step.activation]
        if step.kind in ("conv", "depthwise"):
            options.strideW = options.strideH = step.stride
            options.dilationWFactor = options.dilationHFactor = 1
            options.padding = schema.Padding.SAME
        if step.kind == "depthwise":
            options.depthMultiplier = 1
        for label, array in (("w", step.weight), ("b", step.bias)):
            if array is not None:
                data = array.astype(np.float32)
                inputs.append(_tensor(graph, f"{label}{step.out}", list(data.shape), _buffer(model, data)))
        places[step.out] = _tensor(graph, f"t{step.out}", step.shape)
        if code not in codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            codes[code] = len(model.operatorCodes)
            model.operatorCodes.append(entry)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = codes[code], inputs, [places[step.out]]
        made.builtinOptionsType, made.builtinOptions = options_type, options
        graph.operators.append(made)
    graph.inputs, graph.outputs = [places[0]], [places[steps[-1].out]]
    model.signatureDefs = [_signature(graph.inputs[0], graph.outputs[0])]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


if __name__ == "__main__":
    print(write(sys.argv[1], Path(sys.argv[2])))
