"""Cross-builds wheels for Linux on x86-64 and AArch64, for several Pythons, without containers: clang and an old glibc
come from the Python package ziglang.

usage: python tools/dev/wheels.py [--architectures aarch64,x86_64] [--pythons python3.11,...] [--whole] [--out DIR]

Needs the extra `cross` in the Python that runs this, and of each target Python an interpreter of this machine with its
headers (those of x86-64 serve AArch64: both have 64-bit pointers and the same sizes). Pythons that are not here are
named and left out. Wheels are those of a device (learning, predicting, measuring; numpy) unless --whole is given; each
gets the tag manylinux_2_17 after auditwheel has found nothing in it that a newer glibc would be needed for.
The library's objects are built once for an architecture; a further Python adds its extension module alone.
Never here: uploads.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GLIBC = "2.17"
TAG = "manylinux_2_17_{0}.manylinux2014_{0}"
PYTHONS = ("python3.10", "python3.11", "python3.12", "python3.13")
HEADERS = (
    "import json, sys, sysconfig; "
    "print(json.dumps([sys.executable, sysconfig.get_path('include'), list(sys.version_info[:2])]))"
)


def headers_of(interpreter: str) -> tuple[str, Path, str] | None:
    """Its path, its include folder and "311"; None where it does not run or has no headers."""
    try:
        done = subprocess.run([interpreter, "-c", HEADERS], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    path, folder, (major, minor) = json.loads(done.stdout)
    return (path, Path(folder), f"{major}{minor}") if (Path(folder) / "Python.h").exists() else None


def private_headers(folder: Path, build: Path) -> Path:
    """Python's headers alone: Debian keeps glibc's beside them, which would shadow those of zig."""
    own = build / "include" / folder.name
    if not own.exists():
        shutil.copytree(folder, own)
        beside = folder.parent / "x86_64-linux-gnu" / folder.name  # Debian's pyconfig.h includes this one
        if beside.exists():
            shutil.copytree(beside, own.parent / "x86_64-linux-gnu" / folder.name)
            shutil.copytree(beside, own.parent / "aarch64-linux-gnu" / folder.name)
    return own


def build(architecture: str, interpreter: str, folder: Path, version: str, whole: bool, out: Path) -> Path:
    """Builds and tags one wheel; returns its path."""
    import pybind11

    work = ROOT / "build/wheels" / architecture
    work.mkdir(parents=True, exist_ok=True)
    toolchain = work / "zig.cmake"
    zig = ROOT / "devices/toolchains/zig.cmake"
    toolchain.write_text(f'set(EDGECL_ZIG_TARGET {architecture}-linux-gnu.{GLIBC})\ninclude("{zig}")\n')
    include = private_headers(folder, work)
    arguments = [
        # CMake wants interpreter and headers of one version; its own pybind11 the other Python need not have.
        f"-DPython_EXECUTABLE={interpreter}", f"-DPython_INCLUDE_DIR={include}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", "-DPYBIND11_USE_CROSSCOMPILING=ON",
        f"-DCMAKE_CXX_FLAGS=-I{include.parent}", "-DEDGECL_BUILD_SHARED=OFF",
    ]  # fmt: skip
    suffix = f".cpython-{version}-{architecture}-linux-gnu.so"
    arguments.append(f"-DPYTHON_MODULE_EXTENSION={suffix}")  # the build folder remembers that of the Python before
    environment = os.environ | {
        "_PYTHON_HOST_PLATFORM": f"linux-{architecture}",
        "SETUPTOOLS_EXT_SUFFIX": suffix,
        "CMAKE_TOOLCHAIN_FILE": str(toolchain),
        "CMAKE_ARGS": " ".join(arguments),
        "EDGECL_PYTHON": sys.executable,
    }
    if not whole:
        environment["EDGECL_DEVICE_ONLY"] = "1"
    fresh = work / f"wheel-{version}"
    shutil.rmtree(fresh, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--config-settings", f"build-dir={work / 'build'}"]
    done = subprocess.run([*command, "-w", str(fresh), str(ROOT)], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"expected a wheel for cp{version} on {architecture}; found:\n{(done.stdout + done.stderr)[-3000:]}")
    (wheel,) = fresh.glob("*.whl")
    if f"edgecl/_core{suffix}" not in zipfile.ZipFile(wheel).namelist():
        sys.exit(f"expected edgecl/_core{suffix} in {wheel.name}; found another name, which that Python does not load")
    return tag(wheel, architecture, version, out)


def tag(wheel: Path, architecture: str, version: str, out: Path) -> Path:
    """Checks which glibc the wheel needs, and gives it the tag that says so."""
    shown = subprocess.run([sys.executable, "-m", "auditwheel", "show", str(wheel)], capture_output=True, text=True)
    said = " ".join((shown.stdout + shown.stderr).split())
    if not re.search(rf'manylinux_2_17_{architecture}"|manylinux2014_{architecture}"', said):
        sys.exit(f"expected a wheel that glibc {GLIBC} can load; auditwheel found: {said[-500:]}")
    tags = ["--python-tag", f"cp{version}", "--abi-tag", f"cp{version}", "--platform-tag", TAG.format(architecture)]
    done = subprocess.run(
        [sys.executable, "-m", "wheel", "tags", "--remove", *tags, str(wheel)],
        capture_output=True,
        text=True,
        check=True,
    )
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(wheel.with_name(done.stdout.split()[-1]), out / done.stdout.split()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", default="aarch64,x86_64")
    parser.add_argument("--pythons", default=",".join(PYTHONS), help="interpreters of this machine")
    parser.add_argument("--whole", action="store_true", help="with the exporter, in place of a device's wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "build/wheels/dist")
    arguments = parser.parse_args()
    for package in ("ziglang", "auditwheel", "wheel"):
        if subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True).returncode != 0:
            sys.exit(f"expected the package {package}; found none; pip install '.[cross]'")
    built = 0
    for interpreter in arguments.pythons.split(","):
        found = headers_of(interpreter)
        if found is None:
            print(f"{interpreter}: left out: it does not run here, or has no headers")
            continue
        for architecture in arguments.architectures.split(","):
            begin = time.monotonic()
            wheel = build(architecture, *found, arguments.whole, arguments.out)
            print(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB, {time.monotonic() - begin:.0f} s", flush=True)
            built += 1
    return 0 if built else 1


if __name__ == "__main__":
    sys.exit(main())
