# Transpose: where numbers keep their order nothing at all, else one view.
# Never here: the transpose of channels-last input (taken out by the front end), cancelling pairs (transposes.py).
"""Transposes, of the batch axis too."""

from __future__ import annotations

from edgecl.export.context import Context, Node
from edgecl.export.ops.batch_axis import transposed, whole
from edgecl.export.ops.registry import handles


@handles("Transpose")
def convert_transpose(context: Context, node: Node) -> None:
    """Any order of the axes; the batch may become another than the first."""
    value = whole(context, node)
    order = node.integers("perm", list(range(value.rank))[::-1])
    context.environment[node.outputs[0]] = transposed(context, node, value, order)
