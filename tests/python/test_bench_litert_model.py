# tools/bench/litert_model.py: the peer's file computes what PyTorch computes.
# Never here: times, int8.
"""Tests of the writer of LiteRT's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
for needed in ("torch", "onnx", "onnxruntime", "flatbuffers", "ai_edge_litert"):
    pytest.importorskip(needed, reason=f"the package {needed} is not installed (extras: export, peers)")

import torch  # noqa: E402
from torch import nn  # noqa: E402


@pytest.fixture()
def writer(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools/bench"))
    import litert_model

    return litert_model


class Everything(nn.Module):
    """Every layer that the writer knows; odd sides, where TFLite's SAME pads as PyTorch does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.wide = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())
        self.end = nn.Sequential(nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.wide(x))
        out: torch.Tensor = self.end(x * self.gate(x))
        return out


def answer(path: Path, row: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    runtime = Interpreter(str(path), num_threads=1)
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], row)
    runtime.invoke()
    return runtime.get_tensor(runtime.get_output_details()[0]["index"])


def test_a_file_of_every_layer_gives_pytorchs_numbers(writer: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Everything().eval()
    row = np.random.default_rng(0).standard_normal((1, 3, 33, 33)).astype(np.float32)
    path = writer.write_network(network, row.shape[1:], tmp_path / "all.tflite")
    with torch.no_grad():
        expected = network(torch.from_numpy(row)).numpy()
    found = answer(path, np.ascontiguousarray(np.moveaxis(row, 1, -1)))
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max() + 1e-7


def test_another_layer_is_refused_by_name(writer: Any, tmp_path: Path) -> None:
    with pytest.raises(writer.UnknownLayer, match="found Tanh"):
        writer.write_network(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (4,), tmp_path / "t.tflite")
