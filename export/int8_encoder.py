# The frozen part of a network in int8: which operators, between which tensors, with which ranges.
# Never here: the arithmetic (int8_numbers.py), fusing and freezing (before this step).
"""`quantise_encoder` puts int8 operators in the place of frozen ones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from edgecl import _core
from edgecl.export.graph import Graph, Op, Param, unique
from edgecl.export.int8_numbers import (
    Quantisation,
    add_constants,
    int8_layer,
    mean_constants,
    quantisation_of,
)
from numpy.typing import NDArray

CALIBRATION_ROWS = 128  # at most: one pass a tensor
LAYERS = ("conv", "linear")

Ranges = dict[str, tuple[float, float]]


@dataclass
class Converted:
    """What became of the operators.

    Attributes:
        layers, of: convolutions and linear layers in int8, of so many that are frozen.
        kept: why the others were not, by layer.
    """

    layers: int = 0
    of: int = 0
    kept: dict[str, str] = field(default_factory=dict)

    def notes(self, rows: int) -> list[str]:
        """Sentences for the report."""
        lines = [
            f"{self.layers} of {self.of} frozen layers compute in int8; ranges of their activations from {rows} "
            "calibration rows"
        ]
        return lines + [f"stays in float32: {layer}: {reason}" for layer, reason in self.kept.items()]


def int8_candidates(graph: Graph) -> list[Op]:
    """Frozen operators with an int8 form that have nothing before them that learns; the layer of the logits is none."""
    moves = {graph.input: False}
    found = []
    head = graph.head()
    for op in graph.ops:
        own = any(param is not None and param.trainable for param in op.params)
        follows = op.kind == "batch_norm" and not op.frozen
        moves[op.output] = own or follows or any(moves[tensor] for tensor in op.inputs)
        if not moves[op.output] and op is not head and has_int8_form(graph, op):
            found.append(op)
    return found


def measure_ranges(graph: Graph, tensors: list[str], draft: dict[str, Any], raw: NDArray[Any]) -> Ranges:
    """Least and largest value of each tensor over the raw rows, by the plan of the graph as it is: one pass a tensor,
    whose values are read as if they were the embedding."""
    rows = np.ascontiguousarray(raw[:CALIBRATION_ROWS])
    index = {graph.input: 0, **{op.output: position + 1 for position, op in enumerate(graph.ops)}}
    found: Ranges = {}
    for tensor in tensors:
        bundle = _core.write_bundle({**draft, "embedding_tensor": index[tensor]})
        session = _core.Session(_core.Model(data=bundle), predict_only=1, max_batch=16)
        low, high = math.inf, -math.inf
        for start in range(0, len(rows), 16):
            values = session.embed(rows[start : start + 16])
            low, high = min(low, float(values.min())), max(high, float(values.max()))
        found[tensor] = (low, high)
    return found


def tensors_to_measure(candidates: list[Op]) -> list[str]:
    """All that int8 operators read or write."""
    return list(dict.fromkeys(tensor for op in candidates for tensor in (*op.inputs, op.output)))


def quantise_encoder(graph: Graph, candidates: list[Op], ranges: Ranges) -> Converted:
    """Replaces the candidates; a tensor that both kinds of operators use exists in both forms. Changes the graph."""
    step = _Measured(graph, {tensor: quantisation_of(*bounds) for tensor, bounds in ranges.items()})
    step.run(candidates)
    return step.done


class Borders(ABC):
    """Operators of both kinds in one graph, and the tensors between them."""

    def __init__(self, graph: Graph, quantisations: dict[str, Quantisation]) -> None:
        self.graph = graph
        self.quantisations = quantisations
        self.ops: list[Op] = []
        self.made = {graph.input}  # tensors of floats that exist
        self.int8: dict[str, str] = {}  # name of the int8 form of a tensor
        self.done = Converted()

    def floats(self, tensor: str) -> str:
        """The tensor itself, made from its int8 form where that is all there is."""
        if tensor not in self.made:
            self.made.add(tensor)
            name, stored = f"{tensor}.dequantize", self.int8[tensor]
            self.ops.append(Op(name=name, kind="dequantize", inputs=[stored], output=tensor))
        return tensor

    def stored(self, tensor: str) -> str:
        """Its int8 form, made where there is none."""
        if tensor not in self.int8:
            name = self.new_tensor(tensor)
            self.ops.append(Op(name=f"{tensor}.quantize", kind="quantize", inputs=[tensor], output=name))
        return self.int8[tensor]

    def new_tensor(self, tensor: str) -> str:
        name = unique(f"{tensor}.int8", self.graph.tensors)
        self.graph.tensors[name] = self.graph.tensors[tensor]
        self.graph.quantisations[name] = self.quantisations[tensor]
        self.int8[tensor] = name
        return name

    def run(self, candidates: list[Op]) -> None:
        """Puts int8 forms in the place of candidates; changes the graph."""
        graph, wanted = self.graph, set(map(id, candidates))
        for op in graph.ops:
            new = self.int8_form(op) if id(op) in wanted else None
            counts = op.kind in LAYERS and not any(p is not None and p.trainable for p in op.params)
            self.done.of += counts and (new is not None or op is not graph.head())
            if new is None:
                op.inputs = [self.floats(tensor) for tensor in op.inputs]
                self.ops.append(op)
                self.made.add(op.output)
                continue
            self.ops.append(new)
            self.done.layers += op.kind in LAYERS
        self.floats(graph.output)
        graph.ops = self.ops
        graph.prune()

    @abstractmethod
    def int8_form(self, op: Op) -> Op | None:
        """The int8 operator, with its inputs made; None where this one stays as it is."""


class _Measured(Borders):
    def int8_form(self, op: Op) -> Op | None:
        x, y = self.quantisations[op.inputs[0]], self.quantisations[op.output]
        bounds = bounds_of(op)
        lo, hi = y.stored_bounds(bounds)
        params: list[NDArray[Any]] = []
        shape: tuple[int, ...] = ()
        numbers: tuple[int, ...] = (lo, hi)
        kind, fields = "int8_conv", {}
        if op.kind in LAYERS:
            weight = op.weight().values
            bias = op.params[1].values if op.params[1] is not None else None
            grid = weight if weight.ndim == 4 else weight[:, :, None, None]
            layer = int8_layer(grid, bias, x, y, bounds, op.groups > 1)
            if layer is None:
                self.done.kept[op.layer] = "its sums could leave the range of int32"
                return None
            params, shape = [layer.weight, layer.table], weight.shape
            fields = {name: getattr(op, name) for name in ("kernel", "stride", "dilation", "pads", "groups")}
        elif not any(tensor in self.int8 for tensor in op.inputs):
            return None  # nothing before it is in int8
        elif op.kind == "add":
            constants = add_constants(x, self.quantisations[op.inputs[1]], y)
            if constants is None:
                return None
            kind, params = "int8_add", [constants]
        else:
            _, height, width = self.graph.tensors[op.inputs[0]]
            mean = mean_constants(x, y, height * width)
            if mean is None:
                return None
            kind, numbers = "int8_mean", mean
        inputs = [self.stored(tensor) for tensor in op.inputs]
        layer_names = [op.weight().name, f"{op.layer}.table"] if op.kind in LAYERS else [f"{op.name}.constants"]
        return Op(
            name=op.name,
            kind=kind,
            inputs=inputs,
            output=self.new_tensor(op.output),
            params=[Param(name, values, shown=shape) for name, values in zip(layer_names, params, strict=False)],
            i=numbers,
            **fields,
        )


def has_int8_form(graph: Graph, op: Op) -> bool:
    """Convolutions of one group or depthwise, linear layers, sums of one shape and global means."""
    if op.activation.kind not in ("none", "relu", "clip"):
        return False
    if op.kind in LAYERS:
        if op.weight().mask is not None:
            return False
        channels = graph.tensors[op.inputs[0]][0]
        return op.groups == 1 or op.groups == channels == graph.tensors[op.output][0]
    if op.kind == "add":
        return len(op.inputs) == 2 and graph.tensors[op.inputs[0]] == graph.tensors[op.inputs[1]]
    return op.kind == "global_average_pool"


def bounds_of(op: Op) -> tuple[float, float]:
    """What the fused activation keeps its output in."""
    if op.activation.kind == "relu":
        return 0.0, math.inf
    if op.activation.kind == "clip":
        return op.activation.lo, op.activation.hi
    return -math.inf, math.inf
