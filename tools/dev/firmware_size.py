"""Flash, RAM, stack and instructions of the firmware example on each Cortex-M, and the gate on their growth.

usage: python tools/dev/firmware_size.py [--check] [--out FILE.json] [PRESET ...]

Reads build/PRESET (cmake --preset PRESET && cmake --build --preset PRESET) of every preset that is built: what the link
map says of the library (with what it takes of libgcc), the example and its bundles; and what the example prints under
qemu-system-arm: bytes of a session, of the stack that was ever used, and with -icount the instructions of a prediction
of four rows and of a learn step (four new rows and four of the buffer), within some 100. Writes a JSON; with --check,
compares with the committed one, and exit status 1 where any of them grew by more than 2 % or a limit is passed.
Never here: cycles, which the emulator does not know, and worst paths of calls (stack_report.py).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tools/bench/results/firmware_size.json"
BOARDS = {
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m7-small": "mps2-an500",
    "cortex-m55": "mps3-an547",
}
GROWTH = 1.02
LIMITS = {("cortex-m7-small", "library_bytes"): 96_000}
STACK_LIMIT = 8192


def flash(link_map: str) -> dict[str, int]:
    """Bytes in flash of the library with libgcc, of the bundles, and of the rest of the image."""
    text = re.sub(r"\n {16,}(0x)", r" \1", link_map[link_map.index("Linker script and memory map") :])
    parts: Counter[str] = Counter()
    for section, size, file in re.findall(r"^ (\.\S+) +0x[0-9a-f]+ +0x([0-9a-f]+) (\S+)", text, re.MULTILINE):
        if not section.startswith((".text", ".rodata", ".vectors", ".data", ".ARM.ex")):
            continue
        part = "library" if re.search(r"lib(edgecl|gcc)\.a", file) else "bundles" if "vectors.c" in file else "example"
        parts[f"{part}_bytes"] += int(size, 16)
    return dict(parts)


def run(image: Path, board: str) -> dict[str, Any]:
    """What the example says of RAM, from a run of it."""
    command = ["qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none"]
    command += ["-icount", "shift=0", "-semihosting-config", "enable=on,target=native", "-kernel", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"expected {image.name} to end well on {board}; found: {done.stdout.strip()[-300:]}")
    said = done.stdout + done.stderr  # semihosting writes to either
    sessions = {name: int(n) for name, n in re.findall(r"^(\w+): model \d+, session (\d+) bytes", said, re.MULTILINE)}
    (stack,) = re.findall(r"stack: at most (\d+) bytes", said)
    (million,) = re.findall(r"a million instructions (\d+)", said)
    counts = {
        f"{name}, {what}": round(int(ticks) * 1e6 / int(million))
        for name, *pair in re.findall(r"^(\w+): ticks: predict 4 rows (\d+), learn step (\d+)", said, re.MULTILINE)
        for what, ticks in zip(("predict", "learn step"), pair, strict=True)
    }
    return {"session_bytes": sessions, "stack_bytes": int(stack), "instructions": counts}


def measure(preset: str) -> dict[str, Any] | None:
    """A row of the table; None where the preset is not built."""
    image = ROOT / "build" / preset / "devices/firmware/firmware_example.elf"
    if not image.exists():
        return None
    return {"preset": preset, **flash(image.with_suffix(".map").read_text()), **run(image, BOARDS[preset])}


def _named(row: dict[str, Any]) -> dict[str, int]:
    sessions = {f"session of {name}": n for name, n in row["session_bytes"].items()}
    return sessions | {f"instructions of {name}": n for name, n in row["instructions"].items()}


def faults(row: dict[str, Any], before: dict[str, Any] | None) -> list[str]:
    """Limits passed, and growth against the committed row."""
    preset, found = str(row["preset"]), []
    figures = {"library_bytes": row["library_bytes"], "stack_bytes": row["stack_bytes"]}
    figures |= _named(row)
    limits = {**{key: limit for (of, key), limit in LIMITS.items() if of == preset}, "stack_bytes": STACK_LIMIT}
    for key, limit in limits.items():
        if figures[key] > limit:
            found.append(f"{preset}: {key}: expected at most {limit}; found {figures[key]}")
    if before is None:
        return [*found, f"{preset}: expected a row in {OUT.name}; found none; run without --check and commit it"]
    earlier = {**before, **_named(before)}
    for key, value in figures.items():
        if key in earlier and value > GROWTH * earlier[key]:
            found.append(
                f"{preset}: {key}: expected at most {GROWTH - 1:.0%} more than {earlier[key]}; found {value}; make it "
                "smaller, or run without --check and commit the table with the reason"
            )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=list(BOARDS))
    parser.add_argument("--check", action="store_true", help="compare with the committed table, write nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    from edgecl.cli.results import read_table, write_table

    rows = [row for row in map(measure, arguments.presets) if row is not None]
    if not rows:
        sys.exit("expected a built preset among cortex-m4, cortex-m7, cortex-m7-small, cortex-m55; found none")
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    committed = {str(r["preset"]): r for r in read_table(OUT)["rows"]} if OUT.exists() else {}
    if arguments.check:
        found = [fault for row in rows for fault in faults(row, committed.get(str(row["preset"])))]
        print("\n".join(found) or "firmware sizes: within 2 % of the committed table")
        return 1 if found else 0
    compiler = subprocess.run(["arm-none-eabi-gcc", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    kept = [row for preset, row in committed.items() if preset not in {r["preset"] for r in rows}]
    table = sorted([*kept, *rows], key=lambda r: list(BOARDS).index(str(r["preset"])))
    document = {"date": date.today().isoformat(), "compiler": compiler, "boards": BOARDS, "rows": table}
    write_table(arguments.out, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
