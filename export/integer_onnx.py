# ONNX operators that take and give integers, written as what they stand for: floats between borders, or floats alone.
# Never here: taking the borders out (qdq.py), which operators then compute in integers (int8_native.py).
"""`with_borders`: the operator format of quantised ONNX as the QDQ format; `without_dynamic`: dynamic quantisation as
floats (ONNX's QLinearConv, QLinearMatMul, ConvInteger, ..., onnxruntime's QLinearAdd, QGemm, ...)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from edgecl.export.errors import ExportError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

DYNAMIC_NOTE = (
    "the file rounds activations to integers anew for each batch: here they stay float32 and the weights are "
    "dequantised exactly, so outputs differ from the file's by its quantisation noise"
)
# Operators on one tensor, followed by the scale and zero point of its output: what they are of floats.
_OF_ONE = {
    "QLinearSigmoid": "Sigmoid",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSoftmax": "Softmax",
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearReduceMean": "ReduceMean",
}
_OF_TWO = {"QLinearAdd": "Add", "QLinearMul": "Mul", "QLinearMatMul": "MatMul"}
_OWN = {"QLinearConv": 8, "QLinearConcat": 5, "QGemm": 7}  # and how many inputs they have at least
_INPUTS = {**dict.fromkeys(_OF_ONE, 5), **dict.fromkeys(_OF_TWO, 8), **_OWN}
# Operators that only move or choose integers, so that the numbers keep their scale.
_MOVES = (
    "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Identity", "Gather",
)  # fmt: skip
_DYNAMIC, _CAST = ("ConvInteger", "MatMulInteger"), "Cast"
_SOURCE = "DynamicQuantizeLinear"
_REMEDY = (
    "quantise the float model again with onnxruntime.quantization's quantize_static(quant_format=QuantFormat.QDQ), or "
    "export the float model with encoder 'int8' and calibration rows"
)
# Of onnxruntime too, and without a form here.
_NONE = ("QAttention", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits")
_ATTRIBUTES_OF_RUNTIME = ("channels_last", "opset")

Numbers = tuple[str, str]  # names of scale and zero point


def _refuse(found: str) -> ExportError:
    return ExportError(f"expected quantised layers that have a form of floats; found {found}; {_REMEDY}", -5)


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in sorted(Counter(kinds).items()))


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def with_borders(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in the QDQ format: the same names for the tensors of integers, each behind a QuantizeLinear. The model
    itself where no operator takes integers.

    Raises:
        ExportError: an operator of integers without a form here; one line names all of them.
    """
    kinds = [n.op_type for n in model.graph.node if n.op_type.startswith(("QLinear", "QGemm")) or n.op_type in _NONE]
    if not kinds:
        return model
    odd = [kind for kind in kinds if kind not in _INPUTS]
    if odd:
        raise _refuse(f"operators of integers: {_listed(odd)}")
    for node in model.graph.node:
        if len(node.input) < _INPUTS.get(node.op_type, 0):
            raise _refuse(f"{node.op_type} with {len(node.input)} inputs ('{node.name or node.output[0]}')")
    return _Borders(model).model()


