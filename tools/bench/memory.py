"""Memory and start-up of the device program: peak resident size, arena, library size, start to first learn step.

usage: python tools/bench/memory.py [--out FILE.json]     (EDGECL_BUILD: a Release build, default build/host)

Never here: speed of steps (peers.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from networks import write_bundle

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("EDGECL_BUILD", ROOT / "build/host"))
CASES = (
    ("mlp", 1.0, "er"),
    ("mlp", 0.1, "er"),
    ("mlp", 0.1, "sparcl-er"),
    ("resnet18-nf20", 1.0, "er"),
    ("resnet18-nf20", 0.1, "er"),
    ("resnet18-nf20", 0.1, "sparcl-er"),
)
ENCODER, ENCODER_CLASSES, CALIBRATION_ROWS = "efficientnet-lite0", 50, 32  # in int8 below a ridge head, row by row
STARTS = 5


def run_once(bundle: Path, steps: int, batch: int = 10) -> dict[str, Any]:
    """One process of edgecl-run: `steps` learn steps of `batch` rows, and as many replayed ones where the method has a
    buffer, on synthetic samples; its own measurements."""
    command = [BUILD / "runtime/runner/edgecl-run", bundle, "run", "--learn", steps, "--predict", 2, "--batch", batch]
    spawned = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    # A shell in between: the kernel counts this interpreter's memory as the peak of a process that it starts itself.
    shell = ["sh", "-c", '"$@"; exit $?', "sh", *map(str, command), "--spawned-ns", str(spawned)]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure(folder: Path) -> Iterator[dict[str, Any]]:
    """One row a network and density; figures that vary are medians over a few processes."""
    from edgecl.export import InputSpec, Recipe

    images = InputSpec(dtype="u8", scale=1 / 255, mean=0.5, std=0.25)  # so the buffer holds 500 exemplars as bytes
    for name, density, method in CASES:
        path = folder / f"{name}-{density:g}-{method}.ecl"
        bundle = write_bundle(
            name, path, density=density, structure_room=0.0, recipe=Recipe(method=method), input=images
        )
        runs = [run_once(bundle, 60 if i == 0 else 1) for i in range(STARTS)]  # 60 steps fill a buffer of 500
        yield row(name, density, method, runs)
    bundle = write_encoder(folder / "encoder.ecl")
    yield row(f"{ENCODER}, int8", 1.0, "ridge", [run_once(bundle, 3, batch=1) for _ in range(STARTS)])


def row(name: str, density: float, method: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the runs of one bundle; memory as the first one has it."""
    return {
        "network": name,
        "density": density,
        "method": method,
        "peak_rss_bytes": runs[0]["peak_rss_bytes"],
        "arena_bytes": runs[0]["arena_bytes"],
        "bundle_bytes": runs[0]["bundle_bytes"],
        "ms_to_first_step": statistics.median(r["ms_to_first_step"] for r in runs),
        "allocations_after_creation": runs[0]["allocations_after_creation"],
    }


def write_encoder(path: Path) -> Path:
    """An image encoder in int8 below a head that keeps statistics; its weights do not matter here."""
    import numpy as np
    from edgecl import export
    from edgecl.cli.models import BUILT_IN

    entry = BUILT_IN[ENCODER]
    images = np.random.default_rng(0).integers(0, 256, (CALIBRATION_ROWS, *entry.shape), dtype=np.uint8)
    export.from_torch(
        entry.build(entry.shape, ENCODER_CLASSES), np.zeros((1, *entry.shape), np.float32), out=path, classes=0,
        max_classes=ENCODER_CLASSES, recipe=export.Recipe(method="ridge"), encoder="int8", calibration=images,
        input=export.InputSpec(dtype="u8", scale=entry.scale, mean=entry.mean, std=entry.std),
    )  # fmt: skip
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    if not (BUILD / "runtime/runner/edgecl-run").exists():
        sys.exit(f"expected edgecl-run in {BUILD}, found none; run cmake --build --preset host, or set EDGECL_BUILD")
    from edgecl.cli.results import write_table

    sys.path.insert(0, str(ROOT / "tools/dev"))
    from size_report import stripped_bytes

    with tempfile.TemporaryDirectory() as folder:
        rows = list(measure(Path(folder)))
    sizes = {name: stripped_bytes(BUILD / "runtime" / name) for name in ("libedgecl.so", "runner/edgecl-run")}
    columns = (
        "network",
        "density",
        "method",
        "peak RSS MiB",
        "session MiB",
        "bundle MiB",
        "start to first step ms",
        "allocations",
    )
    print("| " + " | ".join(columns) + " |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        mib = [f"{row[key] / 2**20:.2f}" for key in ("peak_rss_bytes", "arena_bytes", "bundle_bytes")]
        print(
            f"| {row['network']} | {row['density']:g} | {row['method']} | {' | '.join(mib)} "
            f"| {row['ms_to_first_step']:.1f} | {row['allocations_after_creation']} |"
        )
    print("\nstripped: " + ", ".join(f"{name} {size / 1024:.0f} KiB" for name, size in sizes.items()))
    if arguments.out:
        document = {"date": str(date.today()), "machine": platform.machine(), "stripped_bytes": sizes}
        write_table(arguments.out, document | {"rows": rows})


if __name__ == "__main__":
    main()
