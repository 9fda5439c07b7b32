# Int8 TFLite files that stay in integers: LiteRT's outputs, the file's own numbers, what falls back and what is said.
# Never here: QDQ files (test_qdq.py), int8 made from calibration rows (test_int8_encoder.py).
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl.errors import Error
from edgecl.export.errors import ExportError
from edgecl.export.parity import bundle_logits
from numpy.typing import NDArray

pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")
pytest.importorskip("edgecl._core")

import int8_interpreter
from edgecl import _core as core
from edgecl import export
from edgecl.export.int8_numbers import (
    Quantisation,
    mean_constants,
    multiplier_of,
    packed_layer,
    requantized,
    single_multiplier_of,
)
from edgecl.export.tflite_front import from_tflite
from int8_networks import Int8File, mean_network, whole_network
from tflite_files import window

DATA = Path(os.environ.get("EDGECL_DATA", "none"))
INT8 = ["mlperf_tiny_resnet8_cifar10_int8", "mlperf_tiny_dscnn_kws_int8", "mlperf_tiny_mobilenetv1_025_vww96_int8"]
# Stored logits of `whole_network(seed)` and `mean_network` on `rows(4)`, by the reference kernels of LiteRT 2.3.0.
LITERT = {
    "whole 1": [[4, 28, 0, 11, -21, -3], [8, 16, 4, -6, -18, 2], [-3, 15, 8, 0, -26, 2], [13, 24, -15, 27, -27, -5]],
    "whole 5": [
        [-2, 0, 8, 33, 31, -22],
        [11, -13, 8, 37, 29, -15],
        [6, -13, 10, 27, 29, -15],
        [2, -1, 17, 21, 18, -11],
    ],
    "mean": [[70, 17, 37, 14, 24], [45, 9, 38, 19, 38], [34, 6, 29, -1, 27], [46, 18, 17, 15, 9]],
    "mean of a column": [[127, 8, 94, 45, 81], [7, 20, -8, -18, -18], [66, 19, 21, -19, 3], [78, 9, 57, 24, 52]],
}


def plan_of(data: bytes, **keywords: Any) -> tuple[dict[str, Any], export.ExportReport]:
    """The plan that the exporter hands to the writer last, and the report."""
    kept: list[dict[str, Any]] = []
    write = core.write_bundle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "write_bundle", lambda plan: kept.append(plan) or write(plan))
        report = from_tflite(data, **keywords)
    return kept[-1], report


def channels_first(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(rows, -1, 1))


