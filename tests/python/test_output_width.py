# What people read: 80 columns, no paths of our repository, numbers without noise.
# Never here: what the numbers are.
"""Tests of the width and the words of every command's help and tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl.cli.main import app
from edgecl.cli.output import count_spread, duration, duration_spread, spread, value
from typer.testing import CliRunner

WIDTH = 80
COMMANDS = [command.name or "" for command in app.registered_commands]


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": str(WIDTH), "TERM": "dumb"})


def _check(text: str) -> None:
    assert text
    wide = [line for line in text.splitlines() if len(line.rstrip()) > WIDTH]
    assert not wide, wide
    assert not re.search(r"\b(tools|runtime|tests|kernels)/\w", text) and "from memory" not in text
    assert not re.search(r"\d\.\d{7,}|\de\+\d", text), text  # 0.30000001192, 1.8e+09


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str) -> None:
    result = _call(*filter(None, [command]), "--help")
    assert result.exit_code == 0
    _check(result.stdout)


@pytest.fixture
def files(bundle_path: Path, tmp_path: Path) -> dict[str, Path]:
    """Bundle, state, samples and a stream, with long names."""
    rng = np.random.default_rng(2)
    names = np.array(["a rather long name of a class", "t-shirt", "ankle-boot", "x"])
    centres = 2 * rng.standard_normal((4, 12))
    y = rng.permutation(np.arange(160) % 4)
    x = (centres[y] + 0.3 * rng.standard_normal((160, 12))).astype(np.float32)
    np.savez(tmp_path / "data.npz", x_train=x[:120], y_train=names[y[:120]], x_test=x[120:], y_test=names[y[120:]])
    np.save(tmp_path / "x.npy", x)
    edgecl.Classifier(bundle_path).partial_fit(x, names[y]).save(tmp_path / "s.ecs")
    return {"bundle": bundle_path, "state": tmp_path / "s.ecs", "data": tmp_path / "data.npz", "x": tmp_path / "x.npy"}


def test_tables(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundle, state, data = files["bundle"].name, files["state"].name, files["data"].name
    learn = ["learn", bundle, "--data", data, "--classes-per-task", 2]
    for arguments in (
        ["inspect", bundle, "--layers", "--memory"],
        ["inspect", state],
        ["verify", bundle],
        ["verify", state],
        ["run", bundle, "--input", "x.npy", "--state", state],
        ["evaluate", bundle, "--state", state, "--data", data],
        [*learn, "--epochs", 2, "--method", "er_ace", "--state", "new.ecs"],
        [*learn, "--seeds", 2, "--methods", "er,derpp,er_ace,uer,fpf", "--csv", "runs.csv"],
        ["methods"],
        ["methods", "sparcl-derpp"],
        ["devices"],
        ["devices", "rpi4"],
        ["devices", "host"],
        ["bench", bundle, "--device", "rpi4"],
        ["bench", bundle, "--batch", "1,10", "--repeat", 3],
    ):
        result = _call(*arguments)
        assert result.exit_code == 0, result.output
        _check(result.stdout)


def test_classes_have_their_names(files: dict[str, Path]) -> None:
    text = _call("learn", files["bundle"], "--data", files["data"], "--classes-per-task", 2).stdout
    assert "a rather long name of a class," in text and "t-shirt, x" in text


def test_numbers() -> None:
    assert [duration(s) for s in (0.0031, 0.9, 2.61, 59.94, 125, 3600 * 3 + 1200)] == [
        *("3 ms", "900 ms", "2.6 s", "59.9 s", "2 min 05 s", "3 h 20 min")
    ]
    assert spread([1.0, 2.0, 3.0], "%") == "2.0 ± 1.0 %" and spread([1234.5]) == "1,234.5"
    assert count_spread([11.2e9, 11.4e9]) == "11.3 ± 0.1 G" and count_spread([5, 5]) == "5"
    assert duration_spread([0.02, 0.04]) == "30 ± 14 ms" and duration_spread([2.5, 2.7]) == "2.6 ± 0.1 s"
    assert [value(v) for v in (True, False, 0.30000001192092896, [1, 2], [], "er", 100)] == [
        *("yes", "no", "0.3", "1, 2", "none", "er", "100")
    ]
