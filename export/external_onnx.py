# An ONNX model as another engine runs it: one input, one output, without the classifier.
# Never here: running it, operators of edgecl, bundles.
"""`encoder_of_onnx`: the part of a model that makes embeddings. `averaged`: the same with a map averaged."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.shape_inference
from edgecl.export.errors import Blocker, ExportError
from edgecl.export.onnx_cut import cut_behind, with_own_names
from edgecl.export.onnx_prepare import empty_axes, invalid_words, remedy_for_input

# What may stand between a classifier and the model's output.
_BEHIND = (
    "Add", "Cast", "Clip", "Flatten", "Identity", "LogSoftmax", "Reshape", "Sigmoid", "Softmax", "Squeeze", "Unsqueeze",
)  # fmt: skip


@dataclass(frozen=True)
class OnnxEncoder:
    """`channels_last`: images go in as [H][W][C], which the model turns itself."""

    model: onnx.ModelProto
    notes: list[str]
    channels_last: bool


def encoder_of_onnx(model: onnx.ModelProto, output: str | None) -> OnnxEncoder:
    """Cuts a model at `output`, or at the input of its classifier: the last Gemm or MatMul with constant weights, if
    nothing but a bias and a softmax stands behind it. Without such a layer the model's own output is taken.

    Raises:
        ExportError: no valid model, other inputs than one of float32 with fixed sizes, or no such output.
    """
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ExportError(
            f"expected a valid ONNX model; found: {invalid_words(model, (), str(error))}; repair the model", -5
        ) from error
    graph = model.graph
    held = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    _check_inputs(inputs)
    if output is not None:
        made = [name for node in graph.node for name in node.output if name]
        if output not in made:
            raise ExportError(
                f"expected the name of a tensor that a node makes for external_output; found '{output}'; the last ones "
                f"are {', '.join(made[-8:])}",
                -23,
            )
        notes = [f"embeddings are the tensor '{output}' of the model"]
        target = output
    else:
        if len(graph.output) != 1:
            names = ", ".join(value.name for value in graph.output) or "none"
            raise ExportError(
                f"expected a model with one output; found {len(graph.output)} ({names}); name the one that gives "
                "embeddings with --external-output (external_output)",
                -5,
            )
        target = graph.output[0].name
        classifier = _classifier(graph, held, target)
        notes = [f"embeddings are the model's output '{target}', since no classifier was found behind them"]
        if classifier is not None:
            target = classifier.input[0]
            notes = [
                f"the classifier '{classifier.name or classifier.output[0]}' ({classifier.op_type}) and what follows "
                f"it are left out; embeddings are its input, '{target}'"
            ]
    return OnnxEncoder(_cut(model, target), notes, _turns(graph, inputs[0].name))


def averaged(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with the mean over positions of its output, a map [N][C][H][W], or [N][H][W][C] where the last node made
    that of one."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    target = graph.output[0].name
    last = next(node for node in graph.node if target in node.output)
    turned = last.op_type == "Transpose" and _perm(last) == [0, 2, 3, 1]
    name = f"{target}_mean"
    graph.node.append(
        onnx.helper.make_node("GlobalAveragePool", [last.input[0] if turned else target], [name], name=name)
    )
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4))
    return copy


def _check_inputs(inputs: list[onnx.ValueInfoProto]) -> None:
    blockers = [fault for value in inputs if (fault := _fault(value)) is not None]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        blockers.append(Blocker(names, "input", f"{len(inputs)} inputs", "export a model with one input"))
    if blockers:
        raise ExportError.from_blockers("one float32 input of fixed sizes and a batch axis of 1 or free", blockers)


def _fault(value: onnx.ValueInfoProto) -> Blocker | None:
    kind = value.type.tensor_type
    is_tensor = value.type.HasField("tensor_type")
    found = onnx.TensorProto.DataType.Name(kind.elem_type) if is_tensor else "no tensor"
    if found != "FLOAT":
        return Blocker(value.name, "input", f"{found} instead of FLOAT", remedy_for_input(found))
    dims = [dim.dim_value for dim in kind.shape.dim] if kind.HasField("shape") else []
    empty = empty_axes(value)
    if empty is not None:
        return empty
    if len(dims) < 2 or len(dims) > 5:
        found = "1 axis" if len(dims) == 1 else f"{len(dims)} axes"
        return Blocker(value.name, "input", found, "give it a batch axis and 1 to 4 others")
    free = [axis for axis, size in enumerate(dims) if axis > 0 and size < 1]
    if free:
        return Blocker(value.name, "input", f"a free size on axes {free}", "fix every size but the batch")
    if dims[0] > 1:
        return Blocker(value.name, "input", f"a batch axis of {dims[0]}", "export the model with one of 1, or free")
    return None


def _classifier(graph: onnx.GraphProto, held: set[str], target: str) -> onnx.NodeProto | None:
    # Up from the output, as long as the way has no branch.
    constant = set(held)
    for node in graph.node:
        if all(name in constant for name in node.input if name):
            constant.update(node.output)
    maker = {name: node for node in graph.node for name in node.output}
    name = target
    while (node := maker.get(name)) is not None:
        varying = [key for key in node.input if key and key not in constant]
        if len(varying) != 1:
            return None
        if node.op_type in ("Gemm", "MatMul") and node.input[0] == varying[0]:
            return node if varying[0] in maker else None
        if node.op_type not in _BEHIND:
            return None
        name = varying[0]
    return None


def _cut(model: onnx.ModelProto, target: str) -> onnx.ModelProto:
    try:
        typed = onnx.shape_inference.infer_shapes(model)
    except Exception:  # an operator of its own; then shapes behind it stay unknown
        typed = model
    known = {value.name: value for value in [*typed.graph.value_info, *typed.graph.output]}
    wanted = known.get(target) or onnx.helper.make_tensor_value_info(target, onnx.TensorProto.FLOAT, None)
    return with_own_names(cut_behind(model, wanted))


def _turns(graph: onnx.GraphProto, entry: str) -> bool:
    """A Transpose to channels first is the only reader of the input."""
    readers = [node for node in graph.node if entry in node.input]
    return len(readers) == 1 and readers[0].op_type == "Transpose" and _perm(readers[0]) == [0, 3, 1, 2]


def _perm(node: onnx.NodeProto) -> list[int]:
    return next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])
