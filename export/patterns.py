# Functions that frameworks write in pieces, as one operator again: gelu, silu, mish.
# Never here: normalisation (simplify.py, ops/l2_norm.py).
"""`join_patterns` changes a graph in place; the function that it computes stays the same but for rounding."""

from __future__ import annotations

import math

from edgecl.export.graph import Activation, Graph, Op


def join_patterns(graph: Graph) -> None:
    """x * (1 + erf(x / sqrt 2)) / 2, x * sigmoid(x) and x * tanh(softplus(x))."""
    for op in list(graph.ops):
        if op.kind == "activation" and op.activation.kind == "erf":
            _gelu(graph, op)
        elif op.kind == "activation" and op.activation.kind in ("sigmoid", "tanh"):
            _gate(graph, op)
    graph.prune()


def _number(op: Op | None, kind: str) -> float | None:
    """The constant of `tensor * number` or `tensor + number`."""
    if op is None or op.kind != kind or len(op.inputs) != 1 or op.params[0] is None or op.activation.kind != "none":
        return None
    values = op.params[0].values
    if op.params[0].learnable or values.size != 1:
        return None
    return float(values.reshape(-1)[0])


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and math.isclose(value, wanted, rel_tol=1e-5)


def _replace(graph: Graph, last: Op, source: str, activation: Activation) -> None:
    last.kind, last.inputs, last.params, last.activation = "activation", [source], [], activation


def _gelu(graph: Graph, erf: Op) -> None:
    scaled = graph.producer(erf.inputs[0])
    plus = graph.only_consumer(erf.output)
    if scaled is None or not _near(_number(scaled, "mul"), math.sqrt(0.5)) or not _near(_number(plus, "add"), 1.0):
        return
    assert plus is not None
    source, product = scaled.inputs[0], graph.only_consumer(plus.output)
    if product is None or product.kind != "mul" or product.activation.kind != "none":
        return
    half: Op | None = None
    if len(product.inputs) == 1:  # (1 + erf) / 2 first
        if not _near(_number(product, "mul"), 0.5):
            return
        half, product = product, graph.only_consumer(product.output)
        if product is None or product.kind != "mul" or len(product.inputs) != 2 or product.activation.kind != "none":
            return
    inner = half.output if half is not None else plus.output
    other = next((tensor for tensor in product.inputs if tensor != inner), None)
    before = graph.producer(other) if other is not None else None
    if half is None and before is not None and _near(_number(before, "mul"), 0.5) and before.inputs[0] == source:
        half, other = before, source  # x / 2 first
    if other != source:
        return
    last = product
    if half is None:  # the product is halved
        after = graph.only_consumer(product.output)
        if after is None or not _near(_number(after, "mul"), 0.5):
            return
        last = after
    _replace(graph, last, source, Activation("gelu"))


def _gate(graph: Graph, gate: Op) -> None:
    source, kind = gate.inputs[0], "silu"
    if gate.activation.kind == "tanh":
        inner = graph.producer(source)
        if inner is None or inner.kind != "activation" or inner.activation.kind != "softplus":
            return
        source, kind = inner.inputs[0], "mish"
    product = graph.only_consumer(gate.output)
    if product is None or product.kind != "mul" or sorted(product.inputs) != sorted([source, gate.output]):
        return
    if product.activation.kind == "none":
        _replace(graph, product, source, Activation(kind, 1.0 if kind == "silu" else 0.0))
