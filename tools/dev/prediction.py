"""How far predictions are off: published times of boards, and this machine's own times, operator by operator.

usage: python tools/dev/prediction.py [--published] [--host] [--rounds N] [--folder DIR]

Published: every row of the device profiles beside the prediction (tools/dev/calibrate_devices.py).
Host: networks on one core of this machine (pin it: `taskset -c 0`), dense and sparse, predicted two ways: by the
simulated loops with one factor, fitted to one pass of one network; and by the profile that `edgecl devices --calibrate`
measures, whose layers are those of none of the networks. All cases take turns in rounds; an operator's time is the
shortest mean of a round. A whole pass is the sum of its operators' times: rounds that another program disturbs then do
not count. Writes prediction.json and prediction_host.json, or the one that was asked for; then
`python tools/bench/pages.py` fills the tables of devices/README.md.

Never here: figures of a device, the model.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import date
from math import exp, log
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import calibrate_devices
from edgecl.cli.results import write_table
from edgecl.devices import Device, calibrate, forward_operators, learn_operators, predict, this_machine

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tools/bench/results"
ROUND_SECONDS, LEAST_US = 0.03, 5.0
FACTOR_CASE = ("resnet18", 1.0, "predict", 1)  # its time fits the one factor
LAYERS = ("conv", "depthwise", "linear", "sparse conv", "sparse linear")  # operators with multiply-adds
Case = tuple[str, float, str, int]  # network, density, what, batch
CASES: tuple[Case, ...] = (
    FACTOR_CASE, ("resnet18", 1.0, "predict", 16), ("resnet18", 0.1, "predict", 16),
    ("mlp", 1.0, "predict", 1), ("mlp", 1.0, "predict", 32), ("mlp", 0.1, "predict", 32),
    ("mlp", 1.0, "learn", 10), ("mlp", 0.1, "learn", 10),
    ("resnet18-nf20", 1.0, "predict", 1), ("resnet18-nf20", 0.1, "predict", 1),
    ("resnet18-nf20", 1.0, "predict", 32), ("resnet18-nf20", 0.1, "predict", 32),
    ("resnet18-nf20", 1.0, "learn", 10), ("resnet18-nf20", 0.1, "learn", 10),
    ("resnet18-nf20", 1.0, "learn", 22), ("resnet18-nf20", 0.1, "learn", 22),
    ("efficientnet-lite0", 1.0, "predict", 1), ("efficientnet-lite0", 1.0, "predict", 4),
    ("ds-cnn", 1.0, "predict", 1), ("ds-cnn", 1.0, "learn", 10), ("ds-cnn", 1.0, "predict", 32),
)  # fmt: skip


def ds_cnn() -> Any:
    """The small DS-CNN for keyword spotting (Zhang et al., "Hello Edge", 2017): 49 x 10 features, 12 words."""
    from torch import nn

    def conv(inputs: int, outputs: int, **window: Any) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, bias=False, **window), nn.BatchNorm2d(outputs), nn.ReLU()]

    layers = conv(1, 64, kernel_size=(10, 4), stride=2, padding=(5, 1))
    for _ in range(4):
        layers += conv(64, 64, kernel_size=3, padding=1, groups=64) + conv(64, 64, kernel_size=1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


def write_bundle(name: str, density: float, folder: Path) -> Path:
    """Exports a network with PyTorch's first weights and a replay buffer."""
    import torch
    from edgecl import export
    from edgecl.cli.models import BUILT_IN

    torch.manual_seed(0)
    shape = (1, 49, 10) if name == "ds-cnn" else BUILT_IN[name].shape
    module = ds_cnn() if name == "ds-cnn" else BUILT_IN[name].build(shape, 10)
    path = folder / f"{name}-{density:g}.ecl"
    recipe = export.Recipe(method="er", replay_capacity=200)
    export.from_torch(module, torch.zeros(1, *shape), out=path, density=density, recipe=recipe)
    return path


