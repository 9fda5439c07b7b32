# ONNX files whose operators take integers, as onnxruntime.quantization writes them: what becomes of them against
# onnxruntime; what is refused.
# Never here: the QDQ format (test_qdq.py).
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import from_onnx
from edgecl.export.parity import bundle_logits
from numpy.typing import NDArray
from onnx import helper, numpy_helper

core = pytest.importorskip("edgecl._core")
ort = pytest.importorskip("onnxruntime")
quantization = pytest.importorskip("onnxruntime.quantization")
SHAPE = (3, 10, 10)


def rows(n: int, seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, *SHAPE)).astype(np.float32)


def floats(path: Path) -> Path:
    """A small network whose operators all have a form of integers in onnxruntime."""
    random = np.random.default_rng(1)
    held: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def value(name: str, *shape: int) -> str:
        spread = (2.0 / max(1, np.prod(shape[1:]))) ** 0.5
        held.append(numpy_helper.from_array((spread * random.standard_normal(shape)).astype(np.float32), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv(name: str, x: str, *shape: int, **attributes: Any) -> str:
        return node("Conv", [x, value(f"{name}.weight", *shape), value(f"{name}.bias", shape[0])], name, **attributes)

    y = node("Relu", [conv("stem", "x", 8, 3, 3, 3, pads=[1, 1, 1, 1])], "stem/relu")
    y = node("MaxPool", [y], "pool", kernel_shape=[2, 2], strides=[2, 2])
    z = conv("deep", y, 8, 1, 3, 3, pads=[1, 1, 1, 1], group=8)
    y = node("Add", [y, z], "add")
    gate = node("Sigmoid", [conv("gate", y, 8, 8, 1, 1)], "gate/sigmoid")
    y = node("Concat", [y, node("Mul", [y, gate], "gated")], "join", axis=1)
    y = node("LeakyRelu", [y], "leaky", alpha=0.1)
    y = node("AveragePool", [y], "average", kernel_shape=[2, 2], strides=[2, 2])
    y = node("Flatten", [node("GlobalAveragePool", [y], "mean")], "flat")
    y = node("Relu", [node("Gemm", [y, value("fc.weight", 12, 16), value("fc.bias", 12)], "fc", transB=1)], "fc/relu")
    y = node("MatMul", [y, value("head.weight", 12, 5)], "head")
    node("Add", [y, value("head.bias", 5)], "logits")
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, ["N", *SHAPE])],
        [helper.make_tensor_value_info("logits", 1, ["N", 5])],
        held,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def quantised(folder: Path, kind: str, **options: Any) -> Path:
    source, target = floats(folder / "float.onnx"), folder / f"{kind}.onnx"
    if kind == "dynamic":
        quantization.quantize_dynamic(source, target, **options)
        return target

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            self.batches = iter([{"x": rows(8, seed)} for seed in range(3)])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self.batches, None)

    quantization.quantize_static(
        source,
        target,
        Reader(),
        quant_format=quantization.QuantFormat.QOperator,
        weight_type=quantization.QuantType.QInt8,
        **options,
    )
    return target


def expected(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def kinds_of(report: Any) -> list[str]:
    return [op["kind"] for op in core.Model(data=report.bundle).ops()]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["QUInt8", "QInt8"])
def test_the_operator_format_stays_in_integers(tmp_path: Path, kind: str, per_channel: bool) -> None:
    activation = getattr(quantization.QuantType, kind)
    path = quantised(tmp_path, "operators", per_channel=per_channel, activation_type=activation)
    assert any(node.op_type == "QLinearConv" for node in onnx.load(path).graph.node)
    report = from_onnx(path, trainable="none", calibration=rows(16))
    # A MatMul whose bias is another operator has no int8 form.
    assert sum(kind in ("int8_conv", "int8_depthwise") for kind in kinds_of(report)) == 4, report.notes
    found, wanted = bundle_logits(report.bundle, rows(32)), expected(path, rows(32))
    # What has no int8 form is neither rounded nor cut off at the calibrated range here: mostly a few steps of the last
    # tensor.
    step = next(float(numpy_helper.to_array(t)) for t in onnx.load(path).graph.initializer if t.name == "logits_scale")
    apart = np.abs(found - wanted) / step
    assert np.median(apart) <= 1 and np.quantile(apart, 0.95) <= 4, np.quantile(apart, [0.5, 0.9, 0.95, 1])
    assert (found.argmax(1) == wanted.argmax(1)).mean() > 0.95


def test_a_head_that_learns_is_dequantised_and_has_its_name(tmp_path: Path) -> None:
    report = from_onnx(quantised(tmp_path, "operators"), trainable="head", calibration=rows(16))
    assert "int8_conv" in kinds_of(report) and kinds_of(report)[-1] == "linear"
    assert any("dequantised" in note for note in report.notes), report.notes
    session = core.Session(core.Model(data=report.bundle), max_batch=1, replay_capacity=0)
    assert {"head.weight", "head.bias"} <= set(session.parameters())


@pytest.mark.parametrize("weights", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic_quantisation_is_taken_as_floats(tmp_path: Path, weights: str, per_channel: bool) -> None:
    kind = getattr(quantization.QuantType, weights)
    path = quantised(tmp_path, "dynamic", weight_type=kind, per_channel=per_channel)
    assert any(node.op_type == "DynamicQuantizeLinear" for node in onnx.load(path).graph.node)
    report = from_onnx(path, trainable="all")
    assert "quantize" not in kinds_of(report)
    assert any("rounds activations" in note for note in report.notes)
    names = set(core.Session(core.Model(data=report.bundle), max_batch=1, replay_capacity=0).parameters())
    assert {"stem.weight", "deep.weight", "fc.weight", "head.weight"} <= names, names
    found, wanted = bundle_logits(report.bundle, rows(32)), expected(path, rows(32))
    assert 0 < np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


def test_integers_without_a_form_are_refused_in_one_line(tmp_path: Path) -> None:
    def refused(model: onnx.ModelProto, found: str) -> None:
        with pytest.raises(ExportError) as caught:
            from_onnx(model)
        text = str(caught.value)
        assert found in text and "QuantFormat.QDQ" in text and "\n" not in text, text

    path = quantised(tmp_path, "operators")
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "QLinearAdd":
            node.op_type = "QLinearWhere"
    refused(model, "QLinearWhere (2)")
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "QGemm":
            node.op_type = "QAttention"
    refused(model, "QAttention (1)")
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "QLinearAdd":
            del node.input[5:]
    refused(model, "QLinearAdd with 5 inputs")
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "MaxPool":
            node.op_type = "Abs"
            del node.attribute[:]
    refused(model, "Abs on a tensor of integers")
    model = onnx.load(quantised(tmp_path, "dynamic"))
    for node in model.graph.node:
        if node.op_type == "Cast":
            node.op_type = "Identity"
            del node.attribute[:]
            break
    refused(model, "in another arrangement")
