# Einsum: converted as the nodes that it is written as.
# Never here: the equation (export/einsum.py).
"""Einsum of tensors and constants."""

from __future__ import annotations

from edgecl.export.context import BatchAt, Constant, Context, Node
from edgecl.export.einsum import nodes_of_einsum
from edgecl.export.errors import Unsupported
from edgecl.export.ops.batch_axis import of_row, whole
from edgecl.export.ops.learned import convert
from edgecl.export.ops.registry import handles


@handles("Einsum")
def convert_einsum(context: Context, node: Node) -> None:
    """Any number of operands. Tensors stand in front of constants, so that these are weights of layers."""
    equation = node.text("equation", "")
    terms = equation.partition("->")[0].split(",")
    values = [context.environment.get(key) for key in node.inputs]
    if len(terms) != len(values):
        raise Unsupported(f"equation '{equation}' for {len(values)} operands", "correct the equation")
    order = sorted(range(len(values)), key=lambda k: isinstance(values[k], Constant))
    shapes = []
    for k in order:
        held = values[k]
        shapes.append(held.values.shape if isinstance(held, Constant) else whole(context, node, k).full(context.batch))
    first = values[order[0]]
    front = first if isinstance(first, BatchAt) else of_row(context.row(node, order[0]))
    turned = ",".join(terms[k] for k in order) + equation[len(",".join(terms)) :]
    protos, constants = nodes_of_einsum(turned, [node.inputs[k] for k in order], shapes, node.outputs[0], front.axis)
    context.environment.update((key, Constant(key, array)) for key, array in constants.items())
    for proto in protos:
        convert(context, Node(proto))
