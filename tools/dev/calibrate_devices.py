"""Fits the two efficiencies of each device profile to published latencies and prints what is missed elsewhere.

usage: python tools/dev/calibrate_devices.py

One published network, MobileNet v1, fits a board: its time at one thread the efficiency, at the most threads the thread
efficiency. The other networks check it. The range of a profile is not fitted on the board itself: it is what the model
misses on all other boards: 95 % of their rows lie in it (published over predicted).

Never here: changing the profiles (a person copies the figures and says so), and figures that are not in them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from edgecl.devices import Device, predict, profile
from edgecl.devices.operators import Operator
from edgecl.devices.reference_networks import NETWORKS, with_winograd

CALIBRATION_NETWORK = "mobilenet_v1"
LOW_SHARE, HIGH_SHARE = 0.025, 0.975


@dataclass(frozen=True)
class Row:
    """A published latency beside the prediction, ms; `ratio`: published over predicted."""

    profile: str
    board: str
    precision: str
    network: str
    threads: int
    published_ms: float
    predicted_ms: float

    @property
    def ratio(self) -> float:
        return self.published_ms / self.predicted_ms

    @property
    def error(self) -> float:
        """The factor by which the prediction is off, either way: at least 1."""
        return max(self.ratio, 1 / self.ratio)

    @property
    def calibrates(self) -> bool:
        return self.network == CALIBRATION_NETWORK


def with_figure(device: Device, name: str, value: float) -> Device:
    """A copy of `device` with one figure changed."""
    return replace(device, figures=device.figures | {name: replace(device.figures[name], value=value)})


def bisect(error: Callable[[float], float], low: float, high: float) -> float:
    """The root of a falling function between `low` and `high`."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > 0 else (low, middle)
    return (low + high) / 2


def operators_of(network: str, precision: str) -> list[Operator]:
    """A network as the publishers' engine (ncnn) computes it: Winograd's method, halves where they do."""
    operators = with_winograd(NETWORKS[network]())
    if precision != "fp16":
        return operators
    return [
        replace(
            op, weight_bytes=op.weight_bytes // 2, input_bytes=op.input_bytes // 2, output_bytes=op.output_bytes // 2
        )
        for op in operators
    ]


def as_published(device: Device, board: str) -> Device:
    """The device with twice the peak where the rows of `board` are in half precision."""
    halves = any(r.board == board and r.precision == "fp16" for r in device.published)
    return with_figure(device, "flop_per_cycle", 2 * device.flop_per_cycle) if halves else device


def fit(device: Device, board: str) -> dict[str, float]:
    """Fits to the rows of `board`: efficiency at one thread, thread_efficiency at the most threads it has a row for."""
    published = [r for r in device.published if r.board == board and r.network == CALIBRATION_NETWORK]
    rows = {r.threads: r.ms for r in published}
    operators = operators_of(CALIBRATION_NETWORK, published[0].precision)
    device = as_published(device, board)

    def excess(name: str, threads: int, base: Device) -> Callable[[float], float]:
        return lambda v: predict(operators, with_figure(base, name, v), threads).ms - rows[threads]

    fitted = {"efficiency": bisect(excess("efficiency", 1, device), 0.01, 4.0)}
    if max(rows) > 1:
        one = with_figure(device, "efficiency", fitted["efficiency"])
        fitted["thread_efficiency"] = bisect(excess("thread_efficiency", max(rows), one), 0.001, 1.0)
    return fitted


def rows_of(device: Device, board: str) -> list[Row]:
    """All rows of `board`, predicted with the fit to that board."""
    fitted = as_published(device, board)
    for name, value in fit(device, board).items():
        fitted = with_figure(fitted, name, value)
    return [
        Row(
            device.name, board, r.precision, r.network, r.threads, r.ms,
            predict(operators_of(r.network, r.precision), fitted, r.threads).ms,
        )
        for r in device.published
        if r.board == board
    ]  # fmt: skip


@lru_cache
def all_rows() -> list[Row]:
    """The rows of every profile and board."""
    devices = map(profile.read, profile.profile_names())
    return [row for d in devices for board in dict.fromkeys(r.board for r in d.published) for row in rows_of(d, board)]


def range_of(rows: list[Row], without: str) -> tuple[float, float]:
    """The range of a profile: what is missed on rows of all other profiles that did not calibrate."""
    ratios = [row.ratio for row in rows if row.profile != without and not row.calibrates]
    cuts = statistics.quantiles(ratios, n=1000, method="inclusive")
    return cuts[round(1000 * LOW_SHARE) - 1], cuts[round(1000 * HIGH_SHARE) - 1]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = all_rows()
    print("| profile | board, precision | network | threads | published ms | predicted ms | published / predicted |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        cells = (row.profile, f"{row.board}, {row.precision}", row.network, row.threads, row.published_ms)
        print("| " + " | ".join(map(str, cells)) + f" | {row.predicted_ms:.1f} | {row.ratio:.2f} |")
    print()
    for name in profile.profile_names():
        device = profile.read(name)
        if not device.published:
            continue
        fits = [f"{b}: " + ", ".join(f"{k} {v:.3f}" for k, v in fit(device, b).items())
                for b in dict.fromkeys(r.board for r in device.published)]  # fmt: skip
        low, high = range_of(rows, name)
        print(f"{name}: {'; '.join(fits)}; range {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
