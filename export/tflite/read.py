# A TFLite file as plain data: every access to the flatbuffer, guarded against broken files.
# Never here: what an operator means, ONNX.
"""`read_tflite` turns the bytes of a .tflite file into `File`."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import tflite
from edgecl.export.errors import ExportError, Unsupported
from numpy.typing import NDArray

SCHEMA = 3  # the only version of the schema that was ever released
MAX_ROW = 1 << 24  # kMaxRowFloats of plan_records.h
MAX_NAME = 200  # bytes; the bundle takes kMaxNameBytes
E_FORMAT = -50

_DTYPES: dict[str, type[np.generic]] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
}
# Scalar fields of the option tables that a conversion reads.
_FIELDS: dict[str, tuple[str, ...]] = {
    "Conv2DOptions": (
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction",
    ),
    "DepthwiseConv2DOptions": (
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction",
    ),
    "Pool2DOptions": ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    "FullyConnectedOptions": ("FusedActivationFunction", "WeightsFormat", "KeepNumDims"),
    "AddOptions": ("FusedActivationFunction",),
    "SubOptions": ("FusedActivationFunction",),
    "MulOptions": ("FusedActivationFunction",),
    "ConcatenationOptions": ("Axis", "FusedActivationFunction"),
    "ReducerOptions": ("KeepDims",),
    "SoftmaxOptions": ("Beta",),
    "StridedSliceOptions": ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
    "UnidirectionalSequenceLSTMOptions": ("FusedActivationFunction", "CellClip", "ProjClip", "TimeMajor"),
}  # fmt: skip


def _names(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


_OPERATORS, _TYPES = _names(tflite.BuiltinOperator), _names(tflite.TensorType)
_OPTION_TYPES = _names(tflite.BuiltinOptions)


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file.

    Attributes:
        shape: as stored, batch axis included.
        dynamic: axes behind the batch whose size the file leaves open.
        kind: name of the element type in the schema.
        data: the bytes of a constant; None for what is computed.
        scale, zero_point: one a channel along `axis`, or one; empty where the tensor is not quantised.
    """

    name: str
    shape: tuple[int, ...]
    dynamic: tuple[int, ...]
    kind: str
    data: NDArray[np.uint8] | None
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int
    sparse: bool

    @property
    def quantised(self) -> bool:
        """Holds integers that stand for real numbers."""
        return self.kind in ("INT8", "UINT8", "INT16") and self.scale.size > 0

    def values(self) -> NDArray[Any]:
        """The constant's numbers: quantised ones as scale * (q - zero_point), rounded once to float32; float16 as
        float32; plain integers as they are.

        Raises:
            Unsupported: no constant, or an encoding that is not known here.
        """
        if self.data is None:
            raise Unsupported(f"expected a constant; found '{self.name}', which is computed", "make it a constant")
        if self.sparse or self.kind not in _DTYPES:
            found = "sparse" if self.sparse else self.kind
            raise Unsupported(
                f"'{self.name}' is stored as {found}", "convert the model with dense float or int8 weights"
            )
        dtype = np.dtype(_DTYPES[self.kind])
        if self.data.size != prod(self.shape) * dtype.itemsize:
            raise ExportError(
                f"expected {prod(self.shape) * dtype.itemsize} bytes in '{self.name}'; found {self.data.size}; convert "
                "the model again",
                E_FORMAT,
            )
        raw: NDArray[Any] = self.data.view(dtype).reshape(self.shape)
        if dtype.kind == "f":
            return raw.astype(np.float32)
        return raw if self.scale.size == 0 else self._dequantised(raw)

    def integers(self) -> NDArray[np.int64]:
        """A quantised constant as it is stored; only where `values` gave something."""
        assert self.data is not None
        raw: NDArray[Any] = self.data.view(_DTYPES[self.kind])
        return raw.astype(np.int64)

    def _dequantised(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        scale, zero = self.scale.astype(np.float64), self.zero_point
        shape = [1] * raw.ndim
        if scale.size > 1:
            if not 0 <= self.axis < raw.ndim or scale.size != raw.shape[self.axis]:
                raise ExportError(
                    f"expected one scale a channel of '{self.name}' {list(raw.shape)}; found {scale.size} for axis "
                    f"{self.axis}; convert the model again",
                    E_FORMAT,
                )
            shape[self.axis] = scale.size
        zero = np.zeros(scale.size, np.int64) if zero.size == 0 else np.resize(zero, scale.size)
        real = scale.reshape(shape if scale.size > 1 else ()) if raw.ndim else scale[0]
        offset = zero.reshape(shape if zero.size > 1 else ()) if raw.ndim else zero[0]
        return np.asarray((raw.astype(np.int64) - offset) * real).astype(np.float32)


@dataclass(frozen=True)
class Operator:
    """One operator; `inputs` may hold -1 for what is left out. `options` has the fields of `_FIELDS`."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, float] = field(default_factory=dict)

    def option(self, name: str, default: int | None = None, least: int | None = None) -> int:
        """An integer field.

        Raises:
            Unsupported: it is missing and has no default, or lies below `least`.
        """
        value = self.options.get(name, default)
        if value is None or (least is not None and value < least):
            raise Unsupported(f"{name} is {'missing' if value is None else value}", "convert the model again")
        return int(value)


@dataclass(frozen=True)
class File:
    """The first subgraph of a file. `subgraphs`: how many there are."""

    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int


def read_tflite(data: bytes, source: str) -> File:
    """Reads everything that a conversion needs.

    Args:
        source: what the bytes came from, for the message.

    Raises:
        ExportError: no TFLite model, or a broken one.
    """
    if len(data) < 8 or not tflite.Model.ModelBufferHasIdentifier(data, 0):
        raise ExportError(
            f"expected a TFLite model in {source}; found {len(data)} bytes without its mark 'TFL3'; check the file",
            E_FORMAT,
        )
    try:
        return _Reader(data).file()
    except ExportError:
        raise
    except Exception as error:  # the flatbuffer package raises whatever an offset into nowhere leads to
        raise ExportError(
            f"expected a whole TFLite model in {source}; found a broken one ({type(error).__name__}: {error}); copy or "
            "convert it again",
            E_FORMAT,
        ) from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.model: Any = tflite.Model.GetRootAs(data, 0)

    def file(self) -> File:
        model = self.model
        if model.Version() != SCHEMA:
            raise ValueError(f"schema version {model.Version()} instead of {SCHEMA}")
        subgraphs = self.count(model.SubgraphsLength())
        graph = model.Subgraphs(0) if subgraphs else None
        if graph is None:
            raise ValueError("no subgraph")
        tensors = [self.tensor(graph.Tensors(i)) for i in range(self.count(graph.TensorsLength()))]
        codes = [model.OperatorCodes(i) for i in range(self.count(model.OperatorCodesLength()))]
        kinds = [self.kind(code) for code in codes]
        operators = [self.operator(graph.Operators(i), kinds) for i in range(self.count(graph.OperatorsLength()))]
        result = File(tensors, operators, _integers(graph, "Inputs"), _integers(graph, "Outputs"), subgraphs)
        for operator in operators:
            self.indices(operator.inputs, len(tensors), -1)
            self.indices(operator.outputs, len(tensors), 0)
        self.indices((*result.inputs, *result.outputs), len(tensors), 0)
        return result

    def count(self, length: int) -> int:
        """A length of a vector of tables, each of which takes four bytes at least."""
        if not 0 <= length <= len(self.data) // 4:
            raise ValueError(f"a list of {length} entries")
        return length

    @staticmethod
    def indices(found: tuple[int, ...], end: int, least: int) -> None:
        if any(not least <= index < end for index in found):
            raise ValueError(f"tensors {list(found)} of {end}")

    @staticmethod
    def kind(code: Any) -> str:
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # files of before 2020 fill the second only
        name = _OPERATORS.get(number, f"operator {number}")
        if name == "CUSTOM":
            return f"CUSTOM {(code.CustomCode() or b'').decode('utf-8', 'replace')}".strip()
        return name

    def operator(self, table: Any, kinds: list[str]) -> Operator:
        options: dict[str, float] = {}
        name = _OPTION_TYPES.get(table.BuiltinOptionsType(), "")
        fields, union = _FIELDS.get(name, ()), table.BuiltinOptions()
        if fields and union is not None:
            entry = getattr(tflite, name)()
            entry.Init(union.Bytes, union.Pos)
            options = {key: getattr(entry, key)() for key in fields}
        return Operator(kinds[table.OpcodeIndex()], _integers(table, "Inputs"), _integers(table, "Outputs"), options)

    def tensor(self, table: Any) -> Tensor:
        shape, signature = _integers(table, "Shape"), _integers(table, "ShapeSignature")
        if any(size < 0 for size in shape) or prod(shape) > MAX_ROW * 16:
            raise ValueError(f"a tensor of shape {list(shape)}")
        buffer = self.model.Buffers(table.Buffer()) if table.Buffer() < self.model.BuffersLength() else None
        if buffer is None or buffer.Offset() > 1:
            raise ValueError(f"buffer {table.Buffer()}, which is not in the file or lies outside its tables")
        quantisation = table.Quantization()
        scale, zero, axis = (), (), 0
        if quantisation is not None:
            scale, zero = _vector(quantisation, "Scale"), _vector(quantisation, "ZeroPoint")
            axis = quantisation.QuantizedDimension()
        return Tensor(
            name=_name(table.Name()),
            shape=shape,
            dynamic=tuple(i for i, size in enumerate(signature) if i > 0 and size < 0),
            kind=_TYPES.get(table.Type(), f"type {table.Type()}"),
            data=np.asarray(buffer.DataAsNumpy(), np.uint8) if buffer.DataLength() else None,
            scale=np.asarray(scale, np.float32),
            zero_point=np.asarray(zero, np.int64),
            axis=axis,
            sparse=table.Sparsity() is not None,
        )


def _name(stored: bytes | None) -> str:
    """What is fused carries all its names, with semicolons: the first stands for them. Room is left for suffixes."""
    text = (stored or b"").decode("utf-8", "replace").replace("\0", "?")
    return text.partition(";")[0].encode()[:MAX_NAME].decode("utf-8", "ignore")


def _vector(table: Any, name: str) -> Any:
    return getattr(table, f"{name}AsNumpy")() if getattr(table, f"{name}Length")() else ()


def _integers(table: Any, name: str) -> tuple[int, ...]:
    return tuple(int(value) for value in _vector(table, name))
