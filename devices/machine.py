"""The machine that this process runs on: what Linux says about it, its measured peak, and the profile it matches.

Never here: figures of other machines, and timing of models (the bench command does that).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path

from edgecl.devices.profile import Device, Figure, profile_names, read

CPUINFO = Path("/proc/cpuinfo")
CORES = {  # Arm's part numbers (their Technical Reference Manuals, register MIDR) -> a core of loops.json
    "0xd03": "cortex-a53", "0xd07": "cortex-a57", "0xd08": "cortex-a72", "0xd0b": "cortex-a76", "0xd0c": "neoverse-n1",
    "0xd41": "cortex-a78", "0xd42": "cortex-a78",
}  # fmt: skip
BOARD_MODEL = Path("/proc/device-tree/model")


@dataclass(frozen=True)
class Machine:
    """Architecture as `uname -m` says it, CPU parts (Arm: hexadecimal text; x86: model name), board, usable cores."""

    architecture: str
    cpu_parts: tuple[str, ...]
    model_text: str
    cores: int


def this_machine(cpuinfo: str | None = None, board: str | None = None, architecture: str | None = None) -> Machine:
    """Describes the running machine; the arguments replace what would be read from the system."""
    if cpuinfo is None:
        cpuinfo = CPUINFO.read_text(errors="replace") if CPUINFO.exists() else ""
    if board is None:
        board = BOARD_MODEL.read_bytes().decode(errors="replace").rstrip("\0") if BOARD_MODEL.exists() else ""
    fields: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), []).append(value.strip())
    parts = fields.get("cpu part") or fields.get("model name") or []
    model = " ".join([board, *fields.get("model", [])[:1]]).strip() if fields.get("cpu part") else board
    return Machine(
        architecture=architecture or platform.machine(),
        cpu_parts=tuple(dict.fromkeys(p.lower() for p in parts)),
        model_text=model,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )


def matches(device: Device, machine: Machine) -> bool:
    """True when `machine` is the board that `device` describes: architecture, CPU part and the board's own name."""
    if device.name == "host":
        return True
    return (
        device.architecture == machine.architecture
        and bool(set(device.cpu_parts) & set(machine.cpu_parts))
        and device.model_text.lower() in machine.model_text.lower()
    )


def match(machine: Machine | None = None) -> Device | None:
    """The shipped profile of the running machine, or None."""
    machine = machine or this_machine()
    return next((d for d in map(read, profile_names()) if matches(d, machine)), None)


def measure_peak_flops(seconds: float = 0.3) -> float | None:
    """Measures one core's peak rate of fused multiply-adds, in operations a second (a multiply-add is two).

    Compiles a small C program for this CPU and runs it; None when there is no C compiler. Takes about a second.
    """
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None:
        return None
    source = (resources.files("edgecl.devices") / "fma_peak.c").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fma_peak"
        command = [compiler, "-O2", "-march=native", "-ffp-contract=fast", "-x", "c", "-", "-o", str(program)]
        if subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode:
            return None
        out = subprocess.run([str(program), str(seconds)], capture_output=True, text=True, check=False)
    return float(out.stdout) if out.returncode == 0 else None


def core_of(machine: Machine, flags: str) -> str:
    """The core of loops.json that stands for the machine's CPU; "" where none does. `flags`: text of /proc/cpuinfo."""
    if machine.architecture in ("x86_64", "AMD64"):
        return "x86-64-v4" if "avx512f" in flags else "x86-64-v3" if " avx2" in flags else ""
    return next((CORES[part] for part in machine.cpu_parts if part in CORES), "")


def cache_bytes() -> dict[int, int]:
    """Data cache sizes by level, in bytes, from sysfs."""
    sizes: dict[int, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            text = (index / "size").read_text().strip()
            unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1], 1)
            sizes[int((index / "level").read_text())] = int(text.rstrip("KM")) * unit
    return sizes


def host(peak_flops: float | None = None) -> Device:
    """The running machine as a profile. `peak_flops` of one core: measured when not given, else 8 flop a cycle."""
    machine = this_machine()
    today = date.today()
    text = CPUINFO.read_text(errors="replace") if CPUINFO.exists() else ""
    mhz = [float(m) for m in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", text, re.M)]
    clock = max(mhz) * 1e6 if mhz else 2e9
    peak = peak_flops or measure_peak_flops()
    caches = cache_bytes()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    width = 64 if "avx512f" in text else 32 if " avx2" in text else 16

    def figure(value: float, source: str, kind: str) -> Figure:
        return Figure(float(value), source, today, kind)

    figures = {
        "cores": figure(machine.cores, "CPU affinity of this process", "measured"),
        "clock_hz": figure(clock, "/proc/cpuinfo (nominal; the peak below was measured)", "specification"),
        "flop_per_cycle": figure(
            peak / clock if peak else 8.0,
            "measured fused multiply-add rate over the nominal clock"
            if peak
            else "no C compiler here to measure it with",
            "measured" if peak else "assumed",
        ),
        "vector_bytes": figure(width, "/proc/cpuinfo flags", "specification"),
        "l1d_bytes": figure(caches.get(1, 32 << 10), "sysfs", "specification"),
        "llc_bytes": figure(max(caches.values(), default=1 << 20), "sysfs", "specification"),
        "memory_bytes": figure(memory, "sysconf", "measured"),
        "bandwidth_bytes_per_s": figure(1e10, "not measured; predictions are for other boards", "assumed"),
        "efficiency": figure(0.5, "not fitted; predictions are for other boards", "assumed"),
        "thread_efficiency": figure(0.9, "not fitted; predictions are for other boards", "assumed"),
    }
    name = machine.cpu_parts[0] if machine.cpu_parts else machine.architecture
    return Device(
        name="host", title=f"this machine ({name})", architecture=machine.architecture, cpu_parts=machine.cpu_parts,
        model_text=machine.model_text, figures=figures, range_low=0.5, range_high=2.0, range_source="not fitted",
        core=core_of(machine, text),
    )  # fmt: skip
