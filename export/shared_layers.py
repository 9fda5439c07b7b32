# Layers that a network uses several times side by side, as CBAM's over mean and maximum: one layer over all of them, so
# that it has one gradient, which is the sum of theirs.
# Never here: layers whose uses follow each other, which stay apart (trainable.py names them).
"""`join_shared` changes a graph in place; the function that it computes stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from edgecl.export.graph import Graph, Op, Param, Shape3, unique
from edgecl.export.simplify import bias_from_add
from numpy.typing import NDArray

_MOST = 8  # inputs of a place: kMaxInputs of kernels.h


def join_shared(graph: Graph) -> None:
    """Linear layers and 1 x 1 convolutions of one weight and bias over tensors of one shape, none of which depends on
    another's result, read these side by side as positions; activations and constants behind them too."""
    if graph.stored is not None:  # integers are rounded in the source's order
        return
    joined: dict[str, int] = {}
    while (group := _group(graph)) is not None:
        joined[group[0].layer] = len(group)
        results = _over_positions(graph, group)
        while (functions := _functions_behind(graph, results)) is not None:
            results = _function_over_all(graph, results, functions)
        _in_order(graph)
    graph.notes += [f"{layer} is used {n} times side by side: one layer over all {n}" for layer, n in joined.items()]
    graph.prune()
    bias_from_add(graph)


def _group(graph: Graph) -> list[Op] | None:
    """All uses of a layer."""
    for param in graph.params():
        uses = [op for op in graph.ops if param in op.params]
        if not param.learnable or not 1 < len(uses) <= _MOST or param is not uses[0].params[0]:
            continue
        if _alike(graph, uses) and not any(_depends(graph, later, uses[:at]) for at, later in enumerate(uses)):
            return uses
    return None


def _alike(graph: Graph, uses: Sequence[Op]) -> bool:
    first = uses[0]
    if first.kind not in ("conv", "linear") or first.kernel != (1, 1) or first.stride != (1, 1) or any(first.pads):
        return False
    shape = graph.tensors[first.inputs[0]]
    return all(
        (op.kind, op.params, op.groups, op.kernel, op.stride, op.pads, op.activation, len(op.inputs))
        == (first.kind, first.params, first.groups, (1, 1), (1, 1), first.pads, first.activation, 1)
        and graph.tensors[op.inputs[0]] == shape
        and op.output != graph.output
        for op in uses
    ) and all(sum(param in op.params for op in graph.ops) == len(uses) for param in first.params if param is not None)


def _depends(graph: Graph, op: Op, others: Sequence[Op]) -> bool:
    """The operator reads what one of the others leads to."""
    reached = {other.output for other in others}
    for between in graph.ops:
        if not reached.isdisjoint(between.inputs):
            reached.add(between.output)
    return not reached.isdisjoint(op.inputs)


def _over_positions(graph: Graph, group: list[Op]) -> list[Op]:
    """One layer; the views that stand for the results of the group."""
    first, weight = group[0], group[0].weight()
    weight.values = weight.values.reshape(*weight.values.shape[:2], 1, 1)
    shape = graph.tensors[first.inputs[0]]
    wide = _side_by_side(graph, group, shape)
    channels, height, width = graph.tensors[first.output]
    name = unique(f"{first.name}.all", graph.tensors)
    graph.tensors[name] = (channels, len(group), height * width)
    layer = Op(name, "conv", [wide], name, list(first.params), first.activation, groups=first.groups)
    views = [_view(graph, op, name, at) for at, op in enumerate(group)]
    _replace(graph, group, [layer, *views])
    return views


def _side_by_side(graph: Graph, group: list[Op], shape: Shape3) -> str:
    """The inputs of the group as [channels][of the group][positions]: the tensor that they are views of, or a copy."""
    sources = [graph.producer(op.inputs[0]) for op in group]
    grid = (shape[0], len(group), shape[1] * shape[2])
    before = [op.inputs[0] for op in sources if op is not None and op.kind == "strided" and op.name.endswith(_OWN)]
    begins = [op.i[0] for op in sources if op is not None and op.i]
    in_turn = begins == [at * grid[2] for at in range(len(group))]
    if len(before) == len(group) and len(set(before)) == 1 and graph.tensors[before[0]] == grid and in_turn:
        return before[0]
    name = unique(f"{group[0].name}.side_by_side", graph.tensors)
    graph.tensors[name] = grid
    lines = [[1, 1, 1, *grid]]
    for at in range(len(group)):
        lines += [[0, 0, 0, 0, at, 0], [1, 1, 1, grid[0], 1, grid[2]]]
    numbers: NDArray[Any] = np.array(lines, np.int32)
    boxes = Param(f"{name}.boxes", numbers)
    graph.ops.insert(graph.ops.index(group[-1]), Op(name, "place", [op.inputs[0] for op in group], name, [boxes]))
    return name


_OWN = ".of_all"  # ends the names of the views made here


def _view(graph: Graph, op: Op, wide: str, at: int) -> Op:
    """One result of several, under its old name."""
    channels, of, size = graph.tensors[wide]
    view: NDArray[Any] = np.array([[1, 1, 1, 1, channels, size], [0, 0, 0, 0, of * size, 1]], np.int32)
    param = Param(f"{op.name}.view", view)
    return Op(f"{op.name.removesuffix(_OWN)}{_OWN}", "strided", [wide], op.output, [param], i=(at * size,))


def _replace(graph: Graph, old: Sequence[Op], new: Sequence[Op]) -> None:
    """The new operators at the place of the last old one."""
    at = graph.ops.index(old[-1])
    graph.ops[at + 1 : at + 1] = new
    graph.ops = [op for op in graph.ops if not any(op is gone for gone in old)]


def _functions_behind(graph: Graph, views: list[Op]) -> list[Op] | None:
    """The function, or constant a channel that is added, that alone reads each of the views, if it is the same."""
    functions = [reader for op in views if (reader := graph.only_consumer(op.output)) is not None]
    if len(functions) < len(views) or any(op.output == graph.output for op in functions):
        return None
    first = functions[0]
    if any((op.kind, op.activation, op.params) != (first.kind, first.activation, first.params) for op in functions):
        return None
    if first.kind == "activation":
        return functions
    constant = first.params[0] if first.kind == "add" and len(first.inputs) == 1 else None
    channels = (graph.tensors[first.output][0], 1, 1)
    return functions if constant is not None and constant.values.shape == channels else None


def _function_over_all(graph: Graph, views: list[Op], functions: list[Op]) -> list[Op]:
    wide = views[0].inputs[0]
    name = unique(f"{functions[0].name}.all", graph.tensors)
    graph.tensors[name] = graph.tensors[wide]
    first = functions[0]
    function = Op(name, first.kind, [wide], name, list(first.params), activation=first.activation)
    behind = [_view(graph, op, name, at) for at, op in enumerate(functions)]
    _replace(graph, [*views, *functions], [function, *behind])
    for op in views:
        graph.tensors.pop(op.output)
    return behind


def _in_order(graph: Graph) -> None:
    """Each operator behind those that it reads, else as they stood."""
    ready, waiting, ordered = {graph.input}, list(graph.ops), []
    while waiting:
        op = next(op for op in waiting if ready.issuperset(op.inputs))
        waiting.remove(op)
        ordered.append(op)
        ready.add(op.output)
    graph.ops = ordered
