# Where the matrices of a matmul lie: strides that save the copies of transposes, slices and windows around it.
# Never here: reading ONNX (ops/products.py), how views are found (transposes.py).
"""`on_views` puts a matmul on what its operands are views of; `views_into_products` lets it write in the order that is
read; `factors_into_products` takes fixed factors in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite, prod
from typing import TYPE_CHECKING

import numpy as np
from edgecl.export.graph import Activation, Graph, Op, Param
from edgecl.export.view_algebra import Axis, View

if TYPE_CHECKING:
    from edgecl.export.transposes import Lazy

_BATCHES = 3  # axes in front of rows, columns and sum
Line = tuple[int, int, int, int]  # size, strides of a, b and the output; 0 where the axis is not theirs


@dataclass(frozen=True)
class Product:
    """The parameter of a matmul."""

    batches: list[Line]
    rows: Line
    columns: Line
    summed: Line
    offsets: tuple[int, int]

    @staticmethod
    def of(op: Op) -> Product:
        """As an operator has it."""
        param = op.params[0]
        assert param is not None
        lines = [(int(n), int(a), int(b), int(y)) for n, a, b, y in param.values.T]
        return Product(lines[:-3], lines[-3], lines[-2], lines[-1], (op.i[0], op.i[1]))

    def write(self, op: Op) -> None:
        """Into an operator."""
        front = [(1, 0, 0, 0)] * (_BATCHES - len(self.batches))
        lines = [*front, *self.batches, self.rows, self.columns, self.summed]
        lines = [line if line[0] > 1 else (1, 0, 0, 0) for line in lines]
        assert op.params[0] is not None
        op.params = [Param(op.params[0].name, np.ascontiguousarray(np.array(lines, np.int32).T))]
        op.i = self.offsets


@dataclass(frozen=True)
class _Operand:
    """What one tensor of a product is a view of: axes of each batch axis, of the rows or columns and of the sum."""

    batches: list[list[Axis]]
    first: int
    second: int
    offset: int


def _operand(lines: list[Line], own: int, offset: int, view: View) -> _Operand | None:
    """Along `lines` with the strides `own` (1: a, 2: b, 3: the output), over a tensor that is a view of another."""
    both = View.of([(line[0], line[own]) for line in lines], offset).after(view)
    groups = both.split(tuple(line[0] for line in lines)) if both is not None else None
    if both is None or groups is None or len(groups[-1]) > 1 or len(groups[-2]) > 1:
        return None
    first, second = (group[0][1] if group else 0 for group in groups[-2:])
    return _Operand(groups[:-2], first, second, both.offset)


def _cut(groups: list[list[Axis]]) -> list[tuple[int, ...]] | None:
    """Lists of axes of as many elements, cut at the same places: size, strides."""
    steps = {1}
    for axes in groups:
        step = 1
        for size, _ in reversed(axes):
            step *= size
            steps.add(step)
    ordered = sorted(steps)
    sizes: list[int] = []
    for low, high in pairwise(ordered):
        if high % low:
            return None
        sizes.insert(0, high // low)
    cut = [View(tuple(axes)).split(tuple(sizes)) for axes in groups]
    found: list[tuple[int, ...]] = []
    for k, size in enumerate(sizes):
        strides = []
        for parts in cut:
            if parts is None or len(parts[k]) != 1:
                return None
            strides.append(parts[k][0][1])
        found.append((size, *strides))
    return found


def _joined(lines: list[Line]) -> list[Line]:
    """Neighbours that lie together in all three as one."""
    found: list[Line] = []
    for line in lines:
        if found and all(outer == line[0] * inner for outer, inner in zip(found[-1][1:], line[1:], strict=True)):
            line = (found.pop()[0] * line[0], *line[1:])
        found.append(line)
    return found


def _over(product: Product, a: View, b: View) -> Product | None:
    """The product over what its operands are the views `a` and `b` of."""
    ours = _operand([*product.batches, product.rows, product.summed], 1, product.offsets[0], a)
    theirs = _operand([*product.batches, product.columns, product.summed], 2, product.offsets[1], b)
    if ours is None or theirs is None:
        return None
    lines: list[Line] = []
    for line, left, right in zip(product.batches, ours.batches, theirs.batches, strict=True):
        cut = _cut([left, right, [(line[0], line[3])]]) if line[0] > 1 else []
        if cut is None:
            return None
        lines += [(size, x, y, z) for size, x, y, z in cut]
    lines = _joined(lines)
    if len(lines) > _BATCHES:
        return None
    rows = (product.rows[0], ours.first, 0, product.rows[3])
    columns = (product.columns[0], 0, theirs.first, product.columns[3])
    summed = (product.summed[0], ours.second, theirs.second, 0)
    if not all(_differ([*lines, rows, columns, summed], own) for own in (1, 2)):
        return None
    return Product(lines, rows, columns, summed, (ours.offset, theirs.offset))


def _differ(lines: list[Line], own: int) -> bool:
    """What the operator asks of an operand: it goes ahead, and meets no element twice but along axes of stride 0."""
    reach = 0
    for stride, size in sorted((line[own], line[0]) for line in lines if line[0] > 1 and line[own] != 0):
        if stride <= reach:
            return False
        reach += (size - 1) * stride
    return True


def on_views(lazy: Lazy, op: Op) -> bool:
    """As few copies of its operands as strides allow. Both of one tensor: one is copied, for a gradient of its own."""
    product = Product.of(op)
    left, right = op.inputs
    (base, view), (other, beside) = lazy.held[left], lazy.held[right]
    whole = [View.whole(prod(lazy.shapes[tensor])) for tensor in op.inputs]
    for copied in ((False, False), (True, False), (False, True)):
        if copied == (False, False) and base == other:
            continue
        shapes = [lazy.shapes[left] if copied[0] else lazy.graph.tensors[base]]
        shapes += [lazy.shapes[right] if copied[1] else lazy.graph.tensors[other]]
        found = _over(product, whole[0] if copied[0] else view, whole[1] if copied[1] else beside)
        if found is not None and found.summed[0] <= min(map(prod, shapes)):
            inputs = [lazy.real(left) if copied[0] else base, lazy.real(right) if copied[1] else other]
            found.write(op)
            shape = lazy.shapes[op.output]
            lazy.put(op, inputs, shape, View.whole(prod(shape)))
            return True
    return False


def factors_into_products(graph: Graph) -> None:
    """A fixed number that an operand or the result of a matmul is multiplied by is the matmul's own factor."""
    for op in list(graph.ops):
        param = op.params[0] if op.kind == "mul" and len(op.inputs) == 1 else None
        if param is None or param.values.size != 1 or param.learnable or op.activation.kind != "none":
            continue
        factor = float(param.values.reshape(-1)[0])
        product = _behind(graph, op.output) or _before(graph, op.inputs[0])
        if product is None or factor == 0.0:
            continue
        together = float(np.float32(product.activation.lo * factor))
        if not isfinite(together) or together == 0.0:
            continue
        product.activation = Activation("none", together)
        graph.remove(op)


