"""Learning gives the same bits everywhere: trains two bundles with every compiler, SIMD level and thread count.

usage: python tools/dev/same_bits.py [--quick] [--json FILE]

Bundles, all with replay: an MLP (500 steps) and a small convolutional net with batch-norm and momentum (50 steps), both
90 % sparse; the nf=20 ResNet-18, dense and 90 % sparse (2 steps, the second on 20 rows); and below heads that keep
statistics the convolutional net as a frozen encoder: in int8 with ridge, with hyperdimensional codes, and with an
adaptor and routing statistics of a domain (LDA). Builds lie beside EDGECL_BUILD (default build/host), which is used and
built further. Prints one line a combination with the SHA-256 of the learned
states; exit code 1 unless each bundle has one hash.
Never here: speed; emulated runs say nothing about time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOST_BUILD = Path(os.environ.get("EDGECL_BUILD", ROOT / "build/host"))
BUILDS = HOST_BUILD.parent
STEPS = {
    "mlp": 500,
    "conv": 50,
    "int8 ridge": 50,
    "hd": 50,
    "fecam": 50,
    "domain lda": 50,
    "resnet": 2,
    "resnet sparse": 2,
}
X86_LEVELS = ("x86-64-v1", "x86-64-v3", "x86-64-v4", "x86-64-v4-vnni")
TOOLCHAIN = ROOT / "devices/toolchains/aarch64-linux-gnu.cmake"
TOOLCHAIN_32 = ROOT / "devices/toolchains/arm-linux-gnueabihf.cmake"


@dataclass(frozen=True)
class Build:
    """One way to compile the runner, the levels to force in it, and what the host needs for it."""

    name: str
    options: tuple[str, ...]
    levels: tuple[str, ...]
    threads: tuple[int, ...]
    needs: tuple[str, ...]
    emulator: tuple[str, ...] = ()
    folder: Path | None = None  # of a build that is there anyway
    resnet_levels: tuple[str, ...] | None = None  # None = all


def optimised(flag: str) -> tuple[str, ...]:
    """CMake options that compile everything, kernels included, with one optimisation flag."""
    return (
        f"-DEDGECL_KERNEL_OPT={flag}",
        f"-DCMAKE_CXX_FLAGS_RELEASE={flag} -DNDEBUG",
        f"-DCMAKE_C_FLAGS_RELEASE={flag} -DNDEBUG",
    )


def clang() -> str:
    """The newest clang++ by name."""
    return next(
        (c for c in ("clang++-19", "clang++-18", "clang++-16", "clang++-14", "clang++") if shutil.which(c)), "clang++"
    )


def builds(quick: bool) -> list[Build]:
    """The matrix; `quick` keeps every axis but crosses fewer of them."""
    with_clang = (f"-DCMAKE_CXX_COMPILER={clang()}", f"-DCMAKE_C_COMPILER={clang().replace('++', '')}")
    arm = (f"-DCMAKE_TOOLCHAIN_FILE={TOOLCHAIN}",)
    arm_needs = ("aarch64-linux-gnu-g++", "qemu-aarch64")
    emulator = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a72")
    with_dot = (*emulator[:-1], "cortex-a76")
    arm_32 = (f"-DCMAKE_TOOLCHAIN_FILE={TOOLCHAIN_32}",)
    arm_32_needs = ("arm-linux-gnueabihf-g++", "qemu-arm")
    emulator_32 = ("qemu-arm", "-L", "/usr/arm-linux-gnueabihf", "-cpu", "cortex-a7")
    host, cross, cross_32 = HOST_BUILD, BUILDS / "aarch64", BUILDS / "armhf"
    three = (1, 2, 4)
    if quick:
        return [
            Build("gcc -O3", (), X86_LEVELS, three, ("g++",), folder=host, resnet_levels=X86_LEVELS[1:]),
            Build("clang -O1", (*with_clang, *optimised("-O1")), X86_LEVELS[1:], (2,), (clang(),)),
            Build("aarch64 gcc -O3", arm, ("neon",), (1,), arm_needs, emulator, folder=cross, resnet_levels=()),
            Build("aarch64 a76", arm, ("neon-dot",), (1,), arm_needs, with_dot, folder=cross, resnet_levels=()),
        ]
    return [
        Build("gcc -O3", (), X86_LEVELS, three, ("g++",), folder=host),
        Build("gcc -O1", optimised("-O1"), X86_LEVELS, three, ("g++",)),
        Build("clang -O3", with_clang, X86_LEVELS, three, (clang(),)),
        Build("clang -O1", (*with_clang, *optimised("-O1")), X86_LEVELS, three, (clang(),)),
        Build("aarch64 gcc -O3", arm, ("neon",), three, arm_needs, emulator, folder=cross),
        Build("aarch64 a76", arm, ("neon-dot",), three, arm_needs, with_dot, folder=cross, resnet_levels=()),
        Build("aarch64 gcc -O1", (*arm, *optimised("-O1")), ("neon",), three, arm_needs, emulator),
        Build(
            "armhf gcc -O3", arm_32, ("reference",), (1,), arm_32_needs, emulator_32, folder=cross_32, resnet_levels=()
        ),
    ]


def write_bundles(folder: Path) -> dict[str, Path]:
    """Exports the bundles; the same seeds give the same bytes."""
    import numpy as np
    import torch
    from edgecl import export
    from edgecl.cli.models import BUILT_IN
    from torch import nn

    torch.manual_seed(0)
    conv = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    er = export.Recipe(method="er", replay_capacity=100)
    # Structures change and gradient masks are chosen anew several times within the steps of each run.
    sparcl_er = export.Recipe(method="sparcl-er", replay_capacity=100, structure_interval=40, growth="gradient")
    sparcl_derpp = export.Recipe(
        method="sparcl-derpp",
        momentum=0.9,
        replay_capacity=64,
        augment_flip=True,
        structure_interval=6,
        gradient_interval=5,
    )
    sparcl_split = export.Recipe(
        method="sparcl-er", replay_capacity=100, structure_interval=2, growth="importance", importance_replay=1.0
    )
    mlp, resnet = (BUILT_IN[n].build(s, 10) for n, s in (("mlp", (784,)), ("resnet18-nf20", (3, 32, 32))))
    made = {
        "mlp": (mlp, (784,), 0.1, sparcl_er),
        "conv": (conv, (3, 8, 8), 0.1, sparcl_derpp),
        "resnet": (resnet, (3, 32, 32), 1.0, er),
        "resnet sparse": (resnet, (3, 32, 32), 0.1, sparcl_split),
    }
    paths = {}
    for name, (module, shape, density, recipe) in made.items():
        paths[name] = folder / f"{name}.ecl"
        export.from_torch(module, torch.zeros(1, *shape), out=paths[name], density=density, classes=10, recipe=recipe)
    calibration = np.random.default_rng(0).standard_normal((64, 3, 8, 8), dtype=np.float32)
    statistics: dict[str, dict[str, Any]] = {
        "int8 ridge": {"recipe": export.Recipe(method="ridge", novelty="rmds", head_bank=20), "encoder": "int8"},
        "hd": {"recipe": export.Recipe(method="hd", novelty="hd", hd_bits=1024)},
        "fecam": {"recipe": export.Recipe(method="fecam", novelty="rmds", feature_root=True)},
        "domain lda": {
            "recipe": export.Recipe(method="lda", novelty="fit", max_domains=2), "adaptor": "depthwise:8",
        },
    }  # fmt: skip
    for name, options in statistics.items():
        paths[name] = folder / f"{name}.ecl"
        source = conv.eval()
        export.from_torch(
            source, torch.zeros(1, 3, 8, 8), out=paths[name], max_classes=10, calibration=calibration, **options
        )
    return {name: paths[name] for name in STEPS}


def compile_runner(build: Build) -> Path:
    """Configures and builds edgecl_run; returns the program."""
    folder = build.folder or BUILDS / f"same-bits-{build.name.replace(' ', '')}"
    configure = ["cmake", "-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=Release", *build.options]
    if not (folder / "CMakeCache.txt").exists():
        configure += ["-G", "Ninja"] if shutil.which("ninja") else []
        if build.folder is None:
            configure += ["-DEDGECL_BUILD_TESTS=OFF"]
        subprocess.run([*map(str, configure)], check=True, capture_output=True)
    jobs = os.environ.get("EDGECL_JOBS", str(os.cpu_count() or 1))
    done = subprocess.run(
        ["cmake", "--build", str(folder), "--target", "edgecl_run", "-j", jobs],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{build.name} does not build:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return folder / "runtime/runner/edgecl-run"


def state_hash(command: list[str], level: str) -> str:
    """Runs the runner with one SIMD level forced and returns the hash of the learned state."""
    done = subprocess.run(command, env=os.environ | {"EDGECL_SIMD": level}, capture_output=True, text=True, check=False)
    if done.returncode:
        return "failed: " + (done.stderr.strip().splitlines() or ["no message"])[-1][:80]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return str(found["state_sha256"]) if found["kernel_level"] == level else f"failed: ran {found['kernel_level']}"


def runs_here(build: Build, level: str) -> bool:
    """True when this CPU can run the level (emulated builds run all of theirs)."""
    v4 = {"avx512f", "avx512bw", "avx512vl", "avx512dq"}
    needs = {"x86-64-v3": {"avx2", "fma", "bmi2"}, "x86-64-v4": v4, "x86-64-v4-vnni": v4 | {"avx512_vnni"}}
    return bool(build.emulator) or needs.get(level, set()) <= set(Path("/proc/cpuinfo").read_text().split())


def run_matrix(matrix: list[Build], bundles: dict[str, Path]) -> Iterator[dict[str, object]]:
    """Yields one row a combination: build, level, threads and the hash of each bundle, or why a build is left out."""
    for build in matrix:
        missing = [program for program in build.needs if not shutil.which(program)]
        if missing:
            yield {"build": build.name, "left_out": f"no {', '.join(missing)} here"}
            continue
        program = compile_runner(build)
        for level in build.levels:
            if not runs_here(build, level):
                yield {"build": build.name, "level": level, "left_out": "this CPU lacks it"}
                continue
            for threads in build.threads:
                hashes = {}
                for name, path in bundles.items():
                    if "resnet" in name and build.resnet_levels is not None and level not in build.resnet_levels:
                        continue
                    options = ["run", "--learn", str(STEPS[name]), "--threads", str(threads), "--seed", "1", "--sha"]
                    hashes[name] = state_hash([*build.emulator, str(program), str(path), *options], level)
                yield {"build": build.name, "level": level, "threads": threads, **hashes}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every axis, fewer combinations")
    parser.add_argument("--json", type=Path, help="write the rows here")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bundles = write_bundles(Path(folder))
        print(
            f"{'build':16}{'level':16}{'threads':8}" + "".join(f"{f'{n}, {k}':18}" for n, k in STEPS.items()),
            flush=True,
        )
        for row in run_matrix(builds(arguments.quick), bundles):
            rows.append(row)
            head = f"{row['build']:16}{row.get('level', ''):16}{row.get('threads', ''):<8}"
            cells = [str(row.get(name, "-")) for name in STEPS]
            tail = [f"{cell if 'failed' in cell else cell[:16]:18}" for cell in cells]
            print(head + (f"not run: {row['left_out']}" if "left_out" in row else "".join(tail)), flush=True)
    hashes = {name: {row[name] for row in rows if name in row} for name in STEPS}
    same = all(len(found) == 1 and "failed" not in str(*found) for found in hashes.values())
    ran = sum("mlp" in row for row in rows)
    print(f"{ran} combinations: " + ("one hash each: same bits" if same else "THE STATES DIFFER"))
    if arguments.json:
        from edgecl.cli.results import write_table

        write_table(arguments.json, {"steps": STEPS, "same": same, "rows": rows})
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
