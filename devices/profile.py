"""A device profile: its figures, each with its source and date; reading and checking of the TOML files.

Never here: looking at the running machine (machine.py) and arithmetic on the figures beyond peaks (cost_model.py).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date
from importlib import resources
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Name -> (unit, lowest, highest sensible value).
FIGURES: dict[str, tuple[str, float, float]] = {
    "cores": ("1", 1, 1024),
    "clock_hz": ("Hz", 1e8, 1e10),
    "flop_per_cycle": ("flop/cycle/core", 1, 256),
    "vector_bytes": ("B", 4, 256),
    "l1d_bytes": ("B", 1024, 1 << 24),
    "llc_bytes": ("B", 1024, 1 << 34),
    "memory_bytes": ("B", 1 << 20, 1 << 45),
    "bandwidth_bytes_per_s": ("B/s", 1e8, 1e13),
    "efficiency": ("share of peak", 0.01, 1.0),
    "thread_efficiency": ("share per further core", 0.0, 1.0),
}
KINDS = ("specification", "published", "measured", "fitted", "assumed")


@dataclass(frozen=True)
class Figure:
    """One number about a device: value in the unit of FIGURES, where it comes from, since when, and of which kind."""

    value: float
    source: str
    date: date
    kind: str


@dataclass(frozen=True)
class Published:
    """A latency that somebody else published for this board, or for one with the same core and clock; milliseconds."""

    network: str
    threads: int
    ms: float
    board: str
    precision: str
    source: str


@dataclass(frozen=True)
class Device:
    """A device profile. Rates are in SI units; `range_low` and `range_high` multiply a predicted time."""

    name: str
    title: str
    architecture: str
    cpu_parts: tuple[str, ...]
    model_text: str
    figures: dict[str, Figure]
    range_low: float
    range_high: float
    range_source: str
    published: tuple[Published, ...] = ()

    def __getattr__(self, name: str) -> float:
        if name in FIGURES:
            return self.figures[name].value
        raise AttributeError(name)

    @property
    def cores(self) -> int:
        """Cores that a program may use."""
        return int(self.figures["cores"].value)

    @property
    def level(self) -> str:
        """SIMD level that a standard build of edgecl runs on this device."""
        if self.architecture in ("aarch64", "arm64"):
            return "neon"
        if self.architecture in ("x86_64", "AMD64"):
            vector = self.figures["vector_bytes"].value
            return "x86-64-v4" if vector >= 64 else "x86-64-v3" if vector >= 32 else "x86-64-v1"
        return "reference"

    @property
    def pointer_bytes(self) -> int:
        """Bytes of a pointer on this device: 8 on 64-bit instruction sets, else 4."""
        return 8 if "64" in self.architecture else 4

    def speedup(self, threads: int) -> float:
        """Compute speed-up of `threads` cores over one."""
        return 1.0 + (min(threads, self.cores) - 1) * self.figures["thread_efficiency"].value

    def peak_flops(self, threads: int = 1) -> float:
        """Single-precision operations a second on `threads` cores (a multiply-add is two)."""
        return self.figures["clock_hz"].value * self.figures["flop_per_cycle"].value * self.speedup(threads)


def _expect(condition: bool, what: str, found: object, remedy: str) -> None:
    if not condition:
        raise ValueError(f"expected {what}, found {found!r}; {remedy}")


def parse(text: str, name: str) -> Device:
    """Reads a profile from TOML and checks every field; `name` is the profile's file name without its ending.

    Raises ValueError naming the field, what was expected there, what was found, and what to do.
    """
    data: dict[str, Any] = tomllib.loads(text)
    remedy = f"correct {name}.toml (schema.md beside it lists the fields)"
    for field in ("title", "architecture", "cpu_parts", "figures", "range"):
        _expect(field in data, f"the field '{field}' in {name}.toml", sorted(data), remedy)
    figures: dict[str, Figure] = {}
    for key, (unit, low, high) in FIGURES.items():
        entry = data["figures"].get(key)
        _expect(isinstance(entry, dict), f"a table figures.{key} in {name}.toml", entry, remedy)
        value, kind = entry.get("value"), entry.get("kind")
        _expect(
            isinstance(value, (int, float)) and low <= value <= high,
            f"figures.{key}.value in {low:g}..{high:g} {unit}", value, remedy,
        )  # fmt: skip
        _expect(kind in KINDS, f"figures.{key}.kind to be one of {', '.join(KINDS)}", kind, remedy)
        _expect(isinstance(entry.get("source"), str), f"figures.{key}.source as text", entry.get("source"), remedy)
        _expect(isinstance(entry.get("date"), date), f"figures.{key}.date as a date", entry.get("date"), remedy)
        figures[key] = Figure(float(value), entry["source"], entry["date"], kind)
    unknown = sorted(set(data["figures"]) - set(FIGURES))
    _expect(not unknown, f"only known figures in {name}.toml", unknown, remedy)
    low, high = data["range"].get("low"), data["range"].get("high")
    _expect(
        isinstance(low, float) and isinstance(high, float) and 0 < low <= 1 <= high,
        f"range.low <= 1 <= range.high in {name}.toml", (low, high), remedy,
    )  # fmt: skip
    return Device(
        name=name,
        title=data["title"],
        architecture=data["architecture"],
        cpu_parts=tuple(data["cpu_parts"]),
        model_text=data.get("model_text", ""),
        figures=figures,
        range_low=low,
        range_high=high,
        range_source=data["range"].get("source", ""),
        published=tuple(Published(**row) for row in data.get("published", ())),
    )


def profile_names() -> list[str]:
    """Names of the profiles that ship with the package, without the running machine's ("host")."""
    folder = resources.files("edgecl.devices")
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def read(name: str) -> Device:
    """Reads a shipped profile by name. Raises ValueError when there is none of that name or its file is wrong."""
    names = profile_names()
    _expect(name in names, f"a device among {', '.join(['host', *names])}", name, "name one of these")
    return parse((resources.files("edgecl.devices") / f"{name}.toml").read_text(encoding="utf-8"), name)
