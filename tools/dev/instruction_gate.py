"""Instructions of each operator on Arm Linux, counted in the emulator, and the gate on their growth.

usage: python tools/dev/instruction_gate.py [--check] [--out FILE.json] [PRESET ...]

Reads build/PRESET of aarch64 and armhf, where they are built, and runs instruction_probe.c with each bundle of
devices/firmware/bundles: the second prediction and the second learn step of a process, one row each. On aarch64 also a
learn step of ResNet-18 (20 channels), dense and 90 % sparse, of 10 new and 10 replayed rows, where PyTorch is there to
export it. Counts mean the same on every machine; those of one compiler and one source differ by single instructions.
Writes a JSON with a row for each operator; with --check, compares with the committed one. Exit status 1 where the count
of an operator or of the whole grew by more than 2 %, or the sparse step needs more than 0.18 of the dense one's.
Firmware is counted by firmware_size.py, cache misses by instructions.py. Never here: times.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from instructions import CPU, build_plugin

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tools/bench/results/instruction_gate.json"
EMULATORS = {
    "aarch64": ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", CPU],
    "armhf": ["qemu-arm", "-L", "/usr/arm-linux-gnueabihf", "-cpu", "cortex-a7"],
}
COMPILERS = {"aarch64": "aarch64-linux-gnu-gcc", "armhf": "arm-linux-gnueabihf-gcc"}
GROWTH = 1.02
FEW = 100  # instructions that may come or go anywhere
COUNTS = ("predict", "learn step")
LARGE, LARGE_BATCH, DENSITIES = "resnet18-nf20", 10, (1.0, 0.1)
LARGEST_SHARE = 0.18  # of the dense step's instructions
ALL, REST = "all", "the rest"
Row = dict[str, Any]


def build_probe(preset: str, folder: Path) -> tuple[Path, int]:
    """The probe, linked with the preset's library; and the address of its marks."""
    probe = folder / f"probe-{preset}"
    source = ROOT / "tools/dev/instruction_probe.c"
    library = ROOT / "build" / preset / "runtime/libedgecl.a"
    command = [COMPILERS[preset], "-O2", "-static", f"-I{ROOT}", str(source), str(library), "-o", str(probe)]
    subprocess.run(command, check=True)
    symbols = subprocess.run(["nm", str(probe)], check=True, capture_output=True, text=True).stdout
    (address,) = (line.split()[0] for line in symbols.splitlines() if line.endswith(" instruction_mark"))
    return probe, int(address, 16) & ~1  # bit 0: Thumb


def write_large(folder: Path) -> list[Path]:
    """The large network, dense and sparse, with samples for its buffer: so the first step replays."""
    import numpy as np
    from edgecl.export import Exemplars, Recipe

    sys.path.insert(0, str(ROOT / "tools/bench"))
    from networks import INPUT_SHAPE, N_CLASSES, write_bundle

    x = np.random.default_rng(0).standard_normal((2 * LARGE_BATCH, *INPUT_SHAPE[LARGE]), dtype=np.float32)
    kept = Exemplars(x, np.arange(len(x)) % N_CLASSES, n=len(x), choice="random")
    recipe = Recipe(method="er", replay_batch=LARGE_BATCH)
    return [
        write_bundle(LARGE, folder / f"{LARGE}, {density:.0%}.ecl", density, remember=kept, recipe=recipe)
        for density in DENSITIES
    ]


def by_operator(passes: dict[str, Any], marks: list[int]) -> list[Row]:
    """A row for each operator and stage, what lies between them, and the whole."""
    rows: dict[str, Row] = {}
    for what, found in passes.items():
        begin, end = found["marks"]
        whole = rest = marks[end] - marks[begin]
        for name, kind, first, last in found["parts"]:
            row = rows.setdefault(name, {"operator": name, "kind": kind})
            row[what] = row.get(what, 0) + marks[last] - marks[first]
            rest -= marks[last] - marks[first]
        rows.setdefault(REST, {"operator": REST, "kind": "stage"})[what] = rest
        rows.setdefault(ALL, {"operator": ALL, "kind": "whole"})[what] = whole
    return list(rows.values())


def measure(preset: str, probe: tuple[Path, int], plugin: Path, bundle: Path) -> list[Row]:
    """The rows of a bundle."""
    program, address = probe
    large = bundle.stem.startswith(LARGE)
    command = [*EMULATORS[preset], "-plugin", f"{plugin},l1_kib=0,mark={address}", str(program), str(bundle)]
    command += [str(LARGE_BATCH), "step"] if large else ["1", "both"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"expected {bundle.name} to run on {preset}; found: {done.stderr.strip()[-300:]}")
    marks: list[int] = json.loads(done.stderr.strip().splitlines()[-1])["marks"]
    return [{"preset": preset, "bundle": bundle.stem, **row} for row in by_operator(json.loads(done.stdout), marks)]


