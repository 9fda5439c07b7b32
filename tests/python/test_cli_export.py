# Exporting from the command line: what MODEL may be, what goes wrong, verify against the source, the quickstart.
# Never here: how models are converted (tests/export).
"""Tests of `edgecl export`, `verify --against` and `quickstart`. They need PyTorch and onnx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl.cli import failure
from edgecl.cli.main import app
from edgecl.cli.models import BUILT_IN
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: export)")
pytest.importorskip("onnx", reason="onnx is not installed (extra: export)")

CODE = """
import torch
def net():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
def needs(argument):
    return net()
def text():
    return "no module"
def fails():
    raise ValueError("out of luck")
def strange():
    class Strange(torch.nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real
    return Strange()
def several():
    class Several(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.fc, self.side = torch.nn.Linear(12, 6), torch.nn.Linear(6, 4), torch.nn.Linear(6, 7)
        def forward(self, x):
            h = torch.relu(self.body(x))
            return {"main": self.fc(h), "side": self.side(h)}
    return Several()
def sorts():
    class Sorts(torch.nn.Module):
        def forward(self, x):
            for _ in range(5):
                x = torch.sort(x)[0] * 2.0
            return x
    return Sorts()
ready = net()
"""


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _export(*arguments: object) -> dict[str, Any]:
    result = _call("export", *arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A Python file with networks."""
    (tmp_path / "nets_of_user.py").write_text(CODE)
    return tmp_path / "nets_of_user.py"


@pytest.mark.parametrize("name", ["mlp", "small-cnn", "har-cnn", "resnet18-nf20"])
def test_built_in(name: str, tmp_path: Path) -> None:
    out = tmp_path / "m.ecl"
    document = _export(name, "-o", out, "--density", "0.2", "--method", "derpp", "--max-classes", "7")
    assert document["path"] == str(out) and document["parity"]["max_abs"] <= document["parity"]["tolerance"]
    info = edgecl.open_bundle(out).info
    assert info["input_dims"] == list(BUILT_IN[name].shape) and info["class_capacity"] == 7 and info["n_classes"] == 0
    assert info["recipe"]["method"] == "derpp" and info["weights_stored"] < 0.5 * info["weights_total"]
    learner = edgecl.Classifier(out)
    x = np.random.default_rng(0).integers(0, 256, (4, *BUILT_IN[name].shape))
    learner.partial_fit(x.astype(np.uint8 if BUILT_IN[name].dtype == "u8" else np.float32), [0, 1, 2, 3])
    assert len(learner.classes_) == 4


def test_equal_seeds_equal_bundles(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        _export("mlp", "-o", tmp_path / f"{name}.ecl", "--seed", seed, "--density", "0.1")
    a, b, c = ((tmp_path / f"{n}.ecl").read_bytes() for n in "abc")
    assert a == b != c


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript")
def test_python_and_onnx(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "m.ecl"
    options = ("-o", out, "--input-shape", "12", "--classes", "ant,bee,cat,dog", "--max-classes", "6")
    _export(f"{code}:ready", *options)
    assert edgecl.open_bundle(out).info["classes"] == ["ant", "bee", "cat", "dog"]
    _export(f"{code}:net", *options, "--trainable", "head", "--name", "mine")
    info = edgecl.open_bundle(out).info
    assert info["name"] == "mine" and info["recipe"]["trainable"] == "head" and info["n_trainable_params"] == 2
    monkeypatch.chdir(code.parent)
    _export("nets_of_user:net", *options, "--input-dtype", "u8", "--mean", "0.5", "--std", "0.25")
    info = edgecl.open_bundle(out).info
    assert info["input_dtype"] == 1 and info["input"]["mean"].tolist() == [0.5] * 12

    torch.manual_seed(5)  # not the seed that the command sets before it calls user code
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    onnx_path = tmp_path / "m.onnx"
    torch.onnx.export(net, (torch.zeros(1, 12),), str(onnx_path), dynamo=False)
    document = _export(onnx_path, "-o", out, "--density", "0.3")
    assert document["parity"]["source"].startswith("onnx") and len(edgecl.open_bundle(out).info["classes"]) == 4
    same = _call("verify", out, "--against", onnx_path, "--json")
    assert same.exit_code == 0 and json.loads(same.stdout)["against"]["same"]
    other = _call("verify", out, "--against", f"{code}:ready", "--json")
    assert other.exit_code == failure.NO and json.loads(other.stdout)["ok"] is False
    assert "DIFFERS" in _call("verify", out, "--against", f"{code}:ready").stdout


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = _call("export", "mlp", "-o", tmp_path / "m.ecl", "--dry-run")
    assert result.exit_code == 0 and "dry run" in result.stdout and "parity" in result.stdout
    assert not list(tmp_path.iterdir())


def test_calibration_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), dtype=np.uint8))
    assert _export("mlp", "-o", tmp_path / "m.ecl", "--calib", tmp_path / "c.npz")["parity"]["n_rows"] == 5


@pytest.mark.parametrize(
    ("model", "options", "code_wanted", "saying"),
    [
        ("no-such-net", [], failure.USAGE, "small-cnn"),
        ("none.onnx", [], failure.INPUT, "expected an ONNX file"),
        ("none.py:net", [], failure.INPUT, "expected a Python file"),
        ("no_such_module:net", [], failure.USAGE, "to load"),
        ("{code}:none", [], failure.USAGE, "no such name"),
        ("{code}:needs", [], failure.USAGE, "callable without arguments"),
        ("{code}:text", [], failure.INPUT, "torch.nn.Module"),
        ("{code}:fails", [], failure.INPUT, "out of luck"),
        ("{code}:net", [], failure.USAGE, "--input-shape"),
        ("{code}:strange", ["--input-shape", "12"], failure.INPUT, "expected"),
        ("{code}:net", ["--input-shape", "11"], failure.USAGE, "expected"),
        ("mlp", ["--input-shape", "a,b"], failure.USAGE, "--input-shape"),
        ("mlp", ["--input-shape", "0,3"], failure.USAGE, "--input-shape"),
        ("small-cnn", ["--input-shape", "784"], failure.USAGE, "channels,height,width"),
        ("mlp", ["--density", "0"], failure.USAGE, "density"),
        ("mlp", ["--density", "1.5"], failure.USAGE, "density"),
        ("mlp", ["--learning-rate", "-1"], failure.USAGE, "learning_rate"),
        ("mlp", ["--mean", "x"], failure.USAGE, "--mean"),
        ("mlp", ["--std", "0"], failure.USAGE, "std"),
        ("mlp", ["--calib", "none.npz"], failure.INPUT, "expected an .npz file"),
        ("mlp", ["--classes", "a,a"], failure.USAGE, "distinct"),
        ("mlp", ["--classes", "99999999999"], failure.USAGE, "at most"),
        ("mlp", ["--input-shape", "4294967296,65536"], failure.USAGE, "memory"),
    ],
)
def test_what_cannot_be_exported(
    code: Path, tmp_path: Path, model: str, options: list[str], code_wanted: int, saying: str
) -> None:
    out = tmp_path / "m.ecl"
    result = _call("export", model.format(code=code), "-o", out, *options, "--json")
    assert result.exit_code == code_wanted, result.output
    assert saying in json.loads(result.stdout)["error"]["message"] and "Traceback" not in result.output
    assert not out.exists()


def test_what_the_models_code_prints_is_not_in_the_document(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "import torch\nprint('loaded')\n"
        "class Net(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(12, 4)\n        print('made')\n"
        "    def forward(self, x):\n        print('runs')\n        return super().forward(x)\n"
    )
    done = _call("export", f"{tmp_path}/loud.py:Net", "-o", tmp_path / "m.ecl", "--input-shape", "12", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["parity"], done.output
    assert all(word in done.stderr for word in ("loaded", "made", "runs"))


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    result = _call("export", "mlp", "-o", tmp_path / "no" / "m.ecl")
    assert result.exit_code == failure.INPUT and "expected" in result.stderr


@pytest.mark.slow
def test_quickstart(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    result = _call("quickstart", "--folder", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["replay"]["accuracy_known_before"] > 0.9
    assert document["replay"]["accuracy_all"] > document["finetune"]["accuracy_all"] + 0.4
    assert document["replay"]["forgetting"] < 0.25 < 0.8 < document["finetune"]["forgetting"]
    assert document["train_macs"] < 0.2 * document["train_macs_dense"]
    for key in ("plot", "bundle", "state"):
        assert Path(document[key]).stat().st_size > 1000
    assert Path(document["plot"]).read_bytes()[:4] == b"\x89PNG"
    second = document["domains"]
    assert [entry["grown"] for entry in second["growth"]] == [False, True] and second["alarms"][-1] == [False, False]
    old, new = second["accuracy_matrix"][-1]
    assert old >= second["accuracy_matrix"][0][0] - 0.01 and new > 0.9 > 0.2 > second["accuracy_before"][1]
    assert second["adaptor_share"] < 0.05
    assert second["forgotten"] == {"class": "9", "predictions": 0, "equals_never_seen": True}
    assert Path(second["report"]).read_text().startswith("<!doctype html>")


def test_learn_a_model_on_the_fly() -> None:
    """A network by name, exported for the stream, learned with structures that move; counts beside accuracy."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    options = ["--stream", "digits", "--method", "sparcl-derpp", "--density", "0.2", "--lr", "0.1", "--json"]
    result = _call("learn", "mlp", *options)
    assert "ships classes" not in result.stderr  # they were only declared
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    structure = document["structure"]
    assert document["config"]["structure"] == "tdm" and document["config"]["gradient_mask"] == "dgm"
    assert structure["updates"] >= 2 * document["n_tasks"] and structure["weights_grown"] > 0
    assert 0 < document["train_macs_paper"] < document["train_macs"] < 0.4 * document["train_macs_dense"]
    assert document["average_accuracy"] > 0.6
    again = json.loads(_call("learn", "mlp", *options).stdout)
    assert again["state_sha256"] == document["state_sha256"]
    wrong = _call("learn", "no-such-network", "--stream", "digits")
    assert wrong.exit_code == failure.USAGE and "Traceback" not in wrong.output


def test_recipe_options(tmp_path: Path) -> None:
    path = tmp_path / "m.ecl"
    settings = ["--set", "rate_schedule=cosine", "--set", "removal_stages=2,4", "--set", "alpha=0.25"]
    _export("mlp", "-o", path, "--density", 0.1, "--method", "sparcl-derpp", "--alpha", 0.75, *settings)
    recipe = edgecl.open_bundle(path).info["recipe"]
    assert recipe["rate_schedule"] == "cosine" and recipe["removal_stages"] == [2, 4] and recipe["alpha"] == 0.25
    assert recipe["removal_share"] == np.float32(0.3) and recipe["replay_capacity"] == 500
    result = _call("export", "mlp", "-o", path, "--set", "momentum=2")
    assert result.exit_code == failure.USAGE and "momentum in [0, 1)" in result.stderr


@pytest.mark.parametrize(
    ("classes", "known"), [("0,1,2", [0, 1, 2]), ("-1,7", [-1, 7]), ("00,1", ["00", "1"]), ("a,1", ["1", "a"])]
)
def test_classes_that_are_numbers_are_integer_labels(tmp_path: Path, classes: str, known: list[object]) -> None:
    _export("mlp", "-o", tmp_path / "m.ecl", "--classes", classes)
    learner = edgecl.Classifier(tmp_path / "m.ecl")
    assert learner.classes_.tolist() == known
    learner.partial_fit(np.zeros((2, 784), np.uint8), known[:2])
    assert learner.classes_.tolist() == known


def test_learn_of_several_epochs_removes_what_the_readme_promises(tmp_path: Path) -> None:
    """SparCL whole: with --epochs the data removal takes part; `--method sparcl-derpp` says how much."""
    rng = np.random.default_rng(3)
    y = np.tile(np.arange(4), 30)
    x = (3 * np.eye(4, 12)[y] + 0.1 * rng.standard_normal((120, 12))).astype(np.float32)
    np.savez(tmp_path / "s.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    (tmp_path / "wide.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Sequential(torch.nn.Linear(12, 64), torch.nn.ReLU(), "
        "torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))\n"
    )
    arguments = ["learn", f"{tmp_path / 'wide.py'}:net", "--data", tmp_path / "s.npz", "--classes-per-task", 2]
    arguments += ["--method", "sparcl-derpp", "--density", 0.3]
    result = _call(*arguments, "--epochs", 5, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["removal"]["stages"] == [1, 2, 3]
    assert document["removal"]["examples_removed"] == 2 * 18 and document["samples"] < 2 * 60 * 5
    assert document["config"]["structure"] == "tdm" and document["config"]["structure_interval"] == 3
    assert "36 examples after epochs 1, 2, 3" in _call(*arguments, "--epochs", 5).stdout


def test_one_output_of_several(code: Path, tmp_path: Path) -> None:
    model, out = f"{code}:several", tmp_path / "several.ecl"
    refused = _call("export", model, "-o", out, "--input-shape", "12")
    assert refused.exit_code == failure.INPUT and "--logits main" in refused.output, refused.output
    for key, classes in (("side", 7), ("main", 4)):
        document = _export(model, "-o", out, "--input-shape", "12", "--logits", key)
        assert document["layers"][-1]["dims"] == [classes, 6]
    wrong = _call("export", model, "-o", out, "--input-shape", "12", "--logits", "neither")
    assert wrong.exit_code == failure.USAGE and "neither" in wrong.output


def test_a_new_head_and_nothing_else_learns(code: Path, tmp_path: Path) -> None:
    arguments = (f"{code}:several", "-o", tmp_path / "h.ecl", "--input-shape", "12", "--logits", "main")
    document = _export(*arguments, "--head", "new:9", "--trainable", "head")
    assert [(layer["trainable"], layer["dims"]) for layer in document["layers"]] == [(False, [6, 12]), (True, [9, 6])]
    wrong = _call("export", *arguments, "--head", "new:0")
    assert wrong.exit_code == failure.USAGE and "columns of a new head; found 0" in wrong.output


def test_every_blocker_where_it_is_asked_for(code: Path, tmp_path: Path) -> None:
    arguments = ("export", f"{code}:sorts", "-o", tmp_path / "s.ecl", "--input-shape", "12")
    short, full = _call(*arguments), _call(*arguments, "--verbose")
    assert short.exit_code == full.exit_code == failure.INPUT
    assert full.output.count("TopK") >= 5 > short.output.count("operator not supported")
