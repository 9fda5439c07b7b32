"""A device profile: its figures, each with its source and date; reading and checking of the TOML files.

Never here: looking at the running machine (machine.py) and arithmetic on the figures beyond peaks (cost_model.py).
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from edgecl.devices.loops import document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Name -> (unit, lowest, highest sensible value). Every profile has them.
FIGURES: dict[str, tuple[str, float, float]] = {
    "cores": ("1", 1, 1024),
    "clock_hz": ("Hz", 1e6, 1e10),
    "flop_per_cycle": ("flop/cycle/core", 0.01, 256),
    "vector_bytes": ("B", 1, 256),
    "l1d_bytes": ("B", 0, 1 << 24),
    "llc_bytes": ("B", 0, 1 << 34),
    "memory_bytes": ("B", 1024, 1 << 45),
    "bandwidth_bytes_per_s": ("B/s", 1e6, 1e13),
    "efficiency": ("share of the simulated speed", 0.01, 4.0),
    "thread_efficiency": ("share per further core", 0.0, 1.0),
}
# The same of figures that a profile leaves out where the device has no such thing or nobody published it.
OPTIONAL_FIGURES: dict[str, tuple[str, float, float]] = {
    "l2_bytes": ("B", 1024, 1 << 30),
    "llc_bandwidth_bytes_per_s": ("B/s", 1e6, 1e13),
    "flash_bytes": ("B", 1024, 1 << 40),
    "flash_bandwidth_bytes_per_s": ("B/s", 1e5, 1e12),
    "flash_wait_states": ("1", 0, 64),
    "tightly_coupled_bytes": ("B", 1024, 1 << 30),
    "idle_watts": ("W", 1e-4, 1e4),
    "busy_watts": ("W", 1e-4, 1e4),
}
ALL_FIGURES = FIGURES | OPTIONAL_FIGURES
FIELDS = (
    *("title", "architecture", "core", "note", "cpu_parts", "model_text", "figures", "range", "rates", "published"),
)
# As `uname -m` and the makers of the chips say them. Another one is taken for a machine of scalar kernels.
ARCHITECTURES = (
    *("aarch64", "arm64", "x86_64", "AMD64", "i386", "i686", "armv6l", "armv7l", "armv8l", "armv6-m", "armv7-m"),
    *("armv7e-m", "armv8-m", "armv8.1-m", "riscv32", "riscv64", "xtensa", "ppc64le", "s390x", "loongarch64"),
)
LAYERS = ("conv", "pointwise", "depthwise", "linear")
RATES = (  # the names that cost_model.rate_kind gives
    *LAYERS, *(f"sparse {layer}" for layer in LAYERS), "elementwise",
    *(f"{how}{layer} {part} gradient" for how in ("", "sparse ") for layer in LAYERS for part in ("input", "weight")),
)  # fmt: skip
KINDS = ("specification", "published", "measured", "simulated", "fitted", "assumed")


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
    core: str = ""  # of loops.json: whose simulated loops stand for this CPU; "": none
    note: str = ""  # what a reader of any figure should know
    rates: tuple[tuple[str, float], ...] = ()  # measured on the board: kind of loop -> share of the simulated speed

    def __getattr__(self, name: str) -> float:
        if name in FIGURES:
            return self.figures[name].value
        raise AttributeError(name)

    def optional(self, name: str) -> float | None:
        """The value of one of OPTIONAL_FIGURES, or None where the profile has none."""
        figure = self.figures.get(name)
        return None if figure is None else figure.value

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
        shown = "nothing" if found is None or found == "" else found if isinstance(found, str) else repr(found)
        raise ValueError(f"expected {what}, found {shown}; {remedy}")


def _plain(value: float) -> str:
    """Without an exponent where people would not write one: 0.5, 10,000,000,000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse(text: str, name: str) -> Device:
    """Reads a profile from TOML and checks every field; `name` is the profile's file name without its ending.

    Raises ValueError naming the field, what was expected there, what was found, and what to do.
    """
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"expected TOML in {name}.toml, found {error}; correct it") from error
    remedy = f"correct {name}.toml (`edgecl devices --calibrate -o FILE.toml` writes one with every field)"
    unknown = sorted(set(data) - set(FIELDS))
    _expect(not unknown, f"only the fields {', '.join(FIELDS)} in {name}.toml", ", ".join(unknown), remedy)
    for field in ("title", "architecture", "cpu_parts", "figures", "range"):
        _expect(field in data, f"the field '{field}' in {name}.toml", ", ".join(sorted(data)) or "none", remedy)
    for field in ("title", "architecture", "core", "model_text", "note"):
        _expect(isinstance(data.get(field, ""), str), f"'{field}' as text in {name}.toml", data.get(field), remedy)
    parts = data["cpu_parts"]
    _expect(
        isinstance(parts, list) and all(isinstance(part, str) for part in parts),
        f"'cpu_parts' as a list of texts in {name}.toml", parts, remedy,
    )  # fmt: skip
    for field in ("figures", "range"):
        _expect(isinstance(data[field], dict), f"a table '{field}' in {name}.toml", data[field], remedy)
    published = data.get("published", [])
    fields = {field.name: field.type for field in dataclass_fields(Published)}
    for row in published if isinstance(published, list) else [published]:
        right = isinstance(row, dict) and set(row) == set(fields)
        _expect(right, f"[[published]] with {', '.join(fields)} in {name}.toml", row, remedy)
    figures: dict[str, Figure] = {}
    for key, (unit, low, high) in ALL_FIGURES.items():
        entry = data["figures"].get(key)
        if entry is None and key in OPTIONAL_FIGURES:
            continue
        _expect(isinstance(entry, dict), f"a table figures.{key} in {name}.toml", entry, remedy)
        value, kind = entry.get("value"), entry.get("kind")
        _expect(
            _number(value) and low <= value <= high,
            f"figures.{key}.value in {_plain(low)}..{_plain(high)} {unit}", value, remedy,
        )  # fmt: skip
        _expect(kind in KINDS, f"figures.{key}.kind to be one of {', '.join(KINDS)}", kind, remedy)
        _expect(isinstance(entry.get("source"), str), f"figures.{key}.source as text", entry.get("source"), remedy)
        _expect(isinstance(entry.get("date"), date), f"figures.{key}.date as a date", entry.get("date"), remedy)
        figures[key] = Figure(float(value), entry["source"], entry["date"], kind)
    unknown = sorted(set(data["figures"]) - set(ALL_FIGURES))
    _expect(not unknown, f"only known figures in {name}.toml", ", ".join(unknown), remedy)
    unknown = sorted(set(data["range"]) - {"low", "high", "source"})
    _expect(not unknown, f"only range.low, range.high and range.source in {name}.toml", ", ".join(unknown), remedy)
    low, high, source = (data["range"].get(key) for key in ("low", "high", "source"))
    _expect(
        _number(low) and _number(high) and 0 < low <= 1 <= high < float("inf"),
        f"range.low <= 1 <= range.high in {name}.toml", (low, high), remedy,
    )  # fmt: skip
    _expect(isinstance(source, str) and source != "", f"range.source as text in {name}.toml", source, remedy)
    rates = data.get("rates", {})
    _expect(
        isinstance(rates, dict) and all(_number(v) and 0 < v < 100 for v in rates.values()),
        f"a table rates of shares above 0 and below 100 in {name}.toml", rates, remedy,
    )  # fmt: skip
    unknown = [kind for kind in rates if kind.removeprefix("int8_") not in RATES]
    _expect(not unknown, f"rates among {', '.join(RATES)} in {name}.toml", ", ".join(unknown), remedy)
    core = data.get("core", "")
    cores = sorted(document()["cores"])
    _expect(core in ("", *cores), f"'core' among {', '.join(cores)} in {name}.toml, or none", core, remedy)
    if data["architecture"] not in ARCHITECTURES:
        warnings.warn(
            f"expected an architecture among {', '.join(ARCHITECTURES)} in {name}.toml; found "
            f"'{data['architecture']}'; its kernels are taken for scalar ones",
            stacklevel=2,
        )
    return Device(
        name=name,
        title=data["title"],
        architecture=data["architecture"],
        cpu_parts=tuple(data["cpu_parts"]),
        model_text=data.get("model_text", ""),
        figures=figures,
        range_low=float(low),
        range_high=float(high),
        range_source=source,
        published=tuple(Published(**row) for row in published),
        core=data.get("core", ""),
        note=data.get("note", ""),
        rates=tuple(sorted((kind, float(rate)) for kind, rate in rates.items())),
    )


def profile_names() -> list[str]:
    """Names of the profiles that ship with the package, without the running machine's ("host")."""
    folder = resources.files("edgecl.devices")
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def read(name: str) -> Device:
    """Reads a shipped profile by name, or a file by its path (it ends in .toml).

    Raises ValueError when there is none or the file is wrong.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"expected a device profile at '{name}', found {error}; `edgecl devices --calibrate -o FILE.toml` "
                "writes one"
            ) from error
        return parse(text, path.stem)
    names = profile_names()
    _expect(name in names, f"a device among {', '.join(['host', *names])}", name, "name one of these, or a .toml file")
    return parse((resources.files("edgecl.devices") / f"{name}.toml").read_text(encoding="utf-8"), name)
