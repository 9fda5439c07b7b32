# Operators one of whose constants is a tensor of the network: the weight of a layer, gamma of a norm, a table. And
# tensors that have no batch axis.
# Never here: which constants become tensors (learned.py).
"""`run` converts such a node; `Part` is a weight that is some rows of a parameter."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import prod

import numpy as np
from edgecl.export.context import BatchAt, Constant, Context, Missing, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.folding import picked
from edgecl.export.graph import Dims
from edgecl.export.norm_patterns import JOINED
from edgecl.export.ops.batch_axis import as_whole, settled, transposed, whole
from edgecl.export.ops.batch_lift import LIFTED, lift
from edgecl.export.ops.linear import over_tokens
from edgecl.export.ops.products import product
from edgecl.export.ops.registry import HANDLERS
from edgecl.export.ops.views import dense_strides, strided
from edgecl.export.ops.windows import window_of

PRODUCTS = ("Gemm", "MatMul")
NORMS = ("LayerNormalization", "RMSNormalization", JOINED)
_IN_SHAPE = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")  # they take a tensor without a batch axis


@dataclass(frozen=True)
class Part(Missing):
    """The weight of a linear layer that is rows `begin`..`end` - 1 of a parameter [O][I]: queries, keys and values of
    attention have one together."""

    whole: Constant
    begin: int
    end: int


def part_of_weight(context: Context, node: Node, key: str) -> Part | None:
    """Such a weight of a product that reads it as its second input."""
    if node.op_type not in PRODUCTS or node.inputs.index(key) != 1:
        return None
    found = picked(context, key)
    source = context.environment[found[0]] if found is not None else None
    if found is None or not isinstance(source, Constant) or not context.learns_computed(found[0]):
        return None
    places = found[1] if node.integer("transB", 0) else found[1].T
    if source.values.ndim != 2 or places.ndim != 2 or places.shape[1] != source.values.shape[1]:
        return None
    begin = int(places[0, 0]) // places.shape[1]
    expected = np.arange(places.size).reshape(places.shape) + begin * places.shape[1]
    return Part("", source, begin, begin + len(places)) if np.array_equal(places, expected) else None


def one_row(context: Context, constant: Constant) -> Constant:
    """What a computed constant repeats for each row of a batch; itself where it does not."""
    if constant.values.ndim < 2 or (constant.source is not None and context.learns(constant.source, "offset")):
        return constant
    return context.one_for_all(constant, constant.values.ndim)


def run(context: Context, node: Node) -> None:
    """Converts a node some of whose inputs are such tensors.

    Raises:
        Unsupported: it has no such form.
    """
    values = [context.environment.get(key) for key in node.inputs]
    special = _SPECIAL.get(node.op_type)
    if special is not None and any(isinstance(value, Row | BatchAt | Part) for value in values[1:]):
        special(context, node)
    elif node.op_type == "ScatterND":
        _scatter(context, node)
    elif node.op_type not in HANDLERS:
        raise Unsupported("operator not supported", "")
    elif not any(isinstance(value, BatchAt) for value in values):
        HANDLERS[node.op_type](context, node)
    elif node.op_type == "Gather":
        _gather(context, node)
    elif node.op_type in LIFTED:
        lift(context, node)
    elif node.op_type in _IN_SHAPE:
        HANDLERS[node.op_type](context, node)
    else:
        _as_batch_of_one(context, node)


def _as(node: Node, op_type: str, inputs: list[str], output: str) -> Node:
    """Another operator in the place of a node."""
    twin = _on(node, inputs, output)
    twin.op_type, twin.attributes = op_type, {}
    return twin


def _on(node: Node, inputs: list[str], output: str) -> Node:
    """The operator with other inputs."""
    twin = copy.copy(node)
    twin.inputs, twin.outputs = inputs, [output]
    return twin


def _tensor(context: Context, key: str) -> BatchAt:
    value = context.environment[key]
    if not isinstance(value, Row | BatchAt):
        raise Unsupported("expected a tensor", "")
    return as_whole(value)


def _as_batch_of_one(context: Context, node: Node) -> None:
    """An operator that asks for a batch axis, on tensors whose first axis of size 1 is taken for it."""
    twin = copy.copy(node)
    twin.inputs = list(node.inputs)
    for index, key in enumerate(node.inputs):
        value = context.environment.get(key)
        if not isinstance(value, BatchAt):
            continue
        if value.axis is not None or value.row.dims[:1] != (1,):
            raise Unsupported("expected a first axis of size 1", "")
        twin.inputs[index] = f"{key}/row"
        context.environment[twin.inputs[index]] = context.reshape(node, value.row, value.row.dims[1:])
    if node.op_type == "Resize" and node.has_input(3):  # sizes, that of the batch among them
        sizes = context.integers(node, 3, "sizes")
        twin.inputs[3] = f"{node.inputs[3]}/row"
        context.environment[twin.inputs[3]] = Constant(twin.inputs[3], np.array([context.batch, *sizes[1:]], np.int64))
    HANDLERS[node.op_type](context, twin)
    for key in node.outputs:
        result = context.environment.get(key)
        if isinstance(result, Row):
            row = context.reshape(node, result, (1, *result.dims))
            context.environment[key] = settled(context, node, row, None)


def _gather(context: Context, node: Node) -> None:
    """Indices that are repeated for each row of a batch pick from a table: one row of picks."""
    table, indices = _tensor(context, node.inputs[0]), context.environment[node.inputs[1]]
    assert isinstance(indices, Constant)
    one = one_row(context, indices)
    if one is indices or node.integer("axis", 0) != 0 or table.axis is not None:
        lift(context, node)
        return
    key = f"{node.inputs[1]}/row"
    context.environment[key] = Constant(one.name, one.values[0])
    lift(context, _on(node, [node.inputs[0], key], node.outputs[0]))
    context.environment[node.outputs[0]] = _tensor(context, node.outputs[0]).row


def _scatter(context: Context, node: Node) -> None:
    """Constant numbers written to constant places of a tensor: times zeros there, and their sum."""
    value = whole(context, node)
    indices, updates = (context.constant(node, index, "places").values for index in (1, 2))
    if value.axis is not None or node.text("reduction", "none") != "none":
        raise Unsupported("numbers written to places of a row", "")
    kept, written = np.ones(value.row.dims, np.float32), np.zeros(value.row.dims, np.float32)
    places = tuple(np.moveaxis(indices, -1, 0))
    kept[places], written[places] = 0.0, updates
    output = node.outputs[0]
    keys = [f"{output}/kept", f"{output}/written"]
    for key, numbers in zip(keys, (kept, written), strict=True):
        context.environment[key] = Constant(key, numbers)
    masked = f"{output}/masked" if written.any() else output
    lift(context, _as(node, "Mul", [node.inputs[0], keys[0]], masked))
    if written.any():
        lift(context, _as(node, "Add", [masked, keys[1]], output))


def _with_bias(context: Context, node: Node, made: str, axes_behind: int) -> None:
    """The output of a layer: what it made, and a bias [O] of its channels."""
    bias = context.environment[node.inputs[2]]
    key = f"{made}/bias"
    if isinstance(bias, Constant):
        values = bias.values.reshape(*bias.values.shape, *([1] * axes_behind))
        context.environment[key] = Constant(bias.name, values, bias.source, bias.source_shape)
    else:
        value = _tensor(context, node.inputs[2])
        row = context.reshape(node, value.row, (*value.row.dims, *([1] * axes_behind)))
        context.environment[key] = BatchAt("", row, value.axis, value.outer, value.inner)
    lift(context, _as(node, "Add", [made, key], node.outputs[0]))


def _product(context: Context, node: Node) -> None:
    """Gemm and MatMul whose matrix or bias is a tensor."""
    output = node.outputs[0]
    if node.integer("transA", 0) or node.number("alpha", 1.0) != 1.0 or node.number("beta", 1.0) != 1.0:
        raise Unsupported("expected transA = 0, alpha = 1 and beta = 1", "")
    made = f"{output}/product" if node.has_input(2) else output
    weight = context.environment[node.inputs[1]]
    if isinstance(weight, Part):
        _by_part(context, node, weight, made)
    elif isinstance(weight, Constant):
        run(context, _on(node, node.inputs[:2], made))
    else:
        _of_tensors(context, node, made)
    if node.has_input(2):
        _with_bias(context, node, made, 0)


def _by_part(context: Context, node: Node, part: Part, output: str) -> None:
    """The whole layer, of whose outputs some are read: so the parameter stays one, for all that read it."""
    value = whole(context, node)
    if value.axis == value.rank - 1:
        raise Unsupported("a product over the axis that holds the batch", "")
    row = over_tokens(context, node, value.row, part.whole, part.whole.values, False)
    dims = (*row.dims[:-1], part.end - part.begin)
    row = strided(context, node, row, dims, dense_strides(row.dims), part.begin)
    context.environment[output] = settled(context, node, row, value.axis, value.outer, value.inner)


def _of_tensors(context: Context, node: Node, output: str) -> None:
    """Both are tensors. One matrix for all rows meets the last axis, wherever the batch is."""
    left, right = whole(context, node, 0), _tensor(context, node.inputs[1])
    if node.integer("transB", 0):
        right = as_whole(transposed(context, node, right, (1, 0)))
    if right.rank < 2:
        raise Unsupported("expected a matrix; found a vector", "")
    if right.axis is None and right.rank == 2 and left.axis != left.rank - 1:
        *front, inputs = left.row.dims
        made = product(context, node, context.reshape(node, left.row, (prod(front), inputs)), right.row)
        made = context.reshape(node, made, (*front, right.row.dims[1]))
        context.environment[output] = settled(context, node, made, left.axis, left.outer, left.inner)
        return
    keys = [f"{output}/left", f"{output}/right"]
    context.environment.update(zip(keys, (left, right), strict=True))
    lift(context, _as(node, "MatMul", keys, output))


def _convolution(context: Context, node: Node) -> None:
    """A kernel or a bias that is a tensor."""
    row = context.row(node)
    made = f"{node.outputs[0]}/product" if node.has_input(2) else node.outputs[0]
    if isinstance(context.environment[node.inputs[1]], Constant):
        HANDLERS["Conv"](context, _on(node, node.inputs[:2], made))
    else:
        context.environment[made] = _by_windows(context, node, row, _tensor(context, node.inputs[1]))
    if node.has_input(2):
        _with_bias(context, node, made, len(row.dims) - 1)


def _by_windows(context: Context, node: Node, row: Row, kernel: BatchAt) -> Row:
    """Windows as columns, and a product for each group."""
    groups, dims = node.integer("group", 1), kernel.row.dims
    if kernel.axis is not None or len(dims) != len(row.dims) + 1 or len(dims) not in (3, 4):
        raise Unsupported("expected a kernel of one or two spatial axes, the same for all rows", "")
    if row.dims[0] != groups * dims[1] or dims[0] % groups:
        raise Unsupported("expected channels in whole groups", "")
    window = window_of(node, row.dims, list(dims[2:]))
    if any(window.pads):
        padded = (row.dims[0], *window.padded(row.dims[1:]))
        row = context.emit(node, "pad", [row], padded, pads=window.pads, suffix="pad")
    spatial: Dims = (1, *window.spatial)[-2:]
    height, width = (1, *row.dims[1:])[-2:]
    taps = [dims[1], *window.kernel]
    strides = [
        *(dims[1] * height * width, height * width, window.dilation[0] * width, window.dilation[1]),
        *(window.stride[0] * width, window.stride[1]),
    ]
    columns = strided(context, node, row, (groups, *taps, *spatial), strides)
    columns = context.reshape(node, columns, (groups, prod(taps), prod(spatial)))
    matrix = context.reshape(node, kernel.row, (groups, dims[0] // groups, prod(taps)))
    return context.reshape(node, product(context, node, matrix, columns), (dims[0], *window.spatial))


def _norm(context: Context, node: Node) -> None:
    """Gamma or beta is a tensor: a norm without them, a product and a sum."""
    output = node.outputs[0]
    normed, scaled = f"{output}/norm", f"{output}/scaled" if node.has_input(2) else output
    if isinstance(context.environment[node.inputs[1]], Constant):
        run(context, _on(node, node.inputs[:2], scaled))
    else:
        key = f"{output}/ones"
        context.environment[key] = Constant(key, np.ones(_tensor(context, node.inputs[1]).full(1), np.float32))
        run(context, _on(node, [node.inputs[0], key], normed))
        lift(context, _as(node, "Mul", [normed, node.inputs[1]], scaled))
    if node.has_input(2):
        lift(context, _as(node, "Add", [scaled, node.inputs[2]], output))


_SPECIAL = {
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(NORMS, _norm),
    "Conv": _convolution,
}
