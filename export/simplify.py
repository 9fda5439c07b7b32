# Rewrites that hold whatever trains: paddings into windows, biases into layers, group normalisation out of its pieces,
# chains of reshapes; transposes by transposes.py.
# Never here: anything that depends on what is frozen (fuse.py).
"""`simplify` runs once, right after import."""

from __future__ import annotations

import numpy as np
from edgecl.export.graph import Graph, Op, Param, unique
from edgecl.export.patterns import join_patterns
from edgecl.export.transposes import move_transposes

_NOT_NEGATIVE = ("relu", "sigmoid", "hard_sigmoid")


def simplify(graph: Graph) -> None:
    """Changes the graph in place; the function that it computes stays the same."""
    graph.prune()
    _join_reshapes(graph)
    _group_norm_from_instance_norm(graph)
    join_patterns(graph)
    move_transposes(graph)
    _join_reshapes(graph)
    _merge_pads(graph)
    bias_from_add(graph)
    _average_before_last_conv(graph)
    graph.prune()


def _average_before_last_conv(graph: Graph) -> None:
    """A network that ends in a 1 x 1 convolution and the mean over all positions ends in a linear layer of the mean:
    the same numbers but for rounding, for fewer multiply-adds, and a head that can grow."""
    conv = graph.classifier()
    pool = None if conv is None else graph.only_consumer(conv.output)
    if conv is None or pool is None or conv.kind != "conv" or pool.kind != "global_average_pool":
        return
    if conv.kernel != (1, 1) or conv.stride != (1, 1) or any(conv.pads) or conv.groups != 1:
        return
    weight = conv.weight()
    if graph.stored is not None or sum(weight in op.params for op in graph.ops) != 1:
        return  # integers are rounded in the source's order; a weight that another layer reads keeps its shape
    outputs, inputs = weight.values.shape[:2]
    weight.values = weight.values.reshape(outputs, inputs)
    source, mean = conv.inputs[0], pool.output
    name = unique(f"{conv.name}.mean", graph.tensors)
    graph.tensors[name] = (inputs, 1, 1)
    graph.tensors.pop(conv.output)
    pool.inputs, pool.output = [source], name
    conv.kind, conv.inputs, conv.output = "linear", [name], mean
    at, behind = graph.ops.index(conv), graph.ops.index(pool)
    graph.ops[at], graph.ops[behind] = pool, conv
    tail = graph.only_consumer(mean)
    if tail is not None and tail.kind == "reshape" and graph.tensors[tail.output] == graph.tensors[mean]:
        graph.remove(tail)


def _join_reshapes(graph: Graph) -> None:
    """A reshape of a reshape reads the first one's input; one that changes nothing goes."""
    for op in list(graph.ops):
        if op.kind != "reshape":
            continue
        before = graph.producer(op.inputs[0])
        if before is not None and before.kind == "reshape":
            op.inputs = list(before.inputs)
        if graph.tensors[op.inputs[0]] == graph.tensors[op.output]:
            graph.remove(op)
    graph.prune()


def _group_norm_from_instance_norm(graph: Graph) -> None:
    """PyTorch exports GroupNorm as Reshape [N][G][-1], InstanceNormalization, Reshape back, Mul gamma, Add beta: one
    operator again."""
    for norm in [op for op in graph.ops if op.kind == "group_norm"]:
        before = graph.producer(norm.inputs[0])
        after = graph.only_consumer(norm.output)
        groups = graph.tensors[norm.output][0]
        if (
            before is None
            or before.kind != "reshape"
            or after is None
            or after.kind != "reshape"
            or norm.i != (groups,)
        ):
            continue
        shape = graph.tensors[after.output]
        if graph.tensors[before.inputs[0]] != shape or shape[0] % groups:
            continue
        gamma, beta = norm.params
        assert gamma is not None and beta is not None
        repeats = shape[0] // groups
        scale = Param(f"{norm.name}.gamma", np.repeat(gamma.values, repeats))
        shift = Param(f"{norm.name}.beta", np.repeat(beta.values, repeats))
        last = after
        following = graph.only_consumer(last.output)
        neutral = bool((scale.values == 1).all() and (shift.values == 0).all())
        scaled = following is not None and _is_per_channel(graph, following, "mul")
        # A file regards every number as a parameter: ones and zeros that are multiplied by gamma are none.
        if (gamma.learnable or beta.learnable) and not (neutral and scaled):
            continue
        if following is not None and neutral and scaled:
            scale, last = _as_vector(following), following
            following = graph.only_consumer(last.output)
            if following is not None and _is_per_channel(graph, following, "add"):
                shift, last = _as_vector(following), following
        norm.inputs, norm.params, norm.i = list(before.inputs), [scale, shift], (groups,)
        old = norm.output
        norm.output = last.output
        graph.tensors.pop(old)
        dropped = [after]
        while dropped[-1] is not last:
            reader = graph.only_consumer(dropped[-1].output)
            assert reader is not None
            dropped.append(reader)
        graph.ops = [op for op in graph.ops if op not in dropped]
    graph.prune()


