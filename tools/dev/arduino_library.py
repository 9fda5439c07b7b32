"""Puts an Arduino library together: header, example, and the archives of the Cortex-M presets that are built.

usage: python tools/dev/arduino_library.py --out DIR/edgecl

The layout is that of the Arduino library specification for precompiled libraries: src/<build.mcu>/<fpu>-<float-abi>/.
Never here: sources (the flags that give the same bits everywhere cannot be set for an Arduino library's sources).
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "devices/packages/arduino"
# Preset -> folder of the archive, as the cores of these boards name their FPU and calling convention.
ARCHIVES = {
    "cortex-m4": "cortex-m4/fpv4-sp-d16-hard",
    "cortex-m7": "cortex-m7/fpv5-sp-d16-hard",
    "cortex-m55": "cortex-m55/auto-hard",
}


def version(header: str) -> str:
    """The version of the C header."""
    return ".".join(re.findall(r"#define EDGECL_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))


def assemble(out: Path, build: Path = ROOT / "build") -> list[str]:
    """Writes the library; returns the presets whose archives are in it."""
    header = ROOT / "runtime/include/edgecl/edgecl.h"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(PACKAGE, out)
    properties = out / "library.properties"
    properties.write_text(properties.read_text().replace("@VERSION@", version(header.read_text())))
    (out / "src/edgecl").mkdir(parents=True)
    shutil.copy(header, out / "src/edgecl")
    (out / "src/edgecl.h").write_text('#pragma once\n#include "edgecl/edgecl.h"\n')
    shutil.copy(ROOT / "LICENSE", out)
    there = []
    for preset, folder in ARCHIVES.items():
        archive = build / preset / "runtime/libedgecl.a"
        if archive.exists():
            (out / "src" / folder).mkdir(parents=True)
            shutil.copy(archive, out / "src" / folder)
            there.append(preset)
    return there


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    there = assemble(arguments.out)
    if not there:
        print(f"expected a built preset among {', '.join(ARCHIVES)}; found none; build one", file=sys.stderr)
        return 1
    print(f"{arguments.out}: archives of {', '.join(there)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
