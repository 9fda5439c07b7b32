# Quantised TFLite files of our own: which real numbers the bundle computes with, and which bytes it takes.
# Never here: the integer model itself (test_tflite_encoders.py runs it).
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgecl.export.parity import bundle_logits
from edgecl.export.recipe import InputSpec
from edgecl.export.report import ExportReport
from numpy.typing import NDArray

pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")
pytest.importorskip("edgecl._core")

from edgecl.export.tflite_front import from_tflite
from tflite_files import TfliteFile, weights, window

GENERATOR = np.random.default_rng(32)
STEP = 0.0625  # of the input


def integer_network(kind: str, zero: int, range_from: int) -> tuple[TfliteFile, NDArray[Any], NDArray[Any]]:
    """A convolution of one cell: int8 weights with a scale a channel, int32 bias; its weight and bias as real numbers.

    Args:
        range_from: zero point of the output.
    """
    dtype = np.dtype(kind.lower())
    scales = tuple(float(value) for value in np.float32([0.01, 0.02, 0.03, 0.05]))
    stored = GENERATOR.integers(-127, 128, (4, 2, 2, 3)).astype(np.int8)
    bias = GENERATOR.integers(-900, 900, 4).astype(np.int32)
    file = TfliteFile((1, 2, 2, 3), kind=dtype.name.upper(), scale=(STEP,), zero=(zero,))
    weight = file.constant(stored, "conv/weight", scales, (0,) * 4, 0)
    offset = file.constant(bias, "conv/bias", tuple(STEP * value for value in scales), (0,) * 4, 0)
    output = (dtype.name.upper(), (0.1,), (range_from,))
    options = window("Conv2DOptions", False)
    conv = file.op("CONV_2D", [0, weight, offset], (1, 1, 1, 4), options, output)
    file.op("RESHAPE", [conv], (1, 4), output=output)
    real = stored.astype(np.float64) * np.float64(np.float32(scales))[:, None, None, None]
    return file, real, bias * np.float64(np.float32([STEP * value for value in scales]))


def logits(report: ExportReport, raw: NDArray[Any]) -> NDArray[np.float32]:
    return bundle_logits(report.bundle, np.ascontiguousarray(np.moveaxis(raw, -1, 1)))


@pytest.mark.parametrize(("kind", "zero", "shift"), [("UINT8", 128, 0), ("UINT8", 3, 0), ("INT8", -5, 128)])
def test_integers_become_the_real_numbers_that_they_stand_for(kind: str, zero: int, shift: int) -> None:
    file, weight, bias = integer_network(kind, zero, 7)
    report = from_tflite(file.data())
    stored = GENERATOR.integers(0, 256, (5, 2, 2, 3)) - shift
    wanted = np.einsum("nabc,oabc->no", STEP * (stored - zero), weight) + bias
    found = logits(report, (stored + shift).astype(np.uint8))
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max() and (wanted < 0).any()
    import edgecl._core as core

    session = core.Session(core.Model(data=report.bundle), max_batch=1, replay_capacity=0)
    parameters = session.parameters()
    exact = np.moveaxis(weight, -1, 1).astype(np.float32).reshape(4, -1)
    assert np.array_equal(parameters["conv/weight"].reshape(4, -1), exact)
    assert np.array_equal(parameters["conv/bias"].reshape(-1), bias.astype(np.float32))
    assert any("dequantised exactly" in note for note in report.notes)
    told = [note for note in report.notes if note.startswith("the file takes") and "bytes" in note]
    assert len(told) == 1 and ("128 larger" in told[0]) == bool(shift)


def test_real_numbers_as_input() -> None:
    file, weight, bias = integer_network("INT8", -5, 7)
    report = from_tflite(file.data(), input=InputSpec())
    rows = weights(GENERATOR, 4, 2, 2, 3)
    wanted = np.einsum("nabc,oabc->no", rows.astype(np.float64), weight) + bias
    assert np.abs(logits(report, rows) - wanted).max() <= 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize(("kind", "lowest"), [("UINT8", 0), ("INT8", -128)])
def test_a_range_from_zero_is_a_relu(kind: str, lowest: int) -> None:
    file, weight, bias = integer_network(kind, 0, lowest)
    report = from_tflite(file.data(), trainable="none", encoder="float32")
    raw = GENERATOR.integers(0, 256, (5, 2, 2, 3)).astype(np.uint8)
    real = STEP * (raw.astype(np.float64) - (128 if kind == "INT8" else 0))
    wanted = np.maximum(np.einsum("nabc,oabc->no", real, weight) + bias, 0)
    assert np.abs(logits(report, raw) - wanted).max() <= 1e-6 * np.abs(wanted).max()
    assert any("RELU, which 1 layers got" in note for note in report.notes)


def test_weights_only() -> None:
    stored = GENERATOR.integers(0, 256, (6, 5)).astype(np.uint8)
    file = TfliteFile((1, 5))
    weight = file.constant(stored, "w", (0.02,), (119,))
    file.op("FULLY_CONNECTED", [0, weight, -1], (1, 6), ("FullyConnectedOptions", {}))
    report = from_tflite(file.data())
    rows = weights(GENERATOR, 3, 5)
    wanted = rows @ (np.float64(np.float32(0.02)) * (stored.astype(np.float64) - 119)).T
    assert np.allclose(bundle_logits(report.bundle, rows), wanted, atol=1e-5)
    assert any(note.startswith("1 quantised weights") for note in report.notes)
