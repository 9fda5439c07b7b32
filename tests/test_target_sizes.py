"""A session on another machine takes exactly the bytes that this one says: 64-bit Arm with NEON and 32-bit Arm with the
scalar kernels, run by qemu-user.

Never here: levels that this CPU runs itself (tests/runtime/api_targets.cpp).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("EDGECL_BUILD", ROOT / "build/host"))
# Processor -> (compiler prefix, emulator, level and pointer bytes that the machine has, extra flags).
MACHINES = {
    "aarch64": ("aarch64-linux-gnu", "qemu-aarch64", "neon", 8, "-march=armv8-a"),
    "arm": ("arm-linux-gnueabihf", "qemu-arm", "reference", 4, "-march=armv7-a+fp"),
}


def _lines(*command: str | Path) -> list[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="session")
def host_program() -> Path:
    program = BUILD / "tests/c_api/c_api_session_sizes"
    if not program.exists():
        pytest.skip(f"{program} is not built: cmake --build --preset host")
    return program


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, host_program: Path) -> Path:
    path = tmp_path_factory.mktemp("sizes") / "net.ecl"
    subprocess.run([str(host_program.parent / "c_api_write_bundle"), str(path), "all"], check=True, timeout=60)
    return path


def _program(processor: str) -> Path:
    """That of the preset's build where there is one (`tools/test` makes it before), else made for this test."""
    prefix, _, _, _, flags = MACHINES[processor]
    program = "tests/c_api/c_api_session_sizes"
    preset = ROOT / "build" / {"aarch64": "aarch64", "arm": "armhf"}[processor]
    if (preset / program).exists():
        subprocess.run(["cmake", "--build", preset, "--target", "c_api_session_sizes"], check=True, timeout=1200)
        return preset / program
    build = ROOT / "build" / f"sizes-{processor}"
    subprocess.run(
        [
            "cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
            "-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={processor}",
            f"-DCMAKE_C_COMPILER={prefix}-gcc", f"-DCMAKE_CXX_COMPILER={prefix}-g++",
            f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}", "-DEDGECL_BUILD_SHARED=OFF",
            "-DEDGECL_KERNEL_OPT=-O1",
        ],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    made = subprocess.run(
        ["cmake", "--build", str(build), "-j2", "--target", "c_api_session_sizes"],
        capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-4000:]
    return build / program


@pytest.mark.parametrize("processor", sorted(MACHINES))
def test_another_machine_takes_what_this_one_says(processor: str, bundle: Path, host_program: Path) -> None:
    prefix, emulator, level, pointer_bytes, _ = MACHINES[processor]
    for tool in (f"{prefix}-g++", emulator, "cmake", "ninja"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    program = _program(processor)
    run = (emulator, "-L", f"/usr/{prefix}", program, bundle)
    taken = _lines(*run)
    assert taken[-1] == "5 with a moving structure" and len(set(taken)) == 11
    assert _lines(host_program, bundle, level, str(pointer_bytes)) == taken
    # And the other way round: the small machine knows the large one's figures.
    assert _lines(*run, "x86-64-v4", "8") == _lines(host_program, bundle, "x86-64-v4", "8")
