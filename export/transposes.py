# Moves transposes through the operators behind them, so that pairs cancel and few copies are left.
# Never here: what a single operator needs of its operands' order (transpose_rules.py).
"""`move_transposes`: each tensor is held as a view of another one and copied where an operator needs its numbers in
order. ConvNeXt's permute, norm, layers, permute comes out without a copy."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from edgecl.export.graph import Graph, Op, Param, Shape3, unique
from edgecl.export.products import factors_into_products, views_into_products
from edgecl.export.transpose_rules import RULES
from edgecl.export.view_algebra import View

_RANK = 6  # kViewRank of kernels.h


def move_transposes(graph: Graph) -> None:
    """Changes the graph in place; the function that it computes stays the same but for the order of sums."""
    if graph.stored is not None or not any(op.kind == "strided" for op in graph.ops):
        return  # integers of a source lie by its own tensors
    factors_into_products(graph)
    moved = Lazy(graph)
    for op in graph.ops:
        rule = RULES.get(op.kind)
        if rule is None or not rule(moved, op):
            moved.as_it_is(op)
    graph.output = moved.real(graph.output)
    graph.ops = moved.ops
    graph.prune()
    views_into_products(graph)


class Lazy:
    """The new operators, and what each old tensor is a view of."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ops: list[Op] = []
        self.position: dict[str, int] = {graph.input: -1}  # of the operator that writes a tensor of the new graph
        self.shapes: dict[str, Shape3] = dict(graph.tensors)  # as the old operators read them
        self.held: dict[str, tuple[str, View]] = {graph.input: (graph.input, self.whole(graph.input))}
        self.made: dict[tuple[str, View, Shape3], str] = {}
        self.uses: dict[object, int] = {}
        for op in graph.ops:
            for param in filter(None, op.params):
                self.uses[param.origin] = self.uses.get(param.origin, 0) + 1

    def whole(self, tensor: str) -> View:
        """The tensor as it lies."""
        return View.whole(prod(self.graph.tensors[tensor]))

    def permuted(self, tensor: str) -> tuple[str, View] | None:
        """What the tensor is a permutation of, if it is one that moves numbers."""
        base, view = self.held[tensor]
        size = prod(self.graph.tensors[base])
        return (base, view) if view.permutes(size) and not view.is_whole(size) else None

    def shaped(self, base: str, shape: Shape3) -> str:
        """A tensor of the new graph with another [C][H][W]."""
        if self.graph.tensors[base] == shape:
            return base
        key = (base, self.whole(base), shape)
        if key not in self.made:
            self.made[key] = self._emit("reshape", base, shape, f"{base}.shape")
        return self.made[key]

    def copied(self, base: str, view: View, shape: Shape3, name: str | None = None) -> str:
        """The numbers of a view, in order."""
        if view.is_whole(prod(self.graph.tensors[base])):
            return self.shaped(base, shape)
        key = (base, view, shape)
        if key not in self.made:
            axes = [(1, 0)] * (_RANK - len(view.axes)) + list(view.axes)
            name = name or f"{base}.view"
            param = Param(f"{name}.axes", np.ascontiguousarray(np.array(axes, np.int32).T))
            self.made[key] = self._emit("strided", base, shape, name, params=[param], i=(view.offset,))
        return self.made[key]

    def real(self, tensor: str) -> str:
        """The tensor in the new graph, as the old operators read it."""
        base, view = self.held[tensor]
        return self.copied(base, view, self.shapes[tensor], tensor if tensor not in self.position else None)

    def as_it_is(self, op: Op) -> None:
        """The operator on operands in the order that it was written for."""
        inputs = [self.real(tensor) for tensor in op.inputs]
        shape = self.shapes[op.output]
        self.put(op, inputs, shape, View.whole(prod(shape)))

    def put(self, op: Op, inputs: list[str], shape: Shape3, view: View) -> None:
        """The operator on other operands: its output has another shape, and the old one is a view of it."""
        op.inputs = [self._twin(tensor) if tensor in inputs[:index] else tensor for index, tensor in enumerate(inputs)]
        self._write(op, shape)
        self.held[op.output] = (op.output, view)

    def _twin(self, tensor: str) -> str:
        """A copy, so that each operand has its own gradient."""
        one = Param(f"{tensor}.one", np.ones((1, 1, 1), np.float32))
        return self._emit("mul", tensor, self.graph.tensors[tensor], f"{tensor}.copy", params=[one])

    def hold(self, tensor: str, base: str, view: View) -> bool:
        """An old tensor as a view, if a copy of it can be written."""
        if len(view.axes) > _RANK or view.size != prod(self.shapes[tensor]):
            return False
        self.held[tensor] = (base, view)
        return True

    def _emit(self, kind: str, source: str, shape: Shape3, name: str, **fields: Any) -> str:
        if name in self.position or (kind == "reshape" and name in self.shapes):
            name = unique(name, {*self.shapes, *self.position})
        self._write(Op(name=name, kind=kind, inputs=[source], output=name, **fields), shape)
        return name

    def _write(self, op: Op, shape: Shape3) -> None:
        assert op.output not in self.position
        self.position[op.output] = len(self.ops)
        self.graph.tensors[op.output] = shape
        self.ops.append(op)
