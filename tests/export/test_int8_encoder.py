# Encoders in int8: bit for bit what the specification says at every level, close to float32 on real data, and what is
# refused.
# Never here: single kernels (tests/kernels/int8_cases.cpp).
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgecl.export.errors import ExportError
from edgecl.export.parity import bundle_logits
from numpy.typing import NDArray
from torch import nn

pytest.importorskip("edgecl._core")

import int8_interpreter
from edgecl import _core as core
from edgecl import export
from edgecl.export.int8_numbers import multiplier_of, quantisation_of

DATA = Path(os.environ.get("EDGECL_DATA", "none"))


class Bottleneck(nn.Module):
    """A residual of a 1x1, a depthwise and a 1x1 convolution."""

    def __init__(self, width: int, out: int, stride: int, kernel: int) -> None:
        super().__init__()
        hidden = 2 * width
        self.body = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.adds = stride == 1 and width == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return x + y if self.adds else y


def network() -> nn.Sequential:
    """Every operator with an int8 form, odd widths, and one in the middle that has none."""
    module = nn.Sequential(
        nn.Conv2d(3, 10, 3, 2, 1, bias=False),
        nn.BatchNorm2d(10),
        nn.ReLU6(),
        Bottleneck(10, 10, 1, 3),
        nn.Hardswish(),
        Bottleneck(10, 21, 2, 5),
        nn.Conv2d(21, 35, (1, 3), padding=(0, 2), dilation=(1, 2)),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(35, 20),
        nn.ReLU(),
        nn.Linear(20, 6),
    )
    with torch.no_grad():
        for _ in range(20):
            module(torch.randn(16, 3, 19, 23))
    return module.eval()


def rows(n: int, seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, 3, 19, 23)).astype(np.float32)


@pytest.fixture(scope="module")
def report() -> Any:
    torch.manual_seed(0)
    return export.from_torch(network(), rows(1), trainable="head", calibration=rows(40), encoder="int8")


def plan_of(**keywords: Any) -> dict[str, Any]:
    """The plan that the exporter hands to the writer."""
    kept: list[dict[str, Any]] = []
    write = core.write_bundle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "write_bundle", lambda plan: kept.append(plan) or write(plan))
        torch.manual_seed(0)
        export.from_torch(network(), rows(1), calibration=rows(40), encoder="int8", **keywords)
    return kept[-1]


def test_same_bits_as_the_specification_at_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(trainable="head")
    kinds = [op["kind"] for op in plan["ops"]]
    assert set(kinds) == {"quantize", "int8_conv", "int8_add", "int8_mean", "dequantize", "activation", "linear"}
    assert kinds.count("conv") == 0 and kinds.count("linear") == 1
    bundle = core.write_bundle(plan)
    raw = rows(17, 5)
    wanted = int8_interpreter.embeddings(plan, raw)
    levels: set[str] = set()
    for level in ("reference", "x86-64-v3", "x86-64-v4", "x86-64-v4-vnni", "neon", "neon-dot"):
        monkeypatch.setenv("EDGECL_SIMD", level)
        for n_rows, threads in ((1, 1), (7, 1), (16, 1), (17, 2)):
            try:
                session = core.Session(core.Model(data=bundle), predict_only=1, max_batch=n_rows, n_threads=threads)
            except Exception as error:  # this machine does not run it
                assert "level" in str(error)
                break
            levels.add(level)
            found = session.embed(raw[:n_rows])
            assert np.array_equal(found.view(np.uint32), wanted[:n_rows].view(np.uint32)), (level, n_rows)
    assert len(levels) >= 2


def test_close_to_float32(report: Any) -> None:
    torch.manual_seed(0)
    floats = export.from_torch(network(), rows(1), trainable="head", calibration=rows(40))
    fresh = rows(50, 9)
    expected, found = bundle_logits(floats.bundle, fresh), bundle_logits(report.bundle, fresh)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.06 * expected.std()
    assert any(note.startswith("9 of 9 frozen layers compute in int8") for note in report.notes)
    assert any("int8 against float32 on 40 calibration rows" in note for note in report.notes)
    assert len(report.bundle) < len(floats.bundle)
    layer = next(layer for layer in report.layers if layer.kind == "int8_conv")
    assert layer.dims == (10, 3, 3, 3) and layer.macs_forward == next(iter(floats.layers)).macs_forward


def test_the_limit_is_that_of_the_numbers_it_was_held_to(report: Any) -> None:
    floats = export.from_torch(network(), rows(1), trainable="head", calibration=rows(40)).parity
    assert floats is not None and floats.float32_max_abs is None and floats.limit() == f"allowed {floats.tolerance:.2g}"
    int8 = report.parity
    assert int8.max_abs > int8.tolerance >= int8.float32_max_abs
    line = next(line for line in report.summary().splitlines() if line.startswith("parity"))
    assert "no limit for the rounding to int8; in float32" in line and line.endswith(f"allowed {int8.tolerance:.2g})")
    assert report.as_dict()["parity"]["float32_max_abs"] == int8.float32_max_abs


def test_the_head_learns_on_an_int8_encoder(report: Any) -> None:
    session = core.Session(core.Model(data=report.bundle), max_batch=16, replay_capacity=0, learning_rate=3.0)
    before = session.embed(rows(4))
    samples, labels = rows(16, 11), np.arange(16) % 6
    losses = [float(session.learn(samples, labels.astype(np.int32))["loss"]) for _ in range(30)]
    assert losses[-1] < losses[0] - 0.03
    assert np.array_equal(before, session.embed(rows(4)))


