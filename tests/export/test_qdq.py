# QDQ ONNX files that stay in integers: against ONNX's own evaluator, which rounds in floats, and onnxruntime where it
# is installed; what falls back.
# Never here: operators of integers (test_integer_onnx.py), TFLite (test_int8_files.py).
from __future__ import annotations

from dataclasses import dataclass, field
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
from onnx.reference import ReferenceEvaluator

core = pytest.importorskip("edgecl._core")
U8, S8 = np.uint8, np.int8


@dataclass
class Qdq:
    """A model in the making, as onnxruntime.quantization writes it; tensors are named by their DequantizeLinear."""

    kind: type = U8
    seed: int = 1
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    values: dict[str, NDArray[Any]] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def round(self, tensor: str, scale: float, zero: int) -> str:
        """A tensor between both operators; `zero` as of int8."""
        names = [f"{tensor}_scale", f"{tensor}_zero"]
        self.values |= dict(
            zip(names, (np.float32(scale), self.kind(zero + (128 if self.kind is U8 else 0))), strict=True)
        )
        self.nodes.append(helper.make_node("QuantizeLinear", [tensor, *names], [f"{tensor}_q"]))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{tensor}_q", *names], [f"{tensor}_dq"]))
        self.scales[f"{tensor}_dq"] = float(np.float32(scale))
        return f"{tensor}_dq"

    def weight(self, name: str, stored: NDArray[Any], scales: NDArray[np.float32], axis: int = 0) -> str:
        """A constant behind DequantizeLinear."""
        self.values |= {
            f"{name}_quantized": stored,
            f"{name}_scale": scales,
            f"{name}_zero": np.zeros(scales.shape, stored.dtype),
        }
        inputs = [f"{name}_quantized", f"{name}_scale", f"{name}_zero"]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"], axis=axis))
        return f"{name}_dq"

    def layer(
        self,
        name: str,
        x: str,
        shape: tuple[int, ...],
        after: str = "",
        zero: int = 7,
        axis: int = 0,
        **attributes: Any,
    ) -> str:
        """Conv of a weight of four axes, or Gemm; `after`: an operator behind it."""
        outputs = shape[axis]
        scales = self.random.uniform(0.003, 0.01, outputs).astype(np.float32)
        weight = self.weight(f"{name}.weight", self.random.integers(-127, 128, shape).astype(S8), scales, axis)
        bias = self.random.integers(-4000, 4000, outputs).astype(np.int32)
        offset = self.weight(f"{name}.bias", bias, np.float32(self.scales[x]) * scales)
        kind = "Conv" if len(shape) == 4 else "Gemm"
        self.nodes.append(helper.make_node(kind, [x, weight, offset], [name], name=name, **attributes))
        if after:
            ends = ["lowest", "highest"] if after == "Clip" else []
            self.values |= dict(zip(ends, (np.float32(0), np.float32(6)), strict=False))
            self.nodes.append(helper.make_node(after, [name, *ends], [f"{name}_{after}"], name=f"{name}_{after}"))
        spread = float(scales.mean()) * self.scales[x] * 74.0 * 60.0 * (np.prod(shape) / outputs) ** 0.5
        return self.round(f"{name}_{after}" if after else name, spread / 40, zero)

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def model(self, shape: tuple[int, ...], output: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "quantised",
            [helper.make_tensor_value_info("x", 1, ["N", *shape])],
            [helper.make_tensor_value_info(output, 1, ["N", "classes"])],
            [numpy_helper.from_array(np.asarray(array), key) for key, array in self.values.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


SHAPE = (3, 9, 8)


def network(kind: type, seed: int = 1) -> tuple[Qdq, onnx.ModelProto]:
    """Every operator with an int8 form."""
    net = Qdq(kind, seed)
    x = net.round("x", 0.02, -5)
    x = net.layer("stem", x, (8, 3, 3, 3), "Clip", -128, pads=[1, 1, 1, 1], strides=[2, 2])
    y = net.layer("deep", x, (8, 1, 3, 3), "Relu", -128, pads=[1, 1, 1, 1], group=8)
    y = net.layer("point", y, (8, 8, 1, 1))
    total = net.node("Add", [x, y], "sum")
    x = net.round(total, net.scales[y] * 1.1, -60)
    x = net.round(net.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2]), net.scales[x], -60)
    x = net.layer("implied", x, (12, 8, 1, 1), "", -128)  # a range that begins at zero
    x = net.round(net.node("GlobalAveragePool", [x], "mean"), net.scales[x] * 0.4371, -128)
    x = net.round(net.node("Flatten", [x], "flat"), net.scales[x], -128)
    x = net.layer("head", x, (5, 12), transB=1)
    return net, net.model(SHAPE, x)


