# `edgecl export`, `verify` and `inspect` with a TFLite file.
# Never here: what the conversion computes (test_tflite_operators.py).
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("edgecl._core")
pytest.importorskip("typer", reason="typer is not installed (extra: cli)")

import edgecl
from edgecl.cli import failure
from edgecl.cli.main import app
from tflite_files import TfliteFile, weights, window
from typer.testing import CliRunner

GENERATOR = np.random.default_rng(34)


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Images [6][5][3] of uint8 to four classes."""
    file = TfliteFile((1, 6, 5, 3), kind="UINT8", scale=(0.5,), zero=(10,))
    conv = file.constant(weights(GENERATOR, 8, 3, 3, 3), "conv")
    image = file.op("CONV_2D", [0, conv], (1, 6, 5, 8), window("Conv2DOptions", FusedActivationFunction=1))
    pool = window("Pool2DOptions", False, FilterHeight=6, FilterWidth=5)
    last = file.op("AVERAGE_POOL_2D", [image], (1, 1, 1, 8), pool)
    dense = file.constant(weights(GENERATOR, 4, 8), "dense")
    last = file.op("FULLY_CONNECTED", [last, dense, -1], (1, 4), ("FullyConnectedOptions", {}))
    file.op("LOGISTIC", [last], (1, 4))
    path = tmp_path / "small.tflite"
    path.write_bytes(file.data())
    return path


@pytest.mark.parametrize(
    ("options", "dims", "dtype", "scale", "mean"),
    [
        ([], [3, 6, 5], 1, 0.5, 5.0),
        (["--channels-last"], [6, 5, 3], 1, 0.5, 5.0),
        (["--input-dtype", "f32"], [3, 6, 5], 0, 1.0, 0.0),
        (["--input-dtype", "u8", "--mean", "0.5"], [3, 6, 5], 1, np.float32(1 / 255), 0.5),
        (["--density", "0.5", "--sparse-layers", "conv"], [3, 6, 5], 1, 0.5, 5.0),
    ],
)
def test_export(
    model: Path, tmp_path: Path, options: list[str], dims: list[int], dtype: int, scale: float, mean: float
) -> None:
    out = tmp_path / "m.ecl"
    result = call("export", model, "-o", out, "--max-classes", "6", "--json", *options)
    assert result.exit_code == failure.DONE, result.output
    document = json.loads(result.stdout)
    assert document["name"] == "small" and document["parity"]["source"].startswith("tflite")
    assert any("[C,H,W]" in note for note in document["notes"])
    assert any("sigmoid at the end is left out" in note for note in document["notes"])
    info = edgecl.open_bundle(out).info
    assert info["input_dims"] == dims and info["input_dtype"] == dtype and info["class_capacity"] == 6
    assert info["input"]["scale"] == scale and info["input"]["mean"].tolist() == [mean] * 3
    shown = call("inspect", out)
    assert shown.exit_code == failure.DONE and "tflite" in shown.stdout
    same = call("verify", out, "--against", model, "--json")
    assert same.exit_code == failure.DONE and json.loads(same.stdout)["against"]["same"], same.output


def test_refusals(tmp_path: Path) -> None:
    missing = call("export", tmp_path / "none.tflite", "-o", tmp_path / "m.ecl")
    assert missing.exit_code == failure.INPUT and "expected a TFLite file" in missing.output
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(200)))
    broken = call("export", path, "-o", tmp_path / "m.ecl")
    assert broken.exit_code == failure.INPUT and "broken" in broken.output
    file = TfliteFile((1, 4))
    file.op("TANH", [0], (1, 4))
    path.write_bytes(file.data())
    unknown = call("export", path, "-o", tmp_path / "m.ecl")
    assert unknown.exit_code == failure.INPUT and "TANH" in unknown.output
    assert not (tmp_path / "m.ecl").exists()
