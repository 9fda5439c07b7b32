# Files of old operator sets, and of modes other than inference: folded, compared and read by their own rules.
# Never here: single operators (node_cases.py).
"""Operator sets 7 to the newest, with onnxruntime as reference and without."""

from __future__ import annotations

import io
import sys
from typing import Any

import edgecl
import numpy as np
import onnx
import pytest
import torch
from edgecl import export
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.opset import changed_since, upgraded
from edgecl.export.options import ExportOptions
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSETS = (7, 9, 11, 13, 14, 15, 17, 18, 21, onnx.defs.onnx_opset_version())
RNG = np.random.default_rng(0)


def _random(*shape: int) -> NDArray[np.float32]:
    return (RNG.standard_normal(shape) / 3).astype(np.float32)


PARAMETERS = {
    "w": _random(8, 3, 3, 3), "b": _random(8), "gamma": np.abs(_random(8)) + np.float32(0.5), "beta": _random(8),
    "mean": _random(8), "variance": np.abs(_random(8)) + np.float32(0.5), "fw": _random(5, 8), "fb": _random(5),
}  # fmt: skip
ROWS = RNG.standard_normal((4, 3, 8, 8)).astype(np.float32)


def _with_batch_norm(opset: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"], momentum=0.9),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fw", "fb"], ["y"], transB=1),
    ]
    return _model(nodes, opset, PARAMETERS)


def _model(nodes: list[onnx.NodeProto], opset: int, parameters: dict[str, NDArray[Any]]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(values, key) for key, values in parameters.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _expected() -> NDArray[np.float32]:
    functional, t = torch.nn.functional, {key: torch.from_numpy(values) for key, values in PARAMETERS.items()}
    maps = functional.conv2d(torch.from_numpy(ROWS), t["w"], t["b"])
    normed = functional.batch_norm(maps, t["mean"], t["variance"], t["gamma"], t["beta"])
    return functional.linear(functional.relu(normed).mean([2, 3]), t["fw"], t["fb"]).numpy()


@pytest.fixture(params=["onnxruntime", "evaluator"])
def reference(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What runs the source; onnxruntime may be missing on a user's machine."""
    if request.param == "evaluator":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        return "onnx "
    pytest.importorskip("onnxruntime")
    return "onnxruntime "


@pytest.mark.parametrize("opset", OPSETS)
def test_batch_norm_of_each_set(opset: int, reference: str) -> None:
    report = export.from_onnx(_with_batch_norm(opset))
    assert report.parity is not None and report.parity.source.startswith(reference)
    found = edgecl.Classifier(report.bundle).decision_function(ROWS)
    assert np.abs(found - _expected()).max() < 1e-5


@pytest.mark.filterwarnings("ignore")
def test_a_model_in_training_mode_is_taken_in_inference_mode() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 5),
    )  # fmt: skip
    net(torch.randn(16, 3, 8, 8))  # statistics that are not 0 and 1
    buffer = io.BytesIO()
    torch.onnx.export(
        net, (torch.zeros(2, 3, 8, 8),), buffer, dynamo=False, training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False, dynamic_axes={"x": {0: "N"}}, input_names=["x"],
    )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    for tensor in model.graph.initializer:  # the tracer's own rows have moved the statistics
        net.state_dict()[tensor.name].copy_(torch.from_numpy(numpy_helper.to_array(tensor).copy()))
    report = export.from_onnx(model)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(ROWS)).numpy()
    assert np.abs(edgecl.Classifier(report.bundle).decision_function(ROWS) - expected).max() < 1e-5


