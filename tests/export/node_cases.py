# ONNX's own node tests as exports: which cases there are, how each becomes a model with one input, and what cannot be
# run and why.
# Never here: assertions of a test runner.
from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from plan_interpreter import PlanInterpreter

SUPPORTED = [
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Celu",
    "Clip",
    "Col2Im",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "CumSum",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "GRU",
    "Gather",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "RNN",
    "RMSNormalization",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Sigmoid",
    "Sign",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
]

# Operators whose cases have a batch axis of their own; the others get one in front.
NATIVE_BATCH = {
    "AveragePool", "BatchNormalization", "Col2Im", "Conv", "ConvTranspose", "DepthToSpace", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN", "MaxPool", "Pad", "Resize",
    "SpaceToDepth", "Upsample",
}  # fmt: skip

# Whose other inputs are computed from the first one, x * 0 + data: tensors all.
COMPUTED = {"Concat", "Max", "Mean", "Min", "Sum"}

# Pattern of the case's name -> why it cannot be exported. Every case that matches none must pass; one that matches must
# fail.
EXCLUDED = {
    r"_(u?int)(8|16|32|64)(_|$)": "integer data; the device computes in float32",
    r"^test_(edge|reflect|wrap)_pad$": "integer data",
    r"float16|_bool(_|$)": "data of another type than float32",
    r"^test_where_long": "integer data",
    r"empty_set|zero_size|start_out_of_bounds|allowzero_reordered": "a tensor without elements",
    r"^test_pow(_example|_bcast_array)?$": "an exponent for each element",
    r"^test_resize_.*(crop_and_resize|not_larger|not_smaller)": "a resize of a part, or with the aspect ratio kept",
    r"convtranspose_3d$|col2im_5d$": "three spatial axes",
    r"^test_scatter.*_(max|min|mul|multiply)(_|$)": "numbers that are put in by max, min or mul",
    r"pool_3d_default$": "89,373 outputs; a bundle has room for 65,536 classes",
    r"with_argmax": "second output: indices of the maxima",
    r"dropout.*mask": "second output: the dropout mask",
    r"^test_training_dropout(_default)?$": "draws random numbers at run time",
    r"^test_constant$": "no input",
    r"^test_identity_(sequence|opt)$": "sequence or optional instead of a tensor",
    r"^test_flatten_(axis[23]|negative_axis[12])$": "joins the batch axis with others",
    r"^test_lstm_with_peepholes$": "peepholes",
    r"^test_gemm_default_matrix_bias$": "another bias for each row of the batch",
}


@dataclass
class Case:
    """One node test as a model with one input. `rows`: its input with batch axis; `expected`: its first output, one row
    each."""

    name: str
    op_type: str
    model: onnx.ModelProto
    rows: NDArray[Any]
    expected: NDArray[Any]
    training: bool = False


