# An ONNX model as the importer wants it: checked, inlined, in inference mode, weights as initialisers.
# Never here: what a node means (ops/), running the model (onnx_reference.py).
"""`prepared_model` and `initialisers_of`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from edgecl.export.errors import TOKENS_REMEDY, Blocker, ExportError, counted
from edgecl.export.opset import opset_of
from numpy.typing import NDArray
from onnx import numpy_helper

_LINEAR = 17.0  # where a softplus of float32 is its argument
_LARGE = 1024  # numbers of an initialiser that is taken out of a model
_OF_INTEGERS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QGemm")


def prepared_model(model: onnx.ModelProto, beside: Collection[str] = ()) -> onnx.ModelProto:
    """A checked copy with local functions inlined, float constants as initialisers (weights are held in either), nodes
    in inference mode, and unused initialisers' inputs taken off the list of inputs.

    Args:
        beside: inputs that are weights, held by the caller; only their types stay in the model.

    Raises:
        ExportError: the checker's words, or an input that is not one float32 tensor of fixed size behind the batch
            axis.
    """
    newest = onnx.defs.onnx_opset_version()
    if opset_of(model) > newest:
        raise ExportError(
            f"expected operator set {newest} or older, which the package onnx {onnx.__version__} knows; found "
            f"{opset_of(model)}; export the model with an older set, or install a newer onnx",
            -5,
        )
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ExportError(
            f"expected a valid ONNX model; found: {invalid_words(model, beside, str(error))}; export it again, or "
            "repair it",
            -5,
        ) from error
    if not model.graph.output:
        raise ExportError("expected a model with an output; found none; export it with its logits as one", -5)
    copy = (
        onnx.inliner.inline_local_functions(model)
        if model.functions
        else onnx.ModelProto.FromString(model.SerializeToString())
    )
    _sparse_to_dense(copy.graph)
    _constants_to_initialisers(copy.graph)
    _to_inference(copy.graph)
    _plain_softplus(copy.graph)
    held = {tensor.name for tensor in copy.graph.initializer}
    inputs = [value for value in copy.graph.input if value.name not in held and value.name not in beside]
    copy.graph.value_info.extend(value for value in copy.graph.input if value.name in beside)
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    blockers = [fault for value in inputs if (fault := _input_fault(value)) is not None]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        blockers.append(Blocker(names, "input", f"{len(inputs)} inputs", "export a model with one input"))
    blockers += _output_faults(copy)
    if blockers:
        raise ExportError.from_blockers("one float32 input and one output of fixed sizes", blockers)
    return copy


def hollowed(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """A copy whose large float32 initialisers are inputs, and these by name: what is done to a model copies it many
    times, and its weights need not come along. Quantised models keep theirs, which are small."""
    graph = model.graph
    large = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and prod(t.dims) >= _LARGE]
    if not large or any(node.op_type in _OF_INTEGERS or node.op_type.startswith("QLinear") for node in graph.node):
        return model, {}
    names = {tensor.name for tensor in large}
    copy = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            _copy_fields(graph, copy.graph, ("initializer", "input"))
        elif field.name == "ir_version" or field.type != field.TYPE_MESSAGE:
            setattr(copy, field.name, value)
        else:
            getattr(copy, field.name).extend(value)
    copy.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name not in names)
    copy.graph.input.extend(value for value in graph.input if value.name not in names)
    copy.graph.input.extend(onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in large)
    return copy, {tensor.name: numpy_helper.to_array(tensor) for tensor in large}


def _copy_fields(source: Any, target: Any, without: Collection[str]) -> None:
    for field, value in source.ListFields():
        if field.name in without:
            continue
        if field.type == field.TYPE_MESSAGE:
            getattr(target, field.name).extend(value)
        else:
            setattr(target, field.name, value)


def invalid_words(model: onnx.ModelProto, beside: Collection[str], words: str) -> str:
    """What is wrong, by name where that is simple: else the checker's first line."""
    graph = model.graph
    made = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer} | {"", *beside}
    made |= {tensor.values.name for tensor in graph.sparse_initializer}
    later = made.union(*(node.output for node in graph.node))
    for node in graph.node:
        for name in node.input:
            if name not in later:
                return f"node '{node.name or node.op_type}' reads '{name}', which nothing makes"
            if name not in made:
                return f"node '{node.name or node.op_type}' reads '{name}', which only a later node makes (or a circle)"
        made.update(node.output)
    return next((line.strip() for line in words.splitlines() if line.strip()), "no words")


def _constants_to_initialisers(graph: onnx.GraphProto) -> None:
    for node in list(graph.node):
        if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
            continue
        value = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if value is not None and value.data_type == onnx.TensorProto.FLOAT and len(value.dims) > 0:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _sparse_to_dense(graph: onnx.GraphProto) -> None:
    for sparse in graph.sparse_initializer:
        values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        dense[np.unravel_index(indices, dense.shape) if indices.ndim == 1 else tuple(indices.T)] = values
        graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del graph.sparse_initializer[:]