def to_table(rows: list[Row]) -> list[Row]:
    """A row for each operator of a bundle, the presets side by side: half as many lines of the file."""
    table: dict[tuple[str, str], Row] = {}
    for row in rows:
        line = table.setdefault((row["bundle"], row["operator"]), {k: row[k] for k in ("bundle", "operator", "kind")})
        line |= {f"{row['preset']}, {what}": row[what] for what in COUNTS if what in row}
    return list(table.values())


def from_table(table: list[Row]) -> list[Row]:
    """The rows that `to_table` put together."""
    rows = []
    for line in table:
        for preset in EMULATORS:
            counts = {what: line[f"{preset}, {what}"] for what in COUNTS if f"{preset}, {what}" in line}
            if counts:
                rows.append({"preset": preset, **{k: line[k] for k in ("bundle", "operator", "kind")}, **counts})
    return rows


def share_of_dense(rows: list[Row]) -> float | None:
    """Instructions of the sparse step over those of the dense one."""
    steps = [r["learn step"] for r in rows if r["bundle"].startswith(LARGE) and r["operator"] == ALL]
    return min(steps) / max(steps) if len(steps) == len(DENSITIES) else None


def faults(rows: list[Row], committed: list[Row]) -> list[str]:
    """What grew against the committed rows, by operator, and the limit passed."""
    keys = ("preset", "bundle", "operator")
    before = {tuple(row[key] for key in keys): row for row in committed}
    found = []
    for row in rows:
        earlier = before.get(tuple(row[key] for key in keys), {})
        for what in COUNTS:
            if what not in row:
                continue
            allowed = max(int(GROWTH * earlier.get(what, 0)), earlier.get(what, 0) + FEW) if what in earlier else 0
            if row[what] > allowed:
                found.append(
                    f"operator {row['operator']} ({row['kind']}) of {row['bundle']} on {row['preset']}, {what}: "
                    f"{row[what]:,} instructions, {allowed:,} allowed"
                )
    share = share_of_dense(rows)
    if share is not None and share > LARGEST_SHARE:
        found.append(f"{LARGE}: expected a sparse step of at most {LARGEST_SHARE} of the dense; found {share:.4f}")
    return [*found, "make it cheaper, or run without --check and commit the counts"] if found else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=list(EMULATORS))
    parser.add_argument("--check", action="store_true", help="compare with the committed counts, write nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    from edgecl.cli.results import read_table, write_table

    built = [p for p in arguments.presets if (ROOT / "build" / p / "runtime/libedgecl.a").exists()]
    if not built:
        sys.exit(f"expected a built preset among {', '.join(EMULATORS)}; found none; cmake --build --preset aarch64")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        plugin = build_plugin(folder)
        probes = {preset: build_probe(preset, folder) for preset in built}
        cases = [(preset, bundle) for preset in built for bundle in (ROOT / "devices/firmware/bundles").glob("*.ecl")]
        if "aarch64" not in built or importlib.util.find_spec("torch") is None:
            print(f"{LARGE} is not counted: that takes the preset aarch64 and PyTorch")
        else:
            cases = [*(("aarch64", bundle) for bundle in write_large(folder)), *cases]  # the longest first
        found = list(pool.map(lambda case: measure(case[0], probes[case[0]], plugin, case[1]), cases))
    rows = sorted((row for part in found for row in part), key=lambda row: (row["preset"], row["bundle"]))
    for row in rows:
        if row["operator"] == ALL:
            counts = (f"{what} {row[what]:>13,}" for what in COUNTS if what in row)
            print(f"{row['preset']:8} {row['bundle']:20}", *counts)
    share = share_of_dense(rows)
    if share is not None:
        print(f"sparse / dense step: {share:.4f} (at most {LARGEST_SHARE})")
    if not arguments.check:
        emulators = {preset: EMULATORS[preset] for preset in built}
        write_table(arguments.out, {"date": date.today().isoformat(), "emulators": emulators, "rows": to_table(rows)})
        return 0
    grown = faults(rows, from_table(read_table(OUT)["rows"]))
    print("\n".join(grown) or "instructions: within 2 % of the committed counts, operator by operator")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
