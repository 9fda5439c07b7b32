"""AArch64 instructions and cache misses of one learn step, dense and 90 % sparse, counted in the emulator qemu-user.

usage: python tools/dev/instructions.py [--build DIR] [--batch N] [--network NAME] [--out FILE.json]
       python tools/dev/instructions.py --encoders [--build DIR] [--out FILE.json]

With --encoders: of the prediction of one row by the MLP, ResNet-18 (20 channels), EfficientNet-Lite0, and
hyperdimensional codes of 10,048 bits of 1280 numbers, in float32 (A72), and frozen layers in int8 without (A72) and
with dot products of bytes (A76).

DIR is a build of the preset aarch64 (default build/aarch64). A step learns from N new rows (default 10) and N replayed
ones: it is the second step of a process, counted as the difference of a run of two steps and one of one. The caches
are those of a Cortex-A72 as in the Raspberry Pi 4 (32 KiB, 2 ways; 1 MiB, 16 ways; 64-byte lines; least recently used),
data only, without prefetching. Counts, unlike times, mean the same on every machine. Takes minutes. Exit status 1 when
the sparse step needs more than a quarter of the dense step's instructions.

Never here: times, and predictions from the counts.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/bench"))
OUT = ROOT / "tools/bench/results/aarch64_instructions.json"
OUT_ENCODERS = OUT.with_name("aarch64_encoders.json")
CPU, CPU_WITH_DOT = "cortex-a72", "cortex-a76"
CACHES = {"l1_kib": 32, "l1_ways": 2, "l2_kib": 1024, "l2_ways": 16}
DENSITIES = (1.0, 0.1)
LARGEST_SHARE = 0.25
Counts = dict[str, int]


def build_plugin(folder: Path) -> Path:
    """Compiles the plugin for this machine."""
    plugin = folder / "instruction_plugin.so"
    source = Path(__file__).with_name("instruction_plugin.c")
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", str(source), "-o", str(plugin)], check=True)
    return plugin


def count(
    plugin: Path, runner: Path, bundle: Path, steps: int, batch: int, predictions: int = 0, cpu: str = CPU
) -> Counts:
    """Counts of a whole process of `steps` learn steps and so many predictions."""
    settings = ",".join(f"{key}={value}" for key, value in CACHES.items())
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", cpu, "-plugin", f"{plugin},{settings}"]
    command += [str(runner), str(bundle), "run", "--learn", str(steps), "--predict", str(predictions)]
    command += ["--batch", str(batch)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"expected edgecl-run to end well under the emulator; found: {done.stderr.strip()[-400:]}")
    counts: Counts = json.loads(done.stderr.strip().splitlines()[-1])
    return counts


def measure(runner: Path, network: str, batch: int) -> list[dict[str, object]]:
    """A row for each density."""
    from networks import write_bundle

    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        plugin = build_plugin(folder)
        bundles = [write_bundle(network, folder / f"{density:g}.ecl", density=density) for density in DENSITIES]
        runs = [[pool.submit(count, plugin, runner, bundle, steps, batch) for steps in (1, 2)] for bundle in bundles]
        rows: list[dict[str, object]] = []
        for density, (one, two) in zip(DENSITIES, runs, strict=True):
            step = {key: value - one.result()[key] for key, value in two.result().items()}
            rows.append({"density": density, **step})
    return rows


def write_encoders(folder: Path) -> dict[tuple[str, str], Path]:
    """Bundles by network and numbers; weights do not matter here."""
    import numpy as np
    import torch
    from edgecl import export
    from edgecl.cli.models import BUILT_IN

    paths = {}
    for network in ("mlp", "resnet18-nf20", "efficientnet-lite0"):
        entry = BUILT_IN[network]
        module = entry.build(entry.shape, 10)
        samples = np.random.default_rng(0).standard_normal((16, *entry.shape), dtype=np.float32)
        for numbers in ("float32", "int8"):
            paths[network, numbers] = folder / f"{network}-{numbers}.ecl"
            export.from_torch(
                module, torch.zeros(1, *entry.shape), out=paths[network, numbers], classes=0, max_classes=10,
                recipe=export.Recipe(method="ncm"), encoder=numbers, calibration=samples,
            )  # fmt: skip
    paths["hd", "float32"] = folder / "hd.ecl"
    codes = export.Recipe(method="hd", hd_bits=10_048)
    export.from_embeddings(1280, out=paths["hd", "float32"], classes=0, max_classes=50, recipe=codes)
    return paths


def measure_encoders(runner: Path) -> list[dict[str, object]]:
    """A row a network and kind of numbers: what a second prediction adds."""
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        plugin = build_plugin(folder)
        runs = []
        for (network, numbers), bundle in write_encoders(folder).items():
            for cpu in (CPU, CPU_WITH_DOT) if numbers == "int8" else (CPU,):
                pair = [pool.submit(count, plugin, runner, bundle, 1, 1, n, cpu) for n in (1, 2)]
                runs.append((network, numbers if cpu == CPU else f"{numbers}, dot product", pair))
        rows: list[dict[str, object]] = []
        for network, numbers, (one, two) in runs:
            step = {key: value - one.result()[key] for key, value in two.result().items()}
            rows.append({"network": network, "numbers": numbers, **step})
    return rows


def count_encoders(runner: Path, out: Path) -> int:
    """Measures, prints and writes."""
    from edgecl.cli.results import write_table

    rows = measure_encoders(runner)
    machine = f"{platform.machine()} host, qemu-aarch64 -cpu {CPU}, {CPU_WITH_DOT}"
    report = {"date": date.today().isoformat(), "machine": machine, "caches": CACHES, "rows": rows}
    write_table(out, report)
    for row in rows:
        print("  ".join(f"{value:,}" if isinstance(value, int) else f"{value}" for value in row.values()))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build/aarch64")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--network", default="resnet18-nf20")
    parser.add_argument("--encoders", action="store_true", help="predictions of encoders in place of learn steps")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    from edgecl.cli.results import write_table

    runner = arguments.build / "runtime/runner/edgecl-run"
    if not runner.exists():
        sys.exit(f"expected {runner}; found none; build it: cmake --preset aarch64 && cmake --build --preset aarch64")
    if arguments.encoders:
        return count_encoders(runner, arguments.out or OUT_ENCODERS)
    rows = measure(runner, arguments.network, arguments.batch)
    dense, sparse = (int(str(row["instructions"])) for row in rows)
    report = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()} host, qemu-aarch64 -cpu {CPU}",
        "network": arguments.network,
        "rows_of_a_step": f"{arguments.batch} new + {arguments.batch} replayed",
        "caches": CACHES,
        "rows": rows,
        "sparse_instructions_of_dense": round(sparse / dense, 4),
    }
    write_table(arguments.out or OUT, report)
    for row in rows:
        print("  ".join(f"{key} {value:,}" for key, value in row.items()))
    print(f"sparse / dense instructions: {sparse / dense:.3f} (at most {LARGEST_SHARE})")
    return 0 if sparse <= LARGEST_SHARE * dense else 1


if __name__ == "__main__":
    sys.exit(main())
