"""What libedgecl.a asks of the world: memcpy, memmove, memset, memcmp, and the helpers of the compiler's own library.

Never here: what the shared library exports (tests/c_api/check_symbols.cmake).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

EVERYWHERE = {"memcpy", "memmove", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_"}
# Of libgcc and compiler-rt, which every toolchain links without being asked: integer and soft-float helpers, atomics.
COMPILER = re.compile(r"__(aeabi_\w+|aarch64_\w+|\w+(si|di|ti|sf|df)[2-4]|gnu_thumb1_\w+|stack_chk_\w+)")
# Files that need a system. A firmware that hands in allocators and bytes does not link them.
WITH_SYSTEM = {
    "api_system": {"aligned_alloc", "free", "getenv", "madvise"},
    "cpu_features": {"getauxval"},  # AArch64 Linux: has this CPU dot products of bytes?
    "api_model_file": {"__errno_location", "close", "fstat", "mmap", "munmap", "open", "read", "strerror"},
}


def undefined(archive: Path, nm: str) -> list[tuple[str, str]]:
    """(member, symbol) of each symbol that a member uses and no member defines."""
    listed = subprocess.run([nm, "-A", str(archive)], capture_output=True, text=True, check=True).stdout
    used, defined = [], set()
    for line in listed.splitlines():
        found = re.match(r"[^:]*:(?P<member>[^:]+):\s*(?:[0-9a-f]+)?\s*(?P<kind>\w) (?P<symbol>\S+)$", line)
        if not found:
            continue
        if found["kind"] in "Uw":
            used.append((found["member"].split(".")[0], found["symbol"]))
        else:
            defined.add(found["symbol"])
    return [(member, symbol) for member, symbol in used if symbol not in defined]


def faults(archive: Path, nm: str) -> list[str]:
    """One sentence for each symbol that is not allowed where it is used."""
    found = []
    for member, symbol in undefined(archive, nm):
        if symbol in EVERYWHERE or COMPILER.fullmatch(symbol) or symbol in WITH_SYSTEM.get(member, ()):
            continue
        found.append(f"{member} uses {symbol}: expected memcpy, memmove, memset, memcmp or a compiler helper")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", nargs="?", type=Path, default=ROOT / "build/host/runtime/libedgecl.a")
    parser.add_argument("--nm", default="nm", help="the nm of the toolchain that built it")
    arguments = parser.parse_args()
    found = faults(arguments.archive, arguments.nm)
    print("\n".join(found) or f"{arguments.archive.name} needs nothing but the four memory functions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