class _Borders:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.source = model
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.numbers: dict[str, Numbers] = {}  # of computed tensors of integers
        self.real: dict[tuple[str, str, str], str] = {}  # tensors of integers as floats, by their numbers
        self.nodes: list[onnx.NodeProto] = []
        self.new: dict[str, NDArray[Any]] = {}

    def model(self) -> onnx.ModelProto:
        for node in self.source.graph.node:
            self._take(node)
        copy = onnx.ModelProto()
        copy.CopyFrom(self.source)
        del copy.graph.node[:], copy.graph.value_info[:]
        copy.graph.node.extend(self.nodes)
        copy.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in self.new.items())
        return copy

    def _take(self, node: onnx.NodeProto) -> None:
        kind, given = node.op_type, list(node.input)
        if kind in _OF_ONE:
            axis = {"axis": _attribute(node, "axis", -1)} if kind == "QLinearSoftmax" else {}
            if _attribute(node, "channels_last", 0):
                raise _refuse(f"{kind} with channels_last")
            self._write(node, _OF_ONE[kind], [self._real_of(given, 0)], (given[3], given[4]), **axis)
        elif kind in _OF_TWO:
            of_outputs = -1 if kind == "QLinearMatMul" else None
            operands = [self._real_of(given, 0), self._real_of(given, 3, of_outputs)]
            self._write(node, _OF_TWO[kind], operands, (given[6], given[7]))
        elif kind == "QLinearConv":
            operands = [self._real_of(given, 0), self._real_of(given, 3, 0)]
            if len(given) > 8 and given[8]:
                operands.append(self._bias(given[8], given[1], given[4]))
            self._write(node, "Conv", operands, (given[6], given[7]))
        elif kind == "QGemm":
            axis_of_outputs = 0 if _attribute(node, "transB", 0) else 1
            operands = [self._real_of(given, 0), self._real_of(given, 3, axis_of_outputs)]
            if given[6]:
                operands.append(self._bias(given[6], given[1], given[4]))
            rounded = len(given) > 8 and bool(given[7])
            self._write(node, "Gemm", operands, (given[7], given[8]) if rounded else None)
        elif kind == "QLinearConcat":
            operands = [self._real_of(given, k) for k in range(2, len(given) - 2, 3)]
            self._write(node, "Concat", operands, (given[0], given[1]))
        elif given and given[0] in self.numbers and kind != "DequantizeLinear":
            if kind not in _MOVES:
                raise _refuse(f"{kind} on a tensor of integers ('{node.name or node.output[0]}')")
            numbers = self.numbers[given[0]]
            self._write(node, kind, [self._as_real(given[0], *numbers), *given[1:]], numbers)
        else:
            if kind == "QuantizeLinear" and len(given) > 2:
                self.numbers[node.output[0]] = (given[1], given[2])
            self.nodes.append(node)

    def _real_of(self, given: list[str], first: int, axis: int | None = None) -> str:
        """Three inputs of a node that stand for one: integers, scale, zero point."""
        return self._as_real(given[first], given[first + 1], given[first + 2], axis)

    def _as_real(self, name: str, scale: str, zero: str, axis: int | None = None) -> str:
        """The name of the floats that a tensor of integers stands for."""
        key = (name, scale, zero)
        if key not in self.real:
            real = f"{name}/real"
            node = helper.make_node("DequantizeLinear", [name, scale, zero], [real], real)
            held, scales = self.constants.get(name), self.constants.get(scale)
            if axis is not None and held is not None and scales is not None and scales.size > 1:
                node.attribute.append(helper.make_attribute("axis", axis % held.ndim))
            self.nodes.append(node)
            self.real[key] = real
        return self.real[key]

    def _bias(self, name: str, *scales: str) -> str:
        """Biases are int32 at the product of both scales."""
        values = [self.constants.get(scale) for scale in scales]
        if any(value is None for value in values):
            raise _refuse(f"scales that are not constant ('{name}')")
        scale, zero = f"{name}/scale", f"{name}/zero"
        self.new[scale] = (np.asarray(values[0], np.float32) * np.asarray(values[1], np.float32)).reshape(-1)
        if self.new[scale].size == 1:
            self.new[scale] = self.new[scale].reshape(())
        self.new[zero] = np.zeros(self.new[scale].shape, np.int32)
        return self._as_real(name, scale, zero, axis=0)

    def _write(
        self, node: onnx.NodeProto, kind: str, operands: list[str], numbers: Numbers | None, **more: Any
    ) -> None:
        """The node as one of floats; with `numbers`, its outputs are rounded to integers of the old names."""
        outputs = list(node.output) if numbers is None else [f"{name}/float" for name in node.output]
        new = helper.make_node(kind, operands, outputs, node.name, **more)
        new.attribute.extend(a for a in node.attribute if a.name not in (*_ATTRIBUTES_OF_RUNTIME, *more))
        self.nodes.append(new)
        if numbers is None:
            return
        for name, output in zip(node.output, outputs, strict=True):
            self.nodes.append(helper.make_node("QuantizeLinear", [output, *numbers], [name], f"{name}/round"))
            self.numbers[name] = numbers