def _is_per_channel(graph: Graph, op: Op, kind: str) -> bool:
    """Of this operator alone."""
    return _takes_per_channel(graph, op, kind) and sum(op.params[0] in other.params for other in graph.ops) == 1


def _takes_per_channel(graph: Graph, op: Op, kind: str) -> bool:
    if op.kind != kind or len(op.inputs) != 1 or op.params[0] is None:
        return False
    return op.params[0].values.shape == (graph.tensors[op.output][0], 1, 1)


def _as_vector(op: Op) -> Param:
    param = op.params[0]
    assert param is not None
    param.values = param.values.reshape(-1)
    param.learnable = param.learnable or param.learnable_in_layer
    return param


def _merge_pads(graph: Graph) -> None:
    """Zeros in front of a convolution or an average that counts them become its padding; in front of a maximum only
    behind values that are never negative. The bundle allows a window less padding than its own reach; elsewhere a pad
    is an operator of its own."""
    for pad in [op for op in graph.ops if op.kind == "pad"]:
        for reader in graph.consumers(pad.output) if pad.output != graph.output else []:
            if reader.inputs != [pad.output] or not _takes_pad(graph, pad, reader):
                continue
            reader.inputs = list(pad.inputs)
            top, left, bottom, right = (a + b for a, b in zip(reader.pads, pad.pads, strict=True))
            reader.pads = (top, left, bottom, right)
            if reader.kind == "average_pool":
                reader.i = (1,)
        if pad.output == graph.output or graph.consumers(pad.output):
            _pad_as_place(graph, pad)
    graph.prune()


def _pad_as_place(graph: Graph, pad: Op) -> None:
    top, left, _, _ = pad.pads
    grid, size = graph.tensors[pad.output], graph.tensors[pad.inputs[0]]
    lines = [[1, 1, 1, *grid], [0, 0, 0, 0, top, left], [1, 1, 1, *size]]
    pad.kind, pad.pads = "place", (0, 0, 0, 0)
    pad.params = [Param(f"{pad.name}.boxes", np.array(lines, np.int32))]


def _takes_pad(graph: Graph, pad: Op, reader: Op) -> bool:
    reach = [step * (size - 1) for step, size in zip(reader.dilation, reader.kernel, strict=True)] * 2
    if any(own + more > limit for own, more, limit in zip(reader.pads, pad.pads, reach, strict=True)):
        return False
    if reader.kind == "conv":
        return True
    if reader.kind == "average_pool":
        return not any(reader.pads) or reader.i == (1,)
    if reader.kind != "max_pool" or any(reader.pads):
        return False
    source = graph.producer(pad.inputs[0])
    if source is None or source.kind != "activation":
        return False
    return source.activation.kind in _NOT_NEGATIVE or (source.activation.kind == "clip" and source.activation.lo >= 0)


def bias_from_add(graph: Graph) -> None:
    """A constant a channel that is added behind a layer without bias is its bias; one that several operators use, where
    all do so behind layers of one kind."""
    for op in list(graph.ops):
        add = _added_behind(graph, op)
        if add is None:
            continue
        adds = [user for user in graph.ops if add.params[0] in user.params]
        layers = [layer for user in adds if (layer := graph.producer(user.inputs[0])) is not None]
        alike = [layer for layer in layers if layer.kind == op.kind]
        if [_added_behind(graph, layer) for layer in alike] != adds:
            continue
        bias = _as_vector(add)
        for layer, user in zip(alike, adds, strict=True):
            layer.params[1] = bias
            graph.remove(user)


def _added_behind(graph: Graph, layer: Op) -> Op | None:
    """The constant a channel that could be the bias of a layer without one."""
    if layer.kind not in ("conv", "linear") or layer.params[1] is not None or layer.activation.kind != "none":
        return None
    add = graph.only_consumer(layer.output)
    return add if add is not None and _takes_per_channel(graph, add, "add") else None