def test_statistics_heads_take_int8_embeddings() -> None:
    torch.manual_seed(0)
    made = export.from_torch(
        network(), rows(1), calibration=rows(40), encoder="int8", recipe=export.Recipe(method="ncm"), max_classes=5
    )
    kinds = [op["kind"] for op in core.Model(data=made.bundle).ops()]
    assert "int8_conv" in kinds and "conv" not in kinds and kinds[-1] == "linear"


def test_nothing_to_quantise_is_refused() -> None:
    with pytest.raises(ExportError, match="frozen layers that can compute in int8"):
        export.from_torch(network(), rows(1), calibration=rows(8), encoder="int8")
    with pytest.raises(ExportError, match="expected calibration rows for an int8 encoder"):
        export.from_torch(network(), rows(1), trainable="head", encoder="int8")
    with pytest.raises(ExportError, match="'float32' or 'int8'"):
        export.from_torch(network(), rows(1), trainable="head", calibration=rows(8), encoder="int4")  # type: ignore[arg-type]


def changed(plan: dict[str, Any], section: str, index: int, **fields: Any) -> dict[str, Any]:
    records = [dict(record) for record in plan[section]]
    records[index] |= fields
    return {**plan, section: records}


def test_malformed_int8_layers_are_refused() -> None:
    plan = plan_of(trainable="head")
    position, conv = next((i, op) for i, op in enumerate(plan["ops"]) if op["kind"] == "int8_conv")
    weight, table = conv["params"]
    values, numbers = plan["params"][weight]["values"], plan["params"][table]["values"]

    def with_table(row: int, value: int) -> dict[str, Any]:
        other = numbers.copy()
        other[row, 0] = value
        return changed(plan, "params", table, values=other)

    below = values.copy()
    below[0, 0, 0, 0] = -128
    extra = values.copy()
    extra[0, 0, 15, 0] = 1  # of a channel that there is not
    refused = {
        "sum of weights": with_table(1, int(numbers[1, 0]) + 1),
        "multiplier": with_table(2, -1),
        "shift": with_table(3, 31),
        "largest sum": with_table(0, 2**30),
        "-127..127": changed(plan, "params", weight, values=below),
        "where there is no weight": changed(plan, "params", weight, values=extra),
        "i\\[0\\]": changed(plan, "ops", position, i=[-129, 127]),
        "i\\[1\\]": changed(plan, "ops", position, i=[5, 4]),
        "expected int8 of": changed(plan, "ops", position, params=[table, table]),
        "groups": changed(plan, "ops", position, groups=2),
        "of int8": changed(plan, "ops", position, inputs=[0]),
        "zero_point": changed(plan, "tensors", conv["inputs"][0], zero_point=128),
        "scale": changed(plan, "tensors", conv["inputs"][0], scale=0.0),
    }
    for sentence, malformed in refused.items():
        with pytest.raises(ValueError, match=sentence):
            core.write_bundle(malformed)


def test_nothing_trains_before_an_int8_operator() -> None:
    plan = plan_of(trainable="head")
    channels = plan["tensors"][0]["channels"]
    ones = np.ones(channels, np.float32)
    plan["params"].append({"name": "gain", "trainable": True, "dims": [channels, 1, 1], "values": ones})
    shape = {key: plan["tensors"][0][key] for key in ("channels", "height", "width")}
    plan["tensors"].append({"name": "scaled", **shape, "gradient": False, "alias": None})
    scaled = len(plan["tensors"]) - 1
    plan["ops"] = [{**op, "inputs": [scaled if t == 0 else t for t in op["inputs"]]} for op in plan["ops"]]
    gain = {"name": "gain", "kind": "mul", "inputs": [0], "output": scaled, "params": [len(plan["params"]) - 1]}
    plan["ops"].insert(0, gain)
    for record in plan["backward"]:
        record["op"] += 1
    with pytest.raises(ValueError, match="BACKWARD"):
        core.write_bundle(plan)


def test_numbers_of_the_specification() -> None:
    assert multiplier_of(0.5) == (2**30, 0) and multiplier_of(1.0) == (2**30, 1) and multiplier_of(0.0) == (0, 0)
    assert multiplier_of(2.0**-33) == (0, 0)
    q = quantisation_of(-1.0, 3.0)
    assert q.stored(0.0) == q.zero_point == -64 and q.stored(3.0) == 127 and q.stored(-9.0) == -128
    assert quantisation_of(0.0, 0.0).zero_point == 0 and quantisation_of(0.5, 6.0).zero_point == -128


@pytest.mark.parametrize("name", ["mlperf_tiny_resnet8_cifar10_f32"])
def test_real_pictures_lose_at_most_a_point(name: str) -> None:
    path = DATA / "encoders" / f"{name}.tflite"
    pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")
    if not path.is_file() or not (DATA / "cifar10_20k_5k_webp.zip").is_file():
        pytest.skip("no pretrained encoders here (EDGECL_DATA)")
    from edgecl.evaluate.data_files import read_cifar10

    splits, _ = read_cifar10()
    pictures, labels = splits["test"]
    seen = splits["train"][0][:100].astype(np.float32)
    pictures, labels = pictures[:2000], labels[:2000]
    right = {}
    for encoder in ("float32", "int8"):
        made = export.from_tflite(path, trainable="head", calibration=seen, encoder=encoder)
        logits = bundle_logits(made.bundle, np.ascontiguousarray(pictures, np.float32))
        right[encoder] = float((logits.argmax(axis=1) == labels).mean())
    assert right["float32"] > 0.8 and right["int8"] >= right["float32"] - 0.01
