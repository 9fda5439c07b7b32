# Operators that keep every number where it is: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout, Cast, Shape.
# Never here: operators that move or add cells (rearrange.py, transpose.py).
"""Order-keeping operators; most leave nothing in the bundle."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
from edgecl.export.context import BatchAt, Constant, Context, Node
from edgecl.export.errors import Unsupported
from edgecl.export.graph import Dims
from edgecl.export.ops.batch_axis import located, whole
from edgecl.export.ops.registry import handles


def _bind_full(context: Context, node: Node, value: BatchAt, full: list[int] | Dims) -> None:
    """Gives the node's output the full shape `full`."""
    context.environment[node.outputs[0]] = located(context, node, value, full)


@handles("Reshape")
def convert_reshape(context: Context, node: Node) -> None:
    """0 copies the input's size (unless allowzero), -1 is what is left."""
    value = whole(context, node)
    full = value.full(context.batch)
    target = context.integers(node, 1, "shape") if node.has_input(1) else node.integers("shape", [])
    if not node.integer("allowzero", 0):
        if any(size == 0 and axis >= len(full) for axis, size in enumerate(target)):
            raise Unsupported(f"shape {target} copies an axis that is not there", "correct the shape")
        target = [full[axis] if size == 0 else size for axis, size in enumerate(target)]
    if -1 in target:
        rest = -prod(target)
        if rest <= 0 or prod(full) % rest:
            raise Unsupported(f"shape {target} does not fit {prod(full)} numbers", "correct the shape")
        target[target.index(-1)] = prod(full) // rest
    _bind_full(context, node, value, target)


@handles("Flatten")
def convert_flatten(context: Context, node: Node) -> None:
    """Two axes, whichever of them the batch then is in."""
    value = whole(context, node)
    full = value.full(context.batch)
    axis = node.integer("axis", 1)
    axis = axis + len(full) if axis < 0 else axis
    _bind_full(context, node, value, (prod(full[:axis]), prod(full[axis:])))


@handles("Squeeze")
def convert_squeeze(context: Context, node: Node) -> None:
    """Axes as attribute (before operator set 13) or constant input; without axes all of size 1."""
    value = whole(context, node)
    full = value.full(context.batch)
    axes = context.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes", [])
    axes = [axis % len(full) for axis in axes] or [axis for axis, size in enumerate(full) if size == 1]
    if any(full[axis] != 1 for axis in axes):
        raise Unsupported(f"squeezing axes {axes} of {list(full)}", "squeeze axes of size 1")
    _bind_full(context, node, value, [size for axis, size in enumerate(full) if axis not in axes])


@handles("Unsqueeze")
def convert_unsqueeze(context: Context, node: Node) -> None:
    """Axes as attribute (before operator set 13) or constant input."""
    value = whole(context, node)
    full = list(value.full(context.batch))
    axes = context.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes", [])
    rank = len(full) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        full.insert(axis, 1)
    _bind_full(context, node, value, full)


@handles("Identity")
def convert_identity(context: Context, node: Node) -> None:
    """Nothing."""
    context.bind(node, context.row(node))


@handles("Dropout")
def convert_dropout(context: Context, node: Node) -> None:
    """Left out: the identity when predicting, and learning on the device uses none (so that its steps can be repeated
    exactly)."""
    context.note(f"{node.name}: dropout is left out; learning on the device uses none")
    context.bind(node, context.row(node))


_WHOLE = (onnx.TensorProto.BOOL, onnx.TensorProto.INT32, onnx.TensorProto.INT64)


@handles("Cast")
def convert_cast(context: Context, node: Node) -> None:
    """Only to float32, of which truths are ones and zeros; and of these to whole numbers, as their sums are."""
    row, to = context.row(node), node.integer("to", 0)
    truths = row.tensor in context.truths and to in _WHOLE
    if to != onnx.TensorProto.FLOAT and not truths:
        name = onnx.TensorProto.DataType.Name(to)
        raise Unsupported(f"a cast to {name}", "the device computes in float32")
    context.bind(node, row)


@handles("Shape")
def convert_shape(context: Context, node: Node) -> None:
    """A constant: all sizes are known."""
    full = whole(context, node).full(context.batch)
    begin, end = node.integer("start", 0), node.integer("end", len(full))
    context.bind(node, Constant(node.outputs[0], np.asarray(full[begin:end], np.int64)))
