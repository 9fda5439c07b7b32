# Bundles that carry an ONNX file: the export, what the file holds, and what is refused.
# Never here: how a device uses them (test_external_device.py), TFLite (test_external_tflite.py).
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: engines)")

import edgecl
import edgecl.export as export
import onnx
import torch
from edgecl.cli import failure
from edgecl.cli.main import app
from edgecl.errors import UnsupportedError
from external_models import DIM, Attention, Images, sequences, write_onnx
from onnx import TensorProto, helper
from torch import nn
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> tuple[Attention, Path]:
    torch.manual_seed(3)
    module = Attention()
    return module, write_onnx(module, (6, 8), tmp_path_factory.mktemp("onnx") / "attention.onnx")


def _carried(bundle: bytes) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(edgecl.open_bundle(bundle).model.encoder_file())


def _expected(module: Attention, x: Any) -> Any:
    with torch.no_grad():
        return nn.functional.normalize(module.embeddings(torch.tensor(x))).numpy()


def test_the_classifier_is_cut_off(attention: tuple[Attention, Path]) -> None:
    module, path = attention
    with pytest.raises(export.ExportError) as caught:
        export.from_onnx(path)
    assert caught.value.blockers and "--external" in str(caught.value)
    report = export.from_onnx(path, external=True)
    assert report.parity is None and report.name == "attention"
    said = " ".join(report.notes)
    assert "classifier '/classifier/Gemm'" in said and "onnxruntime" in said and "length 1" in said
    carried = _carried(report.bundle)
    onnx.checker.check_model(carried, full_check=True)
    assert len(carried.graph.input) == len(carried.graph.output) == 1
    assert "Gemm" not in {node.op_type for node in carried.graph.node[-2:]}
    learner = edgecl.Classifier(report.bundle)
    assert learner.config()["head"] == "ridge"
    x, _ = sequences(9)
    assert np.abs(learner.embed(x) - _expected(module, x)).max() < 1e-5
    bundle = edgecl.open_bundle(report.bundle)
    assert bundle.encoder is not None and bundle.encoder["engine"] == "onnx" and bundle.encoder["n_probe"] == 4
    assert bundle.samples["input_dims"] == [6, 8] and bundle.info["input_dims"] == [DIM]


def test_a_batch_axis_may_be_free(attention: tuple[Attention, Path], tmp_path: Path) -> None:
    module, _ = attention
    free = write_onnx(module, (6, 8), tmp_path / "free.onnx", free=True)
    x, y = sequences(30)
    learner = edgecl.Classifier(export.from_onnx(free, external=True).bundle).partial_fit(x, y)
    assert np.abs(learner.embed(x) - _expected(module, x)).max() < 1e-5 and learner.score(x, y) > 0.9


def test_an_output_by_name(attention: tuple[Attention, Path]) -> None:
    module, path = attention
    names = [name for node in onnx.load(path).graph.node for name in node.output]
    logits = export.from_onnx(path, external=True, external_output="y")
    learner = edgecl.Classifier(logits.bundle)
    x, _ = sequences(4)
    with torch.no_grad():
        wanted = nn.functional.normalize(module(torch.tensor(x))).numpy()
    assert np.abs(learner.embed(x) - wanted).max() < 1e-5 and "'y'" in " ".join(logits.notes)
    with pytest.raises(export.ExportError, match=r"expected the name of a tensor.*found 'nowhere'") as caught:
        export.from_onnx(path, external=True, external_output="nowhere")
    assert caught.value.status == -23
    for name in names:  # tokens, not an embedding
        if "norm" in name and "LayerNormalization" in name:
            with pytest.raises(export.ExportError, match=r"found an output of shape \(1, 6, 16\).*--external-output"):
                export.from_onnx(path, external=True, external_output=name)
            break
    else:
        raise AssertionError("expected a layer norm in the model; found none")
    with pytest.raises(export.ExportError, match="external_output with external; found it alone"):
        export.from_onnx(path, external_output="y")


