"""The figures of tools/bench/results as rows, for the picture (draw.py) and the tables (pages.py).

Never here: measuring, drawing, Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"


def document(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """The result `name`.json with its rows as dicts, without the values that a row does not have."""
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    named = (zip(found["columns"], row, strict=True) for row in found["rows"])
    found["rows"] = [{key: value for key, value in row if value is not None} for row in named]
    return found


def rows(name: str, folder: Path = RESULTS, **wanted: Any) -> list[dict[str, Any]]:
    """The rows of a result whose values are those that are wanted."""
    return [row for row in document(name, folder)["rows"] if all(row.get(k) == v for k, v in wanted.items())]


class Spread(NamedTuple):
    """Mean and sample deviation over seeds."""

    mean: float
    deviation: float | None

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.deviation is None else f"{self.mean:.1f} ± {self.deviation:.1f}"


def spread(values: list[float]) -> Spread:
    """Of one value there is no deviation."""
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


NETWORKS = {
    "mlp": "MLP 784-256-256-10",
    "resnet18-nf20": "ResNet-18, 20 channels",
    "resnet18": "ResNet-18, 64 channels",
    "efficientnet-lite0": "EfficientNet-Lite0",
}


def speed_lines(folder: Path = RESULTS) -> dict[str, list[tuple[float, float]]]:
    """Of each network that learns: (sparsity, times as fast as the best dense peer), 10 + 10 rows on one thread."""
    learned = {row["layer"] for row in document("steps", folder)["rows"]}
    return {
        title: [
            (row["sparsity"], row["ratio_to_best_dense_peer"])
            for row in rows("steps", folder, layer=name, batch="10+10", threads=1)
        ]
        for name, title in NETWORKS.items()
        if name in learned
    }


class Point(NamedTuple):
    """One method on one stream; `kind` is "dense", "sparse" or "small dense"."""

    loss: str
    kind: str
    density: float
    forgetting: Spread
    accuracy: Spread


# Rows of the accuracy results by what their loss is; one without a group of its own recipe stands under "reference".
_LOSSES = {"er": "ER", "er_ace": "ER-ACE", "derpp": "DER++", "derpp with class mask": "DER++, class mask"}
_SPARSE = {"sparcl-er": "ER-ACE", "sparcl-derpp": "DER++, class mask"}


def points(name: str, folder: Path = RESULTS) -> Iterator[Point]:
    """What an accuracy result knows of dense nets, SparCL, and small dense nets of equal work."""
    found = document(name, folder)["rows"]
    with_our_recipe = {row["method"] for row in found if row["group"] == "default"}
    for row in found:
        method, _, rest = row["method"].partition(", width")
        loss, kind = _LOSSES.get(method), "small dense" if rest else "dense"
        if method in _SPARSE:
            loss, kind = _SPARSE[method], "sparse"
        usable = row["group"] in ("default", "control")
        if row["group"] == "reference" and kind == "dense":
            usable = row["method"] not in with_our_recipe
        if loss and usable and (kind != "small dense" or loss in _SPARSE.values()):
            density = float(rest.partition("for ")[2].rstrip(")")) if rest else row["density"]
            yield Point(loss, kind, density, spread(row["forgetting"]), spread(row["accuracy"]))