def stored_logits(plan: dict[str, Any], bundle: bytes, rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The integers that the logits are dequantised from."""
    last = plan["ops"][-1]
    assert last["kind"] == "dequantize"
    entry = plan["tensors"][last["inputs"][0]]
    steps = bundle_logits(bundle, channels_first(rows)).astype(np.float64) / np.float32(entry["scale"])
    return np.rint(steps).astype(np.int64) + entry["zero_point"]


NETWORKS = {
    "whole 1": lambda: whole_network(1),
    "whole 5": lambda: whole_network(5),
    "mean": lambda: mean_network([1, 2]),
    "mean of a column": lambda: mean_network([1, 2], (1, 16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_litert(name: str) -> None:
    net = NETWORKS[name]()
    plan, report = plan_of(net.file.data(), trainable="none")
    assert not {"conv", "linear", "max_pool", "average_pool"} & {op["kind"] for op in plan["ops"]}
    found = stored_logits(plan, report.bundle, net.rows(4))
    assert np.array_equal(found, LITERT[name]), found.tolist()
    told = [note for note in report.notes if "LiteRT" in note]
    assert len(told) == 1 and ("100 % equal, at most 0 steps" in told[0] or "not installed" in told[0]), told


def test_same_bits_at_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    net = whole_network(1)
    plan, report = plan_of(net.file.data(), trainable="head")
    kinds = [op["kind"] for op in plan["ops"]]
    assert {"int8_max_pool", "int8_average_pool", "int8_add", "int8_conv"} <= set(kinds) and kinds[-1] == "linear"
    raw = channels_first(net.rows(17))
    rows = raw.astype(np.float32) * np.float32(plan["input"]["scale"]) - plan["input"]["mean"].reshape(1, -1, 1, 1)
    wanted = int8_interpreter.embeddings(plan, rows.astype(np.float32))
    seen = set()
    for level in ("reference", "x86-64-v1", "x86-64-v3", "x86-64-v4", "x86-64-v4-vnni", "neon", "neon-dot"):
        monkeypatch.setenv("EDGECL_SIMD", level)
        for n_rows, threads in ((1, 1), (16, 1), (17, 2)):
            try:
                model = core.Model(data=report.bundle)
                session = core.Session(model, predict_only=1, max_batch=n_rows, n_threads=threads)
            except Exception as error:  # this machine does not run it
                assert "level" in str(error)
                break
            seen.add(level)
            found = session.embed(raw[:n_rows])
            assert np.array_equal(found.view(np.uint32), wanted[:n_rows].view(np.uint32)), (level, n_rows)
    assert len(seen) >= 2


def test_the_files_own_numbers() -> None:
    net = Int8File((1, 4, 4, 3))
    weight = net.bytes(5, 1, 1, 3)
    x = net.layer("CONV_2D", 0, weight, (1, 4, 4, 5), window("Conv2DOptions", FusedActivationFunction=3), zero=-100)
    net.layer("FULLY_CONNECTED", x, net.bytes(3, 80), (1, 3), ("FullyConnectedOptions", {}), per_channel=False)
    plan, _ = plan_of(net.file.data(), trainable="none")
    conv = next(op for op in plan["ops"] if op["kind"] == "int8_conv")
    stored, table = (plan["params"][p]["values"] for p in conv["params"])
    assert np.array_equal(stored[0, 0, :5, :3], weight.reshape(5, 3))
    record, scale, zero = plan["tensors"][conv["output"]], *net.steps[x]
    assert (record["zero_point"], np.float32(record["scale"])) == (zero, np.float32(scale))
    scales = np.float32(net.file.tensors[1].scale)
    wanted = [multiplier_of(float(s) * float(np.float32(net.scale)) / scale) for s in scales]
    assert np.array_equal(table[2:, :5].T, wanted)
    assert np.array_equal(table[0, :5], np.frombuffer(net.file.tensors[2].data or b"", np.int32))
    assert conv["i"][:2] == [-100, 127]  # 6 / scale is 255 steps above the zero point


def test_what_learns_is_dequantised_and_said() -> None:
    net = whole_network(1)
    plan, report = plan_of(net.file.data(), trainable="head")
    assert any(note.startswith("6 of 7 layers compute in int8") for note in report.notes)
    told = [note for note in report.notes if note.startswith("dequantised")]
    assert len(told) == 1 and "fully_connected" in told[0]
    head = plan["params"][plan["head_weight"]]
    assert head["trainable"] and head["values"].dtype == np.float32
    session = core.Session(core.Model(data=report.bundle), max_batch=16, replay_capacity=0, learning_rate=1e-5)
    rows, labels = channels_first(net.rows(16)), (np.arange(16) % 6).astype(np.int32)
    before = session.embed(rows)
    losses = [float(session.learn(rows, labels)["loss"]) for _ in range(30)]
    assert losses[-1] < losses[0] and np.array_equal(before, session.embed(rows))


@pytest.mark.parametrize("keywords", [{"trainable": "all"}, {"trainable": "head", "encoder": "float32"}])
def test_floats_where_they_are_asked_for(keywords: dict[str, Any]) -> None:
    plan, report = plan_of(whole_network(1).file.data(), **keywords)
    assert not any(op["kind"].startswith("int8") for op in plan["ops"])
    assert any("the bundle in float32" in note for note in report.notes)


def test_statistics_heads_take_the_files_embeddings() -> None:
    recipe = export.Recipe(method="ridge")
    plan, report = plan_of(whole_network(1).file.data(), recipe=recipe, max_classes=5)
    kinds = [op["kind"] for op in plan["ops"]]
    assert "int8_conv" in kinds and "conv" not in kinds and kinds.count("linear") == 1
    assert any(note.startswith("6 of 7 layers") for note in report.notes)


def test_domains_keep_floats() -> None:
    recipe = export.Recipe(method="ridge", max_domains=2)
    plan, report = plan_of(whole_network(1).file.data(), recipe=recipe, max_classes=5, normalise=False)
    assert not any(op["kind"].startswith("int8") for op in plan["ops"])
    assert any("the bundle in float32" in note for note in report.notes)


def small(weight: NDArray[np.int8], **fields: Any) -> Int8File:
    """A convolution with this weight between two others."""
    net = Int8File((1, 4, 4, 4))
    x = net.layer("CONV_2D", 0, net.bytes(4, 1, 1, 4), (1, 4, 4, 4), window("Conv2DOptions"))
    x = net.layer("CONV_2D", x, weight, (1, 4, 4, 4), window("Conv2DOptions"), **fields)
    net.layer("FULLY_CONNECTED", x, net.bytes(3, 64), (1, 3), ("FullyConnectedOptions", {}), per_channel=False)
    return net


def test_what_has_no_int8_form_is_named() -> None:
    ones = np.ones((4, 1, 1, 4), np.int8)
    below, asymmetric, steps, along = (small(ones) for _ in range(4))
    stored = ones.copy()
    stored[1, 0, 0, 2] = -128
    below = small(stored)
    asymmetric.file.tensors[4].zero = (1,) * 4
    steps.file.tensors[5].scale = (0.01,) * 4
    along.file.tensors[4].axis = 2
    for net, sentence in (
        (below, "-128"),
        (asymmetric, "have a zero point"),
        (steps, "other steps than those of weight times input"),
    ):
        plan, report = plan_of(net.file.data(), trainable="none")
        kept = [note for note in report.notes if note.startswith("stays in float32")]
        assert len(kept) == 1 and sentence in kept[0], report.notes
        kinds = [op["kind"] for op in plan["ops"]]
        assert kinds.count("int8_conv") == 2 and kinds.count("conv") == 1
    with pytest.raises(ExportError, match="one scale a channel"):
        from_tflite(along.file.data(), trainable="none")


def test_a_function_without_int8_form_runs_between_borders() -> None:
    net = Int8File((1, 4, 4, 4))
    x = net.layer("CONV_2D", 0, net.bytes(4, 1, 1, 4), (1, 4, 4, 4), window("Conv2DOptions"))
    x = net.add("LOGISTIC", [x], (1, 4, 4, 4), None, (1 / 256, -128))
    net.layer("CONV_2D", x, net.bytes(3, 4, 4, 4), (1, 1, 1, 3), window("Conv2DOptions", False))
    plan, report = plan_of(net.file.data(), trainable="none")
    kinds = [op["kind"] for op in plan["ops"]]
    assert kinds == ["quantize", "int8_conv", "dequantize", "activation", "quantize", "int8_conv", "dequantize"]
    assert any("stays in float32: logistic1: activation has no int8 form" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["FLOAT32", "UINT8"])
def test_borders_of_the_file_itself(kind: str) -> None:
    """QUANTIZE behind the input and DEQUANTIZE before the output are the borders that the bundle has anyway."""
    net = Int8File((1, 4, 4, 4))
    if kind == "UINT8":
        net.file.tensors[0].kind, net.file.tensors[0].zero = kind, (net.zero + 128,)
    else:
        net.file.tensors[0].kind, net.file.tensors[0].scale, net.file.tensors[0].zero = kind, (), ()
    x = net.add("QUANTIZE", [0], (1, 4, 4, 4), None)
    x = net.layer("CONV_2D", x, net.bytes(3, 4, 4, 4), (1, 1, 1, 3), window("Conv2DOptions", False))
    net.file.op("DEQUANTIZE", [x], (1, 1, 1, 3))
    plan, report = plan_of(net.file.data(), trainable="none")
    assert [op["kind"] for op in plan["ops"]][:3] == ["quantize", "int8_conv", "dequantize"]
    assert not any("twice" in note or "stays" in note for note in report.notes), report.notes
    assert plan["input"]["dtype"] == ("u8" if kind == "UINT8" else "f32")


def test_a_channel_that_is_always_the_same() -> None:
    """What a converter makes of one that is always 0: no weights, and a bias of 2^30 in steps that are tiny."""
    x, y = Quantisation(0.05, -128), Quantisation(0.02, -10)
    stored, biases = np.zeros((1, 2, 1, 1), np.int64), np.array([2**30 + 64])
    constants = [multiplier_of(2.0**-30)]
    layer = packed_layer(stored, biases, constants, x, y, (0.0, np.inf), False)
    assert layer is not None and requantized(2**30 + 64, *constants[0]) == 1
    assert [int(value) for value in layer.table[:, 0]] == [1, 0, 2**30, 1]
    stored[0, 0], biases[0] = 100, 129 * 2**23  # half a step above 64: the input decides
    assert packed_layer(stored, biases, [multiplier_of(2.0**-24)], x, y, (0.0, np.inf), False) is None


def test_multipliers() -> None:
    assert single_multiplier_of(0.25) == (2**29, 0) and single_multiplier_of(2.0**-20) == multiplier_of(2.0**-20)
    for real in (0.0031, 0.25, 0.9):
        multiplier, shift = single_multiplier_of(real)
        assert [requantized(acc, multiplier, shift) for acc in (-999, 7, 1001)] == [
            int(np.floor(acc * real + 0.5)) for acc in (-999, 7, 1001)
        ]
    assert requantized(2**31, 2**30, 0) is None
    q = Quantisation(0.1, 5)
    assert mean_constants(q, q, 4) == (2**30, -1, 5, -20) and mean_constants(q, q, 2**24) is None


@pytest.mark.parametrize("which", ["weight", "bias", "output"])
@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf"), 1e-38, 1e38])
def test_scales_that_are_none(which: str, scale: float) -> None:
    """Refused, or left in float32 with a line; never another exception."""
    net = small(np.ones((4, 1, 1, 4), np.int8))
    tensor = net.file.tensors[{"weight": 4, "bias": 5, "output": 6}[which]]
    tensor.scale = (scale,) * len(tensor.scale)
    try:
        report = from_tflite(net.file.data(), trainable="none")
    except Error as error:
        assert "expected" in str(error) and "found" in str(error)
    else:
        assert any(note.startswith("stays in float32") for note in report.notes), report.notes


def test_zero_points_that_are_none() -> None:
    net = small(np.ones((4, 1, 1, 4), np.int8))
    net.file.tensors[6].zero = (300,)
    report = from_tflite(net.file.data(), trainable="none")
    assert sum("zero point 300" in note for note in report.notes) >= 1


def test_older_and_partly_quantised_files_say_so() -> None:
    file = whole_network(1).file
    for tensor in file.tensors:
        if tensor.kind == "INT8" and tensor.data is None:
            tensor.kind, tensor.zero = "UINT8", tuple(zero + 128 for zero in tensor.zero)
    plan, report = plan_of(file.data(), trainable="head")
    assert not any(op["kind"].startswith("int8") for op in plan["ops"])
    assert sum("uint8 weights are those of before" in note for note in report.notes) == 1


def test_pools_that_cannot_be_are_refused() -> None:
    plan, _ = plan_of(whole_network(1).file.data(), trainable="none")

    def changed(kind: str, **fields: Any) -> dict[str, Any]:
        ops = [{**op, **(fields if op["kind"] == kind else {})} for op in plan["ops"]]
        return {**plan, "ops": ops}

    def other_output(kind: str, **fields: Any) -> dict[str, Any]:
        index = next(op["output"] for op in plan["ops"] if op["kind"] == kind)
        tensors = [{**record, **(fields if i == index else {})} for i, record in enumerate(plan["tensors"])]
        return {**plan, "tensors": tensors}

    for kind in ("int8_max_pool", "int8_average_pool"):
        for sentence, malformed in {
            "i\\[0\\]": changed(kind, i=[-129, 127]),
            "i\\[1\\]": changed(kind, i=[5, 4]),
            "kernel_h": changed(kind, kernel=(0, 2)),
            "stride_w": changed(kind, stride=(1, 0)),
            "pad_top": changed(kind, pads=(2, 0, 0, 0)),
            "groups": changed(kind, groups=2),
            "zero_point": other_output(kind, zero_point=1),
            "scale": other_output(kind, scale=0.5),
            "output height": other_output(kind, height=9),
        }.items():
            with pytest.raises(ValueError, match=sentence):
                core.write_bundle(malformed)


def test_the_command_says_it(tmp_path: Path) -> None:
    pytest.importorskip("typer", reason="typer is not installed (extra: cli)")
    from edgecl.cli import failure
    from edgecl.cli.main import app
    from typer.testing import CliRunner

    path = tmp_path / "net.tflite"
    path.write_bytes(whole_network(1).file.data())

    def call(*arguments: Any) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    made = call("export", path, "-o", tmp_path / "n.ecl", "--trainable", "head", "--json")
    assert made.exit_code == failure.DONE, made.output
    notes = json.loads(made.stdout)["notes"]
    assert any("6 of 7 layers compute in int8" in note for note in notes)
    against = call("verify", tmp_path / "n.ecl", "--against", path)
    assert against.exit_code == failure.USAGE and "found int8 ones" in against.output
    floats = call("export", path, "-o", tmp_path / "f.ecl", "--trainable", "head", "--encoder", "float32", "--json")
    assert floats.exit_code == failure.DONE and "the bundle in float32" in floats.stdout
    assert call("verify", tmp_path / "f.ecl", "--against", path).exit_code == failure.DONE
    wrong = call("export", path, "-o", tmp_path / "w.ecl", "--encoder", "int4")
    assert wrong.exit_code == failure.USAGE and "Traceback" not in wrong.output and not (tmp_path / "w.ecl").exists()


@pytest.mark.parametrize("name", INT8)
def test_pretrained_files(name: str) -> None:
    path = DATA / "encoders" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("no pretrained encoders here (EDGECL_DATA)")
    report = from_tflite(path, trainable="head")
    layers = len(report.layers)
    assert any(note.startswith(f"{layers - 1} of {layers} layers compute in int8") for note in report.notes)
    assert not any(note.startswith("stays in float32") for note in report.notes)
    told = [note for note in report.notes if "LiteRT" in note]
    assert len(told) == 1 and ("100 % equal" in told[0] or "not installed" in told[0]), told
