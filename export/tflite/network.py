# The ONNX graph in the making, and how a TFLite tensor lies in it.
# Never here: what a single operator means (its family's file), the order of the work (convert.py).
"""`Network` and `Value`.

TFLite keeps the channels last, [N][H][W][C]; ONNX and the bundle keep them first. A tensor of four axes is always held
channels-first here, so that nothing has to be turned at run time; one of three axes is where it came out of such a
tensor. Names stay those of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from edgecl.export.errors import Unsupported
from edgecl.export.int8_numbers import Quantisation
from edgecl.export.stored import Stored, StoredWeight
from edgecl.export.tflite.read import MAX_ROW, File, Operator, Tensor
from numpy.typing import NDArray
from onnx import helper

_ACTIVATIONS: dict[int, tuple[str, tuple[float, float] | None]] = {  # ActivationFunctionType
    1: ("Relu", None),
    2: ("Clip", (-1.0, 1.0)),
    3: ("Clip", (0.0, 6.0)),
}
_LOWEST = {"INT8": -128, "UINT8": 0, "INT16": -32768}

Dims = tuple[int, ...]


@dataclass
class Value:
    """A computed tensor.

    Attributes:
        name: in the ONNX graph; "" as long as only `pending` exists.
        shape: as TFLite has it, batch axis included.
        first: the ONNX tensor holds the channels in front of the spatial axes.
        pending: a channels-first tensor whose numbers these are once it is turned and flattened. A fully connected
            layer turns its weight instead.
    """

    name: str
    shape: Dims
    first: bool
    pending: Value | None = None

    @property
    def dims(self) -> Dims:
        """Dimensions of the ONNX tensor."""
        return dims_first(self.shape) if self.first else self.shape

    @property
    def one_order(self) -> bool:
        """Channels first or last makes no difference."""
        return len(self.shape) < 3 or self.shape[-1] == 1 or prod(self.shape[1:-1]) == 1


def dims_first(shape: Dims) -> Dims:
    """[N][spatial...][C] as [N][C][spatial...]."""
    return (shape[0], shape[-1], *shape[1:-1])


class Network:
    """What a conversion reads from and writes to."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, NDArray[Any]] = {}
        self.values: dict[int, Value] = {}
        self.constants: dict[int, NDArray[Any]] = {}
        self.implied_relus = 0
        self.notes: list[str] = []
        self.stored = Stored("the file", rounds_once=("linear",))
        self._names: set[str] = set()

    def tensor(self, index: int) -> Tensor:
        """A tensor of the file."""
        return self.file.tensors[index]

    def value(self, op: Operator, position: int = 0) -> Value:
        """Input `position`, which must be computed."""
        index = self._index(op, position)
        if index in self.values:
            return self.values[index]
        if self.is_constant(op, position):
            raise Unsupported(
                f"expected input {position} to depend on the network's input; found a constant", "compute it beforehand"
            )
        raise Unsupported(f"input {position} is not computed by any operator before it", "convert the model again")

    def is_constant(self, op: Operator, position: int) -> bool:
        """Input `position` is known now."""
        index = self._index(op, position)
        return index in self.constants or (index not in self.values and self.tensor(index).data is not None)

    def has(self, op: Operator, position: int) -> bool:
        """An optional input is given."""
        return position < len(op.inputs) and op.inputs[position] >= 0

    def constant(self, op: Operator, position: int) -> NDArray[Any]:
        """The numbers of input `position`, dequantised."""
        index = self._index(op, position)
        if index not in self.constants:
            self.constants[index] = self.tensor(index).values()
        return self.constants[index]

    def floats(self, op: Operator, position: int) -> NDArray[np.float32]:
        """As `constant`, refusing integers that stand for nothing else."""
        values = self.constant(op, position)
        if values.dtype != np.float32:
            name = self.tensor(op.inputs[position]).name
            raise Unsupported(f"'{name}' holds {values.dtype} without a scale", "convert it with its quantisation")
        return values

    def initialiser(self, op: Operator, position: int, values: NDArray[Any], what: str) -> str:
        """The name of an initialiser for input `position` in the layout that ONNX wants."""
        tensor = self.tensor(op.inputs[position])
        name = self.add_initialiser(tensor.name or f"{self.label(op)}/{what}", values)
        if tensor.quantised and tensor.data is not None and what == "weight":
            self.stored.weights[name] = StoredWeight(tensor.scale, _fault_of_weight(op, tensor))
        elif tensor.kind == "INT32" and tensor.data is not None and what == "bias":
            self.stored.biases[name] = (tensor.integers(), tensor.scale)
        return name

    def add_initialiser(self, name: str, values: NDArray[Any] | np.float32) -> str:
        """Its name: the one asked for, unless other numbers have it."""
        values = np.asarray(values)
        known = self.initialisers.get(name)
        if known is not None and known.shape == values.shape and np.array_equal(known, values):
            return name
        name = self.unique(name)
        self.initialisers[name] = np.ascontiguousarray(values)
        return name

    def label(self, op: Operator) -> str:
        """Name of an operator: that of its first output."""
        return self.tensor(op.outputs[0]).name or f"tensor{op.outputs[0]}"

    def node(self, name: str, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Appends a node; returns its output, named as the node."""
        name = self.unique(name)
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name=name, **attributes))
        return name

    def plain(self, value: Value) -> str:
        """The value in TFLite's own order of axes."""
        if value.pending is not None and not value.name:
            source = self._plain_of_first(value.pending)
            value.name = self.reshape_node(f"{source}/flat", source, value.shape)
        return self._plain_of_first(value) if value.first else value.name

    def _plain_of_first(self, value: Value) -> str:
        if value.one_order:
            return self.reshape_node(f"{value.name}/last", value.name, value.shape)
        order = [0, *range(2, len(value.shape)), 1]
        return self.node(f"{value.name}/last", "Transpose", [value.name], perm=order)

    def reshape_node(self, name: str, source: str, dims: Dims) -> str:
        """A Reshape to `dims` behind the batch axis."""
        shape = self.add_initialiser("shape", np.array([0, *dims[1:]], np.int64))
        return self.node(name, "Reshape", [source, shape])

    def activated(self, op: Operator, name: str, function: int) -> str:
        """`name` behind a fused function, by its number in the schema."""
        if function == 0:
            return name
        if function not in _ACTIVATIONS:
            raise Unsupported(f"fused activation {function}", "use RELU, RELU6 or RELU_N1_TO_1")
        op_type, bounds = _ACTIVATIONS[function]
        inputs = [name, *(self.add_initialiser(f"{bound:g}", np.float32(bound)) for bound in bounds or ())]
        return self.node(f"{self.label(op)}/{op_type.lower()}", op_type, inputs)

    def bind(self, op: Operator, name: str, shape: Dims, first: bool) -> None:
        """Gives the operator's output its value, behind the fused activation. In an integer model a range that
        begins at zero is a RELU of its own."""
        function = op.option("FusedActivationFunction", 0)
        tensor = self.tensor(op.outputs[0])
        arithmetic = op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL")
        if function == 0 and arithmetic and tensor.quantised and list(tensor.zero_point) == [_LOWEST[tensor.kind]]:
            function = 1
            self.implied_relus += 1
        self.bind_value(op, Value(self.activated(op, name, function), shape, first))

    def bind_value(self, op: Operator, value: Value) -> None:
        """Gives the operator's output its value, after a look at the shape that the file states."""
        stated = self.tensor(op.outputs[0]).shape
        if stated and prod(stated) != prod(value.shape) and stated[1:] != value.shape[1:]:
            raise Unsupported(
                f"its output is {list(value.shape)}, but the file states {list(stated)}", "convert it again"
            )
        if prod(value.shape[1:]) > MAX_ROW:
            raise Unsupported(f"an output of {list(value.shape)}; at most {MAX_ROW} numbers", "use a smaller input")
        self.values[op.outputs[0]] = value
        self.round(op.outputs[0])

    def round(self, index: int) -> None:
        """Notes how the file rounds a computed tensor."""
        tensor, value = self.tensor(index), self.values[index]
        name = value.name
        if name and tensor.kind == "INT8" and tensor.scale.size == 1:
            zero = int(tensor.zero_point[0]) if tensor.zero_point.size else 0
            self.stored.give(name, Quantisation(float(tensor.scale[0]), zero), (index, value.first))
        elif name and tensor.kind in ("UINT8", "INT16") and tensor.quantised:
            self.stored.faults[name] = f"is rounded to {tensor.kind.lower()} in the file"

    def _index(self, op: Operator, position: int) -> int:
        if not self.has(op, position):
            raise Unsupported(f"input {position} is missing", "convert the model again")
        return op.inputs[position]

    def unique(self, name: str) -> str:
        """The name, or one beside it that nobody has."""
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}:{number}"
        self._names.add(candidate)
        return candidate


def _fault_of_weight(op: Operator, tensor: Tensor) -> str:
    if tensor.kind != "INT8":
        return f"its weights are {tensor.kind.lower()}"
    if tensor.zero_point.any():
        return "its weights have a zero point"
    axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
    return "" if tensor.scale.size == 1 or tensor.axis == axis else f"its scales lie along axis {tensor.axis}"