def _behind(graph: Graph, tensor: str) -> Op | None:
    """The matmul that alone reads a tensor, with views between at most."""
    reader = graph.only_consumer(tensor)
    while reader is not None and reader.kind in ("reshape", "strided"):
        reader = graph.only_consumer(reader.output)
    return reader if reader is not None and reader.kind == "matmul" else None


def _before(graph: Graph, tensor: str) -> Op | None:
    """The matmul that makes a tensor which nothing else reads, with reshapes between at most."""
    while graph.only_consumer(tensor) is not None:
        maker = graph.producer(tensor)
        if maker is None or maker.kind not in ("reshape", "matmul"):
            return None
        if maker.kind == "matmul":
            return maker
        tensor = maker.inputs[0]
    return None


def views_into_products(graph: Graph) -> None:
    """Where a transpose alone reads the result of a matmul, that writes in its order."""
    for op in [op for op in graph.ops if op.kind == "strided"]:
        tensor = op.inputs[0]
        maker = graph.producer(tensor)
        while maker is not None and maker.kind == "reshape" and graph.only_consumer(tensor) is not None:
            tensor = maker.inputs[0]
            maker = graph.producer(tensor)
        view = view_of(op)
        if maker is None or maker.kind != "matmul" or graph.only_consumer(tensor) is None:
            continue
        found = _writing(Product.of(maker), view) if view.permutes(prod(graph.tensors[tensor])) else None
        if found is None:
            continue
        found.write(maker)
        graph.ops.remove(op)
        maker.output = op.output
    graph.prune()


def _writing(product: Product, view: View) -> Product | None:
    """The product whose output is this view of the one that it writes."""
    lines = [*product.batches, product.rows, product.columns]
    out = _operand(lines, 3, 0, view.inverse())
    if out is None:
        return None
    batches: list[Line] = []
    for line, axes in zip(product.batches, out.batches, strict=True):
        cut = _cut([[(line[0], line[1])], [(line[0], line[2])], axes]) if line[0] > 1 else []
        if cut is None:
            return None
        batches += [(size, x, y, z) for size, x, y, z in cut]
    batches = _joined(batches)
    if len(batches) > _BATCHES:
        return None
    rows, columns = (*product.rows[:3], out.first), (*product.columns[:3], out.second)
    return replace(product, batches=batches, rows=rows, columns=columns)


def view_of(op: Op) -> View:
    """Of a strided operator."""
    param = op.params[0]
    assert param is not None
    return View.of(((int(size), int(stride)) for size, stride in param.values.T), op.i[0] if op.i else 0)
