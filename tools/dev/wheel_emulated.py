"""Runs a cross-built AArch64 wheel under emulation: Debian's arm64 Python and numpy in a folder, and pytest.

usage: python tools/dev/wheel_emulated.py WHEEL [--folder DIR] [--cpu cortex-a72] [pytest arguments...]

Without pytest arguments it runs the tests that a device's wheel can run. The folder (default build/emulated) is made
once: Debian packages for arm64 are downloaded with apt as they are, and unpacked; wheels of numpy and pytest for
AArch64 with pip. No root, no chroot. Times under emulation mean nothing. Never here: building the wheel (wheels.py).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("python3.11", "libpython3.11-dev", "libstdc++6")
# Those that need neither the exporter nor another package than numpy.
TESTS = (
    *(f"tests/python/test_{name}.py" for name in ("binding", "drift", "novelty", "heads", "hd", "labels")),
    "tests/devices/test_profiles.py",
)


def quiet(command: list[str], **environment: str) -> None:
    """Runs a command; what it said ends the program where it fails."""
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"expected '{' '.join(command[:4])} ...' to work; found: {(done.stdout + done.stderr)[-800:]}")


def debian_root(folder: Path) -> Path:
    """Debian's Python for arm64, unpacked."""
    root = folder / "root"
    if (root / "usr/bin/python3.11").exists():
        return root
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    configuration = folder / "apt.conf"
    configuration.write_text(
        f'APT::Architecture "arm64"; APT::Architectures {{ "arm64"; }}; APT::Install-Recommends "false";\n'
        f'Dir::State::lists "{folder}/lists"; Dir::State::status "{folder}/status";\n'
        f'Dir::Cache::archives "{folder}/archives"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'
    )
    quiet(["apt-get", "update"], APT_CONFIG=str(configuration))
    quiet(["apt-get", "-y", "--download-only", "install", *PACKAGES], APT_CONFIG=str(configuration))
    for package in (folder / "archives").glob("*.deb"):
        quiet(["dpkg-deb", "-x", str(package), str(root)])
    return root


def python_packages(folder: Path) -> Path:
    """numpy, pytest and what they need, for AArch64, unpacked."""
    site = folder / "site"
    if (site / "numpy").exists():
        return site
    wheels = folder / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", "3.11"]
    for platform in ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64"):
        command += ["--platform", platform]
    command += ["--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none", "-d", str(wheels)]
    quiet([*command, "numpy", "pytest"])
    for wheel in wheels.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(site)
    return site


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/emulated")
    parser.add_argument("--cpu", default="cortex-a72")
    arguments, tests = parser.parse_known_args()
    if not re.search(r"-cp311-cp311-.*aarch64\.whl$", arguments.wheel.name):
        sys.exit(f"expected a wheel of CPython 3.11 for aarch64; found {arguments.wheel.name}; wheels.py builds it")
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    root, site = debian_root(folder), python_packages(folder)
    shutil.rmtree(site / "edgecl", ignore_errors=True)
    zipfile.ZipFile(arguments.wheel).extractall(site)
    environment = {"QEMU_CPU": arguments.cpu, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        "qemu-aarch64",
        "-L",
        str(root),
        str(root / "usr/bin/python3.11"),
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run([*command, *(tests or ["-q", *TESTS])], cwd=ROOT, env=os.environ | environment).returncode


if __name__ == "__main__":
    sys.exit(main())
