# Contender sparseprop (Nikdan et al., 2023), one layer, sparse: forward, and both gradients in one pass.
# Never here: other contenders.
"""config: a layer (edgecl.cli.bench_layers.Layer as a dict) and {"batch", "threads", "sparsities"}."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Any


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """Cases "SPARSITY VARIANT PASS"; a convolution has two variants, vectorised over the batch and over the width."""
    import torch

    sparse = importlib.import_module("sparseprop.modules")

    torch.set_num_threads(config["threads"])
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    batch, n_in, n_out, size = config["batch"], config["in_channels"], config["out_channels"], config["size"]
    kernel = config["kernel"]
    steps: dict[str, Callable[[], object]] = {}
    for sparsity in config["sparsities"]:
        shape = (n_out, n_in) if size is None else (n_out, n_in, kernel, kernel)
        weight = torch.randn(shape) * (torch.rand(shape) >= sparsity)
        x = torch.randn((batch, n_in) if size is None else (batch, n_in, *size), requires_grad=True)
        layers = {}
        if size is None:
            layers["batch"] = sparse.SparseLinear(weight)
        else:
            for over_width, name in ((False, "batch"), (True, "width")):
                layers[name] = sparse.SparseConv2d(weight, None, kernel // 2, config["stride"], over_width)
        for name, layer in layers.items():
            y = layer(x)
            dy = torch.randn_like(y)
            steps[f"{sparsity:g} {name} forward"] = partial(layer, x)
            steps[f"{sparsity:g} {name} dX+dW"] = partial(
                torch.autograd.grad, y, [x, layer.weight], dy, retain_graph=True
            )
    return {"steps": steps, "version": metadata.version("sparseprop")}
