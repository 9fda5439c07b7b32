# The pretrained TFLite files of the data folder, run by LiteRT beside the bundle.
# Never here: single operators (test_tflite_operators.py).
from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl.export.errors import ExportError
from edgecl.export.parity import bundle_logits
from numpy.typing import NDArray

pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")
pytest.importorskip("edgecl._core")

from edgecl.export.tflite_front import from_tflite

DATA = Path(os.environ.get("EDGECL_DATA", "none"))
FLOATS = [
    "mobilenet_v1_0.25_224_imagenet_f32",
    "mlperf_tiny_resnet8_cifar10_f32",
    "mlperf_tiny_mobilenetv1_025_vww96_f32",
]
INTEGERS = [
    "mobilenet_v1_0.25_128_imagenet_uint8",
    "mobilenet_v2_1.0_224_imagenet_uint8",
    "mlperf_tiny_resnet8_cifar10_int8",
    "mlperf_tiny_mobilenetv1_025_vww96_int8",
]
EMBEDDING = {"mobilenet_v2": 1280, "mobilenet_v1": 256, "resnet8": 64, "dscnn": 64, "vww96": 256}


def path_of(name: str) -> Path:
    path = DATA / "encoders" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("no pretrained encoders here (EDGECL_DATA)")
    return path


class LiteRt:
    """The interpreter on one row at a time; outputs as real numbers."""

    def __init__(self, path: Path) -> None:
        runtime = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed (extra: peers)")
        self.interpreter = runtime.Interpreter(str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        self.entry, self.end = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]

    def run(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        results = []
        for row in rows:
            self.interpreter.set_tensor(self.entry["index"], row[None].astype(self.entry["dtype"]))
            self.interpreter.invoke()
            result = self.interpreter.get_tensor(self.end["index"]).astype(np.float64)
            scale, zero = self.end["quantization"]
            results.append((result - zero) * scale if scale else result)
        return np.concatenate(results)


def probabilities(bundle: bytes, rows: NDArray[Any]) -> NDArray[np.float64]:
    """Of rows [H][W][C]."""
    logits = bundle_logits(bundle, np.ascontiguousarray(np.moveaxis(rows, -1, 1))).astype(np.float64)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return result


def photographs(n: int, side: int) -> NDArray[np.uint8]:
    """Groceries, [n][side][side][3]."""
    images = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with zipfile.ZipFile(DATA / "grocery96_fruit_packages.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        chosen = [names[i] for i in np.linspace(0, len(names) - 1, n).astype(int)]
        opened = [images.open(io.BytesIO(archive.read(name))).convert("RGB").resize((side, side)) for name in chosen]
    return np.stack([np.asarray(image) for image in opened])


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOATS)
def test_float_models(name: str) -> None:
    import edgecl._core as core

    path = path_of(name)
    peer = LiteRt(path)
    report = from_tflite(path, trainable="head")
    info = core.Model(data=report.bundle).describe()
    assert info["embedding_dim"] == next(width for key, width in EMBEDDING.items() if key in name)
    assert info["n_trainable_params"] == 2
    side = int(peer.entry["shape"][1])
    photos = photographs(4, side).astype(np.float32)
    if "resnet8" not in name:  # that one takes 0..255
        photos = photos / 127.5 - 1
    random = np.random.default_rng(5).uniform(photos.min(), photos.max(), (4, side, side, 3)).astype(np.float32)
    for rows in (photos, random):
        wanted, found = peer.run(rows), probabilities(report.bundle, rows)
        assert np.abs(found - wanted).max() <= 1e-4 * wanted.max()


@pytest.mark.slow
@pytest.mark.parametrize("name", INTEGERS)
def test_integer_models(name: str) -> None:
    """Probabilities on photographs: the largest difference of a row below 0.06 on average, and correlated above 0.99.
    (The step of the integer model's own probabilities is 1/256.)"""
    path = path_of(name)
    peer = LiteRt(path)
    report = from_tflite(path, trainable="head")
    rows = photographs(12, int(peer.entry["shape"][1]))
    shift = 128 if peer.entry["dtype"] == np.int8 else 0
    wanted, found = peer.run(rows.astype(np.int64) - shift), probabilities(report.bundle, rows)
    assert np.abs(found - wanted).max(1).mean() <= 0.06
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] >= 0.99


def test_keywords() -> None:
    """The float file has int8 weights, for which LiteRT rounds activations; the int8 file cuts them off too, so its
    rows lie where keywords do."""
    random = np.random.default_rng(6)
    for name, tolerance in (("mlperf_tiny_dscnn_kws_f32", 0.02), ("mlperf_tiny_dscnn_kws_int8", 0.08)):
        path = path_of(name)
        peer = LiteRt(path)
        report = from_tflite(path, trainable="head")
        scale, zero = (0.5847, 83) if peer.entry["dtype"] == np.int8 else (1.0, 0)
        real = random.normal(0, 4, (8, 49, 10, 1))
        rows = np.clip(np.round(real / scale + zero), -128, 127) if scale != 1.0 else real
        raw = (rows + 128).astype(np.uint8) if scale != 1.0 else rows.astype(np.float32)
        difference = np.abs(probabilities(report.bundle, raw) - peer.run(rows))
        assert difference.max(1).mean() <= tolerance


def test_a_model_with_its_own_spectrogram_is_refused() -> None:
    path = path_of("yamnet_audioset")
    with pytest.raises(ExportError) as caught:
        from_tflite(path)
    found = [blocker.op_type for blocker in caught.value.blockers]
    assert found == ["input", "GATHER", "RFFT2D", "COMPLEX_ABS", "LOG", "SPLIT"]
