# `edgecl bench --device all`: one bundle on every board, side by side.
# Never here: the cost model, the report's page.
"""`boards`: the table of all devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecl.cli import failure, output
from edgecl.cli.bench_fit import misses
from edgecl.cli.bench_measure import session_config
from edgecl.cli.bench_options import option_names
from edgecl.cli.bench_predict import predicted
from edgecl.files import write_file_atomic
from rich.console import Console


def on_board(
    model: Any, device: Any, kinds: list[str], batch: int, threads: int, limit_ms: float | None, limit_bytes: int | None
) -> dict[str, Any]:
    """What one board makes of the bundle: rows, memory, what does not fit."""
    rows, peak = [], 0
    for what in kinds:
        config = session_config(model, what, batch)
        sizes = model.sizes_for(device.level, device.pointer_bytes, n_threads=min(threads, device.cores), **config)
        peak = max(peak, sizes["arena_bytes"])
        rows.append(predicted(model, device, config, what, batch, min(threads, device.cores), sizes["state_bytes_max"]))
    bundle_bytes = int(model.describe()["bundle_bytes"])
    missed = misses(rows, peak, bundle_bytes, device, limit_ms, limit_bytes)
    times = {f"{row['what']}_ms": [row["low_ms"], row["p50_ms"], row["high_ms"]] for row in rows}
    return {
        "device": device.name, "title": device.title, "note": device.note or None, "kind": "predicted", **times,
        "peak_bytes": peak, "memory_bytes": int(device.memory_bytes), "bundle_bytes": bundle_bytes,
        "flash_bytes": device.optional("flash_bytes"), "peak_flops_one_core": device.peak_flops(1),
        "bandwidth_bytes_per_s": device.bandwidth_bytes_per_s, "fits": not missed, "misses": missed,
    }  # fmt: skip


def boards(
    bundle: Path,
    model: Any,
    kinds: list[str],
    batch: int,
    threads: int,
    limit_ms: float | None,
    limit_bytes: int | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Prints the table and writes the report; ends with 1 where limits are given and no board keeps them."""
    from edgecl import devices

    shipped = [devices.load(name) for name in devices.available() if name != "host"]
    with option_names():
        found = [on_board(model, device, kinds, batch, threads, limit_ms, limit_bytes) for device in shipped]
    document = {
        "bundle": str(bundle), "batch": batch, "threads": threads, "kind": "predicted", "budget_ms": limit_ms,
        "budget_bytes": limit_bytes, "devices": sorted(found, key=lambda entry: entry[f"{kinds[0]}_ms"][1]),
    }  # fmt: skip
    if report is not None:
        from edgecl.cli.bench_report import boards_page

        write_file_atomic(report, boards_page(document))
    output.emit(document, as_json, lambda console: _render(console, document, kinds))
    if (limit_ms is not None or limit_bytes is not None) and not any(entry["fits"] for entry in found):
        failure.finish(failure.NO)


def span(values: list[float]) -> str:
    """[low, middle, high] in ms as text: 2.3 (1.9-3.4), or 5.8 s (2.3-17)."""
    unit, factor = (" s", 1e-3) if values[1] >= 1000 else ("", 1.0)
    low, middle, high = (f"{v:.0f}" if v >= 100 else f"{v:.2g}" for v in (factor * value for value in values))
    return f"{middle}{unit} ({low}-{high})"


def why(entry: dict[str, Any]) -> str:
    """What does not fit, in a word each."""
    return ", ".join(dict.fromkeys(miss["what"].split(" ")[0] for miss in entry["misses"]))


def _render(console: Console, document: dict[str, Any], kinds: list[str]) -> None:
    threads = f"{document['threads']} thread" + ("s at most" if document["threads"] > 1 else "")
    rows_text = f"{document['batch']} row" + ("s" if document["batch"] > 1 else "")
    console.print(f"{document['bundle']}, {rows_text}, {threads}: ms predicted (range)")
    timed = [kind for kind in kinds if kind != "commit"]

    rows = [
        [
            entry["device"], *(span(entry[f"{kind}_ms"]) for kind in timed), output.size(entry["peak_bytes"]),
            why(entry),
        ]
        for entry in document["devices"]
    ]  # fmt: skip
    console.print(output.table(["device", *(f"{kind}>" for kind in timed), "memory>", "exceeds"], rows))
    console.print(f"\nbundle (flash) {output.size(document['devices'][0]['bundle_bytes'])}; bytes are exact")
