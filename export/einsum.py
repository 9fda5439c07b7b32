# Einsum as nodes that edgecl has: diagonals, sums, transposes, and a MatMul or Mul for each further operand.
# Never here: which tensors depend on the input (ops/einsum.py).
"""`nodes_of_einsum` writes an equation as ONNX nodes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from edgecl.export.errors import Unfit, Unsupported
from numpy.typing import NDArray
from onnx import helper

_REST = "0123456789"  # labels of the axes that an ellipsis stands for, the last axis has the last one
_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")


def terms_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """One label an axis of each operand and of the result; those of an ellipsis are digits.

    Raises:
        Unsupported: no valid equation for operands of these ranks.
    """
    text = equation.replace(" ", "")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks) or not all(_TERM.fullmatch(term) for term in [*terms, result]):
        raise Unsupported(f"equation '{equation}' for {len(ranks)} operands", "correct the equation")
    written = [term.replace("...", "") for term in terms]
    rests = [rank - len(letters) for rank, letters in zip(ranks, written, strict=True)]
    for term, rest in zip(terms, rests, strict=True):
        if rest < 0 or rest > len(_REST) or (rest > 0 and "..." not in term):
            raise Unsupported(f"equation '{equation}' for operands of {list(ranks)} axes", "correct the equation")
    most = _REST[len(_REST) - max(rests) :] if max(rests) else ""
    if not arrow:
        counts = Counter("".join(written))
        result = "..." + "".join(sorted(label for label, count in counts.items() if count == 1))
    full = [
        term.replace("...", _REST[len(_REST) - rest :] if rest else "") for term, rest in zip(terms, rests, strict=True)
    ]
    result = result.replace("...", most)
    unknown = set(result) - set("".join(full))
    if unknown or len(set(result)) != len(result):
        raise Unsupported(f"equation '{equation}' repeats or invents a letter of its result", "correct the equation")
    return full, result


@dataclass(frozen=True)
class _Term:
    """A tensor and the label of each axis."""

    tensor: str
    labels: str


@dataclass
class _Writer:
    """Nodes and constants so far; `sizes` by label."""

    name: str
    sizes: dict[str, int] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def node(
        self, op_type: str, inputs: Sequence[str], numbers: Sequence[Sequence[int]] = (), **attributes: Any
    ) -> str:
        """Adds one; `numbers`: its constant inputs."""
        at = len(self.nodes)
        given = [f"{self.name}/{at}.{k}" for k in range(len(numbers))]
        self.constants.update((key, np.array(values, np.int64)) for key, values in zip(given, numbers, strict=True))
        output = f"{self.name}/{at}"
        made = helper.make_node(op_type, [*inputs, *given], [output], name=f"{self.name}.{op_type}{at}", **attributes)
        self.nodes.append(made)
        return output

    def shape(self, labels: str) -> list[int]:
        return [self.sizes[label] for label in labels]

    def turned(self, term: _Term, labels: str) -> _Term:
        """The axes in another order."""
        if term.labels == labels:
            return term
        order = [term.labels.index(label) for label in labels]
        return _Term(self.node("Transpose", [term.tensor], perm=order), labels)

    def reshaped(self, tensor: str, found: Sequence[int], wanted: Sequence[int]) -> str:
        return tensor if list(found) == list(wanted) else self.node("Reshape", [tensor], [wanted])

    def diagonal(self, term: _Term, shape: list[int]) -> tuple[_Term, list[int]]:
        """Each label once: of two axes those elements whose indices are equal."""
        labels, tensor = term.labels, term.tensor
        while (twice := next((label for label in labels if labels.count(label) > 1), None)) is not None:
            first, second = labels.index(twice), labels.index(twice, labels.index(twice) + 1)
            rest = [k for k in range(len(labels)) if k not in (first, second)]
            size = shape[first]
            if shape[second] != size:
                raise Unsupported(f"a diagonal of {size} by {shape[second]}", "make both sizes equal")
            kept = [shape[k] for k in rest]
            if [*rest, first, second] != list(range(len(labels))):
                tensor = self.node("Transpose", [tensor], perm=[*rest, first, second])
            tensor = self.node("Reshape", [tensor], [[*kept, size * size]])
            tensor = self.node("Slice", [tensor], [[0], [size * size], [len(rest)], [size + 1]])
            labels, shape = "".join(labels[k] for k in rest) + twice, [*kept, size]
        return _Term(tensor, labels), shape

    def summed(self, term: _Term, kept: str) -> _Term:
        """Without the labels that are not kept."""
        axes = [axis for axis, label in enumerate(term.labels) if label not in kept]
        if not axes:
            return term
        labels = "".join(label for label in term.labels if label in kept)
        return _Term(self.node("ReduceSum", [term.tensor], [axes], keepdims=0), labels)

    def matrices(self, term: _Term, front: str, rows: str, columns: str) -> str:
        """As [front][rows][columns]; what lies as [front][columns][rows] is turned last, in which a weight is seen as
        the parameter that it is."""
        shape = [*self.shape(front), prod(self.shape(rows)), prod(self.shape(columns))]
        if term.labels == front + columns + rows and rows and columns:
            found = [*shape[:-2], shape[-1], shape[-2]]
            flat = self.reshaped(term.tensor, self.shape(term.labels), found)
            order = [*range(len(front)), len(front) + 1, len(front)]
            return self.node("Transpose", [flat], perm=order)
        turned = self.turned(term, front + rows + columns)
        return self.reshaped(turned.tensor, self.shape(turned.labels), shape)

    def product(self, left: _Term, right: _Term, kept: str, batch: str) -> _Term:
        """Of two operands, over the labels of both that are not kept. `batch` stays an axis of its own though one
        operand alone has it."""
        both = [label for label in left.labels if label in right.labels]
        summed = "".join(label for label in right.labels if label in both and label not in kept)
        rows = "".join(label for label in left.labels if label not in both and label != batch)
        columns = "".join(label for label in right.labels if label not in both and label != batch)
        front = batch + "".join(label for label in kept if label in both and label != batch)
        if not summed and not (rows and columns):
            return self.scaled(left, right, "".join(label for label in kept if label in left.labels + right.labels))
        ours = "".join(label for label in front if label in left.labels)
        theirs = "".join(label for label in front if label in right.labels)
        a = self.matrices(left, ours, rows, summed)
        b = self.matrices(right, theirs, summed, columns)
        found = [*self.shape(front), prod(self.shape(rows)), prod(self.shape(columns))]
        labels = front + rows + columns
        return _Term(self.reshaped(self.node("MatMul", [a, b]), found, self.shape(labels)), labels)

    def scaled(self, left: _Term, right: _Term, labels: str) -> _Term:
        """Element by element."""
        sides = []
        for term in (left, right):
            own = self.turned(term, "".join(label for label in labels if label in term.labels))
            shape = [self.sizes[label] if label in own.labels else 1 for label in labels]
            sides.append(self.reshaped(own.tensor, self.shape(own.labels), shape))
        return _Term(self.node("Mul", sides), labels)


def nodes_of_einsum(
    equation: str, tensors: Sequence[str], shapes: Sequence[Sequence[int]], output: str, batch: int | None = None
) -> tuple[list[onnx.NodeProto], dict[str, NDArray[np.int64]]]:
    """The nodes in order, the last of which writes `output`, and their constant inputs by name. Operands are taken from
    left to right.

    Args:
        tensors: names of the operands, `shapes` theirs.
        batch: the axis of the first operand that holds the network's batch.

    Raises:
        Unsupported: the equation is not valid for these shapes, or sums over the batch.
    """
    terms, result = terms_of(equation, [len(shape) for shape in shapes])
    held = "" if batch is None else terms[0][batch]
    if held and held not in result:
        raise Unfit(f"equation '{equation}' sums over the batch", "keep the batch's letter in the result")
    writer = _Writer(output)
    operands: list[_Term] = []
    squeezed: list[tuple[_Term, list[int]]] = []
    for tensor, labels, shape in zip(tensors, terms, shapes, strict=True):
        term, sizes = writer.diagonal(_Term(tensor, labels), list(shape))
        squeezed.append((term, sizes))
        for label, size in zip(term.labels, sizes, strict=True):
            known = writer.sizes.setdefault(label, size)
            if 1 not in (known, size) and known != size:
                raise Unsupported(f"equation '{equation}': sizes {known} and {size} of one axis", "make them equal")
            writer.sizes[label] = max(known, size)
    for term, sizes in squeezed:  # an axis of 1 that goes with a larger one is none
        wide = [k for k, label in enumerate(term.labels) if sizes[k] == writer.sizes[label]]
        tensor = writer.reshaped(term.tensor, sizes, [sizes[k] for k in wide])
        operands.append(_Term(tensor, "".join(term.labels[k] for k in wide)))
    total = operands[0]
    for index, term in enumerate(operands):
        elsewhere = "".join(other.labels for k, other in enumerate(operands) if k != index) + result
        operands[index] = writer.summed(term, elsewhere)
    total = operands[0]
    for index, term in enumerate(operands[1:], 2):
        later = "".join(dict.fromkeys(result + "".join(other.labels for other in operands[index:])))
        total = writer.product(total, term, later, held)
    total = writer.turned(total, result)
    if not writer.nodes:
        writer.node("Identity", [total.tensor])
    writer.nodes[-1].output[0] = output
    return writer.nodes, writer.constants
