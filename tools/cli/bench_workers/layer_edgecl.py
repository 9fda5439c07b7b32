# Contender edgecl, one layer: the passes of its dense and sparse kernels.
# Never here: timing (the kernels' module times itself, so that no copy from or to Python is in a figure).
"""config: a layer (edgecl.cli.bench_layers.Layer as a dict) and {"batch", "threads", "sparsities"}."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

PASSES = {"forward": "forward", "dX": "backward_data", "dW": "backward_weight"}


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """Cases "SPARSITY PASS", with sparsity 0 for the dense kernels, and their multiply-adds."""
    from edgecl_kernels import TimedLayer, default_level

    timers: dict[str, Callable[[int], list[float]]] = {}
    macs = {}
    window: dict[str, Any] = {}
    if config["size"] is not None:
        kernel, stride = config["kernel"], config["stride"]
        window = {
            "input_size": tuple(config["size"]),
            "kernel_size": (kernel, kernel),
            "stride": (stride, stride),
            "padding": (kernel // 2, kernel // 2),
        }
    for sparsity in (0.0, *config["sparsities"]):
        layer = TimedLayer(
            config["batch"],
            config["in_channels"],
            config["out_channels"],
            density=1.0 - sparsity if sparsity else None,
            n_threads=config["threads"],
            **window,
        )
        for name, kernel_name in PASSES.items():
            timers[f"{sparsity:g} {name}"] = partial(layer.time, kernel_name)
            macs[f"{sparsity:g} {name}"] = layer.multiply_adds
    return {"timers": timers, "macs": macs, "level": default_level()}
