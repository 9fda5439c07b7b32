# `edgecl devices`: the device profiles that come with the package.
# Never here: the profiles (edgecl.devices), predictions (bench).
"""The command `devices`."""

from __future__ import annotations

from typing import Any

import typer
from edgecl.cli import failure, output
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
        "is_this_machine": edgecl.devices.matches(device, edgecl.devices.this_machine()),
        "figures": {
            key: {"value": figure.value, "kind": figure.kind, "source": figure.source, "date": str(figure.date)}
            for key, figure in device.figures.items()
        },
        "prediction_range": [device.range_low, device.range_high],
    }


_TITLES = {
    "clock_hz": "clock",
    "flop_per_cycle": "FLOP a cycle",
    "vector_bytes": "vector",
    "l1d_bytes": "L1 data cache",
    "llc_bytes": "last cache",
    "memory_bytes": "memory",
    "bandwidth_bytes_per_s": "bandwidth",
    "efficiency": "of peak, one core",
    "thread_efficiency": "each core more",
}


def _title(key: str) -> str:
    return _TITLES.get(key, key.replace("_", " "))


def _value(key: str, value: float) -> str:
    if key == "clock_hz":
        return f"{value / 1e9:.2f} GHz"
    if key.endswith("_bytes_per_s"):
        return f"{value / 1e9:.1f} GB/s"
    if key.endswith("_bytes"):
        return output.size(value)
    return output.percent(value) if key.endswith("efficiency") else f"{value:.4g}"


@failure.command
def devices(
    name: str | None = typer.Argument(
        None, help="Show this device with the source of every figure; default: list all."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List device profiles, or show one with its sources. "host" is this machine, measured now.

    Example: edgecl devices rpi4

    JSON: {"devices": [{"name", "title", "architecture", "is_this_machine", "figures": {key: {"value", "kind", "source",
    "date"}}, "prediction_range"}]}
    """
    import edgecl.devices

    names = [name] if name is not None else [n for n in edgecl.devices.available() if n != "host"]
    found = [_describe(n) for n in names]

    def render(console: Console) -> None:
        if name is not None:
            device = found[0]
            console.print(
                f"{device['title']} ({device['architecture']})"
                + ("  [this machine]" if device["is_this_machine"] else "")
            )
            sources = [(_title(k), _value(k, f["value"]), f["kind"], f["source"]) for k, f in device["figures"].items()]
            console.print(output.table(["figure", "value>", "kind", "source"], sources))
            return
        rows = []
        for device in found:
            f = {key: figure["value"] for key, figure in device["figures"].items()}
            memory, bandwidth = f.get("memory_bytes", 0), f.get("bandwidth_bytes_per_s", 0)
            rows.append(
                (
                    device["name"],
                    device["title"],
                    device["architecture"],
                    f"{f.get('cores', 0):g}",
                    f"{f.get('clock_hz', 0) / 1e9:.2f}",
                    output.size(memory),
                    f"{bandwidth / 1e9:.1f}",
                )
            )
        console.print(output.table(["name", "device", "CPU", "cores>", "GHz>", "memory>", "GB/s>"], rows))

    output.emit({"devices": found}, as_json, render)
