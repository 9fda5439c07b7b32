# Wrong models and keywords: refused with what was expected, what was found and what to do, before anything is written.
# Never here: nodes without support (test_untrainable.py).
from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.recipe import InputSpec, Recipe
from edgecl.export.torch_front import graph_of_torch
from export_models import mlp, small_cnn
from onnx import helper, numpy_helper
from torch import nn


def linear_model(weight: np.ndarray, shape: list[Any], elem_type: int = 1) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", elem_type, shape)],
        [helper.make_tensor_value_info("y", elem_type, ["N", None])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def refused(model: onnx.ModelProto, *words: str) -> ExportError:
    with pytest.raises(ExportError) as caught:
        graph_of_onnx(model, ExportOptions(), "bad")
    text = str(caught.value)
    assert "expected" in text and "found" in text and ";" in text
    assert all(word in text for word in words), text
    return caught.value


def test_element_types() -> None:
    refused(linear_model(np.zeros((4, 2)), ["N", 4], onnx.TensorProto.DOUBLE), "DOUBLE", "x")
    refused(linear_model(np.zeros((4, 2), np.float16), ["N", 4], onnx.TensorProto.FLOAT16), "FLOAT16")
    with pytest.raises(ExportError, match="float64"):
        graph_of_torch(mlp(), torch.zeros(1, 784, dtype=torch.float64), "bad")
    with pytest.raises(ExportError):
        graph_of_torch(mlp().half(), torch.zeros(1, 784), "bad")


def test_dynamic_sizes() -> None:
    weight = np.zeros((4, 2), np.float32)
    refused(linear_model(weight, ["N", "F"]), "dynamic", "[1]")
    refused(linear_model(weight, []), "x")


@pytest.mark.parametrize("batch", ["N", 1, 3, None])
def test_any_batch_size(batch: Any) -> None:
    graph, _, _ = graph_of_onnx(linear_model(np.ones((4, 2), np.float32), [batch, 4]), ExportOptions(), "linear")
    assert graph.input_dims == (4,)


def test_weights_that_are_not_finite() -> None:
    module = small_cnn()
    with torch.no_grad():
        module[0].weight[0, 0, 0, 0] = float("nan")
        module[9].bias[:2] = float("inf")
    with pytest.raises(ExportError) as caught:
        graph_of_torch(module, torch.zeros(1, 1, 28, 28), "bad")
    assert [(b.node, b.reason) for b in caught.value.blockers] == [
        ("0.weight", "1 value that is not finite"),
        ("9.bias", "2 values that are not finite"),
    ]


def test_files(tmp_path: Path) -> None:
    front = importlib.import_module("edgecl.export.onnx_front")
    with pytest.raises(ExportError, match="nothing at"):
        front.from_onnx(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ExportError, match=r"text\.onnx"):
        front.from_onnx(tmp_path / "text.onnx")
    with pytest.raises(ExportError, match="existing folder"):
        front.from_onnx(tmp_path / "missing.onnx", out=tmp_path / "nowhere" / "model.ecl")


def test_files_that_are_no_files_or_not_whole(tmp_path: Path) -> None:
    front = importlib.import_module("edgecl.export.onnx_front")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name, found in (("folder", "a folder"), ("empty", "an empty file")):
        with pytest.raises(ExportError, match=found):
            front.from_onnx(tmp_path / f"{name}.onnx")
    model, beside = linear_model(np.ones((64, 64), np.float32), ["N", 64]), tmp_path / "model.data"
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location=beside.name, size_threshold=0)
    assert front.from_onnx(tmp_path / "model.onnx", trainable="none").parity is not None
    kept = beside.read_bytes()
    beside.unlink()
    with pytest.raises(ExportError, match=r"beside it, in 'model\.data'; found no such file; copy it there"):
        front.from_onnx(tmp_path / "model.onnx")
    beside.write_bytes(kept)  # the remedy
    assert front.from_onnx(tmp_path / "model.onnx", trainable="none").parity is not None


def test_what_is_invalid_is_named() -> None:
    newer = linear_model(np.ones((4, 2), np.float32), ["N", 4])
    newer.opset_import[0].version = 99
    refused(newer, "operator set", "99", "older set")
    absent = linear_model(np.ones((4, 2), np.float32), ["N", 4])
    del absent.graph.initializer[:]
    refused(absent, "'w', which nothing makes")
    circle = linear_model(np.ones((4, 4), np.float32), ["N", 4])
    circle.graph.node[0].input[0] = "z"
    circle.graph.node.append(helper.make_node("Add", ["y", "x"], ["z"]))
    refused(circle, "'z', which only a later node makes")


