# Samples of another raw range than the bundle's input: told once, and never where it is only another sensor.
# Never here: dtypes and shapes that are refused (test_binding.py, test_classifier.py).
"""Tests of edgecl.raw_range, through the learner and the command line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import _core, errors
from edgecl.cli.main import app
from numpy.typing import NDArray
from typer.testing import CliRunner

PICTURE = (1, 8, 8)
BYTES = {"dtype": "u8", "dims": PICTURE}  # scale 1/255, mean 0.5, deviation 0.25


def _pictures(n: int = 40) -> NDArray[np.uint8]:
    return np.clip(np.random.default_rng(1).normal(127, 64, (n, *PICTURE)), 0, 255).astype(np.uint8)


def _floats(plan: Callable[..., dict[str, Any]], scale: float, mean: float, std: float) -> bytes:
    changed = plan(dims=PICTURE)
    changed["input"].update(scale=scale, mean=np.float32([mean]), inv_std=np.float32([1 / std]))
    return _core.write_bundle(changed)


def _told(bundle: bytes, x: NDArray[Any]) -> list[str]:
    learner = edgecl.Classifier(bundle, learning_rate=1e-6)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        learner.partial_fit(x, np.arange(len(x)) % 2)
        learner.partial_fit(x, np.arange(len(x)) % 2)
        learner.predict(x)
    return [str(warning.message) for warning in found]


def test_bytes_for_a_bundle_that_does_not_scale(make_bundle: Callable[..., bytes]) -> None:
    for x in (_pictures(), _pictures().astype(np.float32), _pictures(1)):
        (sentence,) = _told(make_bundle(dims=PICTURE), x)
        assert sentence.startswith("expected samples as the model was trained on") and "found 0..2" in sentence
        assert "divide them by 255" in sentence and "--input-dtype u8" in sentence


def test_a_range_that_the_bundle_does_not_normalise(
    make_bundle: Callable[..., bytes], plan: Callable[..., dict[str, Any]]
) -> None:
    for bundle, x, middle in (
        (_floats(plan, 1.0, 0.5, 0.25), _pictures(), "0.5 ± 0.25"),
        (_floats(plan, 1 / 255, 0.5, 0.25), _pictures() / 255, "127 ± 63.7"),
        (make_bundle(**BYTES), _pictures() // 128, "127 ± 63.7"),
        (make_bundle(**BYTES), _pictures() // 16, "127 ± 63.7"),
    ):
        (sentence,) = _told(bundle, x)
        assert f"expected raw samples of about {middle}, which the bundle normalises" in sentence
        assert "; found 0" in sentence and "hand in raw data of the range" in sentence


def test_what_fits_is_not_told(make_bundle: Callable[..., bytes], plan: Callable[..., dict[str, Any]]) -> None:
    rng = np.random.default_rng(0)
    bundle = make_bundle(**BYTES)
    for x in (_pictures(), _pictures() // 3, _pictures().astype(np.int64), np.full((1, *PICTURE), 3, np.uint8)):
        assert _told(bundle, x) == []
    assert _told(_floats(plan, 1.0, 0.5, 0.25), (_pictures() / 255).astype(np.float32)) == []
    plain = make_bundle(dims=PICTURE)
    for x in (_pictures() / 255, 1000 * rng.standard_normal((40, *PICTURE)), rng.integers(0, 17, (40, *PICTURE))):
        assert _told(plain, x) == []


def test_floats_for_a_bundle_of_bytes_are_refused_with_their_range(make_bundle: Callable[..., bytes]) -> None:
    with pytest.raises(errors.DtypeError, match=r"found float64 values 0\.\.[01].*, not bytes; hand in the raw"):
        edgecl.Classifier(make_bundle(**BYTES)).partial_fit(_pictures() / 255, np.arange(40) % 2)


@pytest.mark.parametrize("command", ["learn", "evaluate", "run"])
def test_the_command_line_tells_it_once(make_bundle: Callable[..., bytes], tmp_path: Path, command: str) -> None:
    bundle, data, x = tmp_path / "b.ecl", tmp_path / "data.npz", _pictures()
    bundle.write_bytes(make_bundle(dims=PICTURE, classes=("0", "1")))
    np.savez(data, x_train=x, y_train=np.arange(40) % 2, x_test=x, y_test=np.arange(40) % 2)
    options = {
        "learn": ["--data", str(data), "--classes-per-task", "1", "--seeds", "2"],
        "evaluate": ["--data", str(data)],
        "run": ["--input", str(data)],
    }[command]
    result = CliRunner().invoke(app, [command, str(bundle), *options])
    assert result.exit_code == 0, result.output
    assert result.stderr.count("warning: expected samples as the model was trained on") == 1
