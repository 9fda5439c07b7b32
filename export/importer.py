# Walks an ONNX graph node by node and builds the exporter's graph; collects all that stands in the way.
# Never here: what a single operator means (ops/), files, PyTorch.
"""`import_graph`: a checked ONNX model to `Graph`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
from edgecl.export.computed_weights import as_plain_weights
from edgecl.export.context import Computing, Constant, Context, Missing, Node, Row
from edgecl.export.errors import EXTERNAL_REMEDY, Blocker, ExportError, Unfit, Unsupported
from edgecl.export.folding import can_fold, sources_of
from edgecl.export.graph import MAX_NAME_BYTES, Dims, Graph, canonical, unique
from edgecl.export.norm_patterns import join_norms
from edgecl.export.onnx_random import RANDOM, RANDOM_REMEDY, is_random
from edgecl.export.ops import HANDLERS
from edgecl.export.ops.learned import convert
from edgecl.export.opset import opset_of
from edgecl.export.stored import Stored
from numpy.typing import NDArray


def import_graph(
    model: onnx.ModelProto,
    *,
    name: str,
    initialisers: Mapping[str, NDArray[Any]],
    input_name: str,
    input_dims: Dims,
    batch: int,
    learnable: Callable[[str, str], bool],
    known_dims: Mapping[str, Dims],
    stored: Stored | None = None,
    computing: Computing | None = None,
) -> Graph:
    """Converts every node.

    Args:
        model: loaded and checked, local functions inlined, one float32 input.
        initialisers: by name.
        input_dims: dimensions of one row.
        batch: the batch size that the graph is taken to have.
        learnable: (initialiser, role) -> does the source regard it as a parameter.
        known_dims: full shapes of intermediate tensors, used to go on behind a node that is not supported.
        stored: the integers of the source, by the model's names.
        computing: which constants the device computes for each row; None: all are computed at export.

    Raises:
        ExportError: with all blocking nodes.
    """
    graph = Graph(name=name, input=input_name, input_dims=input_dims, tensors={input_name: canonical(input_dims)})
    output = model.graph.output[0].name
    context = Context(graph, batch, output, opset_of(model), learnable, computing)
    context.environment[""] = Missing("the input is missing")
    for key, values in initialisers.items():
        context.environment[key] = Constant(key, values, source=key, source_shape=tuple(values.shape))
    context.environment[input_name] = Row(input_name, input_dims)
    context.uses = _uses(model.graph.node, initialisers)
    blockers: list[Blocker] = []
    _walk(context, join_norms(model.graph.node, initialisers, output, known_dims), known_dims, blockers)
    final = context.environment.get(output)
    if not blockers and not isinstance(final, Row):
        reason = final.reason if isinstance(final, Missing) else "it does not depend on the network's input"
        blockers.append(Blocker(output, "output", reason, "export a model whose first output is the logits"))
        context.is_unfit = True
    blockers += _long_names(graph)
    if blockers:
        raise ExportError.from_blockers(
            "every node to be supported on the device", blockers, "" if context.is_unfit else _proposal(model, blockers)
        )
    assert isinstance(final, Row)
    graph.output = final.tensor
    order = {key: place for place, key in enumerate(initialisers)}
    for param in graph.params():
        if param.computed:
            graph.made_from[param.name] = sorted(sources_of(context, param.name), key=order.__getitem__)
    graph.computing = list(dict.fromkeys(name for key in context.computed for name in sources_of(context, key)))
    if stored is None:
        as_plain_weights(context, learnable)
    else:
        names = {key: value.tensor for key, value in context.environment.items() if isinstance(value, Row)}
        graph.stored = stored.renamed(names)
        if graph.final:  # whose own rounding is left out with it
            graph.stored.twice = [tensor for tensor in graph.stored.twice if tensor != graph.output]
    return graph


def _long_names(graph: Graph) -> list[Blocker]:
    names = [graph.input, *(param.name for param in graph.params())]
    return [
        Blocker(f"{name[:40]}...", "name", f"{len(name.encode())} bytes", f"rename it, to {MAX_NAME_BYTES} at most")
        for name in names
        if len(name.encode()) > MAX_NAME_BYTES
    ]


def _uses(nodes: Iterable[onnx.NodeProto], initialisers: Mapping[str, Any]) -> Counter[str]:
    """How many nodes read each initialiser, itself or turned."""
    roots = {key: key for key in initialisers}
    uses: Counter[str] = Counter()
    for node in nodes:
        found = [roots[key] for key in node.input if key in roots]
        if node.op_type in ("Transpose", "Identity") and found:
            roots[node.output[0]] = found[0]
        else:
            uses.update(found)
    return uses


def _walk(
    context: Context, protos: Iterable[onnx.NodeProto], known_dims: Mapping[str, Dims], blockers: list[Blocker]
) -> None:
    """Converts nodes in order; adds what stands in the way to `blockers`, and goes on."""
    for proto in protos:
        node = Node(proto)
        context.meet(node)
        reads = [context.environment.get(key) for key in node.inputs if key]
        cut_off = any(isinstance(value, Missing) and value.reason == "" for value in reads)
        for position, key in enumerate(node.outputs):
            context.environment[key] = Missing(
                f"output {position} of node '{node.name}' ({node.op_type}) is not available on the device"
            )
        try:
            branch = _known_branch(node, reads)
            if branch is not None:
                _take_branch(context, node, branch, known_dims, blockers)
            else:
                _convert(context, node, proto, reads, cut_off)
        except Unsupported as fault:
            context.is_unfit |= isinstance(fault, Unfit)
            blockers.append(Blocker(node.name, node.op_type, fault.reason, fault.remedy))
            _continue_behind(context, node, known_dims)
        else:
            if cut_off:
                _continue_behind(context, node, known_dims)


def _known_branch(node: Node, reads: Sequence[Any]) -> onnx.GraphProto | None:
    """The branch that an If takes, where its condition is known now (PyTorch writes one for `squeeze`)."""
    if node.op_type != "If" or len(reads) != 1 or not isinstance(reads[0], Constant):
        return None
    branch = node.attributes["then_branch" if bool(np.all(reads[0].values)) else "else_branch"]
    assert isinstance(branch, onnx.GraphProto)
    return branch


def _take_branch(
    context: Context,
    node: Node,
    branch: onnx.GraphProto,
    known_dims: Mapping[str, Dims],
    blockers: list[Blocker],
) -> None:
    for tensor in branch.initializer:
        context.environment[tensor.name] = Constant(tensor.name, onnx.numpy_helper.to_array(tensor))
    _walk(context, branch.node, known_dims, blockers)
    for key, value in zip(node.outputs, branch.output, strict=True):
        context.environment[key] = context.environment.get(value.name) or Missing(
            f"'{value.name}' of a branch of '{node.name}' is not computed"
        )


def _convert(context: Context, node: Node, proto: onnx.NodeProto, reads: list[Any], cut_off: bool) -> None:
    if is_random(proto):
        raise Unfit(RANDOM, RANDOM_REMEDY)
    if proto.domain not in ("", "ai.onnx"):
        raise Unsupported(f"operator of domain '{proto.domain}'", "replace it by standard operators")
    if cut_off:
        if node.op_type not in HANDLERS:
            raise Unsupported("operator not supported", "replace it, or leave this part out of the exported model")
        return
    known = can_fold(proto) and all(isinstance(value, Constant) for value in reads)
    if node.op_type not in HANDLERS and not known:
        raise Unsupported("operator not supported", "replace it, or leave this part out of the exported model")
    convert(context, node)


def _continue_behind(context: Context, node: Node, known_dims: Mapping[str, Dims]) -> None:
    """Lets the nodes behind a blocking one be looked at too, where the shape of its output is known."""
    for key in node.outputs:
        full = known_dims.get(key)
        if full and full[0] == context.batch and all(size > 0 for size in full):
            tensor = unique(key, context.graph.tensors)
            context.graph.tensors[tensor] = canonical(full[1:])
            context.environment[key] = Row(tensor, full[1:])
        else:
            context.environment[key] = Missing("")


def _proposal(model: onnx.ModelProto, blockers: Sequence[Blocker]) -> str:
    """Where one tensor alone crosses behind the last blocking node, the part from there on can be exported by itself
    and learn on that tensor. Or another engine for all of it."""
    names = {blocker.node for blocker in blockers}
    nodes = [Node(proto) for proto in model.graph.node]
    last = max((i for i, node in enumerate(nodes) if node.name in names), default=-1)
    cut = _cut_behind(model, nodes, last) if last >= 0 else None
    if cut is None:
        return EXTERNAL_REMEDY.removeprefix("or ")
    tensor, layer = cut
    return (
        f"keep everything up to the tensor '{tensor}' outside as a frozen encoder, export the part behind it (from "
        f"'{layer}' on) as a trainable model of its own, and feed it that tensor; {EXTERNAL_REMEDY}"
    )


def _cut_behind(model: onnx.ModelProto, nodes: Sequence[Node], last: int) -> tuple[str, str] | None:
    """The first tensor behind node `last` that all later nodes get from the nodes before, and the first layer behind
    it."""
    depends = {model.graph.input[0].name}
    last_use = {key: index for index, node in enumerate(nodes) for key in node.inputs}
    for index, node in enumerate(nodes):
        if any(key in depends for key in node.inputs):
            depends.update(node.outputs)
        if index < last:
            continue
        crossing = [key for key in depends if last_use.get(key, -1) > index]
        layers = [later.name for later in nodes[index + 1 :] if later.op_type in ("Conv", "Gemm", "MatMul")]
        if not layers:
            return None
        if len(crossing) == 1:
            return crossing[0], layers[0]
    return None