def test_the_remedy_fits_the_type_of_the_input() -> None:
    for kind, words in ((onnx.TensorProto.INT64, "an input of float32"), (onnx.TensorProto.FLOAT16, "float()")):
        error = refused(linear_model(np.zeros((4, 2), np.float32), ["N", 4], kind))
        assert words in str(error) and "u8" not in str(error)


@pytest.mark.parametrize(
    "keywords",
    [
        {"density": 0.0},
        {"density": 1.5},
        {"density": float("nan")},
        {"distribution": "magic"},
        {"initial_mask": "magic"},
        {"trainable": "layer4"},
        {"max_classes": 0},
        {"structure_room": -0.1},
    ],
)
def test_keywords(keywords: dict[str, Any]) -> None:
    with pytest.raises(ExportError, match=r"expected .*; found .*; "):
        ExportOptions(**keywords)


@pytest.mark.parametrize(
    "keywords",
    [
        {"max_classes": 4},
        {"classes": ["a", "a"]},
        {"classes": ["", "b"]},
        {"classes": ["x" * 64]},
        {"classes": 12, "max_classes": 11},
        {"density": 0.5, "sparse_layers": ["5"]},
        {"density": 0.5, "sparse_layers": ["nowhere"]},
        {"density": 0.5, "sparse_layers": lambda name: False},
        {"input": InputSpec(mean=(0.1, 0.2))},
        {"input": InputSpec(channels_last=True)},
    ],
)
def test_keywords_that_do_not_fit_the_model(keywords: dict[str, Any]) -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Flatten(), nn.Linear(5, 5))
    with pytest.raises(ExportError, match=r"expected .*; found .*"):
        prepare(graph_of_torch(model, torch.zeros(1, 6), "bad"), ExportOptions(**keywords), "test")


def test_input_spec_and_recipe() -> None:
    for build in (
        lambda: InputSpec(dtype="i8"),  # type: ignore[arg-type]
        lambda: InputSpec(std=0.0),
        lambda: InputSpec(scale=float("nan")),
        lambda: Recipe(method="magic"),
        lambda: Recipe(learning_rate=0.0),
        lambda: Recipe(batch_size=0),
        lambda: Recipe(alpha=-1.0),
    ):
        with pytest.raises(ExportError, match=r"expected .*; found .*; "):
            build()


def test_examples() -> None:
    with pytest.raises(ExportError, match="batch axis"):
        graph_of_torch(mlp(), torch.zeros(784), "bad")
    with pytest.raises(ExportError, match="layer '1'"):
        graph_of_torch(mlp(), torch.zeros(1, 700), "bad")


def test_several_inputs_and_outputs() -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])],
        "two",
        [helper.make_tensor_value_info(name, 1, ["N", 4]) for name in "ab"],
        [helper.make_tensor_value_info(name, 1, ["N", 4]) for name in "cd"],
    )
    error = refused(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]), "2 inputs")
    assert [blocker.node for blocker in error.blockers] == ["a, b", "d"]


def test_parity_failure_writes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("edgecl._core")
    front = importlib.import_module("edgecl.export.torch_front")
    errors = importlib.import_module("edgecl.export.errors")

    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.fc(x)
            return y + 0.01 if x.abs().max() > 0 else y  # the tracer keeps the branch that the example takes

    path = tmp_path / "moody.ecl"
    with pytest.raises(errors.ParityError, match=r"found a difference of 0\.0[01].* at row \d+, output \d"):
        front.from_torch(Moody(), torch.zeros(1, 4), out=path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "rows", [np.zeros((3, 27, 28), np.float32), np.zeros((3, 1, 28, 28)), np.zeros((0, 1, 28, 28), np.float32)]
)
def test_calibration_rows(rows: np.ndarray) -> None:
    pytest.importorskip("edgecl._core")
    front = importlib.import_module("edgecl.export.torch_front")
    with pytest.raises(ExportError, match="calibration"):
        front.from_torch(small_cnn(), torch.zeros(1, 1, 28, 28), calibration=rows)


def test_package_is_light() -> None:
    code = (
        "import sys, edgecl.export as e; assert callable(e.InputSpec) and 'from_torch' in dir(e);"
        "assert not {'torch', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
