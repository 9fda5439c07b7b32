# The exit code of each kind of bad input to `edgecl export`: one table.
# Never here: what the messages say (tests/export).
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl.cli.failure import INPUT, NO, USAGE, exit_code
from edgecl.cli.main import app
from edgecl.errors import UnsupportedError
from typer.testing import CliRunner

pytest.importorskip("torch", reason="PyTorch is not installed (extra: export)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: export)")

CODE = """
import torch
from torch import nn
def net():
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
def raises():
    return net().no_such_thing
def number():
    return 3
def ends():
    raise SystemExit(7)
def needs(width):
    return net()
def half():
    return net().half()
def lazy():
    return nn.Sequential(nn.LazyLinear(4))
def tokens():
    return nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 4))
class Two(nn.Module):
    def forward(self, a, b):
        return a + b
class Broken(nn.Module):
    def forward(self, x):
        raise KeyError("scale")
class Several(nn.Module):
    def forward(self, x):
        return x, x
class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)
class Coin(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()
    def forward(self, x):
        return nn.functional.dropout(self.net(x), 0.5, training=True)
def one():
    return nn.Linear(8, 1)
def encoder():
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU())
def sorts():
    class Sorts(nn.Module):
        def forward(self, x):
            return torch.sort(x)[0]
    return Sorts()
"""