@dataclass
class Tally:
    """Outcome of all cases of one operator."""

    passed: list[str] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def node_tests() -> dict[str, Any]:
    """Name -> ONNX's test case, of every single-node case of a supported operator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return {
            case.name: case
            for case in load_model_tests(kind="node")
            if len(case.model.graph.node) == 1
            and case.model.graph.node[0].op_type in SUPPORTED
            and case.model.graph.node[0].domain == ""
            and not case.name.endswith("_expanded")
        }


def exclusion(name: str) -> str | None:
    """The reason, or None."""
    return next((reason for pattern, reason in EXCLUDED.items() if re.search(pattern, name)), None)


def adapt(test: Any) -> Case:
    """Inputs but the first become initialisers with the case's data; operators without a batch axis get one in
    front."""
    if not all(value.type.HasField("tensor_type") for value in test.model.graph.input):
        raise TypeError("an input is no tensor")
    inputs, outputs = test.data_sets[0]
    arrays = [_single(np.asarray(value)) for value in inputs]
    proto = onnx.NodeProto()
    proto.CopyFrom(test.model.graph.node[0])
    names = [value.name for value in test.model.graph.input]
    values = dict(zip(names, arrays, strict=True))
    first = names[1 if proto.op_type == "Where" else 0]  # whose first input is a mask
    nodes = [proto]
    rows, expected = values.pop(first), np.asarray(outputs[0])
    if proto.op_type == "Gemm" and any(a.name == "transA" and a.i for a in proto.attribute):  # rows first, then turned
        rows = np.ascontiguousarray(rows.T)
        proto.input[0] = f"{first}.turned"
        nodes = [helper.make_node("Transpose", [first], [proto.input[0]], perm=[1, 0]), proto]
    if proto.op_type == "MatMul" and rows.ndim == 1:  # a vector against a stack is a matrix of one row
        rows, expected = rows[None, None, None], expected[None]
    if proto.op_type in ("GRU", "LSTM", "RNN"):
        nodes, rows, expected = _sequences(proto, rows, expected)
    elif not _has_batch(proto, rows.ndim):
        rank = rows.ndim
        rows, expected = rows[None], expected[None]
        _shift_axes(proto, values, rank)
    if proto.op_type in COMPUTED:
        nodes = _computed_operands(values, first) + nodes
    results = [_single(expected), *map(np.asarray, outputs[1:])]
    if proto.op_type in ("Split", "LayerNormalization"):  # a network has one output
        results = results[:1]
    if proto.op_type == "LayerNormalization":
        del proto.output[1:]
    graph = helper.make_graph(
        nodes,
        test.name,
        [helper.make_tensor_value_info(first, helper.np_dtype_to_tensor_dtype(rows.dtype), rows.shape)],
        [_described(key, array) for key, array in zip([k for k in nodes[-1].output if k], results, strict=False)],
        [numpy_helper.from_array(array, key) for key, array in values.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=test.model.opset_import, ir_version=test.model.ir_version)
    training = any(a.name == "training_mode" and a.i for a in proto.attribute)
    return Case(test.name, proto.op_type, model, rows, expected, training)


def _sequences(
    proto: onnx.NodeProto, rows: NDArray[Any], expected: NDArray[Any]
) -> tuple[list[onnx.NodeProto], NDArray[Any], NDArray[Any]]:
    """A recurrent layer's first output alone, the batch in front of what goes in and comes out."""
    position = next(index for index, key in enumerate(proto.output) if key)
    del proto.output[position + 1 :]
    if any(attribute.name == "layout" and attribute.i for attribute in proto.attribute):
        return [proto], rows, expected
    first, last = proto.input[0], proto.output[position]
    proto.input[0], proto.output[position] = f"{first}.steps", f"{last}.steps"
    order = [2, 0, 1, 3] if position == 0 else [1, 0, 2]
    nodes = [
        helper.make_node("Transpose", [first], [proto.input[0]], perm=[1, 0, 2]),
        proto,
        helper.make_node("Transpose", [proto.output[position]], [last], perm=order),
    ]
    return nodes, np.ascontiguousarray(rows.transpose(1, 0, 2)), np.ascontiguousarray(expected.transpose(order))


def _single(array: NDArray[Any]) -> NDArray[Any]:
    """Cases that differ in their precision alone: doubles as the device has them."""
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _described(key: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    sizes = [f"{key}{axis}" for axis in range(array.ndim)]
    return helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(array.dtype), sizes)


def _has_batch(proto: onnx.NodeProto, rank: int) -> bool:
    if proto.op_type == "Flatten":
        return next((a.i for a in proto.attribute), 1) in (1, 1 - rank)
    return proto.op_type in NATIVE_BATCH or (proto.op_type == "MatMul" and rank in (2, 4))


def _shift_axes(proto: onnx.NodeProto, values: dict[str, NDArray[Any]], rank: int) -> None:
    def moved(axis: int) -> int:
        return axis + 1 if axis >= 0 else axis

    for attribute in proto.attribute:
        if attribute.name == "axis":
            attribute.i = moved(attribute.i)
        elif attribute.name == "perm":
            order = [0, *(axis + 1 for axis in attribute.ints)]
            del attribute.ints[:]
            attribute.ints.extend(order)
        elif attribute.name == "axes":
            axes = [moved(axis) for axis in attribute.ints]
            del attribute.ints[:]
            attribute.ints.extend(axes)
    if proto.op_type == "Transpose" and not proto.attribute:
        proto.attribute.append(helper.make_attribute("perm", [0, *range(rank, 0, -1)]))
    if proto.op_type in ("Squeeze", "Unsqueeze") or proto.op_type.startswith("Reduce"):
        if len(proto.input) == 1 and not any(attribute.name == "axes" for attribute in proto.attribute):
            if proto.op_type == "Squeeze":
                return
            proto.input.append("axes")
        keep = any(attribute.name == "noop_with_empty_axes" and attribute.i for attribute in proto.attribute)
        if len(proto.input) > 1:
            axes_of = values.get(proto.input[1], np.zeros(0, np.int64))
            everything = axes_of if keep and axes_of.size == 0 else np.arange(rank) if axes_of.size == 0 else axes_of
            values[proto.input[1]] = np.array([moved(int(axis)) for axis in everything], np.int64)
    if proto.op_type in ("Gather", "Split", "Concat") and not any(a.name == "axis" for a in proto.attribute):
        proto.attribute.append(helper.make_attribute("axis", 1))
    if proto.op_type == "Einsum":
        _batch_in_equation(proto)
    if proto.op_type == "GatherND":
        shared = next((a.i for a in proto.attribute if a.name == "batch_dims"), 0)
        del proto.attribute[:]
        proto.attribute.append(helper.make_attribute("batch_dims", shared + 1))
        values[proto.input[1]] = values[proto.input[1]][None]
    if proto.op_type == "ScatterND":
        indices = values[proto.input[1]]
        values[proto.input[1]] = np.concatenate([np.zeros((*indices.shape[:-1], 1), np.int64), indices], -1)[None]
        values[proto.input[2]] = values[proto.input[2]][None]
    if proto.op_type in ("Scatter", "ScatterElements"):
        if not any(a.name == "axis" for a in proto.attribute):
            proto.attribute.append(helper.make_attribute("axis", 1))
        for key in proto.input[1:]:
            values[key] = values[key][None]
    if proto.op_type == "Slice":
        if len(proto.input) < 4 or not proto.input[3]:
            del proto.input[3:]
            proto.input.append("axes")
            values["axes"] = np.arange(values[proto.input[1]].size)
        values[proto.input[3]] = np.array([moved(int(axis)) for axis in values[proto.input[3]]], np.int64)
    if proto.op_type == "CumSum":
        values[proto.input[1]] = np.array(moved(int(values[proto.input[1]])), np.int64)
    if proto.op_type in ("Expand", "Tile"):
        target = [1] * (rank - values[proto.input[1]].size) + values[proto.input[1]].tolist()
        values[proto.input[1]] = np.array([1, *target], np.int64)
    if proto.op_type == "Reshape":
        values[proto.input[1]] = np.concatenate([[1], values[proto.input[1]]]).astype(np.int64)


