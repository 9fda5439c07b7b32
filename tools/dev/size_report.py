"""File sizes in lines and, where a build exists, binary sizes; --check fails on files over the limit.

Never here: budgets of memory at run time (the tests of the runtime hold those).
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 600  # above it: a reason in the head comment, or a split
MOST_LINES_EVER = 1400
LIBRARY_BUDGET_BYTES = 1024 * 1024  # stripped libedgecl.so with its default levels, on x86-64: v3, v4, dot products
AARCH64_BUDGET_BYTES = 800_000  # the same of the devices: NEON, dot products
_ELF_AARCH64 = 183  # e_machine
BINARIES = ("runtime/libedgecl.so", "runtime/libedgecl.a", "runtime/runner/edgecl-run")


def source_lines() -> list[tuple[int, Path]]:
    """(lines, path) of each source file that git tracks or would track, longest first."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.cpp", "*.c", "*.h"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    paths = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    return sorted(((len((ROOT / p).read_text(encoding="utf-8").splitlines()), p) for p in paths), reverse=True)


def has_reason(path: Path) -> bool:
    """True when the head of the file says why it is long."""
    head = (ROOT / path).read_text(encoding="utf-8").splitlines()[:12]
    return any("lines because" in line for line in head)


def is_aarch64(binary: Path) -> bool:
    """By the ELF header."""
    with binary.open("rb") as file:
        return int.from_bytes(file.read(20)[18:], "little") == _ELF_AARCH64


def strip_of(binary: Path) -> str:
    """The program that strips it here."""
    own = is_aarch64(binary) == (platform.machine() in ("aarch64", "arm64"))
    return "strip" if own else "aarch64-linux-gnu-strip"


def stripped_bytes(binary: Path, strip: str = "strip") -> int:
    """Size of `binary` without symbols that only a debugger wants, in bytes."""
    if not shutil.which(strip):
        return binary.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / binary.name
        subprocess.run([strip, "--strip-unneeded", "-o", str(out), str(binary)], check=True)
        return out.stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="print violations only; exit 1 if there are any")
    parser.add_argument("--build", type=Path, default=ROOT / "build/host", help="build folder with the binaries")
    arguments = parser.parse_args()

    too_long = [
        f"{path}: {lines} lines; expected at most {MOST_LINES}, or a head comment that says 'lines because ...'"
        for lines, path in source_lines()
        if lines > MOST_LINES_EVER or (lines > MOST_LINES and not has_reason(path))
    ]
    library = arguments.build / BINARIES[0]
    if library.exists() and "EDGECL_SANITIZE:STRING=\n" in (arguments.build / "CMakeCache.txt").read_text():
        size = stripped_bytes(library, strip_of(library))
        budget = AARCH64_BUDGET_BYTES if is_aarch64(library) else LIBRARY_BUDGET_BYTES
        if size > budget:
            too_long.append(f"{library}: {size} bytes stripped; expected at most {budget}")
    if arguments.check:
        print("\n".join(too_long) or "sizes: within limits")
        return 1 if too_long else 0

    for lines, path in source_lines()[:25]:
        print(f"{lines:6d}  {path}")
    for name in BINARIES:
        binary = arguments.build / name
        if binary.exists():
            print(f"{stripped_bytes(binary, strip_of(library)):10d} bytes stripped  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
