"""Tables of how far predictions are off, for devices/README.md: published times of boards, and this machine's own.

Never here: predictions, measuring, the marks in the page (pages.py).
"""

from __future__ import annotations

from typing import Any

from figures import document, rows

NETWORKS = {
    "mobilenet_v1": "MobileNet v1", "mobilenet_v2": "MobileNetV2", "efficientnet_b0": "EfficientNet-B0",
    "resnet18": "ResNet-18", "resnet50": "ResNet-50",
}  # fmt: skip
Cells = list[Any]


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def published() -> tuple[list[str], list[Cells]]:
    """Every published row beside its prediction."""
    found = [
        [
            f"{row['board']}, {row['precision']}", row["threads"], NETWORKS[row["network"]], _ms(row["published_ms"]),
            f"{_ms(row['predicted_ms'])} ({_ms(row['low_ms'])} to {_ms(row['high_ms'])})", f"{row['ratio']:.2f}",
            "fits" if row["fits"] else "yes" if row["inside"] else "**no**",
        ]
        for row in rows("prediction")
    ]  # fmt: skip
    head = ["board", "threads", "network", "published ms", "predicted ms (range)", "published / predicted", "inside"]
    return head, found


def summary() -> tuple[list[str], list[Cells]]:
    """The errors of both checks in a few numbers."""
    boards, host = document("prediction"), document("prediction_host")
    found: list[Cells] = [
        [
            "published times of boards", f"{boards['checked_rows']} rows",
            f"{100 * (boards['median_error'] - 1):.0f} %",
            f"{boards['worst_error']:.2f}", f"{100 * boards['inside']:.0f} % inside the range",
        ]
    ]  # fmt: skip
    for way, errors in host["errors"].items():
        what = "one factor fitted" if way == "one factor" else "profile of `--calibrate`"
        text = f"layers {100 * errors['median_error_layers']:.0f} %, all operators "
        found.append(
            [
                f"x86-64 server, {what}", f"{errors['passes']} passes", f"{100 * errors['median_error_passes']:.0f} %",
                f"{errors['worst_pass']:.2f}", f"{text}{100 * errors['median_error_operators']:.0f} %",
            ]
        )  # fmt: skip
    return ["check", "of", "median error", "worst factor", "also"], found


def host() -> tuple[list[str], list[Cells]]:
    """Passes on this machine, both ways."""
    pairs: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows("prediction_host"):
        if "network" in row:
            key = (row["network"], row["density"], row["what"], row["batch"], row["replayed"])
            pairs.setdefault(key, {})[row["way"]] = row
    found = []
    for (network, density, what, batch, replayed), both in pairs.items():
        one, calibrated = both["one factor"], both["calibrated"]
        found.append(
            [
                network, f"{100 * density:.0f} %", f"{what} {batch}" + (f"+{replayed}" if replayed else ""),
                f"{one['measured_us'] / 1e3:.3g}",
                f"{one['ratio']:.2f}" + (" (fits)" if one["fits"] else ""), f"{calibrated['ratio']:.2f}",
            ]
        )  # fmt: skip
    return ["network", "density", "rows", "measured ms", "measured / one factor", "measured / calibrated"], found


def kinds() -> tuple[list[str], list[Cells]]:
    """Operators by kind on this machine, with the calibrated profile."""
    found = [
        [row["kind"], row["operators"], f"{row['ratio']:.2f}", f"{100 * row['error']:.0f} %"]
        for row in rows("prediction_host", way="calibrated")
        if "kind" in row
    ]
    return ["kind", "operators", "measured / predicted, median", "median error"], found