def rows(n: int, seed: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, *SHAPE)).astype(np.float32)


def reference(model: onnx.ModelProto, x: NDArray[np.float32], output: str | None = None) -> NDArray[Any]:
    newer = onnx.ModelProto.FromString(model.SerializeToString())  # the evaluator knows both operators from 19 on
    newer.opset_import[0].version = 21
    result: Any = ReferenceEvaluator(newer).run([output or model.graph.output[0].name], {"x": x})
    return np.asarray(result[0])


def kinds_of(report: Any) -> list[str]:
    return [op["kind"] for op in core.Model(data=report.bundle).ops()]


@pytest.mark.parametrize("kind", [U8, S8])
def test_at_most_a_step_from_onnx(kind: type) -> None:
    net, model = network(kind)
    report = from_onnx(model, trainable="none", calibration=rows(8))
    kinds = kinds_of(report)
    assert not {"conv", "linear", "depthwise", "max_pool", "global_average_pool"} & set(kinds)
    assert {"int8_conv", "int8_depthwise", "int8_add", "int8_max_pool", "int8_mean"} <= set(kinds)
    x = rows(40)
    step = net.scales[model.graph.output[0].name]
    apart = np.abs(np.rint(bundle_logits(report.bundle, x) / step) - np.rint(reference(model, x) / step))
    assert apart.max() <= 1 and (apart == 0).mean() >= 0.99
    told = [note for note in report.notes if "onnxruntime" in note]
    assert len(told) == 1 and ("at most" in told[0] or "not installed" in told[0]), told
    assert any(note.startswith("5 of 5 layers compute in int8") for note in report.notes)


def test_a_head_that_learns_is_dequantised() -> None:
    _, model = network(U8)
    report = from_onnx(model, trainable="head", calibration=rows(8))
    assert any(note.startswith("dequantised") and "head" in note for note in report.notes)
    session = core.Session(core.Model(data=report.bundle), max_batch=1, replay_capacity=0)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    wanted = (values["head.weight_quantized"] * values["head.weight_scale"][:, None].astype(np.float64)).astype(
        np.float32
    )
    assert np.array_equal(session.parameters()["head.weight"].reshape(12, 5).T, wanted)
    embedding = reference(model, rows(8), "flat_dq")
    apart = np.abs(session.embed(rows(1)) - embedding[:1])
    assert apart.max() <= 1.01 * float(values["flat_scale"])


def test_floats_where_everything_learns() -> None:
    _, model = network(S8)
    report = from_onnx(model, calibration=rows(8))
    assert not any(kind.startswith("int8") for kind in kinds_of(report))
    assert any("the bundle in float32" in note for note in report.notes)
    found, wanted = bundle_logits(report.bundle, rows(8)), reference(model, rows(8))
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.1 * wanted.std()  # with the cut at 0 that a range implies


def test_weights_other_than_symmetric_int8_stay_floats() -> None:
    _, model = network(U8)
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    stored = numpy_helper.to_array(values["point.weight_quantized"])
    zero = numpy_helper.to_array(values["point.weight_zero"])
    values["point.weight_quantized"].CopyFrom(
        numpy_helper.from_array((stored.astype(np.int64) + 128).astype(U8), "point.weight_quantized")
    )
    values["point.weight_zero"].CopyFrom(numpy_helper.from_array(np.full(zero.shape, 128, U8), "point.weight_zero"))
    report = from_onnx(model, trainable="none", calibration=rows(8))
    kept = [note for note in report.notes if note.startswith("stays in float32")]
    assert len(kept) == 1 and "point" in kept[0] and "uint8" in kept[0], report.notes
    assert kinds_of(report).count("conv") == 1


