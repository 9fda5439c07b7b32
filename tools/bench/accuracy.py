"""Accuracy and forgetting of methods and densities over seeds, with cost beside them, as one table.

    python tools/bench/accuracy.py fashion --seeds 5 --json tools/bench/results/accuracy_fashion.json
    python tools/bench/accuracy.py cifar10 --seeds 3 --json tools/bench/results/accuracy_cifar10.json
    python tools/bench/accuracy.py fashion --groups ablation --epochs 5 --seeds 3
    python tools/bench/accuracy.py cifar10 --groups default --epochs 5 --seeds 3 --resume --json FILE

Groups of rows: `reference` (the recipe of the plain-PyTorch reference: learning rate 0.03, pruned weights as they
were), `default` (this project's recipe: a learning rate that falls through each task and is warm again in the next,
kept weights of the MLP rescaled), `control` (small dense nets of about the same training FLOPs, same recipe), `rules`
(SET, RigL, TDM by gradient, fixed structure), `ablation` (parts of SparCL left out) and `methods` (other baselines).
Every row is one `run_stream` of edgecl.evaluate a seed: batch 10 + 10, buffer 500, incomplete last batches skipped;
CIFAR-10 with random crops and flips. A run can be stopped and goes on with --resume, seed by seed. Seconds are of the
learning alone, on the machine as it was: compare them within a table. Rows of an earlier run stay in the JSON file
until they are run again. Needs the data folder (EDGECL_DATA). Never here: step-by-step comparison
(parity_trajectory.py).
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

GROUPS = ("reference", "default", "control", "rules", "ablation", "methods")
DENSITIES = (0.25, 0.1, 0.05)
# Gradient sparsity 0.80 / 0.92 / 0.96 of all weights at 0.75 / 0.90 / 0.95: 80 % of the stored ones.
STREAMS: dict[str, dict[str, Any]] = {
    "fashion": {
        "stream": "split-fashion-mnist",
        "shape": (1, 28, 28),
        "crop": 0,
        "flip": False,
        "rate": 0.2,
        "dense_rate": 0.1,
        "scale": "variance",
    },
    "cifar10": {
        "stream": "split-cifar10",
        "shape": (3, 32, 32),
        "crop": 4,
        "flip": True,
        "rate": 0.06,
        "dense_rate": 0.06,
        "scale": "none",
    },
}
# Plain PyTorch, same recipe and data, mean ± deviation in points (one pass, buffer 500); forgetting beside it.
REFERENCE: dict[str, dict[tuple[str, float], tuple[str, str]]] = {
    "fashion": {
        ("er", 1.0): ("76.7 ± 0.6", "25.6 ± 0.8"),
        ("er_ace", 1.0): ("78.5 ± 1.1", "13.0 ± 1.3"),
        ("derpp", 1.0): ("78.8 ± 1.1", "23.2 ± 1.5"),
        ("static-derpp", 1.0): ("79.2 ± 1.0", "10.2 ± 2.8"),
        ("sparcl-er", 0.25): ("77.6 ± 0.7", "13.6 ± 1.4"),
        ("sparcl-er", 0.1): ("76.0 ± 1.0", "13.9 ± 1.7"),
        ("sparcl-er", 0.05): ("73.9 ± 1.0", "14.4 ± 2.3"),
        ("sparcl-derpp", 0.25): ("78.1 ± 0.8", "7.3 ± 2.2"),
        ("sparcl-derpp", 0.1): ("76.6 ± 0.8", "6.2 ± 2.2"),
        ("sparcl-derpp", 0.05): ("74.2 ± 1.2", "5.5 ± 2.9"),
    },
    "cifar10": {
        ("er", 1.0): ("45.7 ± 3.6", "41.2 ± 4.2"),
        ("er_ace", 1.0): ("44.1 ± 2.1", "13.5 ± 2.4"),
        ("derpp", 1.0): ("44.0 ± 3.4", "42.3 ± 5.4"),
        ("sparcl-derpp", 0.1): ("41.0 (1 seed)", "15.7 (1 seed)"),
    },
}


@dataclass
class Row:
    """What one row runs."""

    group: str
    method: str
    density: float = 1.0
    label: str = ""
    width: int | None = None  # of a small dense net
    scale: str = "none"
    changes: dict[str, Any] = field(default_factory=dict)
    schedule: str = "constant"
    distribution: str = "uniform"
    removal: float = 0.0  # share of a task's examples that DDR leaves out in the end


def rows_of(what: str, groups: list[str]) -> Iterator[Row]:
    """The rows of the groups, in the order of printing."""
    setting = STREAMS[what]

    def ours(group: str, method: str, density: float = 1.0, label: str = "", **more: Any) -> Row:
        sparse = density < 1
        changes = {"learning_rate": setting["rate" if sparse else "dense_rate"], **more.pop("changes", {})}
        scale = setting["scale"] if sparse else "none"
        return Row(group, method, density, label, scale=scale, changes=changes, schedule="linear", **more)

    if "reference" in groups:
        for method in ("er", "er_ace", "derpp"):
            yield Row("reference", method)
        yield Row("reference", "static-derpp", label="derpp with class mask", changes={"structure": "static"})
        for method in ("sparcl-er", "sparcl-derpp"):
            for density in DENSITIES:
                yield Row("reference", method, density)
    if "default" in groups:
        for method in ("sparcl-er", "sparcl-derpp"):
            for density in DENSITIES:
                yield ours("default", method, density)
        for method in ("er", "er_ace", "derpp"):
            yield ours("default", method)
        yield ours("default", "static-derpp", label="derpp with class mask")
    if "control" in groups:
        for density in DENSITIES:
            for method in ("er_ace", "derpp", "static-derpp"):
                width = small_width(what, density)
                label = f"{method.replace('static-derpp', 'derpp with class mask')}, width {width}"
                yield ours("control", method, label=f"{label} (for {density:g})", width=width)
    if "rules" in groups:
        for loss in ("derpp", "er"):
            for rule in ("static", "set", "rigl"):
                yield ours("rules", f"{rule}-{loss}", 0.1)
        for growth in ("gradient", "importance"):
            yield ours("rules", "sparcl-derpp", 0.1, f"sparcl-derpp, growth by {growth}", changes={"growth": growth})
    if "ablation" in groups:
        for label, changes, removal in (
            ("whole", {}, 0.3),
            ("without TDM", {"structure": "static"}, 0.3),
            ("without DGM", {"gradient_mask": "all"}, 0.3),
            ("without DDR", {}, 0.0),
            ("without class mask", {"class_mask": False}, 0.3),
            ("without TDM, DGM, DDR", {"structure": "static", "gradient_mask": "all"}, 0.0),
            ("twice the rate", {"learning_rate": 2 * setting["rate"]}, 0.3),
            ("half the rate", {"learning_rate": setting["rate"] / 2}, 0.3),
            ("logits weighted 0.3", {"alpha": 0.3}, 0.3),
            ("logits weighted 0.03", {"alpha": 0.03}, 0.3),
            ("labels weighted 1", {"beta": 1.0}, 0.3),
            ("labels weighted 1, logits 0.03", {"beta": 1.0, "alpha": 0.03}, 0.3),
            ("labels weighted 1, without TDM", {"beta": 1.0, "structure": "static"}, 0.3),
            ("exchanges of 5 %", {"structure_intra": 0.05}, 0.3),
        ):
            yield ours("ablation", "sparcl-derpp", 0.1, label, changes=changes, removal=removal)
        yield ours("ablation", "sparcl-derpp", 0.1, "ERK densities", removal=0.3, distribution="erk")
        yield ours("ablation", "static-derpp", label="dense, class mask")
        yield ours("ablation", "static-derpp", label="dense, class mask, labels weighted 1", changes={"beta": 1.0})
    if "methods" in groups:
        for method in ("finetune", "uer", "fpf"):
            yield ours("methods", method)
        yield Row("methods", "fpf", label="fpf, constant rate 0.03")


def small_width(what: str, density: float) -> int:
    """Width of a dense net whose forward multiply-adds are nearest to those of the sparse one of this density."""
    if what == "fashion":
        wanted = density * (784 * 256 + 256 * 256) + 2560
        return int(min(range(4, 257), key=lambda width: abs(784 * width + width * width + 10 * width - wanted)))
    # Block convolutions dominate and go with the square of the width; stem and shortcuts stay dense in the sparse net.
    return max(2, round(20 * math.sqrt(density + 0.02)))


def run_one(what: str, row: Row, seed: int, epochs: int, threads: int) -> dict[str, Any]:
    """One stream from a fresh model; returns the result document of `edgecl learn`."""
    import edgecl.export as export
    import torch
    from edgecl import Classifier
    from edgecl.cli import models
    from edgecl.evaluate import experiment, streams

    setting = STREAMS[what]
    stream = streams.load_stream(setting["stream"])
    torch.manual_seed(seed)
    build = models.mlp if what == "fashion" else models.resnet18
    module = build(row.width or (256 if what == "fashion" else 20))(setting["shape"], 10)
    steps = len(stream.tasks[0].x_train) // 10 * epochs
    changes: dict[str, Any] = {"augment_crop": setting["crop"], "augment_flip": setting["flip"], **row.changes}
    changes |= {"removal_share": row.removal, "rate_schedule": row.schedule}
    recipe = export.Recipe(method=row.method, **changes)
    changes = {**experiment.task_intervals(recipe.as_config(), steps), **changes}
    bundle = export.from_torch(
        module,
        torch.zeros(1, *setting["shape"]),
        density=row.density,
        distribution=row.distribution,  # type: ignore[arg-type]
        mask_seed=seed,
        initial_scale=row.scale,  # type: ignore[arg-type]
        classes=list(stream.class_names),  # all logits take part from the first step on, as in the reference
        input=export.InputSpec(dtype="u8", scale=stream.input.scale, mean=stream.input.mean, std=stream.input.std),
        recipe=export.Recipe(method=row.method, **changes),
    ).bundle
    learner = Classifier(bundle, random_state=seed, n_threads=threads)
    return experiment.run_stream(learner, stream, seed=seed, epochs=epochs)


def summary(row: Row, run: dict[str, Any]) -> dict[str, Any]:
    """One row of the table, with one run in it."""
    return {
        "group": row.group,
        "method": row.label or row.method,
        "density": row.density,
        "accuracy": [100 * run["average_accuracy"]],
        "forgetting": [100 * run["forgetting"]],
        "task_il": [100 * run["task_il_accuracy"]],
        "seconds": [run["seconds"]],
        "train_macs": run["train_macs"],
        "train_macs_paper": run["train_macs_paper"],
        "peak_bytes": run["peak_bytes"],
        "date": date.today().isoformat(),
    }


def joined(row: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The same row with another run."""
    if not row:
        return more
    return {**more, **{key: [*row[key], *value] for key, value in more.items() if isinstance(value, list)}}


