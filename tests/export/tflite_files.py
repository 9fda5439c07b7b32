# Writes small TFLite files with the package's own builder.
# Never here: reading them (edgecl.export.tflite), tests.
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import pytest
from numpy.typing import NDArray

tflite = pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")

Options = tuple[str, dict[str, float]]
_KINDS = {
    "float32": "FLOAT32",
    "float16": "FLOAT16",
    "int8": "INT8",
    "uint8": "UINT8",
    "int32": "INT32",
    "int64": "INT64",
}


@dataclass
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    data: bytes | None
    scale: tuple[float, ...]
    zero: tuple[int, ...]
    axis: int
    variable: bool = False


@dataclass
class TfliteFile:
    """A file in the making; tensor 0 is the input.

    Attributes:
        kind, scale, zero: of the input.
        subgraphs: how many times the graph is written.
        signature: the input's shape with -1 for what is left open.
    """

    input_shape: tuple[int, ...]
    kind: str = "FLOAT32"
    scale: tuple[float, ...] = ()
    zero: tuple[int, ...] = ()
    subgraphs: int = 1
    inputs: tuple[int, ...] = (0,)
    signature: tuple[int, ...] = ()
    tensors: list[_Tensor] = field(default_factory=list)
    operators: list[tuple[str, list[int], int, Options | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors.append(_Tensor("input", self.input_shape, self.kind, None, self.scale, self.zero, 0))

    def constant(
        self,
        values: Any,
        name: str = "",
        scale: tuple[float, ...] = (),
        zero: tuple[int, ...] = (),
        axis: int = 0,
    ) -> int:
        """A tensor with data; returns its index."""
        array = np.ascontiguousarray(values)
        kind = array.dtype.name.upper()
        shape = np.shape(values)
        self.tensors.append(
            _Tensor(name or f"constant{len(self.tensors)}", shape, kind, array.tobytes(), scale, zero, axis)
        )
        return len(self.tensors) - 1

    def op(
        self,
        kind: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: Options | None = None,
        output: tuple[str, tuple[float, ...], tuple[int, ...]] = ("FLOAT32", (), ()),
    ) -> int:
        """An operator with one output of the shape; returns that tensor's index."""
        self.tensors.append(_Tensor(f"{kind.lower()}{len(self.operators)}", shape, output[0], None, *output[1:], 0))
        self.operators.append((kind, inputs, len(self.tensors) - 1, options))
        return len(self.tensors) - 1

    def data(self, *outputs: int) -> bytes:
        """The file; its outputs are the last operator's unless they are named."""
        builder = flatbuffers.Builder(1024)
        kinds = sorted({kind for kind, *_ in self.operators})
        graph = [self._graph(builder, kinds, outputs or (len(self.tensors) - 1,)) for _ in range(self.subgraphs)]
        codes = [self._code(builder, kind) for kind in kinds]
        buffers = [self._buffer(builder, tensor.data) for tensor in self.tensors]
        lists = {
            "Subgraphs": _tables(builder, graph),
            "OperatorCodes": _tables(builder, codes),
            "Buffers": _tables(builder, buffers),
        }
        model = _table(builder, "Model", {"Version": 3, **lists})
        builder.Finish(model, b"TFL3")
        return bytes(builder.Output())

    def _graph(self, builder: Any, kinds: list[str], outputs: tuple[int, ...]) -> int:
        tensors = [self._tensor(builder, index, tensor) for index, tensor in enumerate(self.tensors)]
        operators = []
        for kind, inputs, output, options in self.operators:
            fields: dict[str, Any] = {
                "OpcodeIndex": kinds.index(kind),
                "Inputs": builder.CreateNumpyVector(np.array(inputs, np.int32)),
                "Outputs": builder.CreateNumpyVector(np.array([output], np.int32)),
            }
            if options is not None:
                fields["BuiltinOptions"] = _table(builder, options[0], options[1])
                fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, options[0])
            operators.append(_table(builder, "Operator", fields))
        fields = {
            "Tensors": _tables(builder, tensors),
            "Operators": _tables(builder, operators),
            "Inputs": builder.CreateNumpyVector(np.array(self.inputs, np.int32)),
            "Outputs": builder.CreateNumpyVector(np.array(outputs, np.int32)),
        }
        return _table(builder, "SubGraph", fields)

    def _tensor(self, builder: Any, index: int, tensor: _Tensor) -> int:
        fields: dict[str, Any] = {
            "Name": builder.CreateString(tensor.name),
            "Shape": builder.CreateNumpyVector(np.array(tensor.shape, np.int32)),
            "Type": getattr(tflite.TensorType, tensor.kind),
            "Buffer": index,
        }
        if index == 0 and self.signature:
            fields["ShapeSignature"] = builder.CreateNumpyVector(np.array(self.signature, np.int32))
        if tensor.scale:
            parameters = {
                "Scale": builder.CreateNumpyVector(np.array(tensor.scale, np.float32)),
                "ZeroPoint": builder.CreateNumpyVector(np.array(tensor.zero, np.int64)),
                "QuantizedDimension": tensor.axis,
            }
            fields["Quantization"] = _table(builder, "QuantizationParameters", parameters)
        if tensor.variable:
            fields["IsVariable"] = True
        return _table(builder, "Tensor", fields)

    @staticmethod
    def _code(builder: Any, kind: str) -> int:
        name, _, custom = kind.partition(" ")
        number = getattr(tflite.BuiltinOperator, name)
        fields = {"BuiltinCode": number, "DeprecatedBuiltinCode": min(number, 127)}
        if custom:
            fields["CustomCode"] = builder.CreateString(custom)
        return _table(builder, "OperatorCode", fields)

    @staticmethod
    def _buffer(builder: Any, data: bytes | None) -> int:
        return _table(builder, "Buffer", {"Data": builder.CreateByteVector(data)} if data else {})


def _table(builder: Any, kind: str, fields: dict[str, Any]) -> int:
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(builder, value)
    return int(getattr(tflite, f"{kind}End")(builder))


def _tables(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def window(op: str, same: bool = True, strides: tuple[int, int] = (1, 1), **fields: float) -> Options:
    """Options of a convolution or pool."""
    base = {"Padding": 0 if same else 1, "StrideH": strides[0], "StrideW": strides[1]}
    return op, {**base, **fields}


def weights(generator: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Standard normal numbers."""
    return generator.standard_normal(shape).astype(np.float32)