def test_without_a_classifier_all_of_it_is_the_encoder(tmp_path: Path) -> None:
    path = write_onnx(Attention(columns=0), (6, 8), tmp_path / "bare.onnx")
    report = export.from_onnx(path, external=True)
    assert "no classifier was found" in " ".join(report.notes)
    assert edgecl.open_bundle(report.bundle).info["input_dims"] == [DIM]


@pytest.mark.parametrize("last", [False, True])
def test_a_map_is_averaged_in_the_file(tmp_path: Path, last: bool) -> None:
    module = Images()
    path = write_onnx(module, (3, 8, 6), tmp_path / "map.onnx")
    spec = export.InputSpec("u8", channels_last=last, scale=1 / 255, mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.4])
    report = export.from_onnx(path, external=True, input=spec, normalise=False)
    assert "is a map, [4, 4, 3]" in " ".join(report.notes)
    onnx.checker.check_model(_carried(report.bundle), full_check=True)
    raw = np.random.default_rng(1).integers(0, 256, (5, *((8, 6, 3) if last else (3, 8, 6))), dtype=np.uint8)
    with torch.no_grad():
        wanted = module(torch.tensor(spec.network_input(raw, 3))).mean((2, 3)).numpy()
    learner = edgecl.Classifier(report.bundle)
    assert np.abs(learner.embed(raw) - wanted).max() < 1e-5
    assert edgecl.open_bundle(report.bundle).samples["input_dims"] == list(raw.shape[1:])
    assert ("the file takes [3, 8, 6]" in " ".join(report.notes)) == last


def test_a_file_that_turns_images_itself(tmp_path: Path) -> None:
    class Turning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.images = Images()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.images(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    module = Turning()
    path = write_onnx(module, (8, 6, 3), tmp_path / "turning.onnx")
    report = export.from_onnx(path, external=True, normalise=False, input=export.InputSpec(mean=[0.1, 0.2, 0.3]))
    raw = np.random.default_rng(1).standard_normal((5, 8, 6, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.tensor(raw - np.float32([0.1, 0.2, 0.3]))).mean((1, 2)).numpy()
    assert np.abs(edgecl.Classifier(report.bundle).embed(raw) - wanted).max() < 1e-5


def test_calibration_rows_are_raw_samples(attention: tuple[Attention, Path]) -> None:
    _, path = attention
    rows = 100 * sequences(20)[0]
    report = export.from_onnx(path, external=True, calibration=rows, normalise=False)
    assert "20 calibration rows" in " ".join(report.notes)
    with pytest.raises(export.ExportError, match=r"expected calibration rows \(n, 6, 8\)"):
        export.from_onnx(path, external=True, calibration=rows[:, :5])


def _model(
    inputs: list[tuple[str, int, list[int | str]]], nodes: list[Any], outputs: list[str], **weights: Any
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "m"]) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


_FLOATS = ("x", TensorProto.FLOAT, [1, 4])
_ERF = helper.make_node("Erf", ["x"], ["y"])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (_model([("x", TensorProto.INT64, [1, 4])], [helper.make_node("Cast", ["x"], ["y"], to=1)], ["y"]), "tokens"),
        (_model([_FLOATS, ("z", TensorProto.FLOAT, [1, 4])], [helper.make_node("Add", ["x", "z"], ["y"])], ["y"]),
         "2 inputs"),
        (_model([("x", TensorProto.FLOAT, [2, 4])], [_ERF], ["y"]), "a batch axis of 2"),
        (_model([("x", TensorProto.FLOAT, [1, "t"])], [_ERF], ["y"]), "a free size on axes"),
        (_model([("x", TensorProto.FLOAT, [4])], [_ERF], ["y"]), "1 axis"),
        (_model([_FLOATS], [_ERF, helper.make_node("Abs", ["x"], ["z"])], ["y", "z"]), "external_output"),
        (_model([_FLOATS], [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)], ["y"]), "one embedding a"),
        (_model([_FLOATS], [helper.make_node("Nothing", ["x"], ["y"], domain="nobody")], ["y"]), "valid ONNX model"),
        (_model([_FLOATS], [helper.make_node("Div", ["x", "w"], ["y"])], ["y"], w=np.zeros(4, np.float32)), "finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_encoder(model: onnx.ModelProto, words: str) -> None:
    with pytest.raises(export.ExportError, match=words):
        export.from_onnx(model, external=True)


def test_what_the_engine_does_not_load() -> None:
    model = _model([_FLOATS], [_ERF], ["y"])
    model.opset_import.append(helper.make_opsetid("nobody", 1))
    model.graph.node[0].domain = "nobody"
    with pytest.raises(export.ExportError, match="expected an ONNX file that onnxruntime can run; found: ") as caught:
        export.from_onnx(model, external=True)
    assert caught.value.status == -30


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"recipe": export.Recipe(method="er")}, "expected a head that keeps statistics"),
        ({"density": 0.5}, "found a density"),
        ({"trainable": "head"}, "expected trainable to be left out"),
        ({"encoder": "int8", "calibration": np.zeros((1, 6, 8), np.float32)}, "found an encoder in int8"),
    ],
)
def test_keywords_that_do_not_go_together(
    attention: tuple[Attention, Path], keywords: dict[str, Any], words: str
) -> None:
    with pytest.raises(export.ExportError, match=words):
        export.from_onnx(attention[1], external=True, **keywords)


