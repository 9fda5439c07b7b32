# The exporter's own small graph: tensors of one batch row, operators of the bundle, parameters.
# Never here: ONNX, PyTorch, numbering as the bundle wants it.
"""Intermediate representation between ONNX and the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from edgecl.export.int8_numbers import Quantisation
from edgecl.export.stored import Stored
from numpy.typing import NDArray

Dims = tuple[int, ...]
Shape3 = tuple[int, int, int]
MAX_NAME_BYTES = 255  # of a parameter or the input in a bundle
_LONG_NAME = 200  # bytes that a node keeps: its tensors have names made of it
FLOAT_MAX = float(np.finfo(np.float32).max)


def canonical(dims: Dims) -> Shape3:
    """[C][H][W] of a row of ONNX dimensions `dims` (no batch axis), in the same row-major order."""
    if len(dims) <= 1:
        return (dims[0] if dims else 1, 1, 1)
    if len(dims) == 2:
        return (dims[0], 1, dims[1])
    return (dims[0], dims[1], prod(dims[2:]))


@dataclass(frozen=True)
class Activation:
    """Elementwise function of kernels.h; lo and hi as there. Of a place: kind none, lo what is around its boxes."""

    kind: str = "none"
    lo: float = 0.0
    hi: float = 0.0

    @property
    def fusable(self) -> bool:
        """Its gradient can be read from its output, so a kernel may apply it in place."""
        return self.kind in ("relu", "clip")


@dataclass(eq=False)
class Param:
    """One constant array of the network.

    Attributes:
        name: name in the bundle: that of the source's initialiser where there is one.
        values: float32. Convolution [O][I/groups][kh][kw]; linear [O][I] (as PyTorch); vectors [C]; constants
            [C|1][H|1][W|1]. Of int8 operators: integers as the kernels want them.
        source: name of the initialiser that holds the same numbers in the same or transposed order, or None when they
            were derived.
        source_shape: its shape.
        transposed: the initialiser holds [I][O].
        learnable: the source regards it as a parameter.
        learnable_in_layer: it would if it were the bias, gamma or beta of a layer (a constant operand may become one).
        trainable: it learns on the device.
        mask: entries that are stored (same shape as values), or None when dense.
        shown: the layer's weights as its source has them, where values (int8) lie in another order.
        whole_of: name of the initialiser whose numbers they are, each once, in whatever order.
        computed: its numbers were computed at export from other constants of the source.
        rearranged: they are the source's, in another order and with zeros between (a ConvTranspose that is fixed).
        repeated: numbers of the source stand in it several times; they would learn apart, so it is fixed.
    """

    name: str
    values: NDArray[np.float32]
    source: str | None = None
    source_shape: Dims = ()
    transposed: bool = False
    learnable: bool = False
    learnable_in_layer: bool = False
    trainable: bool = False
    mask: NDArray[np.bool_] | None = None
    shown: Dims = ()
    whole_of: str | None = None
    computed: bool = False
    rearranged: bool = False
    repeated: bool = False

    @property
    def origin(self) -> object:
        """Equal for parameters that are one in the source, though maybe in two shapes here."""
        return self.source or self.whole_of or id(self)

    def values_in_source_order(self) -> NDArray[np.float32]:
        """The values as the source's initialiser lies in memory. Only for parameters with a source."""
        assert self.source is not None
        values = self.values.T if self.transposed else self.values
        return np.ascontiguousarray(values).reshape(self.source_shape)


@dataclass(eq=False)
class Op:
    """One operator; fields as in OpRecord of bundle_format.h. Inputs and output are tensor names."""

    name: str
    kind: str
    inputs: list[str]
    output: str
    params: list[Param | None] = field(default_factory=list)
    activation: Activation = field(default_factory=Activation)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    groups: int = 1
    epsilon: float = 0.0
    momentum: float = 0.0
    frozen: bool = False
    i: tuple[int, ...] = ()

    def weight(self) -> Param:
        """The weight of a convolution or linear layer."""
        param = self.params[0]
        assert param is not None
        return param

    @property
    def layer(self) -> str:
        """Name that a user knows the layer by: its weight's, without the last part; else the node's."""
        if self.params and self.params[0] is not None:
            head, dot, last = self.params[0].name.rpartition(".")
            if dot and last in ("weight", "kernel", "gamma", "w"):
                return head
            return self.params[0].name
        return self.name