# name, first set, node from w (4, 3, 3, 3) to wf, further initialisers, expected numbers
FOLDED: dict[str, Any] = {
    "ReduceMean": (lambda: [helper.make_node("ReduceMean", ["w"], ["m"], axes=[1, 2, 3], keepdims=1),
                            helper.make_node("Sub", ["w", "m"], ["wf"])],
                   lambda w: w - w.mean((1, 2, 3), keepdims=True), 17),
    "Softmax": (lambda: [helper.make_node("Softmax", ["w"], ["wf"])], None, 12),
    "Clip": (lambda: [helper.make_node("Clip", ["w"], ["wf"], min=-0.25, max=0.25)],
             lambda w: np.clip(w, -0.25, 0.25), 9),
    "Slice": (lambda: [helper.make_node("Slice", ["w"], ["wf"], axes=[0], starts=[0], ends=[3])], lambda w: w[:3], 9),
    "Pad": (lambda: [helper.make_node("Pad", ["w"], ["wf"], pads=[0, 0, 0, 0, 0, 0, 1, 1])],
            lambda w: np.pad(w, ((0, 0), (0, 0), (0, 1), (0, 1))), 9),
    "Unsqueeze": (lambda: [helper.make_node("Unsqueeze", ["w"], ["u"], axes=[0]),
                           helper.make_node("Squeeze", ["u"], ["wf"], axes=[0])], lambda w: w, 9),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_constants_are_folded_by_their_own_set(name: str) -> None:
    nodes, formula, opset = FOLDED[name]
    w = _random(4, 3, 3, 3)
    if formula is None:  # before set 13: over all axes from 1 on
        flat = np.exp(w.reshape(4, -1).astype(np.float64))
        expected = (flat / flat.sum(1, keepdims=True)).reshape(w.shape)
    else:
        expected = formula(w)
    head = _random(5, len(expected))
    rest = [
        helper.make_node("Conv", ["x", "wf"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "h", "z"], ["y"], transB=1),
    ]
    report = export.from_onnx(_model([*nodes(), *rest], opset, {"w": w, "h": head, "z": np.zeros(5, np.float32)}))
    maps = torch.nn.functional.conv2d(torch.from_numpy(ROWS), torch.from_numpy(expected.astype(np.float32)))
    found = edgecl.Classifier(report.bundle).decision_function(ROWS)
    assert np.abs(found - maps.mean([2, 3]).numpy() @ head.T).max() < 1e-5


def test_what_an_upgrade_looks_at() -> None:
    assert changed_since("Unsqueeze", 11) and changed_since("BatchNormalization", 13)
    assert not changed_since("Relu", 14) and not changed_since("NoSuchOperator", 9)
    newest = _with_batch_norm(onnx.defs.onnx_opset_version())
    assert upgraded(newest) is newest


def test_nodes_alike_are_rewritten_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX's converter takes some 30 ms a node, and a Swin Transformer folds 2,800 of old sets."""
    from edgecl.export import folding

    rewritten: list[onnx.NodeProto] = []
    newest = folding.upgraded_node
    monkeypatch.setattr(folding, "upgraded_node", lambda node, *rest: rewritten.append(node) or newest(node, *rest))
    folding._evaluator.cache_clear()
    values = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((3, 2), np.float32)]
    for name, array in (("a", values[0]), ("b", values[0] + 1), ("c", values[1])):
        node = helper.make_node("Squeeze", [name], [f"{name}.y"], axes=[0])
        found = folding._evaluate(node, {name: array[None]}, 11)
        np.testing.assert_array_equal(found[0], array)
    assert len(rewritten) == 2
    folding._evaluator.cache_clear()


def test_linear_upsample_of_set_9() -> None:
    """As PyTorch exports bilinear interpolation there; ONNX's evaluator has it for nearest neighbours alone."""
    graph = helper.make_graph(
        [helper.make_node("Upsample", ["x", "scales"], ["y"], mode="linear")],
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 1, 3, 2])],
        [helper.make_tensor_value_info("y", 1, ["N", 1, 6, 2])],
        [numpy_helper.from_array(np.array([1, 1, 2, 1], np.float32), "scales")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    found = graph_of_onnx(model, ExportOptions(), "g")[0]
    (layer,) = [op for op in found.ops if op.kind == "conv"]
    wanted = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(layer.weight().values.reshape(6, 3), wanted, atol=1e-7)