def _linear(elem_type: int = 1, dims: Any = ("N", 8), opset: int = 18, reads: str = "x", **weights: Any) -> Any:
    helper = onnx.helper
    matrix = weights.get("w", np.ones((8, 4), np.float32))
    graph = helper.make_graph(
        [helper.make_node("MatMul", [reads, "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", elem_type, list(dims))],
        [helper.make_tensor_value_info("y", elem_type, ["N", 4])],
        [onnx.numpy_helper.from_array(matrix, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def _mixed() -> Any:
    model = _linear(reads="z")
    model.graph.node.insert(0, onnx.helper.make_node("Softmax", ["x"], ["z"], name="soft", axis=0))
    return model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "code.py").write_text(CODE)
    (folder / "syntax.py").write_text("def net(:\n")
    (folder / "ends.py").write_text("import sys\nsys.exit(4)\n")
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "bytes.onnx").write_bytes(b"no model" * 9)
    (folder / "bytes.tflite").write_bytes(b"no model" * 9)
    (folder / "folder.onnx").mkdir()
    models = {
        "good": _linear(),
        "nowhere": _linear(reads="z"),  # a tensor that nothing makes
        "new": _linear(opset=9999),
        "tokens": _linear(elem_type=onnx.TensorProto.INT64, w=np.ones((8, 4), np.int64)),
        "half": _linear(elem_type=onnx.TensorProto.FLOAT16, w=np.ones((8, 4), np.float16)),
        "free": _linear(dims=("N", "F")),
        "nan": _linear(w=np.full((8, 4), np.nan, np.float32)),
        "mixed": _mixed(),
    }
    for name, model in models.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    np.save(folder / "wrong.npy", np.zeros((4, 7), np.float32))
    return folder


SHAPE = ["--input-shape", "8"]
OUTSIDE = ["--external", "--head", "ridge"]


@pytest.mark.parametrize(
    ("model", "options", "wanted"),
    [
        # 2: what was typed
        ("no-such-net", [], USAGE),
        ("no_such_module:net", SHAPE, USAGE),
        ("code.py:nothing", SHAPE, USAGE),
        ("code.py:needs", SHAPE, USAGE),
        ("code.py:net", [], USAGE),
        ("code.py:net", ["--input-shape", "7"], USAGE),
        ("code.py:net", [*SHAPE, "--density", "2"], USAGE),
        ("code.py:net", [*SHAPE, "--trainable", "no.such.layer"], USAGE),
        ("code.py:net", [*SHAPE, "--sparse-layers", "none", "--density", "0.5"], USAGE),
        ("code.py:Several", [*SHAPE, "--logits", "third"], USAGE),
        ("code.py:encoder", [*SHAPE, "--trainable", "head", "--max-classes", "9"], USAGE),
        ("code.py:net", [*SHAPE, "--mean", "1,2,3"], USAGE),
        ("code.py:net", [*SHAPE, "--channels-last"], USAGE),
        ("code.py:", SHAPE, USAGE),
        (":net", SHAPE, USAGE),
        ("code.py:net", [*SHAPE, "--encoder", "int8"], USAGE),
        ("good.onnx", ["--logits", "third"], USAGE),
        ("good.onnx", ["--head", "ridge", "--trainable", "head"], USAGE),
        ("good.onnx", ["--external"], USAGE),
        ("good.onnx", [*OUTSIDE, "--external-output", "third"], USAGE),
        ("code.py:net", [*SHAPE, *OUTSIDE], USAGE),
        ("embeddings:many", ["--head", "ridge"], USAGE),
        # 3: the file, its contents, or the model in it
        ("none.onnx", [], INPUT),
        ("none.tflite", [], INPUT),
        ("none.py:net", SHAPE, INPUT),
        ("folder.onnx", [], INPUT),
        ("empty.onnx", [], INPUT),
        ("bytes.onnx", [], INPUT),
        ("bytes.onnx", OUTSIDE, INPUT),
        ("bytes.tflite", [], INPUT),
        ("bytes.tflite", OUTSIDE, INPUT),
        ("syntax.py:net", SHAPE, INPUT),
        ("nowhere.onnx", [], INPUT),
        ("nowhere.onnx", OUTSIDE, INPUT),
        ("new.onnx", [], INPUT),
        ("tokens.onnx", [], INPUT),
        ("tokens.onnx", OUTSIDE, INPUT),
        ("half.onnx", [], INPUT),
        ("half.onnx", OUTSIDE, INPUT),
        ("free.onnx", [], INPUT),
        ("free.onnx", OUTSIDE, INPUT),
        ("nan.onnx", [], INPUT),
        ("nan.onnx", OUTSIDE, INPUT),
        ("mixed.onnx", [], INPUT),
        ("mixed.onnx", OUTSIDE, INPUT),
        ("good.onnx", ["--calib", "wrong.npy"], INPUT),
        ("code.py:raises", SHAPE, INPUT),
        ("code.py:ends", SHAPE, INPUT),
        ("ends.py:net", SHAPE, INPUT),
        ("code.py:number", SHAPE, INPUT),
        ("code.py:half", SHAPE, INPUT),
        ("code.py:lazy", SHAPE, INPUT),
        ("code.py:tokens", SHAPE, INPUT),
        ("code.py:Two", SHAPE, INPUT),
        ("code.py:Broken", SHAPE, INPUT),
        ("code.py:Several", SHAPE, INPUT),
        ("code.py:Noise", SHAPE, INPUT),
        ("code.py:sorts", SHAPE, INPUT),
        ("code.py:one", SHAPE, INPUT),
        # 1: what comes out differs
        ("code.py:Coin", SHAPE, NO),
    ],
)
def test_bad_input(place: Path, monkeypatch: pytest.MonkeyPatch, model: str, options: list[str], wanted: int) -> None:
    if "--external" in options:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: engines)")
    if "tflite" in model and "--external" in options:
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (extra: engines)")
    monkeypatch.chdir(place)
    done = CliRunner().invoke(app, ["export", model, "-o", "out.ecl", *options, "--json"])
    assert done.exit_code == wanted, done.output
    told = json.loads(done.stdout)["error"]
    assert told["exit_code"] == wanted and "Traceback" not in done.output and not Path("out.ecl").exists()
    text = told["message"]
    assert text.startswith("expected ") and "found" in text and ";" in text, text


def test_the_rule() -> None:
    from edgecl.export.errors import Blocker, ExportError, ParityError

    assert exit_code(ExportError("a keyword", -1)) == exit_code(ExportError("no such layer", -23)) == USAGE
    for status in (-2, -3, -5, -22, -50, -60):
        assert exit_code(ExportError("a model", status)) == INPUT
    assert exit_code(ExportError.from_blockers("x", [Blocker("n", "Op", "reason", "remedy")])) == INPUT
    assert exit_code(ParityError("other outputs")) == NO
    assert exit_code(UnsupportedError("a package")) == USAGE
