# ONNX models whose floats stand between QuantizeLinear and DequantizeLinear: the network of floats, and its integers.
# Never here: which operators then compute in integers (int8_native.py).
"""`take_integers` takes the two operators out of a model and says what they did (ONNX's QDQ format, as
onnxruntime.quantization writes it)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from edgecl.export.int8_numbers import Quantisation
from edgecl.export.stored import Runner, Stored, StoredWeight
from numpy.typing import NDArray
from onnx import helper, numpy_helper

RUNTIME = "onnxruntime, which rounds in floats"
VARIANT = "with its fusions switched off"
_QUANTISE, _DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
_ARITHMETIC = ("Conv", "Gemm", "MatMul", "Add")
_SUFFIX = "_quantized"  # of onnxruntime.quantization


@dataclass(frozen=True)
class _Steps:
    """Integers and what they stand for: (values - zero) * scale, along `axis` where there are several scales."""

    values: NDArray[Any]
    scale: NDArray[np.float32]
    zero: NDArray[np.int64]
    axis: int

    def real(self) -> NDArray[np.float32]:
        shape = [1] * self.values.ndim
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        scale = self.scale.astype(np.float64).reshape(shape if self.scale.size > 1 else ())
        zero = self.zero.reshape(shape if self.zero.size > 1 else ())
        return np.asarray((self.values.astype(np.int64) - zero) * scale).astype(np.float32)


def take_integers(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Stored | None]:
    """The model without QuantizeLinear and DequantizeLinear, and their integers; the model itself where it has none."""
    if not any(node.op_type in (_QUANTISE, _DEQUANTISE) for node in model.graph.node):
        return model, None
    taken = _Taken(model)
    return taken.model(), taken.stored


class _Taken:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.source = model
        self.stored = Stored(
            "the file", rounds_once=("conv", "linear", "global_average_pool"), runtime=RUNTIME, variant=VARIANT
        )
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.steps: dict[str, _Steps] = {}  # of constants that the model quantises
        self.same: dict[str, str] = {}  # tensors that are another one but for its rounding
        self.new: dict[str, NDArray[np.float32]] = {}
        self.clips: dict[str, float] = {}  # tensors that the range of their integers keeps at 0 and more: the other end
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.kept: list[onnx.NodeProto] = []
        for node in model.graph.node:
            if node.op_type == _QUANTISE and self._quantise(node):
                continue
            if node.op_type == _DEQUANTISE and self._dequantise(node):
                continue
            self.kept.append(node)

    def model(self) -> onnx.ModelProto:
        """What is left, with the constants as floats."""
        model = onnx.ModelProto()
        model.CopyFrom(self.source)
        graph = model.graph
        del graph.node[:], graph.value_info[:]
        for node in self.kept:
            copy = graph.node.add()
            copy.CopyFrom(node)
            copy.input[:] = [self.same.get(name, name) for name in node.input]
            for position, name in enumerate(node.output):
                if name in self.clips:
                    copy.output[position] = f"{name}/whole"
                    ends = [f"{name}/lowest", f"{name}/highest"]
                    graph.node.append(helper.make_node("Clip", [f"{name}/whole", *ends], [name], name=f"{name}/clip"))
                    values = (np.asarray(end, np.float32) for end in (0, self.clips[name]))
                    self.new |= dict(zip(ends, values, strict=True))
        if self.clips:
            self.stored.notes.append(
                f"integers that begin at zero imply a RELU up to their largest, which {len(self.clips)} layers got"
            )
        read = {name for node in graph.node for name in node.input}
        left = [tensor for tensor in graph.initializer if tensor.name in read]
        del graph.initializer[:]
        graph.initializer.extend(left)
        graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in self.new.items())
        graph.output[0].name = self.same.get(graph.output[0].name, graph.output[0].name)
        return model

    def _numbers(self, node: onnx.NodeProto) -> tuple[NDArray[np.float32], NDArray[Any], int] | None:
        """Scale, zero point (whose type is that of the integers) and axis; None where they are not constant."""
        scale = self.constants.get(node.input[1])
        zero: NDArray[Any] | None = np.zeros(1, np.uint8)
        if len(node.input) > 2 and node.input[2]:
            zero = self.constants.get(node.input[2])
        if scale is None or zero is None:
            return None
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        return np.asarray(scale, np.float32).reshape(-1), zero.reshape(-1), int(axis)

    def _quantise(self, node: onnx.NodeProto) -> bool:
        numbers = self._numbers(node)
        if numbers is None:
            return False
        scale, zero, axis = numbers
        values = self.constants.get(node.input[0])
        if values is not None:
            shape = [1] * values.ndim
            if scale.size > 1:
                shape[axis] = scale.size
            limits = np.iinfo(zero.dtype)
            steps = np.rint(values / scale.reshape(shape)) + zero.astype(np.int64).reshape(
                shape if zero.size > 1 else -1
            )
            stored = np.clip(steps, limits.min, limits.max).astype(zero.dtype).reshape(values.shape)
            self.steps[node.output[0]] = _Steps(stored, scale, zero.astype(np.int64), axis)
            return True
        tensor = self.same.get(node.input[0], node.input[0])
        self.same[node.output[0]] = tensor
        if zero.dtype not in (np.int8, np.uint8) or scale.size != 1:
            found = "a scale for each channel" if scale.size != 1 else str(zero.dtype)
            self.stored.faults[tensor] = f"is rounded to {found} in the file"
            return True
        lowest = int(np.iinfo(zero.dtype).min)
        offset = int(zero[0]) - lowest - 128
        self.stored.give(tensor, Quantisation(float(scale[0]), offset), node.output[0])
        maker = self.makers.get(tensor)
        if offset == -128 and maker is not None and maker.op_type in _ARITHMETIC:
            self.clips[tensor] = 255.0 * float(scale[0])
        return True

    def _dequantise(self, node: onnx.NodeProto) -> bool:
        name = node.input[0]
        if name in self.same:
            self.same[node.output[0]] = self.same[name]
            return True
        numbers = self._numbers(node)
        if numbers is None:
            return False
        scale, zero, axis = numbers
        steps = self.steps.get(name)
        if steps is None and name in self.constants:
            values = self.constants[name]
            steps = _Steps(values, scale, zero.astype(np.int64), axis % max(values.ndim, 1))
        if steps is None:
            return False
        label = name.removesuffix(_SUFFIX)
        if label in self.new or (label != name and label in self.constants):
            label = name
        self.new[label] = steps.real()
        self.same[node.output[0]] = label
        if steps.values.dtype == np.int32:
            self.stored.biases[label] = (steps.values.astype(np.int64), steps.scale)
        else:
            self.stored.weights[label] = StoredWeight(steps.scale, self._fault(node.output[0], steps))
        return True

    def _fault(self, output: str, steps: _Steps) -> str:
        if steps.values.dtype != np.int8:
            return f"its weights are {steps.values.dtype}"
        if steps.zero.any():
            return "its weights have a zero point"
        readers = [node for node in self.source.graph.node if output in node.input]
        if steps.scale.size > 1 and any(steps.axis != _output_axis(node, steps.values.ndim) for node in readers):
            return f"its scales lie along axis {steps.axis}"
        return ""


def _output_axis(node: onnx.NodeProto, rank: int) -> int:
    """Of a weight: the axis of the outputs of the layer that reads it."""
    turned = any(a.name == "transB" and a.i for a in node.attribute)
    return rank - 1 if node.op_type == "MatMul" or (node.op_type == "Gemm" and not turned) else 0


def runner(model: onnx.ModelProto, channels_last: bool, fused: bool) -> Runner | None:
    """None where onnxruntime is not installed. Origins are names of tensors of integers; `fused`: layers as operators
    of integers, else each in floats between its borders."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None

    def run(rows: NDArray[np.float32], origins: Sequence[str]) -> list[NDArray[np.int64]]:
        import onnxruntime

        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.graph.output[:]
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in origins)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        if not fused:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        given = np.ascontiguousarray(np.moveaxis(rows, 1, -1)) if channels_last else rows
        step = entry.shape[0] if isinstance(entry.shape[0], int) else len(given)
        found: list[list[NDArray[Any]]] = [[] for _ in origins]
        for begin in range(0, len(given), step):
            piece = given[begin : begin + step]
            full = np.concatenate([piece, np.repeat(piece[-1:], step - len(piece), axis=0)])
            for values, result in zip(found, session.run(list(origins), {entry.name: full}), strict=True):
                shift = 128 if result.dtype == np.uint8 else 0
                values.append(result[: len(piece)].astype(np.int64) - shift)
        return [np.concatenate(values) for values in found]

    return run