def _to_inference(graph: onnx.GraphProto) -> None:
    """Batch-norms go by their running statistics, dropouts do nothing, whatever mode the model was exported in."""
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            kept = [attribute for attribute in node.attribute if attribute.name not in ("training_mode", "is_test")]
            del node.attribute[:]
            node.attribute.extend(kept)
            statistics = set(node.output[1:])
            del node.output[1:]
            outputs = [value for value in graph.output if value.name not in statistics]
            del graph.output[:]
            graph.output.extend(outputs)
        elif node.op_type == "Dropout":
            del node.input[1:]


def _plain_softplus(graph: onnx.GraphProto) -> None:
    """PyTorch's newer exporter writes softplus as a choice: x itself above 20, where they differ by less than a
    rounding. The softplus alone is taken."""
    maker = {name: node for node in graph.node for name in node.output}
    numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if prod(tensor.dims) == 1}
    for node in graph.node:
        above = maker.get(node.input[0]) if node.op_type == "Where" else None
        curve = maker.get(node.input[2]) if above is not None else None
        if curve is not None and curve.op_type == "Div":
            curve = maker.get(curve.input[0])
        if above is None or curve is None or (above.op_type, curve.op_type) != ("Greater", "Softplus"):
            continue
        scaled = maker.get(curve.input[0])
        same = node.input[1] == curve.input[0] or (scaled is not None and node.input[1] in scaled.input)
        border = numbers.get(above.input[1])
        if same and above.input[0] == curve.input[0] and border is not None and float(border.reshape(-1)[0]) >= _LINEAR:
            kept = node.input[2]
            node.op_type = "Identity"
            del node.input[:]
            node.input.append(kept)


def _input_fault(value: onnx.ValueInfoProto) -> Blocker | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type != onnx.TensorProto.FLOAT:
        found = onnx.TensorProto.DataType.Name(kind.elem_type) if value.type.HasField("tensor_type") else "no tensor"
        return Blocker(value.name, "input", f"{found} instead of FLOAT", remedy_for_input(found))
    if not kind.HasField("shape") or not kind.shape.dim:
        return Blocker(value.name, "input", "no shape", "give it a batch axis and fixed sizes")
    empty = empty_axes(value)
    if empty is not None:
        return empty
    dynamic = [axis for axis, dim in enumerate(kind.shape.dim) if axis > 0 and dim.dim_value < 1]
    if dynamic:
        return Blocker(value.name, "input", f"dynamic size on axes {dynamic}", "fix every size but the batch")
    return None


def empty_axes(value: onnx.ValueInfoProto) -> Blocker | None:
    """What is wrong with an input of no numbers at all."""
    dims = value.type.tensor_type.shape.dim
    empty = [axis for axis, dim in enumerate(dims) if dim.HasField("dim_value") and dim.dim_value < 1]
    if not empty:
        return None
    return Blocker(
        value.name, "input", f"a size of 0 on axes {empty}", "export the model with an input that holds some"
    )


def remedy_for_input(found: str) -> str:
    """What to do about an input of another element type than FLOAT, by ONNX's name of it."""
    if found in ("INT64", "INT32"):
        return f"export the model with an input of float32 if it takes real numbers; {TOKENS_REMEDY}"
    if found in ("UINT8", "INT8"):
        return "export it with an input of float32; --input-dtype u8 (InputSpec(dtype='u8')) then takes bytes"
    if found in ("FLOAT16", "BFLOAT16", "DOUBLE"):
        return "convert the model to float32 before its export (module.float())"
    return "export the model with an input of float32"


def _output_faults(model: onnx.ModelProto) -> list[Blocker]:
    first = model.graph.output[0].name
    remedy = f"name the one to learn: logits='{first}' (--logits {first})"
    return [Blocker(value.name, "output", "a further output", remedy) for value in model.graph.output[1:]]


def initialisers_of(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """By name.

    Raises:
        ExportError: floating-point values that are not float32 or not finite, all at once.
    """
    values: dict[str, NDArray[Any]] = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    refuse_odd_weights(values)
    return values


def _masks(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a constant is minus infinity: what a mask adds to scores (`Context.param` tells where it is read by
    anything else)."""
    return np.asarray(np.isneginf(array), np.bool_)


def refuse_odd_weights(values: Mapping[str, NDArray[Any]]) -> None:
    """Raises ExportError for floating-point values that are not float32, or neither finite nor minus infinity, all at
    once."""
    blockers = []
    for key, array in values.items():
        if array.dtype.kind == "f" and array.dtype != np.float32:
            blockers.append(
                Blocker(key, "initializer", f"{array.dtype} instead of float32", "convert the model to float32")
            )
        elif array.dtype == np.float32 and not (np.isfinite(array) | _masks(array)).all():
            count = int((~np.isfinite(array)).sum())
            blockers.append(
                Blocker(
                    key,
                    "initializer",
                    f"{counted(count, 'value')} that {'is' if count == 1 else 'are'} not finite",
                    "repair or retrain the model",
                )
            )
    if blockers:
        raise ExportError.from_blockers("finite float32 weights", blockers)
