# `edgecl devices`: the device profiles that come with the package.
# Never here: the profiles (edgecl.devices), predictions (bench).
"""The command `devices`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from edgecl.cli import failure, output
from edgecl.files import check_output, write_file_atomic
from rich.console import Console


def _describe(name: str) -> dict[str, Any]:
    import edgecl.devices

    try:
        device = edgecl.devices.load(name)
    except ValueError as error:
        raise failure.UsageError(str(error)) from error
    return {
        "name": device.name,
        "title": device.title,
        "architecture": device.architecture,
        "core": device.core,
        "note": device.note,
        "is_file": name.endswith(".toml"),
        "is_this_machine": edgecl.devices.matches(device, edgecl.devices.this_machine()),
        "figures": {
            key: {"value": figure.value, "kind": figure.kind, "source": figure.source, "date": str(figure.date)}
            for key, figure in device.figures.items()
        },
        "rates": dict(device.rates),
        "prediction_range": [device.range_low, device.range_high],
        "range_source": device.range_source,
    }


_TITLES = {
    "clock_hz": "clock",
    "flop_per_cycle": "FLOP a cycle",
    "vector_bytes": "vector",
    "l1d_bytes": "L1 data cache",
    "l2_bytes": "L2 cache of a core",
    "llc_bytes": "last cache",
    "llc_bandwidth_bytes_per_s": "bandwidth of the last cache",
    "memory_bytes": "memory",
    "bandwidth_bytes_per_s": "memory bandwidth",
    "flash_bytes": "flash",
    "flash_bandwidth_bytes_per_s": "flash bandwidth",
    "tightly_coupled_bytes": "tightly coupled memory",
    "idle_watts": "power, idle",
    "busy_watts": "power, all cores busy",
}


def _title(key: str) -> str:
    return _TITLES.get(key, key.replace("_", " "))


def _value(key: str, value: float) -> str:
    if key == "clock_hz":
        return f"{value / 1e9:.3g} GHz" if value >= 1e9 else f"{value / 1e6:.0f} MHz"
    if key.endswith("_bytes_per_s"):
        return f"{value / 1e9:.2f} GB/s"
    if key.endswith("_bytes"):
        return output.size(value)
    if key.endswith("_watts"):
        return f"{value:.3g} W"
    return output.percent(value) if key.endswith("efficiency") else f"{value:.4g}"


def _short(value: float) -> str:
    """Bytes in few letters: 512 KiB."""
    number, unit = output.size(value).split()
    return f"{float(number):g} {unit}"


def _calibrate(out: Path | None) -> dict[str, Any]:
    from edgecl.devices import calibrate, machine

    if out is None or out.suffix != ".toml":
        raise failure.UsageError(
            f"expected --calibrate with -o FILE.toml; found {out or 'no -o'}; name the profile that is to be written"
        )
    check_output(out)
    here = machine.this_machine()
    title = here.model_text or (here.cpu_parts[0] if here.cpu_parts else here.architecture)
    with output.progress() as update:
        device, notes = calibrate.calibrated(update)
    write_file_atomic(out, calibrate.profile_text(device, title).encode())
    return {"written": str(out), "not_measured": notes, "devices": [_describe(str(out))]}


def _render_one(console: Console, device: dict[str, Any]) -> None:
    here = "  [this machine]" if device["is_this_machine"] else ""
    if here and device["is_file"]:
        here = "  [this machine; bench predicts what a file describes, and measures with --device host]"
    console.print(f"{device['title']} ({device['architecture']}){here}")
    if device["note"]:
        console.print(device["note"])
    sources = [(_title(k), _value(k, f["value"]), f["kind"], f["source"]) for k, f in device["figures"].items()]
    console.print(output.table(["figure", "value>", "kind", "source"], sources))
    if device["rates"]:
        console.print("\nkernels beside the simulated loops, times the efficiency (measured):")
        rates = [(kind, f"{rate:.2f}") for kind, rate in device["rates"].items()]
        console.print(output.table(["kind", "rate>"], rates))
    low, high = device["prediction_range"]
    console.print(f"\na predicted time stands for {low:g} to {high:g} times itself: {device['range_source']}")


def _render_all(console: Console, found: list[dict[str, Any]]) -> None:
    rows = []
    for device in found:
        f = {key: figure["value"] for key, figure in device["figures"].items()}
        assumed = sum(figure["kind"] == "assumed" for figure in device["figures"].values())
        flash = f.get("flash_bytes")
        rows.append(
            (
                device["name"], device["core"] or device["architecture"], f"{f['cores']:g}",
                _value("clock_hz", f["clock_hz"]), _short(f["memory_bytes"]), "" if flash is None else _short(flash),
                f"{f['bandwidth_bytes_per_s'] / 1e9:.3g}", assumed,
            )
        )  # fmt: skip
    columns = ["name", "core", "cores>", "clock>", "memory>", "flash>", "GB/s>", "assumed>"]
    console.print(output.table(columns, rows))
    console.print("\nassumed: figures without a source; `edgecl devices NAME` names them.")


@failure.command
def devices(
    name: str | None = typer.Argument(
        None, help="Show this device (or FILE.toml) with the source of every figure; default: list all."
    ),
    calibrate: bool = typer.Option(
        False, "--calibrate", help="Measure this machine (ten seconds) and write its profile to -o."
    ),
    out: Path | None = typer.Option(None, "--out", "-o", help="Profile to write, for --device FILE.toml."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List device profiles, show one with its sources, or write this machine's. "host" is this machine, measured now.

    Example: edgecl devices rpi4

    Example: edgecl devices --calibrate -o board.toml

    JSON: {"devices": [{"name", "title", "architecture", "core", "note", "is_file", "is_this_machine", "figures": {key:
    {"value", "kind", "source", "date"}}, "rates": {kind: share}, "prediction_range", "range_source"}], "written"?,
    "not_measured"?}
    """
    import edgecl.devices

    if calibrate and name is not None:
        raise failure.UsageError(
            f"expected --calibrate without a device, for it measures this machine; found '{name}'; leave it out"
        )
    if not calibrate and out is not None:
        raise failure.UsageError("expected -o with --calibrate; found it alone; add --calibrate or leave -o out")
    if calibrate:
        document = _calibrate(out)
    else:
        names = [name] if name is not None else [n for n in edgecl.devices.available() if n != "host"]
        document = {"devices": [_describe(n) for n in names]}

    def render(console: Console) -> None:
        if name is None and not calibrate:
            return _render_all(console, document["devices"])
        _render_one(console, document["devices"][0])
        for note in document.get("not_measured", ()):
            console.print(f"not measured: {note}")
        if calibrate:
            console.print(f"written: {out}")

    output.emit(document, as_json, render)