def test_a_missing_engine_is_named(attention: tuple[Attention, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UnsupportedError, match=r"expected onnxruntime to run an ONNX encoder; found none.*\[engines\]"):
        export.from_onnx(attention[1], external=True)


def _call(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_line(attention: tuple[Attention, Path], tmp_path: Path) -> None:
    _, path = attention
    out = tmp_path / "m.ecl"
    result = _call("export", path, "-o", out, "--json")
    assert result.exit_code == failure.INPUT and "--external" in result.stderr
    result = _call("export", path, "-o", out, "--external", "--json")
    assert result.exit_code == failure.USAGE and "--head" in result.stderr and not out.exists()
    result = _call("export", path, "-o", out, "--external", "--head", "lda", "--json")
    assert result.exit_code == failure.DONE, result.output
    assert any("onnxruntime" in note for note in json.loads(result.stdout)["notes"])
    shown = json.loads(_call("inspect", out, "--json").stdout)
    assert shown["encoder"]["engine"] == "onnx" and shown["encoder"]["probe_rows"] == 4
    assert shown["encoder"]["input_dims"] == [6, 8] and shown["encoder"]["file_bytes"] > 1000
    text = " ".join(_call("inspect", out).stdout.split())
    assert "run by onnxruntime" in text and "4 probe rows" in text

    x, y = sequences(60)
    data = tmp_path / "own.npz"
    column = np.searchsorted(np.unique(y), y)
    np.savez(data, x_train=x, y_train=column, x_test=x, y_test=column)
    state = tmp_path / "s.ecs"
    result = _call("learn", out, "--data", data, "--classes-per-task", "3", "--state", state, "--json")
    assert result.exit_code == failure.DONE, result.output
    result = _call("evaluate", out, "--state", state, "--data", data, "--json")
    assert result.exit_code == failure.DONE and json.loads(result.stdout)["accuracy"] > 0.9, result.output
    result = _call("run", out, "--state", state, "--input", data, "--json")
    assert result.exit_code == failure.DONE and json.loads(result.stdout)["n_samples"] == 60, result.output
    result = _call("bench", out, "--what", "predict", "--batch", "1", "--repeat", "3", "--json")
    assert result.exit_code == failure.DONE and "another engine" in json.loads(result.stdout)["encoder"], result.output
    result = _call("verify", out, "--against", path)
    assert result.exit_code == failure.USAGE and "another engine" in result.stderr
    result = _call("bench", out, "--against", "onnxruntime", "--model", path)
    assert result.exit_code == failure.USAGE and "another engine" in result.stderr


@pytest.mark.parametrize("model", ["mlp", "nets.py:build", "embeddings:16"])
def test_other_models_are_to_be_written_as_onnx(tmp_path: Path, model: str) -> None:
    result = _call("export", model, "-o", tmp_path / "m.ecl", "--external", "--head", "ridge")
    assert result.exit_code == failure.USAGE and "torch.onnx.export" in result.stderr
