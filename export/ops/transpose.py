# Transpose: where numbers keep their order nothing at all, else one view.
# Never here: the transpose of channels-last input (taken out by the front end).
"""Transposes within a row."""

from __future__ import annotations

from edgecl.export.context import Context, Node, Turned
from edgecl.export.errors import Unsupported
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import permute


@handles("Transpose")
def convert_transpose(context: Context, node: Node) -> None:
    """Any order of the axes behind the batch. A matrix [N][I] turned as a whole waits for a Gemm that turns it back."""
    row = context.row(node)
    rank = len(row.dims) + 1
    order = node.integers("perm", list(range(rank))[::-1])
    if order == [1, 0]:
        context.environment[node.outputs[0]] = Turned("its rows are the columns of the batch", row)
        return
    if order[0] != 0:
        raise Unsupported(f"a transpose {order} moves the batch axis", "keep the batch as the first axis")
    context.bind(node, permute(context, node, row, [axis - 1 for axis in order[1:]]))
