"""Instructions of a prediction and of a learn step on Arm Linux, counted in the emulator, and the gate on their growth.

usage: python tools/dev/instruction_gate.py [--check] [--out FILE.json] [PRESET ...]

Reads build/PRESET of aarch64 and armhf, where they are built, and runs edgecl-run with each bundle of
devices/firmware/bundles: what the second prediction and the second learn step of a process add. Counts mean the same on
every machine; those of one compiler and one source differ by single instructions. Writes a JSON; with --check, compares
with the committed one, and exit status 1 where a count grew by more than 2 %. Firmware is counted by firmware_size.py,
large networks by instructions.py. Never here: times.
"""

from __future__ import annotations

import argparse
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
GROWTH = 1.02


def count(preset: str, plugin: Path, bundle: Path, learn: int, predict: int) -> int:
    """Instructions of a process with so many learn steps and predictions of one row."""
    command = [*EMULATORS[preset], "-plugin", f"{plugin},l1_kib=32,l1_ways=2,l2_kib=1024,l2_ways=16"]
    command += [str(ROOT / "build" / preset / "runtime/runner/edgecl-run"), str(bundle), "run"]
    command += ["--learn", str(learn), "--predict", str(predict), "--batch", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"expected edgecl-run of {preset} to end well with {bundle.name}; found: {done.stderr.strip()[-300:]}")
    return int(json.loads(done.stderr.strip().splitlines()[-1])["instructions"])


def measure(preset: str, plugin: Path, bundle: Path) -> dict[str, Any]:
    """A row of the table."""
    one, two_predictions, two_steps = (
        count(preset, plugin, bundle, learn, predict) for learn, predict in ((1, 1), (1, 2), (2, 1))
    )
    return {"preset": preset, "bundle": bundle.stem, "predict": two_predictions - one, "learn step": two_steps - one}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=list(EMULATORS))
    parser.add_argument("--check", action="store_true", help="compare with the committed counts, write nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    from edgecl.cli.results import read_table, write_table

    built = [p for p in arguments.presets if (ROOT / "build" / p / "runtime/runner/edgecl-run").exists()]
    if not built:
        sys.exit(f"expected a built preset among {', '.join(EMULATORS)}; found none; cmake --build --preset aarch64")
    bundles = sorted((ROOT / "devices/firmware/bundles").glob("*.ecl"))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        plugin = build_plugin(Path(folder))
        cases = [(preset, bundle) for preset in built for bundle in bundles]
        rows = list(pool.map(lambda case: measure(case[0], plugin, case[1]), cases))
    for row in rows:
        print(
            f"{row['preset']:8} {row['bundle']:17} predict {row['predict']:>11,}  learn step {row['learn step']:>11,}"
        )
    if not arguments.check:
        table = {
            "date": date.today().isoformat(),
            "batch": 1,
            "emulators": {p: EMULATORS[p] for p in built},
            "rows": rows,
        }
        write_table(arguments.out, table)
        return 0
    committed = {(r["preset"], r["bundle"]): r for r in read_table(OUT)["rows"]}
    found = []
    for row in rows:
        before = committed.get((row["preset"], row["bundle"]))
        for what in ("predict", "learn step"):
            if before is None or row[what] > GROWTH * before[what]:
                found.append(
                    f"{row['preset']}, {row['bundle']}, {what}: expected at most {GROWTH - 1:.0%} more than "
                    f"{before and before[what]}; found {row[what]}; make it cheaper, or run without --check and commit"
                )
    print("\n".join(found) or "instructions: within 2 % of the committed counts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
