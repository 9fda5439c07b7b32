"""Writes a PyTorch network as a .tflite file for the LiteRT peer, from what PyTorch's ONNX export makes of it, which
folds batch norms into convolutions.

Never here: running the file (tools/cli/bench_workers). Only what the networks of the benchmarks are made of is
understood: convolutions, linear layers, ReLUs, hard swish and sigmoid, sums, products, pools and means over a map.
"""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import torch
from ai_edge_litert import schema_py_generated as schema
from networks import INPUT_SHAPE, build
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

Array = NDArray[Any]
B, O = schema.BuiltinOperator, schema.BuiltinOptions  # noqa: E741
ACTIVATION = {None: 0, "relu": 1, "relu6": 3}  # values of schema.ActivationFunctionType
KINDS: dict[str, tuple[int, int, Any]] = {  # code, type and class of its options
    "conv": (B.CONV_2D, O.Conv2DOptions, schema.Conv2DOptionsT),
    "depthwise": (B.DEPTHWISE_CONV_2D, O.DepthwiseConv2DOptions, schema.DepthwiseConv2DOptionsT),
    "linear": (B.FULLY_CONNECTED, O.FullyConnectedOptions, schema.FullyConnectedOptionsT),
    "add": (B.ADD, O.AddOptions, schema.AddOptionsT),
    "mul": (B.MUL, O.MulOptions, schema.MulOptionsT),
    "max_pool": (B.MAX_POOL_2D, O.Pool2DOptions, schema.Pool2DOptionsT),
    "mean": (B.MEAN, O.ReducerOptions, schema.ReducerOptionsT),
    "hard_swish": (B.HARD_SWISH, O.HardSwishOptions, schema.HardSwishOptionsT),
    "relu": (B.RELU, O.NONE, None),
    "relu6": (B.RELU6, O.NONE, None),
}
FUSED = ("conv", "depthwise", "linear", "add", "mul", "max_pool")  # they can have an activation
# Nothing to do: a map of one place is a row here, and every padding is TFLite's SAME.
VIEWS = ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Pad")


class UnknownLayer(ValueError):
    """A layer outside of what the benchmarks' networks use."""


@dataclass
class Step:
    """One operator to be; `constants` follow the inputs, and the activation changes while it fuses."""

    kind: str
    inputs: list[str]
    out: str
    shape: list[int]
    constants: list[Array] = field(default_factory=list)
    stride: int = 1
    window: int = 1
    activation: str | None = None