def without_dynamic(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    """A copy whose dynamically quantised layers are Conv and MatMul of floats, with the weights that their integers
    stand for; and whether there were any. As onnxruntime's quantize_dynamic writes them:
    Cast(ConvInteger(q, w, ...)) * (scale of q * scale of w).

    Raises:
        ExportError: operators of integers in another arrangement; one line.
    """
    nodes = list(model.graph.node)
    if not any(node.op_type in (*_DYNAMIC, _SOURCE) for node in nodes):
        return model, False
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    makers = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    new: dict[str, NDArray[np.float32]] = {}
    replaced: dict[str, onnx.NodeProto] = {}  # output of the last Mul: the layer of floats
    for node in nodes:
        if node.op_type in _DYNAMIC:
            layer = _dynamic_layer(node, makers, readers, constants, new)
            if layer is None:
                raise _refuse(f"{node.op_type} in another arrangement than quantize_dynamic's ('{node.name}')")
            replaced[layer.output[0]] = layer
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:], copy.graph.value_info[:]
    copy.graph.node.extend(replaced.get(node.output[0], node) for node in nodes)
    needed = {value.name for value in copy.graph.output}
    for node in reversed(list(copy.graph.node)):
        if needed.isdisjoint(node.output):
            copy.graph.node.remove(node)
        else:
            needed.update(node.input)
    left = [node.op_type for node in copy.graph.node if node.op_type == _SOURCE]
    if left:
        raise _refuse(f"operators of integers: {_listed(left)}")
    kept = [tensor for tensor in copy.graph.initializer if tensor.name in needed]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    copy.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in new.items())
    return copy, True


def _dynamic_layer(
    node: onnx.NodeProto,
    makers: dict[str, onnx.NodeProto],
    readers: dict[str, list[onnx.NodeProto]],
    constants: dict[str, NDArray[Any]],
    new: dict[str, NDArray[np.float32]],
) -> onnx.NodeProto | None:
    source = makers.get(node.input[0])
    stored = constants.get(node.input[1])
    casts = readers.get(node.output[0], [])
    if source is None or source.op_type != _SOURCE or stored is None or len(casts) != 1 or casts[0].op_type != _CAST:
        return None
    ends = readers.get(casts[0].output[0], [])
    if len(ends) != 1 or ends[0].op_type != "Mul":
        return None
    factor = makers.get(next((name for name in ends[0].input if name != casts[0].output[0]), ""))
    if factor is None or factor.op_type != "Mul" or source.output[1] not in factor.input:
        return None
    scale = constants.get(next((name for name in factor.input if name != source.output[1]), ""))
    if scale is None:
        return None
    zero: NDArray[Any] = np.zeros((), np.int64)
    if len(node.input) > 3 and node.input[3]:
        held = constants.get(node.input[3])
        if held is None:
            return None
        zero = held
    conv = node.op_type == "ConvInteger"
    label = node.input[1].removesuffix("_quantized").removesuffix("_Transposed")  # what that function appends
    label = f"{label}/real" if label in constants or label in new else label
    new[label] = _real(stored, np.asarray(scale, np.float32), zero, 0 if conv else stored.ndim - 1)
    layer = helper.make_node("Conv" if conv else "MatMul", [source.input[0], label], [ends[0].output[0]], node.name)
    layer.attribute.extend(node.attribute)
    return layer


def _real(stored: NDArray[Any], scale: NDArray[np.float32], zero: NDArray[Any], axis: int) -> NDArray[np.float32]:
    """(stored - zero) * scale, along `axis` where there are several, rounded once."""

    def along(values: NDArray[Any]) -> NDArray[Any]:
        if values.size == 1:
            return values.reshape(())
        shape = [1] * stored.ndim
        shape[axis] = values.size
        return values.reshape(shape)

    steps = stored.astype(np.int64) - along(zero).astype(np.int64)
    return np.asarray(steps * along(scale).astype(np.float64)).astype(np.float32)
