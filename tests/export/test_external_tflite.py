# Bundles that carry a TFLite file: the export, and the same embeddings as the interpreter's by hand.
# Never here: ONNX (test_external_onnx.py), TFLite files turned into edgecl's operators (test_tflite_*.py).
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed (extra: engines)")

import edgecl
import edgecl.export as export
from ai_edge_litert import interpreter
from edgecl.cli import failure
from edgecl.cli.main import app
from edgecl.errors import UnsupportedError
from numpy.typing import NDArray
from tflite_files import TfliteFile, weights, window
from typer.testing import CliRunner

ENCODERS = Path(os.environ.get("EDGECL_DATA", "../shared/data")) / "encoders"
GENERATOR = np.random.default_rng(34)


def _by_hand(file: bytes, rows: NDArray[Any]) -> NDArray[np.float32]:
    """What the interpreter gives for rows as the file itself takes them; integers as the numbers that they mean."""
    runner = interpreter.Interpreter(model_content=file, num_threads=1)
    runner.allocate_tensors()
    (entry,), (result,) = runner.get_input_details(), runner.get_output_details()
    found = []
    for row in rows:
        runner.set_tensor(entry["index"], row.reshape(entry["shape"]))
        runner.invoke()
        found.append(runner.get_tensor(result["index"])[0].reshape(-1, result["shape"][-1]))
    values = np.array(found).astype(np.float32)
    if result["dtype"] != np.float32:
        scale, zero = result["quantization"]
        values = (values - np.float32(zero)) * np.float32(scale)
    return values.mean(axis=1, dtype=np.float64).astype(np.float32)


def _file(name: str) -> bytes:
    path = ENCODERS / name
    if not path.is_file():
        pytest.skip(f"{name} is not there (EDGECL_DATA)")
    return path.read_bytes()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("name", "dims", "integers"),
    [
        ("mlperf_tiny_resnet8_cifar10_f32.tflite", (32, 32, 3), None),
        ("mlperf_tiny_resnet8_cifar10_int8.tflite", (32, 32, 3), np.int8),
        ("mobilenet_v1_0.25_128_imagenet_uint8.tflite", (128, 128, 3), np.uint8),
    ],
)
def test_files_of_others(name: str, dims: tuple[int, ...], integers: Any, channels_last: bool) -> None:
    file = _file(name)
    spec = None
    if channels_last:
        from dataclasses import replace

        from edgecl.export.external import tflite_input

        spec = replace(tflite_input(file), channels_last=True)
    report = export.from_tflite(file, external=True, input=spec, normalise=False)
    bundle = edgecl.open_bundle(report.bundle)
    assert bundle.model.encoder_file() == file and bundle.encoder is not None and bundle.encoder["engine"] == "tflite"
    rng = np.random.default_rng(0)
    if integers is None:
        images: NDArray[Any] = rng.uniform(0, 255, (6, *dims)).astype(np.float32)
        own = images
    else:
        images = rng.integers(0, 256, (6, *dims), dtype=np.uint8)
        own = images if integers is np.uint8 else (images.astype(np.int16) - 128).astype(np.int8)
    raw = images if channels_last else np.ascontiguousarray(np.moveaxis(images, -1, 1))
    learner = edgecl.Classifier(bundle)
    embeddings = _by_hand(file, own)
    assert np.array_equal(learner.embed(raw), embeddings)
    said = " ".join(report.notes)
    assert "as probabilities of classes do" in said and ("raw samples are" in said) == (not channels_last)
    assert ("the file takes " + np.dtype(integers or "f4").name in said) == (integers is not None)
    labels = ["a", "b"] * 3
    given = edgecl.Classifier(bundle).partial_fit(embeddings, labels)
    assert learner.partial_fit(raw, labels).state_digest() == given.state_digest()


def test_a_waveform_without_a_batch_axis() -> None:
    file = _file("yamnet_audioset.tflite")
    report = export.from_tflite(file, external=True, normalise=False)
    raw = np.random.default_rng(0).uniform(-1, 1, (2, 15600)).astype(np.float32)
    assert np.array_equal(edgecl.Classifier(report.bundle).embed(raw), _by_hand(file, raw))


@pytest.fixture
def small() -> bytes:
    """Images [6][5][3] to a map [6][5][8]."""
    file = TfliteFile((1, 6, 5, 3))
    conv = file.constant(weights(GENERATOR, 8, 3, 3, 3), "conv")
    bias = file.constant(weights(GENERATOR, 8), "bias")
    file.op("CONV_2D", [0, conv, bias], (1, 6, 5, 8), window("Conv2DOptions", FusedActivationFunction=1))
    return bytes(file.data())


def test_a_map_is_averaged(small: bytes) -> None:
    report = export.from_tflite(small, external=True, normalise=False)
    assert "the mean over its 30 positions" in " ".join(report.notes)
    encoder = edgecl.open_bundle(report.bundle).encoder
    assert encoder is not None and encoder["positions"] == 30 and encoder["embedding_dim"] == 8
    raw = np.random.default_rng(0).standard_normal((4, 3, 6, 5)).astype(np.float32)
    found = edgecl.Classifier(report.bundle).embed(raw)
    assert np.abs(found - _by_hand(small, np.ascontiguousarray(np.moveaxis(raw, 1, -1)))).max() < 1e-6


def test_what_is_refused(small: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match="expected a TFLite file that ai-edge-litert can run") as caught:
        export.from_tflite(b"no model at all", external=True)
    assert caught.value.status == -30
    with pytest.raises(export.ExportError, match="expected external_output with an ONNX file"):
        export.from_tflite(small, external=True, external_output="y")
    batch = TfliteFile((2, 6, 5, 3))
    batch.op("RELU", [0], (2, 6, 5, 3))
    with pytest.raises(export.ExportError, match="a batch axis of 1 or free"):
        export.from_tflite(bytes(batch.data()), external=True)
    path = tmp_path / "m.tflite"
    path.write_bytes(small)
    arguments = ["export", str(path), "-o", str(tmp_path / "m.ecl"), "--external", "--head", "ncm"]
    assert CliRunner().invoke(app, [*arguments, "--channels-last"]).exit_code == failure.DONE
    assert edgecl.open_bundle(tmp_path / "m.ecl").samples["input_dims"] == [6, 5, 3]
    import sys

    for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnsupportedError, match="expected ai-edge-litert or tflite-runtime to run a TFLite encoder"):
        export.from_tflite(small, external=True)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == failure.USAGE and "pip install ai-edge-litert" in result.stderr
