# The pruned backward list: what a learn step computes behind the loss, and the tensors that it needs.
# Never here: what trains (trainable.py), arena offsets (the bundle writer's).
"""`backward_list` walks the ops in reverse."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgecl.export.graph import Graph, Op
from edgecl.export.kinds import gradient_in_place


@dataclass(frozen=True)
class BackwardStep:
    """One record: which op, the gradient of its output, where the gradients of its inputs go."""

    op: Op
    output_gradient: str
    input_gradients: list[str | None]
    accumulate: list[bool]
    train_params: list[bool]


@dataclass
class BackwardPass:
    """Steps in execution order.

    Attributes:
        gradients: name of each gradient tensor -> the forward tensor that it belongs to, in order of first use.
        aliases: gradients that share the memory of an earlier one (a reshape moves nothing, an activation is undone in
            place).
    """

    steps: list[BackwardStep] = field(default_factory=list)
    gradients: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


def backward_list(graph: Graph) -> BackwardPass:
    """Gradients only where something below learns: no input gradient for the first learning layer, nothing at all below
    it.

    A tensor that several ops read gets its gradient from the last of them first; the others add to it.
    """
    wanted = {graph.input: False}
    for op in graph.ops:
        own = any(param is not None and param.trainable for param in op.params)
        wanted[op.output] = own or any(wanted[tensor] for tensor in op.inputs)
    result = BackwardPass()
    if not wanted[graph.output]:
        return result
    written = {graph.output}
    result.gradients[f"d({graph.output})"] = graph.output
    for op in reversed(graph.ops):
        if not wanted[op.output] or op.output not in written:
            continue
        gradients: list[str | None] = []
        accumulate: list[bool] = []
        for tensor in op.inputs:
            if not wanted[tensor]:
                gradients.append(None)
                accumulate.append(False)
                continue
            gradients.append(f"d({tensor})")
            accumulate.append(tensor in written)
            if gradient_in_place(op.kind) and tensor not in written:
                result.aliases[f"d({tensor})"] = result.aliases.get(f"d({op.output})", f"d({op.output})")
            result.gradients.setdefault(f"d({tensor})", tensor)
            written.add(tensor)
        trains = [param is not None and param.trainable for param in op.params]
        result.steps.append(BackwardStep(op, f"d({op.output})", gradients, accumulate, trains))
    return result


def backward_macs(graph: Graph, step: BackwardStep) -> int:
    """Multiply-adds of one row, as if dense: input gradient if asked for, plus weight gradient if the weight learns."""
    forward = graph.macs(step.op)
    return forward * (
        int(any(name is not None for name in step.input_gradients))
        + int(bool(step.train_params) and step.train_params[0])
    )
