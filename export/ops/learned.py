# What a model computes from parameters and constants alone (an MLP of positions, exp of a scale, a gate), computed anew
# for each row by the operators that rows have, where the parameters learn.
# Never here: computed weights of convolutions (computed_weights.py), what an operator computes (its own handler).
"""`convert` converts any node; it puts rows in the place of computed constants that learn."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from math import prod

import numpy as np
import onnx
from edgecl.export.context import BatchAt, Constant, Context, Node, Norm, Row
from edgecl.export.errors import Unsupported
from edgecl.export.folding import can_fold, fold, sources_of
from edgecl.export.graph import Dims
from edgecl.export.ops.batch_axis import as_whole, located, settled, transposed, whole
from edgecl.export.ops.batch_lift import LIFTED, lift
from edgecl.export.ops.learned_nodes import NORMS, PRODUCTS, Part, one_row, part_of_weight, run
from edgecl.export.ops.linear import meets_used_weight
from edgecl.export.ops.rearrange import constant_row
from edgecl.export.ops.registry import HANDLERS
from edgecl.export.ops.tables import is_pick
from edgecl.export.ops.views import expand

MOST_NUMBERS = 1 << 22  # that the operators for one computed constant may write for a row; beyond, it is fixed
MOST_TIED = 1 << 18  # of a layer's parameter that a row may hold because its uses need it as a tensor

_ANY = ("Add", "Concat", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum")  # of which every input may be a row
_SOME = {"Where": (1, 2), "Pow": (1,), "PRelu": (1,), **dict.fromkeys(NORMS, (1, 2))}  # of which these
_LAYERS = (*PRODUCTS, "Conv")  # whose weight may be a tensor, and whose bias
_COMPUTED = "/computed"  # ends the names of what stands in the place of constants
_Tensor = Row | BatchAt
_Found = Row | BatchAt | Constant


def convert(context: Context, node: Node) -> None:
    """Converts a node of a supported operator in the way that its inputs ask for."""
    reads = [context.environment.get(key) for key in node.inputs if key]
    constants = [value for value in reads if isinstance(value, Constant)]
    if can_fold(node.proto) and len(constants) == len(reads) and not meets_used_weight(context, node):
        fold(context, node, constants)
    elif _with_rows(context, node):
        return
    elif any(isinstance(value, BatchAt) for value in reads):
        lift(context, node)
    elif context.batch == 1 and node.op_type in LIFTED:
        _of_one(context, node)
    else:
        HANDLERS[node.op_type](context, node)


def _of_one(context: Context, node: Node) -> None:
    """In a batch of one, a first axis of size 1 was taken for it. Where an operator needs that axis as its own, no axis
    is the batch."""
    ops, tensors = len(context.graph.ops), dict(context.graph.tensors)
    try:
        HANDLERS[node.op_type](context, node)
    except Unsupported as fault:
        del context.graph.ops[ops:]
        context.graph.tensors = tensors
        try:
            lift(context, node)
        except Unsupported:
            raise fault from None


def _with_rows(context: Context, node: Node) -> bool:
    """Converts a node with rows in the place of constants that are computed from parameters which learn.

    Returns:
        False where it has none, they cost too much or an operator has no such form: nothing has changed then.
    """
    keys = [key for index, key in enumerate(node.inputs) if _asks(context, node, index)]
    if not keys:
        return False
    graph = context.graph
    ops, notes, tensors = len(graph.ops), len(graph.notes), dict(graph.tensors)
    known = dict(context.computed), dict(context.rows)
    try:
        rows: dict[str, _Found | Part] = {}
        for key in keys:
            part = None if _is_tensor(context, key) else part_of_weight(context, node, key)
            found = part or _found(context, key)
            rows[key] = _tensor(context, key) if isinstance(found, Constant) else found
        if sum(prod(graph.tensors[op.output]) for op in graph.ops[ops:] if op.kind != "reshape") > MOST_NUMBERS:
            raise Unsupported(f"more than {MOST_NUMBERS} numbers for each row", "")
        run(context, _on(context, node, rows))
    except Unsupported:
        del graph.ops[ops:], graph.notes[notes:]
        graph.tensors = tensors
        context.computed, context.rows = known
        context.fixed.update(keys)
        return False
    return True


def _asks(context: Context, node: Node, index: int) -> bool:
    """Input `index` is a constant that would learn as a row, and as nothing else."""
    key = node.inputs[index]
    if key in context.fixed or not _learns(context, key):
        return False
    constant = context.environment[key]
    assert isinstance(constant, Constant)
    source = (constant.one or constant).source
    if node.op_type not in _LAYERS:
        takes = node.op_type in _ANY or index in _SOME.get(node.op_type, ())
        if source is not None:
            return takes and source in context.computing.only_rows
        return takes and not is_pick(context, constant, _rank(context, node))
    if node.outputs[0] == context.output:  # the layer of the logits stays one
        return False
    if node.op_type == "MatMul" and index == 1 and prod(constant.values.shape[:-2]) > 1:  # no layer has such a weight
        return constant.values.size <= MOST_TIED
    if source is not None:  # read in several orders, or by operators of several kinds
        return source in context.computing.only_rows and constant.values.size <= MOST_TIED
    shapes = {name: _shape(context, name) for name in sources_of(context, key, PRODUCTS)}
    alike = [name for name, shape in shapes.items() if len(shape) > 1 and prod(shape) == constant.values.size]
    plain = len(alike) == 1 and context.learns(alike[0], "weight")
    return index == 2 or not plain  # see computed_weights.py


def _is_tensor(context: Context, key: str) -> bool:
    """A parameter that is no operator's own."""
    constant = context.environment[key]
    return isinstance(constant, Constant) and constant.source in context.computing.only_rows


