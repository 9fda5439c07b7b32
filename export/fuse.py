# Rewrites that depend on what is frozen: frozen batch-norm into weights; sum and activation into the layer before.
# Never here: choosing what is frozen (trainable.py).
"""`fuse` runs once, after the trainable set and the masks are known."""

from __future__ import annotations

import numpy as np
from edgecl.export.graph import Graph, Param
from edgecl.export.kinds import fuses_activation


def fuse(graph: Graph) -> None:
    """Changes the graph in place; adds a note for each batch-norm that is folded."""
    _fold_frozen_batch_norm(graph)
    _residual_into_batch_norm(graph)
    _activation_into_layer(graph)
    graph.prune()


def _fold_frozen_batch_norm(graph: Graph) -> None:
    """gamma (w x + b - mean) / sqrt(var + eps) + beta as one layer, in float64, rounded once. Only where neither side
    learns."""
    folded = 0
    for norm in [op for op in graph.ops if op.kind == "batch_norm" and op.frozen]:
        layer = graph.producer(norm.inputs[0])
        if layer is None or layer.kind not in ("conv", "linear") or graph.only_consumer(layer.output) is not norm:
            continue
        if any(param is not None and param.trainable for param in (*layer.params, *norm.params)):
            continue
        gamma, beta, mean, variance = (param.values.astype(np.float64) for param in norm.params if param is not None)
        factor = gamma / np.sqrt(variance + norm.epsilon)
        weight, bias = layer.weight(), layer.params[1]
        shape = (-1, *([1] * (weight.values.ndim - 1)))
        offset = bias.values.astype(np.float64) if bias is not None else np.zeros_like(mean)
        new_weight = Param(weight.name, (weight.values * factor.reshape(shape)).astype(np.float32))
        new_weight.mask = weight.mask
        name = bias.name if bias is not None else f"{layer.layer}.bias"
        layer.params = [new_weight, Param(name, ((offset - mean) * factor + beta).astype(np.float32))]
        graph.remove(norm)
        folded += 1
    if folded:
        graph.notes.append(f"{folded} frozen batch-norm layers are folded into the layers before them")


def _residual_into_batch_norm(graph: Graph) -> None:
    """batch_norm(x) + y, both of one shape, is one operator with y as second input. Of two candidates the later one
    takes the sum."""
    for add in [op for op in graph.ops if op.kind == "add" and len(op.inputs) == 2]:
        if graph.tensors[add.inputs[0]] != graph.tensors[add.inputs[1]] or add.inputs[0] == add.inputs[1]:
            continue
        candidates = []
        for tensor in add.inputs:
            norm = graph.producer(tensor)
            if norm is None or norm.kind != "batch_norm" or len(norm.inputs) != 1 or norm.activation.kind != "none":
                continue
            if graph.only_consumer(tensor) is add:
                candidates.append(norm)
        if not candidates:
            continue
        norm = max(candidates, key=graph.ops.index)
        other = next(tensor for tensor in add.inputs if tensor != norm.output)
        graph.tensors.pop(norm.output)
        norm.inputs, norm.output = [norm.inputs[0], other], add.output
        graph.ops.remove(norm)
        graph.ops[graph.ops.index(add)] = norm  # the sum's place: both operands exist there


def _activation_into_layer(graph: Graph) -> None:
    """Only functions whose gradient can be read from their output, behind a layer that nobody else reads."""
    for op in list(graph.ops):
        if op.kind != "activation" or not op.activation.fusable:
            continue
        layer = graph.producer(op.inputs[0])
        if layer is None or not fuses_activation(layer.kind) or layer.activation.kind != "none":
            continue
        if graph.only_consumer(layer.output) is not op:
            continue
        layer.activation = op.activation
        graph.remove(op)
