"""`edgecl bench`: measured on this machine, predicted elsewhere and never without that word; bytes are exact.

Never here: how fast anything is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the bundle is exported from PyTorch")
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgecl import export

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    path = tmp_path_factory.mktemp("bench") / "small.ecl"
    recipe = export.Recipe(method="derpp", momentum=0.9, replay_capacity=20)
    export.from_torch(module, torch.zeros(1, 32), out=path, density=0.5, recipe=recipe)
    return path


def run(*arguments: object) -> tuple[int, str]:
    from edgecl.cli.main import app

    result = RUNNER.invoke(app, ["bench", *map(str, arguments)])
    return result.exit_code, result.output


def document(*arguments: object) -> dict[str, Any]:
    code, text = run(*arguments, "--json")
    assert code == 0, text
    found: dict[str, Any] = json.loads(text[text.index("{") :])
    return found


def test_this_machine_is_measured(bundle: Path) -> None:
    found = document(bundle, "--batch", "1,4", "--repeat", 5)
    assert found["device"] == "host" and found["kind"] == "measured"
    assert [(r["what"], r["batch"]) for r in found["rows"]] == [
        ("predict", 1), ("predict", 4), ("learn", 1), ("learn", 4),
    ]  # fmt: skip
    for row in found["rows"]:
        assert row["kind"] == "measured" and 0 < row["low_ms"] <= row["p50_ms"] <= row["p95_ms"] <= row["high_ms"]
        assert 0 < row["percent_of_peak"] < 110 and row["gflops"] > 0
    assert [row["replayed"] for row in found["rows"]] == [0, 0, 20, 20], "DER++ draws twice ten"


def test_bytes_are_those_of_the_model(bundle: Path) -> None:
    from edgecl._core import Model

    model = Model(path=str(bundle))
    found = document(bundle, "--batch", "8", "--what", "learn", "--device", "rpi4")
    assert found["bundle_bytes"] == bundle.stat().st_size
    assert found["peak_bytes"] == model.sizes_for("neon", 8, max_batch=8, add_unseen_labels=1)["arena_bytes"]


@pytest.mark.parametrize("device", ["rpi4", "rpi5", "rpi-zero2w", "jetson-nano", "jetson-orin-nano"])
def test_another_board_is_predicted_and_says_so(bundle: Path, device: str) -> None:
    found = document(bundle, "--device", device, "--batch", "1")
    assert found["kind"] == "predicted" and found["range_source"]
    for row in found["rows"]:
        assert row["kind"] == "predicted" and row["low_ms"] < row["p50_ms"] < row["high_ms"] and row["p95_ms"] is None
        assert row["operators"] and sum(op["ms"] for op in row["operators"]) == pytest.approx(row["p50_ms"])
    code, text = run(bundle, "--device", device, "--batch", "1")
    assert code == 0 and "measured" not in text
    assert all("predicted" in line for line in text.splitlines() if line.startswith("edgecl "))


def test_a_budget_decides_the_exit_code(bundle: Path) -> None:
    assert run(bundle, "--device", "rpi4", "--batch", "1", "--budget", "10s")[0] == 0
    code, text = run(bundle, "--device", "rpi4", "--batch", "1", "--budget", "1us")
    assert code == 1 and "EXCEEDED" in text


def test_a_comparison_shows_what_changed(bundle: Path, tmp_path: Path) -> None:
    base = document(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict")
    file = tmp_path / "base.json"
    file.write_text(json.dumps(base))
    same = document(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict", "--compare", file)
    assert same["rows"][0]["change"] == "none"
    base["rows"][0]["p50_ms"] /= 2
    file.write_text(json.dumps(base))
    slower = document(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict", "--compare", file)
    assert slower["rows"][0]["change"] == "+100 %"


def test_pytorch_beside_it(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "net.py"
    source.write_text("import torch\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(32, 4))\n")
    found = document(bundle, "--batch", "2", "--repeat", 3, "--against", "torch", "--model", f"{source}:make")
    assert [row["what"] for row in found["rows"] if row.get("by") == "torch"] == ["predict", "learn"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--batch", "none"], "--batch"),
        (["--what", "sleep"], "--what"),
        (["--budget", "fast"], "--budget"),
        (["--device", "rpi9"], "rpi9"),
        (["--device", "rpi4", "--against", "torch"], "never predicted"),
        (["--against", "torch", "--repeat", "3", "--batch", "1"], "--model"),
    ],
)
def test_wrong_usage_ends_with_two(bundle: Path, arguments: list[str], word: str) -> None:
    code, text = run(bundle, *arguments)
    assert code == 2 and word in text, text