@dataclass
class Measured:
    """A case that takes turns: its session, and the shortest mean times, us, by (operator, backward)."""

    case: Case
    path: Path
    times: dict[tuple[int, int], float] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        import numpy as np
        from edgecl._core import Model, Session, replay_rows
        from edgecl.cli.bench_measure import random_rows, session_config

        _, _, what, batch = self.case
        self.model = Model(path=str(self.path))
        self.config = session_config(self.model, what, batch)
        self.replayed = replay_rows(self.config) if what == "learn" else 0
        self.session = Session(self.model, n_threads=1, **self.config)
        self.x = random_rows(self.model, batch)
        self.labels = (np.arange(batch) % 10).astype(np.int32)
        if what == "learn":
            self.session.set_learning_rate(1e-6)
        for _ in range(3 + -(-self.replayed // batch)):
            self.call()

    def call(self) -> None:
        if self.case[2] == "learn":
            self.session.learn(self.x, self.labels)
        else:
            self.session.predict(self.x)

    def turn(self) -> None:
        """One round: as many calls as fill it."""
        if not self.calls:
            begin = time.perf_counter()
            self.call()
            self.calls = max(1, round(ROUND_SECONDS / (time.perf_counter() - begin)))
        sums: dict[tuple[int, int], int] = defaultdict(int)
        self.session.profile_start()
        for _ in range(self.calls):
            self.call()
        for event in self.session.profile_stop():
            sums[event["op"], event["pass"]] += event["end_us"] - event["begin_us"]
        for key, total in sums.items():
            self.times[key] = min(self.times.get(key, float("inf")), total / self.calls)

    def predicted(self, device: Device) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], str]]:
        """(us, kind) by (operator, backward); both gradients of a layer together, as the profile has them."""
        ops, rows = self.model.ops(), self.case[3] + self.replayed
        learns = self.case[2] == "learn"
        listed = learn_operators(ops, rows, self.config["momentum"] > 0) if learns else forward_operators(ops, rows)
        index = {op["name"]: i for i, op in enumerate(ops)}
        times: dict[tuple[int, int], float] = defaultdict(float)
        kinds = {}
        for op in predict(listed, device).operators:
            if op.kind == "update":
                continue
            key = (index[op.name.removesuffix(" (backward)")], int(op.name.endswith(" (backward)")))
            times[key] += 1e3 * op.ms
            kinds[key] = op.kind + (" backward" if key[1] else "")
        return times, kinds


def factor(ratios: list[float]) -> float:
    """The median factor by which ratios are off, either way: 1.15 is an error of 15 %."""
    return exp(statistics.median(abs(log(r)) for r in ratios))