def onnx_of(network: nn.Module, shape: tuple[int, ...]) -> tuple[onnx.GraphProto, dict[str, list[int]]]:
    """The network at batch 1, and the shape of every tensor, by running it: paddings may be computed."""
    import onnxruntime

    stream, row = io.BytesIO(), torch.zeros(1, *shape)
    torch.onnx.export(network.eval(), (row,), stream, dynamo=False)  # type: ignore[arg-type]
    model = onnx.load_from_string(stream.getvalue())
    told = onnx.ModelProto()
    told.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output]
    del told.graph.output[:]
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(told.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(names, {model.graph.input[0].name: row.numpy()})
    return model.graph, {name: list(value.shape) for name, value in zip(names, values, strict=True)}


def _channels_last(dims: list[int]) -> list[int]:
    return [dims[0], dims[2], dims[3], dims[1]] if len(dims) == 4 else dims


def _read_for(graph: onnx.GraphProto) -> set[str]:
    """Tensors that the result is computed from, without the amounts of paddings and shapes."""
    makers = {name: node for node in graph.node for name in node.output}
    found, open_ = set[str](), [graph.output[0].name]
    while open_:
        name = open_.pop()
        found.add(name)
        if name in makers:
            node = makers[name]
            open_ += [read for read in (node.input[:1] if node.op_type in VIEWS else node.input) if read not in found]
    return found


class _Reader:
    """Steps of an ONNX graph. A tensor of the source that is only another view of one has that one's name."""

    def __init__(self, graph: onnx.GraphProto, shapes: dict[str, list[int]]) -> None:
        self.steps: list[Step] = []
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._uses = Counter(name for node in graph.node for name in node.input)
        self._names: dict[str, str] = {}
        self._shapes = shapes
        read = _read_for(graph)
        for node in graph.node:
            if node.output[0] in read:
                self._node(node)
        self.output = self._name(graph.output[0].name)

    def _name(self, name: str) -> str:
        return self._names.get(name, name)

    def _add(self, kind: str, node: onnx.NodeProto, constants: list[Array], **values: Any) -> None:
        inputs = [self._name(name) for name in node.input if name not in self._constants]
        self.steps.append(Step(kind, inputs, node.output[0], self._shape(node), constants, **values))

    def _shape(self, node: onnx.NodeProto) -> list[int]:
        return _channels_last(self._shapes[node.output[0]])

    def _node(self, node: onnx.NodeProto) -> None:
        given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        convert: dict[str, Callable[[], None]] = {
            "Constant": lambda: self._constants.update({node.output[0]: numpy_helper.to_array(given["value"])}),
            "Conv": lambda: self._conv(node, given),
            "Gemm": lambda: self._gemm(node, given),
            "Relu": lambda: self._activation(node, "relu"),
            "Clip": lambda: self._activation(node, "relu6"),
            "Add": lambda: self._add("add", node, []),
            "Mul": lambda: self._add("mul", node, []),
            "HardSwish": lambda: self._add("hard_swish", node, []),
            "HardSigmoid": lambda: self._hard_sigmoid(node),
            "MaxPool": lambda: self._add(
                "max_pool", node, [], stride=given["strides"][0], window=given["kernel_shape"][0]
            ),
            "GlobalAveragePool": lambda: self._mean(node),
            "ReduceMean": lambda: self._mean(node),
        }
        if node.op_type in VIEWS and node.input[0] in self._constants:  # one that several layers share
            self._constants[node.output[0]] = self._constants[node.input[0]]
        elif node.op_type in VIEWS:
            self._names[node.output[0]] = self._name(node.input[0])
        elif node.op_type in convert:
            convert[node.op_type]()
        else:
            raise UnknownLayer(f"expected a layer that litert_model.py writes; found {node.op_type} ({node.name})")

    def _conv(self, node: onnx.NodeProto, given: dict[str, Any]) -> None:
        weight = self._constants[node.input[1]]
        bias = self._constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        groups = given.get("group", 1)
        if groups not in (1, len(weight)):
            raise UnknownLayer(f"expected dense or depthwise; found {groups} groups of {len(weight)} ({node.name})")
        # [O][kh][kw][I], depthwise [1][kh][kw][O]. SAME at stride 2 may sit one pixel off: equal work.
        depthwise = groups > 1
        weight = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)
        stride = given.get("strides", [1])[0]
        self._add("depthwise" if depthwise else "conv", node, [weight, bias], stride=stride)

    def _gemm(self, node: onnx.NodeProto, given: dict[str, Any]) -> None:
        weight = self._constants[node.input[1]]
        self._add("linear", node, [weight if given.get("transB") else weight.T, self._constants[node.input[2]]])

    def _activation(self, node: onnx.NodeProto, kind: str) -> None:
        source, before = self._name(node.input[0]), self.steps[-1] if self.steps else None
        fuses = before is not None and before.kind in FUSED and before.activation is None and before.out == source
        if before is not None and fuses and self._uses[node.input[0]] == 1:
            before.activation = kind
            self._names[node.output[0]] = source
            return
        self._add(kind, node, [])

    def _hard_sigmoid(self, node: onnx.NodeProto) -> None:
        """relu6(x + 3) / 6."""
        shape, inner = self._shape(node), f"{node.output[0]} + 3"
        three, sixth = np.array([3], np.float32), np.array([1 / 6], np.float32)
        self.steps.append(Step("add", [self._name(node.input[0])], inner, shape, [three], activation="relu6"))
        self.steps.append(Step("mul", [inner], node.output[0], shape, [sixth]))

    def _mean(self, node: onnx.NodeProto) -> None:
        dims = self._shapes[node.output[0]]
        shape = [dims[0], 1, 1, dims[1]]
        self.steps.append(
            Step("mean", [self._name(node.input[0])], node.output[0], shape, [np.array([1, 2], np.int32)])
        )


def _buffer(model: Any, data: Array) -> int:
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


def _options(step: Step, options_class: Any) -> Any:
    if options_class is None:
        return None
    options = options_class()
    if step.kind == "mean":
        options.keepDims = True
    if step.kind in FUSED:
        options.fusedActivationFunction = ACTIVATION[step.activation]
    if step.kind in ("conv", "depthwise", "max_pool"):
        options.strideW = options.strideH = step.stride
        options.padding = schema.Padding.SAME
    if step.kind in ("conv", "depthwise"):
        options.dilationWFactor = options.dilationHFactor = 1
    if step.kind == "depthwise":
        options.depthMultiplier = 1
    if step.kind == "max_pool":
        options.filterWidth = options.filterHeight = step.window
    return options


def write(name: str, path: Path) -> Path:
    """Writes the named network, batch 1, to `path`."""
    return write_network(build(name), INPUT_SHAPE[name], path)


def write_network(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    """Writes a network, batch 1, to `path`.

    Raises:
        UnknownLayer: it is made of something else.
    """
    source, shapes = onnx_of(network, shape)
    read = _Reader(source, shapes)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [], [schema.BufferT()]
    graph.tensors, graph.operators = [], []
    places = {source.input[0].name: _tensor(graph, "x", _channels_last([1, *shape]))}
    codes: dict[int, int] = {}
    for step in read.steps:
        code, options_type, options_class = KINDS[step.kind]
        inputs = [places[name] for name in step.inputs]
        for i, array in enumerate(step.constants):
            kind = schema.TensorType.INT32 if array.dtype == np.int32 else schema.TensorType.FLOAT32
            inputs.append(_tensor(graph, f"{step.out} {i}", list(array.shape), _buffer(model, array), kind))
        places[step.out] = _tensor(graph, step.out, step.shape)
        if code not in codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            codes[code] = len(model.operatorCodes)
            model.operatorCodes.append(entry)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = codes[code], inputs, [places[step.out]]
        made.builtinOptionsType, made.builtinOptions = options_type, _options(step, options_class)
        graph.operators.append(made)
    graph.inputs, graph.outputs = [places[source.input[0].name]], [places[read.output]]
    model.signatureDefs = [_signature(graph.inputs[0], graph.outputs[0])]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


if __name__ == "__main__":
    print(write(sys.argv[1], Path(sys.argv[2])))
