# tools/bench/int8_files.py and int8_data.py on small data that is made here.
# Never here: LiteRT, onnxruntime, the data folder.
"""Tests of the bench of int8 files: cepstral coefficients, bytes, figures, tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
for needed in ("torch", "onnx", "tflite"):
    pytest.importorskip(needed, reason=f"the package {needed} is not installed (extra: export)")


@pytest.fixture()
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools/bench"))
    import int8_files

    return int8_files


@pytest.fixture()
def data(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools/bench"))
    import int8_data

    return int8_data


def test_coefficients_are_those_of_the_formula(data: Any) -> None:
    clip = np.random.default_rng(0).integers(-9000, 9000, data.RATE).astype(np.int16)
    found = data.cepstrum(clip)
    assert found.shape == (49, 10) and found.dtype == np.float32
    assert (
        np.allclose(found, data.cepstrum((clip // 1).astype(np.int16))) and np.isfinite(data.cepstrum(clip * 0)).all()
    )
    wave = clip / np.abs(clip.astype(np.float64)).max()
    frame = wave[3 * data.STEP :][: data.FRAME] * np.hanning(data.FRAME + 1)[:-1]
    magnitude = np.abs(np.fft.fft(frame, data.BINS))[: data.BINS // 2 + 1]
    bands = data._mel_bands()
    assert bands.shape == (257, 40) and bands.max() <= 1 and (bands.max(axis=0) > 0).all()
    assert not bands[: int(data.LOWEST * data.BINS / data.RATE) + 1].any() and not bands[129:].any()
    log = np.log(magnitude @ bands + 1e-6)
    wanted = [np.sqrt(2 / 40) * sum(log[n] * np.cos(np.pi / 40 * (n + 0.5) * k) for n in range(40)) for k in range(10)]
    assert np.allclose(found[3], wanted, atol=1e-4)


def test_bytes_of_real_numbers(data: Any) -> None:
    x = np.array([-10.0, 0.0, 0.5, 99.0], np.float32)
    assert data.as_bytes(x, 0.5, 4.0).tolist() == [0, 8, 9, 206] and data.as_bytes(x, 0.5, 400.0)[-1] == 255


def test_figures(bench: Any) -> None:
    assert bench.figures(np.array([1, 2, 3, 4]), np.array([1, 2, 5, 4])) == (0.75, 2)
    steps = bench.softmax_steps(np.array([[0.0, 0.0], [50.0, 0.0]], np.float32))
    assert steps.tolist() == [[0, 0], [127, -128]]
    calls: dict[str, int] = {"a": 0, "b": 0}

    def call(name: str) -> None:
        calls[name] += 1

    found = bench.smallest_ms({"a": lambda: call("a"), "b": lambda: call("b")})
    assert set(found) == {"a", "b"} and min(found.values()) > 0 and min(calls.values()) > bench.ROUNDS


def test_tables_say_what_was_found(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import pages

    row = {
        "file": "f", "layers": 3, "int8_layers": 2, "equal": 1.0, "steps": 0, "equal_default": 0.5, "steps_default": 7,
        "equal_self": 0.99999, "steps_self": 1, "export_s": 1.0, "ms": 0.1, "ms_float32": 0.2, "ms_litert": 0.3,
        "bytes": 1000, "bytes_float32": 4000,
    }  # fmt: skip
    text = pages.int8_files_table([row])
    assert (
        "| f | 2 of 3 | 100 % | 50.0 %, 7 steps at most | 99.9990 %, 1 step at most | 1.0 | 0.1 | 0.2 | 0.3 |" in text
    )
    base = {"data": "d", "network": "n", "test_rows": 9}
    rows = [{**base, "numbers": "float32", "accuracy": 0.5}, {**base, "numbers": "int8", "accuracy": 0.49}]
    assert "| int8 | 9 | 49.0 | -1.0 |" in pages.int8_accuracy_table(rows)
    qdq = {"file": "q", "activations": "uint8", "differ_alone": 2.9, "steps_alone": 1, "equal": 0.6, "steps": 11,
           "equal_self": 0.6, "steps_self": 11, "export_s": 2.0, "ms": 1.0, "ms_onnxruntime": 2.0}  # fmt: skip
    assert "2.9, by 1 step" in pages.int8_qdq_table([qdq])


def test_accuracy_loses_at_most_a_point() -> None:
    """Of the committed figures."""
    from edgecl.cli.results import read_table

    found = read_table(ROOT / "tools/bench/results/int8_files.json")
    floats = {row["data"]: row["accuracy"] for row in found["accuracy"] if row["numbers"] == "float32"}
    assert len(floats) == 2
    for row in found["accuracy"]:
        assert row["accuracy"] >= floats[row["data"]] - 0.01, row
    for row in found["rows"]:
        assert (row["equal"], row["steps"]) == (1.0, 0) and row["int8_layers"] == row["layers"]
    assert all(row["steps_alone"] <= 1 for row in found["qdq"])
