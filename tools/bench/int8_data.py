# What the int8 bench feeds its networks: pictures, coefficients of keywords, and QDQ files that onnxruntime makes.
# Never here: measuring (int8_files.py).
"""Rows for each file, the keywords as DS-CNN sees them, `qdq_file`."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgecl.evaluate.data_files import data_file, read_cifar10
from edgecl.npz import read_npz
from numpy.typing import NDArray

RATE, FRAME, STEP, BINS, MELS, COEFFICIENTS = 16000, 480, 320, 512, 40, 10
LOWEST, HIGHEST = 20.0, 4000.0  # Hz

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Groceries:
    """Pictures [n][3][side][side], whole, scaled; fine classes; "train", "val" or "test"."""

    x: U8
    y: NDArray[np.int64]
    split: NDArray[np.str_]


def groceries(side: int, limit: int | None = None) -> Groceries:
    """All but the iconic ones, or `limit` of them, evenly drawn."""
    from PIL import Image

    with zipfile.ZipFile(data_file("grocery96_fruit_packages.zip")) as archive:
        listed = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
        rows = [row for row in listed if row["split"] != "iconic"]
        if limit is not None:
            rows = [rows[i] for i in np.linspace(0, len(rows) - 1, limit).astype(int)]
        x = np.empty((len(rows), 3, side, side), np.uint8)
        for pixels, row in zip(x, rows, strict=True):
            with Image.open(io.BytesIO(archive.read(row["path"]))) as picture:
                scaled = picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            pixels[:] = np.moveaxis(np.asarray(scaled, np.uint8), -1, 0)
    y = np.array([int(row["fine"]) for row in rows], np.int64)
    return Groceries(x, y, np.array([row["split"] for row in rows]))


@dataclass(frozen=True)
class Keywords:
    """Coefficients [n][1][49][10] of clips of 1 s, labels 0.., speakers."""

    x: F32
    y: NDArray[np.int64]
    speaker: NDArray[Any]


def keywords() -> Keywords:
    """The ten words of Speech Commands (Warden 2018)."""
    arrays = read_npz(data_file("speech_commands_v002_test_subset.npz"), ("audio", "label", "speaker"))
    known = arrays["label"] > 0  # 0 is _unknown_
    x = np.stack([cepstrum(clip) for clip in arrays["audio"][known]])[:, None]
    return Keywords(x, arrays["label"][known].astype(np.int64) - 1, arrays["speaker"][known])


def cepstrum(clip: NDArray[np.int16]) -> F32:
    """[49][10]: of the clip at a peak of 1, as MLPerf Tiny's keyword network was trained on (Banbury et al. 2021):
    magnitudes of 30 ms every 20 ms under a periodic Hann window, 40 mel bands (HTK's scale), log, cosine transform."""
    wave = clip / max(float(np.abs(clip.astype(np.float64)).max()), 1.0)
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::STEP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    bands = np.log(np.abs(np.fft.rfft(frames * window, BINS)) @ _mel_bands() + 1e-6)
    angle = np.pi / MELS * np.outer(np.arange(MELS) + 0.5, np.arange(COEFFICIENTS))
    return np.asarray(bands @ np.cos(angle) * np.sqrt(2.0 / MELS), np.float32)


def _mel_bands() -> NDArray[np.float64]:
    """[bins][bands], triangles on the mel scale; the lowest bin takes no part."""
    mel = 1127.0 * np.log1p(np.arange(BINS // 2 + 1) * RATE / BINS / 700.0)[:, None]
    lowest, highest = (1127.0 * float(np.log1p(f / 700.0)) for f in (LOWEST, HIGHEST))
    edges = np.linspace(lowest, highest, MELS + 2)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    bands = np.maximum(0.0, np.minimum((mel - left) / (middle - left), (right - mel) / (right - middle)))
    bands[0] = 0.0
    return np.asarray(bands)


def as_bytes(x: F32, scale: float, mean: float) -> U8:
    """Raw samples of a bundle whose input is raw * scale - mean."""
    return np.asarray(np.clip(np.rint((x + mean) / scale), 0, 255), np.uint8)


def rows_of(name: str, scale: float, mean: float, n: int) -> U8:
    """Raw rows for the file `name`, of the data that it was made for."""
    if "cifar10" in name:
        return np.ascontiguousarray(read_cifar10()[0]["test"][0][:n])
    if "kws" in name:
        found = keywords().x
        return as_bytes(found[np.linspace(0, len(found) - 1, n).astype(int)], scale, mean)
    return groceries(96 if "vww96" in name else 224, n).x


def qdq_file(model: onnx.ModelProto, rows: F32, path: Path, unsigned: bool) -> Path:
    """A QDQ file of the model, a scale a channel, ranges from the rows; made when it is not there."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: Iterator[F32] = iter(rows)

        def get_next(self) -> dict[str, F32] | None:
            row = next(self.rows, None)
            return None if row is None else {model.graph.input[0].name: row[None]}

    if not path.exists():
        source = path.with_suffix(".float.onnx")
        onnx.save(model, source)
        kind = QuantType.QUInt8 if unsigned else QuantType.QInt8
        quantize_static(
            source, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=kind,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
        source.unlink()
    return path
