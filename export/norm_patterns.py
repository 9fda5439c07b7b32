# Normalisations that frameworks write in pieces, as one node again: a mean, a difference, the mean of its squares,
# epsilon, a root, a quotient; then gamma and beta.
# Never here: what such a node becomes (ops/layer_norm.py), a group norm around InstanceNormalization (simplify.py).
"""`join_norms` rewrites a list of ONNX nodes; the function that they compute stays the same but for rounding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

JOINED = "NormOverAxes"  # inputs x, gamma, beta (may be empty); attributes axes, centred, epsilon
_SAME = ("Identity", "Cast")  # what lies between the pieces and changes nothing here: all floats are float32


@dataclass(frozen=True)
class _Root:
    """1 / sqrt(mean of d * d + epsilon), or the square root itself."""

    of: str  # the tensor d
    axes: tuple[int, ...]
    epsilon: float


def _reads(node: onnx.NodeProto) -> list[str]:
    """The tensors that a node reads, those of its branches among them."""
    names = list(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names += _reads(inner)
    return names


@dataclass
class _Nodes:
    nodes: list[onnx.NodeProto]
    constants: Mapping[str, NDArray[Any]]
    output: str
    maker: dict[str, onnx.NodeProto] = field(default_factory=dict)
    readers: dict[str, list[onnx.NodeProto]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.nodes:
            for name in node.output:
                self.maker[name] = node
            for name in set(_reads(node)):
                self.readers.setdefault(name, []).append(node)

    def behind(self, name: str) -> str:
        """The tensor that `name` is a copy of."""
        while (node := self.maker.get(name)) is not None and node.op_type in _SAME:
            name = node.input[0]
        return name

    def made_by(self, name: str, *op_types: str) -> onnx.NodeProto | None:
        """The node that computes the tensor, if it is one of these."""
        node = self.maker.get(self.behind(name))
        return node if node is not None and node.op_type in op_types else None

    def only_reader(self, name: str, op_type: str) -> onnx.NodeProto | None:
        """The one node that reads the tensor or a copy of it, if it is of this type."""
        while name != self.output and len(self.readers.get(name, ())) == 1:
            (node,) = self.readers[name]
            if node.op_type not in _SAME:
                return node if node.op_type == op_type else None
            name = node.output[0]
        return None

    def constant(self, name: str) -> NDArray[Any] | None:
        """The values of a tensor that is known now."""
        name = self.behind(name)
        if name in self.constants:
            return self.constants[name]
        node = self.maker.get(name)
        if node is None or node.op_type != "Constant":
            return None
        for attribute in node.attribute:
            value = helper.get_attribute_value(attribute)
            if attribute.name == "value":
                return numpy_helper.to_array(value)
            if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
                return np.asarray(value)
        return None

    def number(self, name: str) -> float | None:
        """The value of a constant of one number."""
        values = self.constant(name)
        return None if values is None or values.size != 1 else float(values.reshape(-1)[0])

    def mean_of(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """(x, axes) of a mean of x whose axes are kept."""
        node = self.made_by(name, "ReduceMean")
        if node is None:
            return None
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        axes = attributes.get("axes")
        if axes is None and len(node.input) > 1:
            values = self.constant(node.input[1])
            axes = None if values is None else values.reshape(-1).tolist()
        if not axes or not attributes.get("keepdims", 1):
            return None
        return self.behind(node.input[0]), tuple(int(axis) for axis in axes)

    def root_of(self, name: str) -> _Root | None:
        """What the tensor is the square root of."""
        node = self.made_by(name, "Sqrt", "Pow")
        if node is None or (node.op_type == "Pow" and self.number(node.input[1]) != 0.5):
            return None
        return self.variance_of(node.input[0])

    def reciprocal_of(self, name: str) -> _Root | None:
        """What the tensor is the reciprocal square root of."""
        if (node := self.made_by(name, "Reciprocal")) is not None:
            return self.root_of(node.input[0])
        if (node := self.made_by(name, "Div")) is not None and self.number(node.input[0]) == 1.0:
            return self.root_of(node.input[1])
        node = self.made_by(name, "Pow")
        return self.variance_of(node.input[0]) if node is not None and self.number(node.input[1]) == -0.5 else None

    def variance_of(self, name: str) -> _Root | None:
        """mean of d * d, plus epsilon."""
        plus = self.made_by(name, "Add")
        if plus is None:
            return None
        for mean_at, epsilon_at in ((0, 1), (1, 0)):
            epsilon, mean = self.number(plus.input[epsilon_at]), self.mean_of(plus.input[mean_at])
            if epsilon is None or mean is None or not 0.0 < epsilon <= 1.0:
                continue
            squares = self.made_by(mean[0], "Pow", "Mul")
            if squares is None:
                continue
            if squares.op_type == "Pow":
                twice = self.number(squares.input[1]) == 2.0
            else:
                twice = self.behind(squares.input[0]) == self.behind(squares.input[1])
            if twice:
                return _Root(self.behind(squares.input[0]), mean[1], epsilon)
        return None

    def centred(self, name: str, axes: tuple[int, ...]) -> str | None:
        """x of a tensor x - mean of x."""
        node = self.made_by(name, "Sub")
        if node is None:
            return None
        mean = self.mean_of(node.input[1])
        return mean[0] if mean == (self.behind(node.input[0]), axes) else None


def join_norms(
    nodes: Iterable[onnx.NodeProto],
    constants: Mapping[str, NDArray[Any]],
    output: str,
    dims: Mapping[str, tuple[int, ...]],
) -> list[onnx.NodeProto]:
    """The nodes with each normalisation at the place of its last piece.

    Args:
        constants: the initialisers.
        output: the network's output, which stays.
        dims: shapes of intermediate tensors, as far as they are known; gamma and beta are taken in where axes are
            counted from behind or the rank is known.
    """
    graph = _Nodes(list(nodes), constants, output)
    joined: dict[str, onnx.NodeProto] = {}  # by the output of the last piece
    for node in graph.nodes:
        found = _quotient(graph, node)
        if found is None:
            continue
        source, root, centred = found
        last, gamma, beta = _affine(graph, node, len(dims.get(source, ())), root.axes)
        joined[last.output[0]] = helper.make_node(
            JOINED,
            [source, gamma, beta],
            [last.output[0]],
            name=node.name or last.output[0],
            axes=root.axes,
            centred=int(centred),
            epsilon=root.epsilon,
        )
    if not joined:
        return graph.nodes
    return _without_unused([joined.get(node.output[0], node) for node in graph.nodes], output)


def _quotient(graph: _Nodes, node: onnx.NodeProto) -> tuple[str, _Root, bool] | None:
    """(x, root, whether the mean is taken off) of d / root or d * (1 / root), in which d is x or x - mean."""
    sides = []
    if node.op_type == "Div":
        sides = [(node.input[0], graph.root_of(node.input[1]))]
    elif node.op_type == "Mul":
        sides = [(node.input[i], graph.reciprocal_of(node.input[1 - i])) for i in (0, 1)]
    for difference, root in sides:
        if root is None:
            continue
        inside = graph.centred(root.of, root.axes)
        if inside is None and graph.behind(difference) == root.of:
            return root.of, root, False
        if inside is not None and graph.centred(difference, root.axes) == inside:
            return inside, root, True
    return None


def _affine(graph: _Nodes, node: onnx.NodeProto, rank: int, axes: tuple[int, ...]) -> tuple[onnx.NodeProto, str, str]:
    """The last piece, and the constants of a product and a sum behind the quotient that vary along its axes alone."""

    from_behind = [axis if axis < 0 else axis - rank for axis in axes]  # not below 0: of no known rank

    def along(name: str) -> bool:
        values = graph.constant(name)
        if values is None or values.size == 1 or max(from_behind) >= 0:
            return False
        return all(size == 1 or place in from_behind for place, size in enumerate(values.shape, -values.ndim))

    found = {"Mul": "", "Add": ""}
    for op_type in found:
        reader = graph.only_reader(node.output[0], op_type)
        names = [] if reader is None else [name for name in reader.input if along(name)]
        if reader is not None and len(names) == 1:
            node, found[op_type] = reader, graph.behind(names[0])
    return node, found["Mul"], found["Add"]


def _without_unused(nodes: list[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    needed, kept = {output}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_reads(node))
    return kept[::-1]
