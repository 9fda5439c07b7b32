"""A source model runs a few rows of calibration at a time: its tensors are many times as large as its input.

Never here: what the comparison allows (tests/export/test_from_onnx.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import edgecl.export as export
import numpy as np
import pytest
import torch
from edgecl.export.onnx_front import load_onnx
from edgecl.export.onnx_reference import OnnxReference
from edgecl.export.row_pieces import INPUT_BYTES, LEAST, in_pieces, rows_at_once
from edgecl.export.torch_front import TorchReference
from torch import nn

ROWS = np.random.default_rng(0).random((11, 3, 160, 160), dtype=np.float32)


class Counting(nn.Module):
    """Pooled pixels under a linear layer; keeps how many rows each call had."""

    seen: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Counting.seen.append(x.shape[0])
        pooled: torch.Tensor = self.head(x.mean((2, 3)))
        return pooled


def test_rows_at_once_follow_their_size() -> None:
    assert rows_at_once(ROWS) == INPUT_BYTES // (4 * 3 * 160 * 160) == 3
    assert rows_at_once(np.zeros((1, 3, 1024, 1024), np.float32)) == LEAST, "one row would hide that more are refused"
    assert rows_at_once(np.zeros((1, 8), np.float32)) > 10_000
    assert np.array_equal(in_pieces(lambda piece: piece * 2, np.arange(7), 3), 2 * np.arange(7)), "the rest comes too"


@pytest.mark.parametrize("run", ["run", "run_double"])
def test_a_module_runs_a_few_rows_at_a_time(run: str) -> None:
    torch.manual_seed(0)
    module = Counting().eval()
    Counting.seen.clear()
    found = getattr(TorchReference(module), run)(ROWS)
    assert Counting.seen == [3, 3, 3, 2]
    with torch.no_grad():
        expected = module(torch.from_numpy(ROWS)).numpy()
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("batch", [None, 4])
def test_a_file_runs_a_few_rows_at_a_time(batch: int | None, tmp_path: Path) -> None:
    """A file with a batch of its own takes that many, the last rows filled up."""
    torch.manual_seed(0)
    module, file = Counting().eval(), tmp_path / "net.onnx"
    torch.onnx.export(
        module, (torch.from_numpy(ROWS[: batch or 1]),), file, input_names=["x"], dynamo=False,
        dynamic_axes=None if batch else {"x": {0: "n"}},
    )  # fmt: skip
    reference = OnnxReference(load_onnx(file)[0])
    name, engine = reference._running()
    seen: list[int] = []

    def counting(rows: np.ndarray, beside: dict[str, np.ndarray]) -> np.ndarray:
        seen.append(len(rows))
        return engine(rows, beside)

    reference._engine = (name, counting)
    found = reference.run(ROWS)
    assert seen == ([4, 4, 4] if batch else [3, 3, 3, 2])
    with torch.no_grad():
        assert np.abs(found - module(torch.from_numpy(ROWS)).numpy()).max() < 1e-6


def test_many_rows_of_calibration_are_compared_all() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    report = export.from_torch(module.eval(), torch.zeros(1, 3, 160, 160), calibration=ROWS)
    assert report.parity is not None and report.parity.n_rows == len(ROWS)