def test_weights_that_the_model_quantises_itself() -> None:
    net = Qdq(S8)
    x = net.round("x", 0.02, -5)
    real = net.random.standard_normal((4, 3, 9, 8)).astype(np.float32)
    scales = (np.abs(real).reshape(4, -1).max(1) / 127).astype(np.float32)
    net.values |= {"w": real, "w_scale": scales, "w_zero": np.zeros(4, S8)}
    net.nodes.append(helper.make_node("QuantizeLinear", ["w", "w_scale", "w_zero"], ["w_q"], axis=0))
    net.nodes.append(helper.make_node("DequantizeLinear", ["w_q", "w_scale", "w_zero"], ["w_dq"], axis=0))
    y = net.round(net.node("Conv", [x, "w_dq"], "conv"), 0.2, 3)
    model = net.model(SHAPE, net.node("Flatten", [y], "out"))
    report = from_onnx(model, trainable="none", calibration=rows(8))
    assert kinds_of(report).count("int8_conv") == 1
    apart = np.abs(np.rint(bundle_logits(report.bundle, rows(9)) / 0.2) - np.rint(reference(model, rows(9)) / 0.2))
    assert apart.max() <= 1


def test_transposed_weights() -> None:
    """MatMul and Gemm with [I][O], scales along the last axis; along the other they are not a scale an output."""
    for axis, turned in ((1, 1), (0, 0)):
        net = Qdq(U8)
        x = net.round("x", 0.02, 0)
        scales = net.random.uniform(0.003, 0.01, (216, 4)[axis]).astype(np.float32)
        stored = net.random.integers(-127, 128, (216, 4)).astype(S8)
        weight = net.weight("w", stored, scales, axis)
        y = net.round(net.node("MatMul", [net.node("Flatten", [x], "flat"), weight], "y"), 0.4, 0)
        model = net.model(SHAPE, y)
        report = from_onnx(model, trainable="none", calibration=rows(8))
        assert ("int8_conv" in kinds_of(report)) == bool(turned), report.notes
        step = np.float32(0.4)
        found, wanted = (np.rint(v / step) for v in (bundle_logits(report.bundle, rows(9)), reference(model, rows(9))))
        assert not turned or np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf"), 1e-38])
def test_scales_that_are_none(scale: float) -> None:
    """Refused, or left in float32 with a line; never another exception."""
    for name in ("sum_scale", "point.weight_scale"):
        _, model = network(U8)
        for tensor in model.graph.initializer:
            if tensor.name == name:
                old = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(np.full(old.shape, scale, np.float32), name))
        try:
            report = from_onnx(model, trainable="none", calibration=rows(2))
        except ExportError as error:
            assert "expected" in str(error) and "found" in str(error)
        else:
            assert any(note.startswith("stays in float32") for note in report.notes), report.notes


def test_the_command(tmp_path: Path) -> None:
    pytest.importorskip("typer", reason="typer is not installed (extra: cli)")
    from edgecl.cli import failure
    from edgecl.cli.main import app
    from typer.testing import CliRunner

    def call(*arguments: Any) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    _, model = network(U8)
    path, out = tmp_path / "m.onnx", tmp_path / "m.ecl"
    onnx.save(model, path)
    assert call("export", path, "-o", out).exit_code == failure.DONE  # all learns, so all is float32
    assert call("verify", out, "--against", path).exit_code == failure.DONE
    made = call("export", path, "-o", out, "--trainable", "head", "--json")
    assert made.exit_code == failure.DONE and "4 of 5 layers compute in int8" in made.stdout
    for node in model.graph.node:
        if node.op_type == "Conv":
            node.op_type = "ConvInteger"
            del node.input[2:]
    onnx.save(model, path)
    refused = call("export", path, "-o", tmp_path / "r.ecl")
    assert refused.exit_code == failure.INPUT and "QDQ" in refused.output and "Traceback" not in refused.output
    assert not (tmp_path / "r.ecl").exists()


def test_scales_that_are_not_constant_are_refused() -> None:
    _, model = network(U8)
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensor for tensor in network(U8)[1].graph.initializer if tensor.name != "sum_scale")
    model.graph.node.insert(0, helper.make_node("ReduceMax", ["x"], ["sum_scale"], keepdims=0))
    with pytest.raises(ExportError, match="QuantizeLinear"):
        from_onnx(model, trainable="none")
