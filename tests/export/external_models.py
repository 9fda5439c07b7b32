# Small networks with operators that edgecl lacks, as ONNX files and as samples of three classes.
# Never here: tests.
from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

DIM = 16


class Attention(nn.Module):
    """A sine, which edgecl lacks, attention, layer norm and GELU over sequences [T][8], then a linear classifier
    (columns 0: none)."""

    def __init__(self, columns: int = 5) -> None:
        super().__init__()
        self.entry = nn.Linear(8, DIM)
        self.attention = nn.MultiheadAttention(DIM, 2, batch_first=True)
        self.norm = nn.LayerNorm(DIM)
        self.classifier = nn.Linear(DIM, columns) if columns else nn.Identity()

    def embeddings(self, x: torch.Tensor) -> torch.Tensor:
        """What enters the classifier."""
        h = self.entry(x)
        h = h + 0.01 * torch.sin(h)
        h = h + self.attention(h, h, h, need_weights=False)[0]
        return nn.functional.gelu(self.norm(h)).mean(1)

    def forward(self, x: torch.Tensor) -> Any:
        """Logits."""
        return self.classifier(self.embeddings(x))


class Images(nn.Module):
    """Convolutions with GELU over images [3][8][6]; a map [4][4][3] comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The map."""
        return nn.functional.gelu(self.conv(x))


def write_onnx(module: nn.Module, dims: tuple[int, ...], path: Path, batch: int = 1, free: bool = False) -> Path:
    """The module as ONNX; `free`: with a free batch axis."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.zeros(batch, *dims),),
            path,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            opset_version=18,
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}} if free else None,
        )
    return path


def sequences(n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Samples [6][8] of three classes that differ."""
    rng = np.random.default_rng(seed)
    base = np.random.default_rng(99).standard_normal((3, 6, 8))
    which = np.arange(n) % 3
    x = (base[which] + 0.5 * rng.standard_normal((n, 6, 8))).astype(np.float32)
    return x, np.array(["ant", "bee", "cat"])[which]
