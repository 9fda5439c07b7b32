# Constants that are rows: zeros times numbers of any tensor, and the constant added.
# Never here: making them (ops/rearrange.py, ops/learned.py).
"""`behind_border` lets them read the border of a frozen part, so that nothing behind it needs the network's input."""

from __future__ import annotations

from edgecl.export.graph import Graph, Op


def behind_border(graph: Graph) -> None:
    """Where all that learning operators read of the frozen part is one tensor, constants read that one too: latent
    replay keeps it alone. The function that the graph computes stays the same."""
    first = next((index for index, op in enumerate(graph.ops) if _learns(op)), None)
    if first is None:
        return
    pairs = [pair for op in graph.ops if (pair := _zeros_of_input(graph, op)) is not None]
    early = {name for op in graph.ops[:first] for name in op.inputs}
    pairs = [(view, zeros) for view, zeros in pairs if zeros.output not in early]
    moved = [op for pair in pairs for op in pair]
    before = [op for op in graph.ops[:first] if op not in moved]
    frozen = {graph.input, *(op.output for op in before)}
    border = {name for op in graph.ops[first:] if op not in moved for name in op.inputs if name in frozen}
    if not pairs or len(border) != 1:
        return
    for view, _ in pairs:
        view.inputs = [*border]
    graph.ops = [*before, *(op for op in graph.ops[:first] if op in moved), *graph.ops[first:]]


def _zeros_of_input(graph: Graph, op: Op) -> tuple[Op, Op] | None:
    """The view of one number of the input that zeros are made of, and the operator that makes them."""
    factor = op.params[0] if op.kind == "mul" and len(op.inputs) == 1 else None
    if factor is None or factor.learnable or factor.values.any():
        return None
    view = graph.producer(op.inputs[0])
    if (
        view is None
        or view.kind != "strided"
        or view.inputs != [graph.input]
        or graph.only_consumer(view.output) is None
    ):
        return None
    axes = view.params[0]
    return None if axes is None or axes.values[1].any() else (view, op)


def _learns(op: Op) -> bool:
    own = any(param is not None and param.trainable for param in op.params)
    return own or (op.kind == "batch_norm" and not op.frozen)