def spread(values: list[float]) -> str:
    """Mean ± sample deviation."""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(STREAMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--groups", nargs="+", default=["reference", "default", "control"], choices=GROUPS)
    parser.add_argument("--only", help="rows whose method or label holds this text")
    parser.add_argument("--densities", type=float, nargs="+", help="rows of these densities; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the rows here, after each seed")
    parser.add_argument("--resume", action="store_true", help="seeds that the file has are not run again")
    options = parser.parse_args()
    print("| group | method | density | seeds | accuracy | reference | forgetting | reference | seconds | G MACs |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    found: list[dict[str, Any]] = []
    for row in rows_of(options.what, options.groups):
        if options.only and options.only not in f"{row.method} {row.label}":
            continue
        if options.densities and row.density not in options.densities:
            continue
        result = _earlier(options, row) if options.resume else {}
        for seed in range(len(result.get("accuracy", [])), options.seeds):
            result = joined(result, summary(row, run_one(options.what, row, seed, options.epochs, options.threads)))
            if options.json:
                _write(options, [*found, result])
        found.append(result)
        comparable = row.group == "reference" and options.epochs == 1
        reference = REFERENCE[options.what].get((row.method, row.density), ("-", "-")) if comparable else ("-", "-")
        print(
            f"| {row.group} | {result['method']} | {row.density:g} | {len(result['accuracy'])} "
            f"| {spread(result['accuracy'])} | {reference[0]} | {spread(result['forgetting'])} | {reference[1]} "
            f"| {np.mean(result['seconds']):.1f} | {result['train_macs'] / 1e9:.1f} |",
            flush=True,
        )
    return 0


def _earlier(options: argparse.Namespace, row: Row) -> dict[str, Any]:
    # What the file has of a row, with its single runs; of files that keep no single runs nothing.
    from edgecl.cli.results import read_table

    if options.json is None or not options.json.exists():
        return {}
    wanted = (row.group, row.label or row.method, row.density)
    rows = [r for r in read_table(options.json)["rows"] if (r["group"], r["method"], r["density"]) == wanted]
    lists = ("accuracy", "forgetting", "task_il", "seconds")
    return rows[0] if rows and all(isinstance(rows[0].get(key), list) for key in lists) else {}


def _write(options: argparse.Namespace, found: list[dict[str, Any]]) -> None:
    from edgecl.cli.results import read_table, write_table
    from edgecl.devices.machine import this_machine

    def key(row: dict[str, Any]) -> tuple[str, str, float]:
        return row["group"], row["method"], row["density"]

    settings = {"what": options.what, "epochs": options.epochs}
    earlier = read_table(options.json) if options.json.exists() else dict(settings, rows=[])
    if {name: earlier[name] for name in settings} != settings:
        raise SystemExit(f"{options.json} holds other settings than {settings}; name another file")
    new = {key(row) for row in found}
    document = {
        **settings,
        "machine": f"{platform.machine()}: {', '.join(this_machine().cpu_parts)}",
        "rows": [row for row in earlier["rows"] if key(row) not in new] + found,
    }
    write_table(options.json, document)


if __name__ == "__main__":
    sys.exit(main())
