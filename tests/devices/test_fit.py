"""`edgecl export --fit`: the form of a model that keeps a time on a device, what gives up least first.

Never here: how good predictions are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="networks come from PyTorch")
RUNNER = CliRunner()


def fit(out: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    from edgecl.cli.main import app

    words = ["export", "mlp", "-o", out, "--device", "rpi4", "--json", *arguments]
    result = RUNNER.invoke(app, [str(word) for word in words])
    text = result.output
    return result.exit_code, json.JSONDecoder().raw_decode(text[text.index("{") :])[0]


def test_what_is_asked_for_is_taken_where_it_fits(tmp_path: Path) -> None:
    code, found = fit(tmp_path / "a.ecl", "--fit", "1s")
    assert code == 0 and found["fit"]["chosen"] == "as asked" and len(found["fit"]["rows"]) == 1
    assert found["path"] == str(tmp_path / "a.ecl") and (tmp_path / "a.ecl").stat().st_size == found["bundle_bytes"]


def test_the_densest_that_fits_is_taken_and_is_what_was_predicted(tmp_path: Path) -> None:
    from edgecl._core import Model
    from edgecl.cli.bench_measure import session_config
    from edgecl.cli.bench_predict import predicted
    from edgecl.devices import load

    code, found = fit(tmp_path / "a.ecl", "--fit", "2.2ms")
    rows = found["fit"]["rows"]
    assert code == 0 and rows[-1]["form"] == found["fit"]["chosen"] and rows[-1]["fits"]
    assert [row["fits"] for row in rows] == [False] * (len(rows) - 1) + [True] and len(rows) > 1
    assert "of the weights" in found["fit"]["chosen"] and "accuracy is not measured" in found["fit"]["why"]
    model = Model(path=str(tmp_path / "a.ecl"))
    config = session_config(model, "learn", 10)
    row = predicted(model, load("rpi4"), config, "learn", 10, 1, 0)
    assert rows[-1]["learn_ms"][1] == pytest.approx(row["p50_ms"])
    densities = {layer["density"] for layer in model.layers() if layer["sparse"]}
    assert densities and max(densities) < 1
    assert config["learning_rate"] == pytest.approx(0.1), "the default of a sparse network"


def test_where_nothing_fits_nothing_is_written(tmp_path: Path) -> None:
    code, found = fit(tmp_path / "a.ecl", "--fit", "1us")
    forms = [row["form"] for row in found["fit"]["rows"]]
    assert code == 1 and found["fit"]["chosen"] is None and not (tmp_path / "a.ecl").exists()
    assert forms[0] == "as asked" and forms[-1] == "only the head learns" and "closest is" in found["fit"]["why"]
    code, found = fit(tmp_path / "a.ecl", "--fit", "1us", "--head", "ncm")
    assert code == 1 and [row["form"] for row in found["fit"]["rows"]] == ["as asked"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["mlp", "--fit", "1s"], "--device"),
        (["mlp", "--fit", "soon", "--device", "rpi4"], "--fit"),
        (["mlp", "--fit", "1s", "--device", "rpi9"], "rpi9"),
        (["embeddings:8", "--head", "ncm", "--fit", "1s", "--device", "rpi4"], "embeddings"),
    ],
)
def test_wrong_usage_ends_with_two(tmp_path: Path, arguments: list[str], word: str) -> None:
    from edgecl.cli.main import app

    result = RUNNER.invoke(app, ["export", *arguments, "-o", str(tmp_path / "a.ecl")])
    assert result.exit_code == 2 and word in result.output, result.output
    assert not (tmp_path / "a.ecl").exists()


@pytest.mark.parametrize("limit", ["nanms", "infms", "-20ms", "0s", "1e400ms"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, limit: str) -> None:
    code, found = fit(tmp_path / "a.ecl", f"--fit={limit}")
    assert code == 2 and "expected --fit" in found["error"]["message"] and not (tmp_path / "a.ecl").exists()
