"""Transformers, recurrent layers and mobile networks beside PyTorch and ONNX Runtime: one thread, in turns.

    python tools/bench/architectures.py --json tools/bench/results/architectures.json

Predicting one row, and a training step of 10 and of 32 rows (forward, backward, SGD; no replay). Random weights, ten
classes. Networks of timm and torchvision take part where these packages are on PYTHONPATH (they are no dependencies); a
network that does not go in is named with the reason. A figure is the smallest of rounds in turns. PyTorch runs eagerly,
which is what a device runs without a compiler; ONNX Runtime predicts alone.
Never here: whether they go in and are right (tools/dev/model_zoo.py), encoders in int8 (encoders.py).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgecl import _core, export
from encoders import onnxruntime_call
from int8_files import smallest_ms
from network_sources import CLASSES, of_timm, of_torchvision
from pages import architectures_table
from torch import Tensor, nn
from transformer_block import Block
from written import write_measured

RATE = 0.01
STEPS = (10, 32)
Call = Callable[[], Any]


class TimeTransformer(nn.Module):
    """Four layers of width 64 over 128 tokens of six sensors."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.positions = nn.Linear(6, 64), nn.Parameter(0.1 * torch.randn(1, 128, 64))
        self.blocks = nn.Sequential(*(Block(64, 4) for _ in range(4)))
        self.norm, self.fc = nn.LayerNorm(64), nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.norm(self.blocks(self.embed(x) + self.positions)).mean(1))
        return logits


class Gru(nn.Module):
    """64 units over 128 steps of six sensors; the last state is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(6, 64, batch_first=True), nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.rnn(x)[0][:, -1])
        return logits


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "transformer, 4 layers of 64, 128 tokens": (TimeTransformer, (128, 6)),
    "GRU of 64, 128 steps": (Gru, (128, 6)),
    "mobilevit_xxs": (lambda: of_timm("mobilevit_xxs"), (3, 256, 256)),
    "shufflenet_v2_x1_0": (lambda: of_torchvision("shufflenet_v2_x1_0"), (3, 224, 224)),
    "mobilenetv4_conv_small": (lambda: of_timm("mobilenetv4_conv_small"), (3, 224, 224)),
}


def predict_calls(network: nn.Module, shape: tuple[int, ...], bundle: bytes) -> dict[str, Call]:
    """One row by each."""
    buffer = io.BytesIO()
    torch.onnx.export(network.eval(), (torch.zeros(1, *shape),), buffer, dynamo=False)  # type: ignore[arg-type]
    session = _core.Session(_core.Model(data=bundle), predict_only=1, max_batch=1)
    row, tensor = np.zeros((1, *shape), np.float32), torch.zeros(1, *shape)

    def torch_call() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(tensor)
        return logits

    return {
        "edgecl": lambda: session.logits(row), "torch": torch_call, "onnxruntime": onnxruntime_call(buffer.getvalue()),
    }  # fmt: skip


def step_calls(network: nn.Module, shape: tuple[int, ...], bundle: bytes, n: int) -> dict[str, Call]:
    """One step of n rows by each."""
    random = np.random.default_rng(0)
    rows, labels = random.standard_normal((n, *shape)).astype(np.float32), random.integers(0, CLASSES, n)
    session = _core.Session(_core.Model(data=bundle), max_batch=n, replay_capacity=0, learning_rate=1e-6)
    x, y, own = torch.from_numpy(rows), torch.from_numpy(labels), labels.astype(np.int32)
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), 1e-6)

    def torch_call() -> None:
        optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(x), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return {"edgecl": lambda: session.learn(rows, own), "torch": torch_call}


def rows_of(name: str) -> list[dict[str, Any]]:
    """Each way of running one network."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = make()
    recipe = export.Recipe(
        method="finetune", learning_rate=RATE, replay_capacity=0, replay_batch=0, batch_size=max(STEPS)
    )
    report = export.from_torch(network, torch.zeros(1, *shape), recipe=recipe)
    found = []
    for what, n in (("predict", 1), *(("step", n) for n in STEPS)):
        calls = (
            predict_calls(network, shape, report.bundle)
            if what == "predict"
            else step_calls(network, shape, report.bundle, n)
        )
        ms = smallest_ms(calls)
        macs = report.macs["forward"] + (report.macs["backward"] if what == "step" else 0)
        found.append({
            "network": name, "what": what, "rows": n, "ms": ms["edgecl"], "ms_torch": ms["torch"],
            "ms_onnxruntime": ms.get("onnxruntime"), "macs": macs * n, "load": os.getloadavg()[0],
        })  # fmt: skip
        print(found[-1], file=sys.stderr)
    return found


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(NETWORKS), help="networks whose names begin so")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in NETWORKS:
        if not any(name.startswith(wanted) for wanted in arguments.names):
            continue
        try:
            rows += rows_of(name)
        except (ImportError, export.ExportError) as error:
            print(f"{name}: left out: {str(error).splitlines()[0]}", file=sys.stderr)
    print(architectures_table(rows))
    if arguments.json:
        write_measured(arguments.json, rows)


if __name__ == "__main__":
    main()
