"""Fits the two efficiencies of each device profile to published latencies and prints what is missed elsewhere.

Never here: changing the profiles (a person copies the figures and says so), and figures that are not in them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

from edgecl.devices import Device, predict, profile
from edgecl.devices.reference_networks import NETWORKS

CALIBRATION_NETWORK = "mobilenet_v1"


def with_figure(device: Device, name: str, value: float) -> Device:
    """A copy of `device` with one figure changed."""
    return replace(device, figures=device.figures | {name: replace(device.figures[name], value=value)})


def bisect(error: Callable[[float], float], low: float, high: float) -> float:
    """The root of a falling function between `low` and `high`."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > 0 else (low, middle)
    return (low + high) / 2


def fit(device: Device, board: str) -> dict[str, float]:
    """Fits to the rows of `board`: efficiency at one thread, thread_efficiency at the most threads it has a row for."""
    operators = NETWORKS[CALIBRATION_NETWORK]()
    rows = {r.threads: r.ms for r in device.published if r.board == board and r.network == CALIBRATION_NETWORK}

    def excess(name: str, threads: int, base: Device) -> Callable[[float], float]:
        return lambda v: predict(operators, with_figure(base, name, v), threads).ms - rows[threads]

    fitted = {"efficiency": bisect(excess("efficiency", 1, device), 0.01, 4.0)}
    if max(rows) > 1:
        one = with_figure(device, "efficiency", fitted["efficiency"])
        fitted["thread_efficiency"] = bisect(excess("thread_efficiency", max(rows), one), 0.001, 1.0)
    return fitted


def residuals(device: Device, board: str) -> list[tuple[str, int, float, float]]:
    """(network, threads, published ms, published over predicted) of the rows of `board`, with the fit to that board."""
    for name, value in fit(device, board).items():
        device = with_figure(device, name, value)
    return [
        (r.network, r.threads, r.ms, r.ms / predict(NETWORKS[r.network](), device, r.threads).ms)
        for r in device.published
        if r.board == board
    ]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| profile | board, precision | network | threads | published ms | published / predicted |")
    print("|---|---|---|---|---|---|")
    for name in profile.profile_names():
        device = profile.read(name)
        for board in dict.fromkeys(r.board for r in device.published):
            precision = next(r.precision for r in device.published if r.board == board)
            for network, threads, ms, ratio in residuals(device, board):
                print(f"| {name} | {board}, {precision} | {network} | {threads} | {ms} | {ratio:.2f} |")
            print(f"| {name} | fitted: {', '.join(f'{k} {v:.3f}' for k, v in fit(device, board).items())} | | | | |")


if __name__ == "__main__":
    main()
