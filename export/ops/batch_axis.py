# Tensors whose batch is not their first axis, or shares it: [T][N][F], [N * windows][T][C], [N * T][F].
# Never here: operators over such tensors (batch_lift.py).
"""Where the batch lies. `located` finds it in another shape of the same numbers, `whole` gives any value as `BatchAt`,
`settled` the plain `Row` again where the batch is the first axis and alone in it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from edgecl.export.context import BatchAt, Context, Node, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.ops.views import permute

BATCH_FIRST = "keep the batch as the first axis"


def whole(context: Context, node: Node, index: int = 0) -> BatchAt:
    """Input `index` with its batch axis, wherever that is."""
    found = context.environment.get(node.inputs[index]) if node.has_input(index) else None
    return found if isinstance(found, BatchAt) else of_row(context.row(node, index))


def of_row(row: Row) -> BatchAt:
    """A row as the tensor [N][...] that it is."""
    return BatchAt("", row, 0)


def as_whole(value: Row | BatchAt) -> BatchAt:
    """A tensor with its batch axis, wherever that is."""
    return of_row(value) if isinstance(value, Row) else value


def settled(context: Context, node: Node, row: Row, axis: int | None, outer: int = 1, inner: int = 1) -> Row | BatchAt:
    """A row whose dimensions are those of `BatchAt.row`; plain where the batch is the first axis, alone. In a batch of
    one any first axis of size 1 will do, and else none is the batch."""
    found = BatchAt("", row, axis, outer, inner)
    full = found.full(context.batch)
    if context.batch == 1:
        if full and full[0] == 1:
            return context.reshape(node, row, full[1:])
        found = BatchAt("", context.reshape(node, row, full), None)
    elif axis == 0 and found.parts == 1:
        return row
    return BatchAt(_where(found, context.batch), found.row, found.axis, found.outer, found.inner)


def _where(value: BatchAt, batch: int) -> str:
    sizes = [str(size) for size in value.full(batch)]
    if value.axis is None:
        return f"a tensor [{']['.join(sizes)}] without a batch axis"
    names = [str(value.outer)] * (value.outer > 1) + ["batch"] + [str(value.inner)] * (value.inner > 1)
    sizes[value.axis] = " * ".join(names)
    return f"a tensor [{']['.join(sizes)}] whose batch is not the first axis"


def located(context: Context, node: Node, value: BatchAt, full: Sequence[int]) -> Row | BatchAt:
    """The same numbers in the shape `full`.

    Raises:
        Unsupported: no axis of it holds the batch as a whole.
    """
    batch, dims = context.batch, tuple(full)
    if prod(dims) != prod(value.full(batch)):
        raise Unsupported(f"shape {list(value.full(batch))} to {list(dims)}: other sizes", "correct the shape")
    if batch == 1 or value.axis is None:
        return settled(context, node, context.reshape(node, value.row, dims), None)
    behind = value.inner * prod(value.row.dims[value.axis + (value.parts > 1) :])  # numbers of one row in a block
    below = 1
    for axis in reversed(range(len(dims))):
        size = dims[axis]
        if behind % below == 0 and (below * size) % (behind * batch) == 0:
            inner, outer = behind // below, below * size // (behind * batch)
            parts = (outer * inner,) if outer * inner > 1 else ()
            row = context.reshape(node, value.row, (*dims[:axis], *parts, *dims[axis + 1 :]))
            return settled(context, node, row, axis, outer, inner)
        below *= size
    raise Unfit(f"shape {list(value.full(batch))} to {list(dims)} mixes or drops the batch axis", BATCH_FIRST)


def transposed(context: Context, node: Node, value: BatchAt, order: Sequence[int]) -> Row | BatchAt:
    """Axes in another order, the batch with its parts as one of them."""
    if value.axis is None:
        return settled(context, node, permute(context, node, value.row, order), None)
    hidden = value.axis if value.parts == 1 else None
    rows = [k - (hidden is not None and k > hidden) for k in order if k != hidden]
    row = permute(context, node, value.row, rows)
    return settled(context, node, row, list(order).index(value.axis), value.outer, value.inner)
