# The networks of the benchmarks: edgecl's built-in ones by name, their shapes, costs, bundles and ONNX files.
# Never here: timing, and the networks themselves (edgecl.cli.models).
"""Networks of the benchmarks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.cli.bench_turns import WORKERS, WorkerFailed
from edgecl.cli.models import BUILT_IN

if TYPE_CHECKING:
    from torch import Tensor, nn

INPUT_SHAPE: dict[str, tuple[int, ...]] = {
    "mlp": (784,),
    "resnet18-nf20": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "efficientnet-lite0": (3, 224, 224),
}
TRAINED = ("mlp", "resnet18-nf20", "resnet18")  # the others are encoders
N_CLASSES = 10


def build(name: str, seed: int = 0) -> nn.Module:
    """The named network with PyTorch's default initialisation under `seed`."""
    import torch

    torch.manual_seed(seed)
    return BUILT_IN[name].build(INPUT_SHAPE[name], N_CLASSES)


def multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """(forward, training step) multiply-adds a row of convolutions and linear layers; leaves the network in eval mode.

    Training = forward + weight gradients + input gradients, none of the latter for the first layer.
    """
    import torch
    from torch import nn

    counts: list[int] = []

    def hook(module: nn.Module, _: object, out: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        counts.append(out[0].numel() * weight[0].numel())

    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    handles = [m.register_forward_hook(hook) for m in layers]
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, *shape))
    for handle in handles:
        handle.remove()
    forward = sum(counts)
    return forward, 3 * forward - counts[0]


def write_bundle(name: str, path: Path, density: float = 1.0, **options: Any) -> Path:
    """Exports the named network to `path`; `options` go to `edgecl.export.from_torch`."""
    import torch
    from edgecl import export

    export.from_torch(build(name), torch.zeros(1, *INPUT_SHAPE[name]), out=path, density=density, **options)
    return path


def write_onnx(name: str, folder: Path, training: bool, ort_python: str | None = None) -> Path:
    """Writes the network's ONNX files to `folder`, with the training artifacts if `training`.

    The artifacts are made by `ort_python`, an interpreter with onnxruntime-training (default: this one).

    Raises:
        WorkerFailed: the interpreter cannot; with its last line.
    """
    import torch

    script = str(WORKERS / "onnx_artifacts.py")
    commands = [[sys.executable, script, "export", name, str(folder)]]
    if training:
        site = str(Path(torch.__file__).parents[1])
        commands.append([ort_python or sys.executable, script, "artifacts", str(folder), site])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise WorkerFailed((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    return folder
