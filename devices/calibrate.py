"""Measures the running board and writes its profile: peak, bandwidths, and how the shipped kernels do beside the model.

Never here: times of a user's model (the bench command), and figures of other machines.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from math import exp, log
from typing import Any

from edgecl.devices.cost_model import predict, rate_kind
from edgecl.devices.machine import cache_bytes, host
from edgecl.devices.operators import FLOAT_BYTES, Operator, learn_operators
from edgecl.devices.profile import Device, Figure

ROUNDS = 6
ROUND_SECONDS = 0.01  # of one layer's pass in one round
# What `python tools/dev/prediction.py --host` found with such a profile: 19 of 20 passes lie within.
RANGE = (0.8, 1.5)
RANGE_SOURCE = "20 passes of five networks on an x86-64 server with a profile like this one, 19 of them within"
PASSES = {"forward": "forward", "input gradient": "backward_data", "weight gradient": "backward_weight"}


@dataclass(frozen=True)
class Layer:
    """A layer that is timed: rows, channels in and out, window and size of the input (size 0: linear), density."""

    rows: int
    inputs: int
    outputs: int
    size: int = 0
    kernel: int = 1
    density: float = 1.0
    stride: int = 1
    depthwise: bool = False

    def described(self) -> dict[str, Any]:
        """As `edgecl._core.Model.ops()` describes an operator."""
        size = max(self.size, 1)
        places, positions, sparse = size**2, (-(-size // self.stride)) ** 2, self.density < 1
        weights = round((1 if self.depthwise else self.inputs) * self.outputs * self.kernel**2 * self.density)
        kind = "depthwise" if self.depthwise else "conv" if self.size else "linear"
        return {
            "name": "layer", "kind": kind, "macs_forward": weights * positions,
            "macs_backward": 2 * weights * positions, "weight_bytes": FLOAT_BYTES * weights,
            "index_bytes": 2 * weights if sparse else 0, "input_bytes": FLOAT_BYTES * self.inputs * places,
            "output_bytes": FLOAT_BYTES * self.outputs * positions, "sparse": sparse, "trainable": True,
        }  # fmt: skip


# None of them is a layer of a network that predictions are checked with.
LAYERS = (
    Layer(8, 48, 48, 24, 3), Layer(16, 96, 96, 12, 3), Layer(1, 72, 72, 28, 3), Layer(26, 24, 24, 16, 3),
    Layer(1, 72, 144, 28), Layer(16, 144, 72, 14), Layer(1, 288, 288, 14), Layer(12, 48, 96, 20),
    Layer(1, 512, 384), Layer(16, 384, 128), Layer(10, 300, 200), Layer(32, 640, 320),
    *(Layer(rows, channels, channels, size, kernel, stride=stride, depthwise=True)
      for rows, channels, size, kernel, stride in (
          (1, 72, 48, 3, 1), (1, 100, 48, 3, 2), (1, 200, 20, 5, 1), (1, 200, 20, 5, 2), (12, 48, 20, 3, 1),
          (16, 100, 10, 3, 1))),
    Layer(16, 96, 96, 12, 3, 0.1), Layer(1, 72, 72, 28, 3, 0.1), Layer(26, 24, 24, 16, 3, 0.1),
    Layer(8, 48, 48, 24, 3, 0.2),
    Layer(16, 384, 128, density=0.1), Layer(10, 300, 200, density=0.1), Layer(1, 512, 384, density=0.2),
)  # fmt: skip


def copy_bandwidth(n_bytes: int, seconds: float = 0.3) -> float:
    """Bytes a second, reads and writes counted, of copies between two blocks of `n_bytes` together."""
    import numpy as np

    source = np.ones(n_bytes // 2 // FLOAT_BYTES, np.float32)
    target = np.zeros_like(source)
    np.copyto(target, source)  # pages are there from now on
    repeat = max(1, (1 << 24) // n_bytes)
    best, rounds, end = float("inf"), 0, time.perf_counter() + seconds
    while rounds < 5 or time.perf_counter() < end:
        rounds += 1
        begin = time.perf_counter()
        for _ in range(repeat):
            np.copyto(target, source)
        best = min(best, (time.perf_counter() - begin) / repeat)
    return n_bytes / best


def _timed(layer: Layer) -> Any:
    from edgecl_kernels import TimedLayer

    density = layer.density if layer.density < 1 else None
    if not layer.size:
        return TimedLayer(layer.rows, layer.inputs, layer.outputs, density=density)
    border = layer.kernel // 2
    return TimedLayer(
        layer.rows, layer.inputs, layer.outputs, (layer.size, layer.size), density=density,
        kernel_size=(layer.kernel, layer.kernel), padding=(border, border, border, border),
        stride=(layer.stride, layer.stride), **({"groups": layer.inputs} if layer.depthwise else {}),
    )  # fmt: skip


def layer_times(update: Callable[[str, int, int], None]) -> list[tuple[Operator, float]]:
    """(pass of a layer, its shortest time in seconds) for all of LAYERS, which take turns.

    Raises ModuleNotFoundError without the package edgecl_kernels.
    """
    timed = [_timed(layer) for layer in LAYERS]
    best: dict[tuple[int, str], float] = defaultdict(lambda: float("inf"))
    repeat: dict[tuple[int, str], int] = {}
    for turn in range(ROUNDS):
        for i, form in enumerate(timed):
            update("kernels", turn * len(timed) + i, ROUNDS * len(timed))
            for direction, name in PASSES.items():
                key = (i, direction)
                if key not in repeat:
                    repeat[key] = max(1, round(ROUND_SECONDS / max(form.time(name, 2)[1], 1e-6)))
                best[key] = min(best[key], *form.time(name, repeat[key]))
    found = []
    for i, layer in enumerate(LAYERS):
        for op in learn_operators([layer.described()], layer.rows, momentum=False):
            if op.kind != "update":
                found.append((op, best[i, op.direction]))
    return found


def rates_of(times: list[tuple[Operator, float]], device: Device) -> tuple[float, dict[str, float]]:
    """(efficiency, rate of each kind relative to it): predicted over measured, geometric means.

    `device` needs its peak and memory figures; its efficiency and rates do not count.
    """
    one = with_figures(device, efficiency=1.0)
    plain = replace(one, rates=())
    ratios: dict[str, list[float]] = defaultdict(list)
    for op, seconds in times:
        ratios[rate_kind(op)].append(log(predict([op], plain).ms / 1e3 / seconds))
    mean = {kind: exp(sum(values) / len(values)) for kind, values in ratios.items()}
    efficiency = exp((log(mean["conv"]) + log(mean["pointwise"])) / 2)
    return efficiency, {kind: value / efficiency for kind, value in sorted(mean.items())}


def with_figures(device: Device, **values: float) -> Device:
    """A copy of `device` with these figures measured today."""
    today = date.today()
    figures = {
        name: Figure(float(value), "`edgecl devices --calibrate`", today, "measured") for name, value in values.items()
    }
    return replace(device, figures=device.figures | figures)


def calibrated(update: Callable[[str, int, int], None] = lambda what, done, total: None) -> tuple[Device, list[str]]:
    """(profile of the running board, what could not be measured and why). Takes about ten seconds."""
    notes: list[str] = []
    device = host()
    caches = cache_bytes()
    largest = max(caches.values(), default=1 << 20)
    device = with_figures(device, bandwidth_bytes_per_s=copy_bandwidth(max(4 * largest, 1 << 26)))
    if 2 in caches and 3 in caches:
        shared = copy_bandwidth(min(8 * caches[2], caches[3] // 2))
        device = with_figures(device, llc_bandwidth_bytes_per_s=shared)
        private = Figure(float(caches[2]), "sysfs", date.today(), "specification")
        device = replace(device, figures=device.figures | {"l2_bytes": private})
    if device.figures["flop_per_cycle"].kind == "assumed":
        notes.append("the peak: no C compiler here")
    try:
        efficiency, rates = rates_of(layer_times(update), device)
    except ModuleNotFoundError:
        notes.append(
            "the kernels: the package edgecl_kernels is not installed (CMake option EDGECL_BUILD_KERNELS_MODULE)"
        )
    else:
        device = replace(
            with_figures(device, efficiency=efficiency), rates=tuple(rates.items()), range_low=RANGE[0],
            range_high=RANGE[1], range_source=RANGE_SOURCE,
        )  # fmt: skip
    return device, notes


def profile_text(device: Device, title: str) -> str:
    """The profile as TOML, which `profile.parse` reads."""

    def text(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'

    lines = [
        f"# {title}: written by `edgecl devices --calibrate`.",
        f"title = {text(title)}",
        f"architecture = {text(device.architecture)}",
        f"core = {text(device.core)}",
        "cpu_parts = [" + ", ".join(map(text, device.cpu_parts)) + "]",
        f"model_text = {text(device.model_text)}",
    ]
    for name, figure in device.figures.items():
        # Bytes are counted, not measured.
        value = f"{figure.value:.0f}" if name.endswith("_bytes") else f"{figure.value:.6g}"
        lines += ["", f"[figures.{name}]", f"value = {value}", f"kind = {text(figure.kind)}"]
        lines += [f"source = {text(figure.source)}", f"date = {figure.date.isoformat()}"]
    lines += ["", "[range]", f"low = {device.range_low}", f"high = {device.range_high}"]
    lines += [f"source = {text(device.range_source)}"]
    if device.rates:
        lines += ["", "[rates]", *(f"{text(kind)} = {rate:.4f}" for kind, rate in device.rates)]
    return "\n".join(lines) + "\n"