@dataclass
class Graph:
    """Operators in execution order. `tensors` maps each tensor name to its [C][H][W].

    `final` names the function that the source applies to the logits and the bundle leaves out: "", "softmax",
    "log_softmax" or "sigmoid". `quantisations` has the tensors of int8, `stored` what a quantised source says of them.
    """

    name: str
    input: str
    input_dims: Dims
    tensors: dict[str, Shape3] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    output: str = ""
    final: str = ""
    taps: list[str] = field(default_factory=list)  # tensors whose channel means a session copies out
    quantisations: dict[str, Quantisation] = field(default_factory=dict)
    stored: Stored | None = None
    merged: bool = False  # of a file, whose exporter may have made one parameter of several with equal numbers
    notes: list[str] = field(default_factory=list)
    plain_from: set[str] = field(default_factory=set)  # what weights were computed from that now learn as plain ones
    partly_fixed: list[str] = field(default_factory=list)  # parameters that went into constants beside their own use
    computing: list[str] = field(default_factory=list)  # parameters from which constants are computed for each row
    made_from: dict[str, list[str]] = field(default_factory=dict)  # of computed parameters: those of the source
    tail: str = ""  # the parameter at which "tail" begins, where it was settled before the import
    computed_from: list[str] = field(default_factory=list)  # parameters that reach the network through folded constants

    @property
    def sample_dims(self) -> Dims:
        """One sample as the bundle takes it, rank 1..3: the source's own dimensions, or [C][H][W] where it has more
        than three."""
        if len(self.input_dims) > 3:
            return canonical(self.input_dims)
        return self.input_dims or (1,)

    def producer(self, tensor: str) -> Op | None:
        """The op that writes the tensor; None for the input."""
        return next((op for op in self.ops if op.output == tensor), None)

    def consumers(self, tensor: str) -> list[Op]:
        """Ops that read the tensor, in order (an op that reads it twice is listed once)."""
        return [op for op in self.ops if tensor in op.inputs]

    def only_consumer(self, tensor: str) -> Op | None:
        """The single op that reads the tensor, once, when the tensor is not the network's output."""
        if tensor == self.output:
            return None
        readers = self.consumers(tensor)
        return readers[0] if len(readers) == 1 and readers[0].inputs.count(tensor) == 1 else None

    def remove(self, op: Op) -> None:
        """Takes an op out and gives its output's place to its first input."""
        self.ops.remove(op)
        self.redirect(op.output, op.inputs[0])

    def redirect(self, old: str, new: str) -> None:
        """Makes every reader of `old` (and the network's output) read `new`."""
        for op in self.ops:
            op.inputs = [new if name == old else name for name in op.inputs]
        if self.output == old:
            self.output = new
        if self.stored is not None:
            self.stored.moved(old, new)

    def prune(self) -> None:
        """Drops ops that do not lead to the output, and tensors that nobody names."""
        needed = {self.output}
        kept: list[Op] = []
        for op in reversed(self.ops):
            if op.output in needed:
                kept.append(op)
                needed.update(op.inputs)
        self.ops = kept[::-1]
        alive = {self.input, self.output, *(op.output for op in self.ops)}
        self.tensors = {name: shape for name, shape in self.tensors.items() if name in alive}

    def params(self) -> list[Param]:
        """Every parameter once, in order of first use."""
        seen: dict[int, Param] = {}
        for op in self.ops:
            for param in op.params:
                if param is not None:
                    seen.setdefault(id(param), param)
        return list(seen.values())

    def classifier(self) -> Op | None:
        """The layer that makes the logits: a linear one or a convolution, with means and reshapes at most behind it."""
        op = self.producer(self.output)
        while op is not None and op.kind in ("reshape", "global_average_pool", "average_pool"):
            op = self.producer(op.inputs[0])
        known = op is not None and op.kind in ("conv", "linear") and op.activation.kind == "none"
        return op if known else None

    def head(self) -> Op | None:
        """The linear layer that makes the logits, if the network ends in one."""
        op = self.producer(self.output)
        return op if op is not None and op.kind == "linear" and op.activation.kind == "none" else None

    def macs(self, op: Op) -> int:
        """Multiply-adds of one row, as if dense: convolutions, linear and recurrent layers; 0 for the rest."""
        if op.kind == "recurrent":
            weights = (param.values.size for param in op.params[:2] if param is not None)
            return sum(weights) * self.tensors[op.output][2]
        if op.kind not in ("conv", "linear", "int8_conv"):
            return 0
        _, height, width = self.tensors[op.output]
        return prod(op.weight().shown or op.weight().values.shape) * height * width


def has_prefix(name: str, prefix: str) -> bool:
    """A parameter's name is the prefix, or of a module of that name."""
    stem = prefix.rstrip(".")
    return name == stem or name.startswith(stem + ".") or (prefix == "" and bool(name))


def short(name: str) -> str:
    """A name of a node that a bundle takes: the middle of a long one is left out."""
    data = name.encode()
    if len(data) <= _LONG_NAME:
        return name
    half = _LONG_NAME // 2 - 2
    return f"{data[:half].decode(errors='ignore')}...{data[-half:].decode(errors='ignore')}"


def unique(name: str, taken: Sequence[str] | set[str] | dict[str, Shape3]) -> str:
    """`name`, or `name` with the lowest number that makes it new."""
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
