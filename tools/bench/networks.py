"""The networks of the benchmarks: edgecl's built-in ones by name, their shapes, costs and bundles.

Never here: timing, and the networks themselves (edgecl.cli.models).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from edgecl.cli.models import BUILT_IN
from torch import Tensor, nn

INPUT_SHAPE: dict[str, tuple[int, ...]] = {
    "mlp": (784,),
    "resnet18-nf20": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "efficientnet-lite0": (3, 224, 224),
}
N_CLASSES = 10


def build(name: str, seed: int = 0) -> nn.Module:
    """The named network with PyTorch's default initialisation under `seed`."""
    torch.manual_seed(seed)
    return BUILT_IN[name].build(INPUT_SHAPE[name], N_CLASSES)


def multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """(forward, training step) multiply-adds a row of convolutions and linear layers; leaves the network in eval mode.

    Training = forward + weight gradients + input gradients, none of the latter for the first layer.
    """
    counts: list[int] = []

    def hook(module: nn.Module, _: object, out: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, Tensor)
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
    from edgecl import export

    export.from_torch(build(name), torch.zeros(1, *INPUT_SHAPE[name]), out=path, density=density, **options)
    return path