def compare(cases: list[Measured], device: Device, way: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(rows of passes and of kinds, errors in all) of all cases but the one that fits the factor."""
    passes: list[dict[str, Any]] = []
    by_kind: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        times, kinds = case.predicted(device)
        both = [key for key in case.times if key in times]
        measured, predicted = sum(case.times[k] for k in both), sum(times[k] for k in both)
        name, density, what, batch = case.case
        passes.append(
            {
                "way": way, "network": name, "density": density, "what": what, "batch": batch,
                "replayed": case.replayed, "fits": case.case == FACTOR_CASE, "measured_us": round(measured, 1),
                "predicted_us": round(predicted, 1), "ratio": round(measured / predicted, 3),
            }
        )  # fmt: skip
        for key in both:
            if case.times[key] >= LEAST_US and case.case != FACTOR_CASE:
                by_kind[kinds[key]].append(case.times[key] / times[key])
    everything = [r for ratios in by_kind.values() for r in ratios]
    layers = [r for kind, found in by_kind.items() if kind.split(" backward")[0] in LAYERS for r in found]
    checked = [p["ratio"] for p in passes if not p["fits"]]
    kinds_rows = [
        {
            "way": way, "kind": kind, "operators": len(r), "ratio": round(statistics.median(r), 3),
            "error": round(factor(r) - 1, 3),
        }
        for kind, r in sorted(by_kind.items())
    ]  # fmt: skip
    errors = {
        "passes": len(checked), "median_error_passes": round(factor(checked) - 1, 3),
        "worst_pass": round(max(max(r, 1 / r) for r in checked), 3),
        "layers": len(layers), "median_error_layers": round(factor(layers) - 1, 3),
        "operators": len(everything), "median_error_operators": round(factor(everything) - 1, 3),
        "efficiency": round(device.efficiency, 4),
    }  # fmt: skip
    return passes + kinds_rows, errors


def one_factor(cases: list[Measured], device: Device) -> Device:
    """The device with only its efficiency fitted, to one case, and no rate of a kind."""
    case = next(c for c in cases if c.case == FACTOR_CASE)
    plain = replace(calibrate.with_figures(device, efficiency=1.0), rates=())
    times, _ = case.predicted(plain)
    both = [key for key in case.times if key in times]
    return calibrate.with_figures(plain, efficiency=sum(times[k] for k in both) / sum(case.times[k] for k in both))


def host(rounds: int) -> dict[str, Any]:
    """Measures and compares this machine."""
    device, notes = calibrate.calibrated()
    with tempfile.TemporaryDirectory() as name:
        paths = {pair: write_bundle(*pair, Path(name)) for pair in dict.fromkeys(c[:2] for c in CASES)}
        cases = [Measured(case, paths[case[:2]]) for case in CASES]
        for turn in range(rounds):
            for case in cases:
                case.turn()
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
    rows, errors = [], {}
    for way, used in (("one factor", one_factor(cases, device)), ("calibrated", device)):
        found, errors[way] = compare(cases, used, way)
        rows += found
    return {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {', '.join(this_machine().cpu_parts)}, one core of a shared virtual machine",
        "core": device.core,
        "rounds": rounds,
        "notes": notes,
        "rates": {kind: round(rate, 3) for kind, rate in device.rates},
        "errors": errors,
        "rows": rows,
    }


def published() -> dict[str, Any]:
    """Every published row, and whether it lies in the range that the other boards give."""
    from edgecl.devices import load

    rows = calibrate_devices.all_rows()
    table: list[dict[str, Any]] = []
    for row in rows:
        device = load(row.profile)
        low, high = row.predicted_ms * device.range_low, row.predicted_ms * device.range_high
        table.append(
            {
                "profile": row.profile, "board": row.board, "precision": row.precision, "network": row.network,
                "threads": row.threads, "published_ms": row.published_ms, "predicted_ms": round(row.predicted_ms, 1),
                "low_ms": round(low, 1), "high_ms": round(high, 1), "ratio": round(row.ratio, 3),
                "inside": low <= row.published_ms <= high, "fits": row.calibrates,
            }
        )  # fmt: skip
    checks = [entry for entry in table if not entry["fits"]]
    errors = [max(entry["ratio"], 1 / entry["ratio"]) for entry in checks]
    return {
        "date": date.today().isoformat(),
        "machine": "published by ncnn; predicted from llvm-mca on any machine",
        "calibration_network": calibrate_devices.CALIBRATION_NETWORK,
        "checked_rows": len(checks),
        "inside": round(sum(entry["inside"] for entry in checks) / len(checks), 3),
        "median_error": round(statistics.median(errors), 3),
        "worst_error": round(max(errors), 3),
        "rows": table,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--host", action="store_true")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    both = arguments.published == arguments.host
    if arguments.published or both:
        report = published()
        print(json.dumps({key: value for key, value in report.items() if key != "rows"}))
        write_table(arguments.folder / "prediction.json", report)
    if arguments.host or both:
        report = host(arguments.rounds)
        for row in report["rows"]:
            print(*row.values())
        print(json.dumps(report["errors"]))
        write_table(arguments.folder / "prediction_host.json", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
