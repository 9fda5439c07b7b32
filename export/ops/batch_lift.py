# Nodes that read tensors whose batch is not the first axis, as the same nodes over their rows.
# Never here: what an operator computes: its own handler converts it, on a row whose axes are told anew.
"""`lift` converts such a node."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from edgecl.export.context import BatchAt, Constant, Context, Node, Norm, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.ops.batch_axis import BATCH_FIRST, of_row, settled, transposed, whole
from edgecl.export.ops.frame_lifts import FRAME_LIFTS
from edgecl.export.ops.registry import HANDLERS
from edgecl.export.ops.views import permute
from numpy.typing import NDArray

_BEHIND = "keep the batch as an axis of its own"


@dataclass(frozen=True)
class _Frame:
    """Where the batch lies in all tensors of a node, by axes of the one with the most axes."""

    rank: int
    axis: int | None
    outer: int
    inner: int

    @property
    def parts(self) -> int:
        return self.outer * self.inner

    def moved(self, axis: int) -> int:
        """The number of an axis where the batch stands in front."""
        axis %= self.rank
        if axis == self.axis:
            raise Unfit("an operator along the axis that holds the batch", _BEHIND)
        if self.axis is None:
            return axis + 1
        return axis + 1 if axis < self.axis or self.parts > 1 else axis

    def sizes(self, full: Sequence[Any], batch: Any, parts: Any) -> list[Any]:
        """One number an axis, where the batch stands in front: of the batch and of its parts those that are given."""
        rest = [value for axis, value in enumerate(full) if axis != self.axis]
        if self.axis is not None and self.parts > 1:
            rest.insert(self.axis, parts)
        return [batch, *rest]


def _frame(context: Context, node: Node) -> _Frame:
    """Of the inputs of a node; they line up from the last axis on, as in broadcasting."""
    found: list[_Frame] = []
    for index in range(len(node.inputs)):
        value = context.environment.get(node.inputs[index])
        if isinstance(value, Norm):
            value = context.value(node, index)
        if isinstance(value, Row):
            value = of_row(value)
        if isinstance(value, BatchAt):
            found.append(_Frame(value.rank, value.axis, value.outer, value.inner))
    rank = max(frame.rank for frame in found)
    batched = [frame for frame in found if frame.axis is not None]
    if context.batch == 1 or not batched:
        return _Frame(rank, None, 1, 1)
    first = max(batched, key=lambda frame: frame.rank)
    assert first.axis is not None
    first = replace(first, rank=rank, axis=first.axis + rank - first.rank)
    assert first.axis is not None
    for other in batched:
        assert other.axis is not None
        if other.rank - other.axis != rank - first.axis or (other.outer, other.inner) != (first.outer, first.inner):
            raise Unfit("tensors whose batch lies at different places", BATCH_FIRST)
    return first


def _row_in(context: Context, node: Node, frame: _Frame, value: Row | BatchAt) -> Row:
    """The row of a tensor by the axes of a frame, the batch in front."""
    held = of_row(value) if isinstance(value, Row) else value
    front = (1,) * (frame.rank - held.rank)
    if held.axis is None and frame.axis is not None:  # one for all rows
        shape = (*front, *held.row.dims)
        if shape[frame.axis] != 1:
            raise Unsupported(
                f"a tensor {list(shape)} with other numbers for each row of the batch", "make it one for all"
            )
        return context.reshape(node, held.row, tuple(frame.sizes(shape, 1, 1)[1:]))
    dims = held.full(1) if frame.axis is None else held.row.dims
    return context.reshape(node, held.row, (*front, *dims))


def _constant_in(context: Context, frame: _Frame, constant: Constant) -> Constant:
    """A constant by the axes of a frame. Along the batch it is one for all rows, or the same for each."""
    constant = context.one_for_all(constant, frame.rank) if frame.axis == 0 and frame.parts == 1 else constant
    values = constant.values
    if values.ndim > frame.rank or values.size == 1:
        return Constant(constant.name, values.reshape(()), constant.source, constant.source_shape)
    shape = (1,) * (frame.rank - values.ndim) + values.shape
    if frame.axis is None:
        return Constant(
            constant.name, values.reshape(1, *shape), constant.source, constant.source_shape, constant.transposed
        )
    size = shape[frame.axis]
    if size == 1:
        shape = tuple(frame.sizes(shape, 1, 1))
        return Constant(
            constant.name, values.reshape(shape), constant.source, constant.source_shape, constant.transposed
        )
    split = values.reshape(*shape[: frame.axis], frame.outer, -1, frame.inner, *shape[frame.axis + 1 :])
    one = np.take(split, [0], frame.axis + 1)
    if split.shape[frame.axis + 1] != context.batch or not np.array_equal(split, np.broadcast_to(one, split.shape)):
        raise Unsupported("a constant with other numbers for each row of the batch", "make it one for all rows")
    return Constant(f"{constant.name}.row", one.reshape(frame.sizes(shape, 1, frame.parts)))


def _converted(
    context: Context,
    node: Node,
    frame: _Frame,
    changes: dict[str, Any],
    constants: Mapping[int, NDArray[Any] | Constant],
    axis: int | None,
) -> None:
    """Runs the operator's own handler on rows by a frame, with changed attributes and constant inputs, and binds the
    outputs, whose batch is at `axis`."""
    twin = copy.copy(node)
    twin.attributes = {**node.attributes, **changes}
    twin.inputs = list(node.inputs)
    for index, key in enumerate(node.inputs):
        value = context.environment.get(key)
        if index in constants:
            given = constants[index]
            value = given if isinstance(given, Constant) else Constant(key, given)
        elif isinstance(value, (Row, BatchAt)):
            value = _row_in(context, node, frame, value)
        else:
            continue
        twin.inputs[index] = f"{key}/by row"
        context.environment[twin.inputs[index]] = value
    HANDLERS[node.op_type](context, twin)
    for index, key in enumerate(node.outputs):
        result = context.environment.get(key)
        if isinstance(result, Norm):
            result = context.value(_reader(node, key), 0)
        if isinstance(result, Row):
            bound = settled(context, node, result, axis, frame.outer, frame.inner)
            context.environment[node.outputs[index]] = bound


def _reader(node: Node, key: str) -> Node:
    twin = copy.copy(node)
    twin.inputs = [key]
    return twin


def _elementwise(context: Context, node: Node) -> None:
    frame = _frame(context, node)
    given = {}
    for index, key in enumerate(node.inputs):
        value = context.environment.get(key)
        if isinstance(value, Constant):
            if frame.axis is None and value.values.ndim > frame.rank:  # it may have the batch: a state of zeros
                value = context.one_for_all(value, value.values.ndim)
            given[index] = value
    rank = max([frame.rank, *(value.values.ndim for value in given.values() if value.values.size > 1)])
    axis = None if frame.axis is None else frame.axis + rank - frame.rank
    frame = replace(frame, rank=rank, axis=axis)
    constants = {index: _constant_in(context, frame, value) for index, value in given.items()}
    _converted(context, node, frame, {}, constants, frame.axis)


def _along_one(context: Context, node: Node) -> None:
    """Operators with an attribute `axis`."""
    frame = _frame(context, node)
    last = node.op_type in ("Softmax", "LogSoftmax") and context.opset >= 13
    default = -1 if last or node.op_type in ("LpNormalization", "LayerNormalization") else 0
    if node.op_type in ("Softmax", "LogSoftmax") and context.opset < 13:
        default = 1
    axis = node.integer("axis", default) % frame.rank
    moved = frame.moved(axis)
    behind = node.op_type == "LayerNormalization" or (default == 1)  # they take all axes from `axis` on
    if behind and frame.axis is not None and frame.axis > axis:
        raise Unfit("an operator along the axis that holds the batch", _BEHIND)
    at = frame.axis
    if node.op_type == "Gather" and at is not None and axis < at:
        at += np.ndim(context.constant(node, 1, "indices").values) - 1
    constants: dict[int, NDArray[Any] | Constant] = {}
    for index, key in enumerate(node.inputs):
        value = context.environment.get(key)
        if node.op_type == "Concat" and isinstance(value, Constant):
            constants[index] = _constant_in(context, frame, value)
    _converted(context, node, frame, {"axis": moved}, constants, at)


def _reduction(context: Context, node: Node) -> None:
    frame = _frame(context, node)
    axes = context.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes", [])
    if not axes and node.integer("noop_with_empty_axes", 0):
        _elementwise(context, node)
        return
    axes = sorted({axis % frame.rank for axis in axes}) or list(range(frame.rank))
    moved = [frame.moved(axis) for axis in axes]
    at = frame.axis
    if at is not None and not node.integer("keepdims", 1):
        at -= sum(axis < at for axis in axes)
    constants: dict[int, NDArray[Any] | Constant] = {1: np.array(moved, np.int64)} if node.has_input(1) else {}
    _converted(context, node, frame, {} if constants else {"axes": moved}, constants, at)


def _cumulative(context: Context, node: Node) -> None:
    frame = _frame(context, node)
    (axis,) = context.integers(node, 1, "axis")
    _converted(context, node, frame, {}, {1: np.array([frame.moved(axis)], np.int64)}, frame.axis)


def _slice(context: Context, node: Node) -> None:
    frame = _frame(context, node)
    given = node.has_input(1)
    starts = context.integers(node, 1, "starts") if given else node.integers("starts", [])
    ends = context.integers(node, 2, "ends") if given else node.integers("ends", [])
    numbers = list(range(len(starts)))
    axes = context.integers(node, 3, "axes") if node.has_input(3) else node.integers("axes", numbers)
    steps = context.integers(node, 4, "steps") if node.has_input(4) else [1] * len(starts)
    kept = []
    for number, axis in enumerate(axes):
        if axis % frame.rank == frame.axis:
            size = context.batch * frame.parts
            if len(range(size)[starts[number] : ends[number] : steps[number]]) == size and steps[number] == 1:
                continue
            raise Unfit("a slice of the batch", _BEHIND)
        kept.append(number)
    lists = [[starts[k] for k in kept], [ends[k] for k in kept], [frame.moved(axes[k]) for k in kept]]
    if given:
        twin = copy.copy(node)
        twin.inputs = [node.inputs[0], *(f"{node.outputs[0]}/slice{k}" for k in range(4))]
        for key, values in zip(twin.inputs[1:], [*lists, [steps[k] for k in kept]], strict=True):
            context.environment[key] = Constant(key, np.array(values, np.int64))
        _converted(context, twin, frame, {}, {}, frame.axis)
    else:
        changes = dict(zip(("starts", "ends", "axes"), lists, strict=True))
        _converted(context, node, frame, changes, {}, frame.axis)


def _sizes(context: Context, node: Node) -> None:
    """Expand and Tile: one size or count an axis."""
    frame = _frame(context, node)
    wanted = context.integers(node, 1, "sizes")
    if frame.axis is None:
        frame = replace(frame, rank=max(frame.rank, len(wanted)))
    if len(wanted) > frame.rank:
        raise Unsupported(f"more axes than the {frame.rank} of a tensor whose batch is not the first one", BATCH_FIRST)
    wanted = [1] * (frame.rank - len(wanted)) + wanted
    if frame.axis is not None and wanted[frame.axis] not in (1, context.batch * frame.parts):
        raise Unsupported(f"a batch repeated to {wanted[frame.axis]}", BATCH_FIRST)
    moved = np.array(frame.sizes(wanted, 1, 1), np.int64)
    _converted(context, node, frame, {}, {1: moved}, frame.axis)


def _pad(context: Context, node: Node) -> None:
    frame = _frame(context, node)
    pads = context.integers(node, 1, "pads") if node.has_input(1) else node.integers("pads", [])
    axes = context.integers(node, 3, "axes") if node.has_input(3) else list(range(frame.rank))
    begins, ends = [0] * frame.rank, [0] * frame.rank
    for number, axis in enumerate(axes):
        begins[axis % frame.rank], ends[axis % frame.rank] = pads[number], pads[len(axes) + number]
    if frame.axis is not None and (begins[frame.axis] or ends[frame.axis]):
        raise Unsupported("padding of the batch", "pad axes behind the batch")
    moved = frame.sizes(begins, 0, 0) + frame.sizes(ends, 0, 0)
    twin = copy.copy(node)
    twin.inputs = node.inputs[:3]
    constants: dict[int, NDArray[Any] | Constant] = {1: np.array(moved, np.int64)} if node.has_input(1) else {}
    _converted(context, twin, frame, {} if constants else {"pads": moved}, constants, frame.axis)


def _matrix(context: Context, node: Node) -> None:
    """Gemm and MatMul whose constant matrix meets the last axis, which then is not the batch; MatMul of two tensors
    whose batch is among the axes in front."""
    frame = _frame(context, node)
    values = [context.environment.get(key) for key in node.inputs]
    if node.op_type == "Gemm" and node.integer("transA", 0):
        left = values[0]
        if not isinstance(left, BatchAt) or left.rank != 2 or isinstance(values[1], (Row, BatchAt)):
            raise Unsupported("expected transA = 0", "transpose the input beforehand")
        turned = transposed(context, node, left, [1, 0])
        twin = copy.copy(node)
        twin.inputs = [f"{node.inputs[0]}/turned", *node.inputs[1:]]
        twin.attributes = {**node.attributes, "transA": 0}
        context.environment[twin.inputs[0]] = turned
        (lift if isinstance(turned, BatchAt) else HANDLERS["Gemm"])(context, twin)
        return
    both = all(isinstance(value, (Row, BatchAt)) for value in values[:2])
    summed = frame.rank - 1 if isinstance(values[0], (Row, BatchAt)) else frame.rank - 2
    if frame.axis is not None and (frame.axis == summed or (both and frame.axis > frame.rank - 3)):
        raise Unfit("a product over the axis that holds the batch", _BEHIND)
    constants: dict[int, NDArray[Any] | Constant] = {}
    for index, value in enumerate(values[:2]):
        if isinstance(value, Constant) and value.values.ndim > 2:
            constants[index] = _constant_in(context, frame, value)
    _converted(context, node, frame, {}, constants, frame.axis)


def _by_channel(context: Context, node: Node) -> None:
    """Batch normalisation over axis 1, wherever the batch is: channels in front, all else are places."""
    value = whole(context, node)
    channel = 1 if value.axis is None or value.axis > 1 or value.parts > 1 else 0
    if value.axis == 1:
        raise Unfit("a normalisation of the axis that holds the batch", _BEHIND)
    order = [channel, *(k for k in range(len(value.row.dims)) if k != channel)]
    twin = copy.copy(node)
    twin.inputs = [f"{node.inputs[0]}/channels", *node.inputs[1:]]
    twin.outputs = [f"{node.outputs[0]}/channels"]
    front = permute(context, node, value.row, order)
    context.environment[twin.inputs[0]] = context.reshape(node, front, (front.dims[0], prod(front.dims[1:])))
    HANDLERS[node.op_type](context, twin)
    result = context.row(_reader(node, twin.outputs[0]))
    back = permute(
        context, node, context.reshape(node, result, front.dims), [order.index(k) for k in range(len(order))]
    )
    context.environment[node.outputs[0]] = settled(context, node, back, value.axis, value.outer, value.inner)


_ELEMENTWISE = (
    "Abs", "Add", "And", "Celu", "Clip", "Div", "Elu", "Equal", "Erf", "Exp", "Gelu", "Greater", "GreaterOrEqual",
    "HardSigmoid", "HardSwish", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg",
    "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt",
    "Sub", "Sum", "Swish", "Tanh", "Xor", "Cast", "Dropout", "Identity", "Where",
)  # fmt: skip
_ALONG_ONE = (
    "Concat", "Gather", "LayerNormalization", "LogSoftmax", "LpNormalization", "Softmax", "Split",
)  # fmt: skip
_REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
    "ReduceSumSquare",
)  # fmt: skip
_LIFTS: dict[str, Callable[[Context, Node], None]] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_ALONG_ONE, _along_one),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(("Expand", "Tile"), _sizes),
    **dict.fromkeys(("Gemm", "MatMul"), _matrix),
    **FRAME_LIFTS,
    "BatchNormalization": _by_channel,
    "CumSum": _cumulative,
    "Pad": _pad,
    "Slice": _slice,
}


LIFTED = frozenset(_LIFTS)


def lift(context: Context, node: Node) -> None:
    """Converts a node that reads tensors whose batch is elsewhere. Operators without a form for that go to their own
    handler, which takes such a tensor (shapes, transposes, recurrent layers) or says where the batch is."""
    _LIFTS.get(node.op_type, HANDLERS[node.op_type])(context, node)