def _rank(context: Context, node: Node) -> int:
    """The most axes of a tensor that the node reads."""
    values = [context.environment.get(key) for key in node.inputs]
    return max(as_whole(value).rank for value in values if isinstance(value, Row | BatchAt))


def _shape(context: Context, key: str) -> tuple[int, ...]:
    held = context.environment[key]
    return held.values.shape if isinstance(held, Constant) else ()


def _learns(context: Context, key: str) -> bool:
    """It is a constant of floats, computed from parameters that learn or one of them."""
    constant = context.environment.get(key)
    if not isinstance(constant, Constant) or constant.values.dtype != np.float32:
        return False
    return any(context.learns_computed(name) for name in sources_of(context, key))


def _found(context: Context, key: str) -> _Found:
    """A constant as a tensor computed from parameters; itself where it does not learn, or is one of them."""
    if key in context.computed:
        return context.computed[key]
    constant = context.environment[key]
    assert isinstance(constant, Constant)
    if key not in context.folded or (constant.one or constant).source is not None or not _learns(context, key):
        return constant
    node = Node(context.folded[key])
    values: dict[str, _Found | Part] = {
        name: part_of_weight(context, node, name) or _found(context, name) for name in node.inputs if name
    }
    for name in _to_tensors(context, node, values):
        values[name] = _tensor(context, name)
    twin = _on(context, node, values)
    twin.outputs = [f"{name}{_COMPUTED}" for name in node.outputs]
    if constant.one is not None and node.op_type in ("Expand", "Tile"):
        row = _for_each_row(context, node, whole(context, twin), constant.values.shape)
        context.environment[twin.outputs[0]] = row
    else:
        run(context, twin)
    for name, given in zip(node.outputs, twin.outputs, strict=True):
        result = context.environment.get(given)
        if isinstance(result, Norm):
            result = context.value(_reader(given), 0)
        if isinstance(result, Row | BatchAt):
            context.computed[name] = result
    if key not in context.computed:
        raise Unsupported(f"'{key}' is not computed", "")
    return context.computed[key]


def _to_tensors(context: Context, node: Node, values: Mapping[str, _Found | Part]) -> list[str]:
    """The constants that an operator needs as tensors; all else it takes as its parameters."""
    constants = [name for name, value in values.items() if isinstance(value, Constant)]
    if node.op_type in _ANY or node.op_type == "Where":
        learning = [name for name in constants if _learns(context, name)]
        shared = [name for name in learning if _is_shared(context, name)]  # of one row, not of several parameters
        if shared or len(constants) < len(values):
            return shared
        return [max(learning, key=lambda name: prod(_shape(context, name)))]
    return [node.inputs[0]] if node.inputs[0] in constants else []


def _is_shared(context: Context, key: str) -> bool:
    constant = context.environment[key]
    assert isinstance(constant, Constant)
    source = (constant.one or constant).source
    return source is not None and (context.uses[source] > 1 or source in context.computing.only_rows)


def _tensor(context: Context, key: str) -> _Tensor:
    """A constant as a tensor without a batch axis, or as a row where it is repeated for each. Shapes of one parameter
    are views of one tensor."""
    if key in context.rows:
        return context.rows[key]
    constant = context.environment[key]
    assert isinstance(constant, Constant)
    node, held = _reader(key), constant.one or constant
    if constant.one is None:
        held = one_row(context, constant)
    if held.source is not None and held.source != key:
        source = as_whole(_tensor(context, held.source))
        made = as_whole(transposed(context, node, source, (1, 0))) if held.transposed else source
        made = as_whole(located(context, node, made, held.values.shape))
    else:
        dims = held.values.shape or (1,)
        like = Row(context.graph.input, (*([1] * (len(dims) - 1)), prod(context.graph.input_dims)))
        one = Constant(held.name, held.values.reshape(1, *dims), held.source, held.source_shape)
        row = context.reshape(node, constant_row(context, node, one, like), held.values.shape)
        made = as_whole(settled(context, node, row, None))
    repeated = held is not constant
    context.rows[key] = _for_each_row(context, node, made, constant.values.shape) if repeated else made
    return context.rows[key]


def _for_each_row(context: Context, node: Node, value: BatchAt, full: Dims) -> _Tensor:
    """A tensor without a batch axis, repeated to the shape `full`: along the batch, wherever that is, and others."""
    dims = ((1,) * len(full) + value.row.dims)[-len(full) :]
    places = [axis for axis, size in enumerate(full) if dims[axis] == 1 and size == context.batch]
    if not places or prod(dims) != prod(value.row.dims) or (value.axis is not None and context.batch > 1):
        raise Unsupported(f"a tensor {list(value.full(context.batch))} repeated to {list(full)}", "")
    axis = places[0]
    row = context.reshape(node, value.row, (*dims[:axis], *dims[axis + 1 :]))
    return settled(context, node, expand(context, node, row, (*full[:axis], *full[axis + 1 :])), axis)


def _reader(key: str) -> Node:
    return Node(onnx.NodeProto(op_type="Identity", name=key, input=[key], output=[f"{key}{_COMPUTED}"]))


def _on(context: Context, node: Node, values: Mapping[str, _Found | Part]) -> Node:
    """The node on other values."""
    twin = copy.copy(node)
    twin.inputs = [f"{key}{_COMPUTED}" if key in values else key for key in node.inputs]
    context.environment.update({f"{key}{_COMPUTED}": value for key, value in values.items()})
    return twin
