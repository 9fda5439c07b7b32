# LayerNormalization and RMSNormalization: over any neighbouring axes of a row.
# Never here: finding them in pieces (norm_patterns.py), norms over the batch or with groups (normalisation.py).
"""Layer normalisation."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.graph import Param
from edgecl.export.norm_patterns import JOINED
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import permute


@handles("LayerNormalization", "RMSNormalization")
def convert_layer_norm(context: Context, node: Node) -> None:
    """From an axis to the last; inputs x, gamma, and of LayerNormalization beta."""
    row = context.row(node)
    rank = len(row.dims) + 1
    first = node.integer("axis", -1) % rank
    _normalise(context, node, row, list(range(first, rank)), node.op_type == "LayerNormalization")


@handles(JOINED)
def convert_joined(context: Context, node: Node) -> None:
    """Any neighbouring axes; gamma and beta may be left out."""
    row = context.row(node)
    rank = len(row.dims) + 1
    axes = sorted({axis % rank for axis in node.integers("axes", [])})
    _normalise(context, node, row, axes, bool(node.integer("centred", 1)))


def _normalise(context: Context, node: Node, row: Row, axes: list[int], centred: bool) -> None:
    """The operator works on the first axis of [size][after]; axes in front go behind and come back."""
    if not axes or axes[0] == 0:
        raise Unfit("a normalisation over the batch axis", "normalise over the axes behind the batch")
    epsilon = node.number("epsilon", 1e-5)
    if not 0.0 < epsilon <= 1.0:
        raise Unsupported(f"expected epsilon in (0, 1]; found {epsilon}", "use 1e-5")
    dims, begin, end = row.dims, axes[0] - 1, axes[-1]
    if prod(dims[begin:end]) != prod(dims[axis - 1] for axis in axes):
        raise Unsupported(f"a normalisation over axes {axes} that are no neighbours", "transpose the tensor first")
    before, size, after = prod(dims[:begin]), prod(dims[begin:end]), prod(dims[end:])
    params = [_vector(context, node, index, role, dims[begin:end], len(dims) - end) for index, role in _AFFINE]
    if centred and before > 1 and after == 1 and params == [None, None] and before in dims[:1]:
        # As the pieces of a group norm begin: [N][groups][numbers].
        ones = [Param(f"{node.name}.{what}", np.full(before, value, np.float32)) for what, value in _NEUTRAL]
        flat = context.reshape(node, row, (before, size))
        flat = context.emit(node, "group_norm", [flat], flat.dims, params=ones, epsilon=epsilon, i=(before,))
        context.bind(node, context.reshape(node, flat, dims))
        return
    if before > 1:
        row = permute(context, node, context.reshape(node, row, (before, size, after)), (1, 0, 2))
    row = context.reshape(node, row, (size, 1, before * after) if before * after > 1 else (size,))
    row = context.emit(node, "layer_norm", [row], row.dims, params=params, epsilon=epsilon, i=(0 if centred else 1,))
    if before > 1:
        row = permute(context, node, context.reshape(node, row, (size, before, after)), (1, 0, 2))
    context.bind(node, context.reshape(node, row, dims))


_AFFINE = ((1, "gamma"), (2, "beta"))
_NEUTRAL = (("gamma", 1.0), ("beta", 0.0))


def _vector(
    context: Context, node: Node, index: int, role: str, dims: tuple[int, ...], axes_behind: int
) -> Param | None:
    """One number an element of the normalised axes. None: there is none, or it changes nothing and cannot learn."""
    if not node.has_input(index):
        return None
    constant: Constant = context.floats(node, index, role)
    shape = constant.values.shape
    if axes_behind:
        behind = min(axes_behind, len(shape))
        if prod(shape[len(shape) - behind :]) != 1:
            raise Unsupported(f"expected {role} along the normalised axes; found {shape}", "correct the parameter")
        shape = shape[: len(shape) - behind]
    try:
        values = np.broadcast_to(constant.values.reshape(shape[-len(dims) :]), dims)
    except ValueError:
        raise Unsupported(
            f"expected {role} of {dims} as the normalised axes; found {constant.values.shape}", "correct the parameter"
        ) from None
    param = context.param(constant, role, values.reshape(-1))
    neutral = dict(_NEUTRAL)[role]
    return None if not param.learnable and (param.values == neutral).all() else param