def _batch_in_equation(proto: onnx.NodeProto) -> None:
    """A letter in front of the first operand and of the result."""
    left, arrow, result = proto.attribute[0].s.decode().replace(" ", "").partition("->")
    if not arrow:
        result = "".join(sorted(label for label in set(left) - {","} if left.count(label) == 1))
    proto.attribute[0].s = f"Z{left}->Z{result}".encode()


def _computed_operands(values: dict[str, NDArray[Any]], first: str) -> list[onnx.NodeProto]:
    nodes = []
    data = {key: values.pop(key) for key in list(values)}
    values["zero"] = np.float32(0).reshape(())
    for key, array in data.items():
        values[f"{key}.data"] = array[None]
        nodes.append(helper.make_node("Mul", [first, "zero"], [f"{key}.zeros"]))
        nodes.append(helper.make_node("Add", [f"{key}.zeros", f"{key}.data"], [key]))
    return nodes


Runner = Callable[[dict[str, Any], NDArray[Any]], NDArray[np.float32]]


def plan_of(case: Case) -> dict[str, Any]:
    """The plan that a case is exported to."""
    options = ExportOptions(trainable="all" if case.training else "none")
    graph, options, _ = graph_of_onnx(case.model, options, case.name)
    return prepare(graph, options, "test").plan


def run(case: Case, runner: Runner) -> None:
    """Exports and compares; raises on any difference. Cases in training form run a learn step's forward pass in the
    plan interpreter."""
    plan = plan_of(case)
    raw = case.rows.reshape(case.rows.shape[0], *plan["input"]["dims"])
    found = interpret(plan, raw, learn=True) if case.training else runner(plan, raw)
    wanted = case.expected.reshape(case.rows.shape[0], -1)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def interpret(plan: dict[str, Any], raw: NDArray[Any], learn: bool = False) -> NDArray[np.float32]:
    """Outputs by the plan interpreter."""
    import torch

    return PlanInterpreter(plan).forward(torch.from_numpy(raw), learn).numpy().astype(np.float32)


def device(plan: dict[str, Any], raw: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs by the device's core."""
    from edgecl import _core
    from edgecl.export.parity import bundle_logits

    return bundle_logits(_core.write_bundle(plan), raw)


def outcomes(runner: Runner) -> Iterator[tuple[str, str, str | None, str | None]]:
    """(operator, case, reason of exclusion or None, error or None) of every case."""
    for name, test in node_tests().items():
        error = None
        try:
            run(adapt(test), runner)
        except Exception as fault:  # whatever kept this case from passing is its result
            error = f"{type(fault).__name__}: {str(fault).strip().splitlines()[0] if str(fault).strip() else ''}"
        yield test.model.graph.node[0].op_type, name, exclusion(name), error


def tally(runner: Runner) -> dict[str, Tally]:
    """Outcomes by operator."""
    result: dict[str, Tally] = {}
    for op_type, name, reason, error in outcomes(runner):
        entry = result.setdefault(op_type, Tally())
        if error is None:
            entry.passed.append(name)
        elif reason is not None:
            entry.excluded[name] = reason
        else:
            entry.failed[name] = error
    return result
