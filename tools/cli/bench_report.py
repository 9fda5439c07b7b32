# The page of `edgecl bench --report`: roofline, operators, memory, boards side by side.
# Never here: times and sizes, the page around the sections (report_page.py).
"""`bench_page`, `boards_page`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from edgecl.cli import output
from edgecl.cli.bench_boards import span, why
from edgecl.cli.report_figures import svg
from edgecl.cli.report_page import Section, html_page, table

REGIONS = (  # of edgecl_session_sizes, in the order of the arena: what is there all the time, and what a call uses
    ("learnable_bytes", "weights, gradients, structure"),
    ("replay_bytes", "replay buffer"),
    ("learn_bytes", "activations of a step"),
    ("scratch_bytes", "scratch"),
)
MOST_BARS = 24


def bench_page(document: dict[str, Any]) -> bytes:
    """Of the document of one device."""
    from edgecl import __version__

    rows = [row for row in document["rows"] if "by" not in row]
    facts = [
        ("device", document["device_title"]),
        ("times are", document["kind"]),
        *([("range", document["range_source"])] if document["range_source"] else []),
        *([("note", document["note"])] if document["note"] else []),
        ("bundle (flash)", output.size(document["bundle_bytes"])),
        ("largest session (memory)", output.size(document["peak_bytes"])),
        *([("energy", document["energy_source"])] if document["energy_source"] else []),
        *([("slowed down", document["throttling"])] if document["throttling"] else []),
        *[("does not fit", miss["text"]) for miss in document["misses"]],
    ]
    sections: list[Section] = [
        ("In short", "", table(["", ""], facts)),
        ("Times", "", table(*_times(rows))),
    ]
    first = {row["what"]: row for row in reversed(rows) if row.get("operators")}
    for row in rows:
        if row.get("operators") and row is first[row["what"]]:
            sections += _operator_sections(row, document)
    sections.append(
        (
            "Memory, by what the session does",
            "Exact for the device. A learn step and a predict share their activations.",
            svg("memory", lambda a: _memory(a, document)),
        )
    )  # fmt: skip
    made = f"bundle {document['bundle']}, edgecl {__version__}, kernels {document['kernel_level']}"
    return html_page(f"edgecl bench: {document['device']}", made, sections).encode()


def _operator_sections(row: dict[str, Any], document: dict[str, Any]) -> list[Section]:
    """Of one row: its slowest operators, where they lie below the roof, sums by kind."""
    timed = [op for op in row["operators"] if op["ms"] > 0]
    if not timed:
        return []
    name = f"{row['what']} of {row['batch']}" + (f" + {row['replayed']} replayed" if row["replayed"] else "")
    kind, mark = f"{row['kind'].capitalize()}.", f"{row['what']}{row['batch']}"
    sections: list[Section] = [
        (
            f"Operators: {name}",
            f"{kind} The {min(MOST_BARS, len(timed))} slowest of {len(timed)}, in their order.",
            svg(f"operators-{mark}", lambda axes: _bars(axes, timed)),
        )
    ]
    if row["kind"] == "predicted":
        sections.append(
            (
                f"Roofline: {name}",
                f"{kind} Each dot an operator with multiply-adds; the roof is the peak of the threads and the "
                "bandwidth of the memory.",
                svg(f"roofline-{mark}", lambda axes: _roofline(axes, row, document)),
            )
        )
    return [*sections, (f"Kinds: {name}", kind, table(*_kinds(timed)))]


def boards_page(document: dict[str, Any]) -> bytes:
    """Of the document of all devices."""
    from edgecl import __version__

    kinds = [kind for kind in ("predict", "learn", "route") if f"{kind}_ms" in document["devices"][0]]
    rows = [
        [
            entry["device"], entry["title"], *(span(entry[f"{kind}_ms"]) for kind in kinds),
            output.size(entry["peak_bytes"]), output.size(entry["memory_bytes"]),
            "" if entry["flash_bytes"] is None else output.size(entry["flash_bytes"]),
            "yes" if entry["fits"] else f"no: {why(entry)}",
        ]
        for entry in document["devices"]
    ]  # fmt: skip
    columns = ["name", "device", *(f"{kind}>" for kind in kinds), "memory>", "of>", "flash of>", "fits"]
    misses = [
        [entry["device"], miss["text"]] for entry in document["devices"] for miss in entry["misses"]
    ] or [["every board", "fits"]]  # fmt: skip
    notes = [[entry["device"], entry["note"]] for entry in document["devices"] if entry["note"]]
    sections: list[Section] = [
        (
            "Boards side by side",
            f"{document['batch']} rows, {document['threads']} thread(s). All times are predicted, with their range; "
            "bytes are exact.",
            table(columns, rows),
        ),
        ("Time", "Bars: the range. Boards that do not hold the bundle or a session are grey.",
         svg("boards", lambda a: _boards(a, document, kinds))),
        ("Memory", "Sessions that do not fit are red.", svg("room", lambda a: _room(a, document))),
        ("What does not fit", "", table(["device", ""], misses)),
        *([("Notes", "", table(["device", ""], notes))] if notes else []),
    ]  # fmt: skip
    made = f"bundle {document['bundle']}, edgecl {__version__}"
    return html_page("edgecl bench: boards side by side", made, sections).encode()


def _times(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    cells = []
    for row in rows:
        late = "" if row.get("p95_ms") is None else f"{output.digits(row['p95_ms'])} / {output.digits(row['p99_ms'])}"
        energy = "" if row.get("joules") is None else f"{output.digits(1e3 * row['joules'])} mJ"
        cells.append(
            [
                row["what"], str(row["batch"] or ""), str(row["replayed"] or ""), str(row["threads"]), row["kind"],
                output.digits(row["p50_ms"]), output.span(row["low_ms"], row["high_ms"]), late,
                f"{row['gflops']:.1f}" if row["macs"] else "", energy, row.get("without", ""),
            ]
        )  # fmt: skip
    columns = ["what", "rows>", "replayed>", "threads>", "", "ms>", "range>", "95 / 99 %>", "GFLOP/s>", "energy>", ""]
    told = [i for i in range(len(columns)) if any(row[i] for row in cells)]
    return [columns[i] for i in told], [[row[i] for i in told] for row in cells]


def _kinds(operators: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    for op in operators:
        entry = sums[op["kind"] + (", backward" if op["name"].endswith("(backward)") else "")]
        entry[0] += 1
        entry[1] += op["ms"]
        entry[2] += op["macs"]
    whole = sum(entry[1] for entry in sums.values())
    cells = [
        [
            kind,
            f"{n:.0f}",
            output.digits(ms),
            output.percent(ms / whole),
            f"{2 * macs / ms / 1e6:.1f}" if macs and ms else "",
        ]
        for kind, (n, ms, macs) in sorted(sums.items(), key=lambda item: -item[1][1])
    ]
    return ["kind", "operators>", "ms>", "share>", "GFLOP/s>"], cells


# --- pictures ---


def _logarithmic(axis: Any) -> None:
    """Powers of ten as plain numbers, for the pictures have no formulas."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _bars(axes: Any, operators: list[dict[str, Any]]) -> None:
    slowest = sorted(range(len(operators)), key=lambda i: -operators[i]["ms"])[:MOST_BARS]
    shown = [operators[i] for i in sorted(slowest)]
    axes.figure.set_size_inches(9, 1.0 + 0.24 * len(shown))
    colours = {kind: colour for kind, colour in _colours(operators).items() if any(op["kind"] == kind for op in shown)}
    for place, op in enumerate(shown):
        spread = [[op["ms"] - op["low_ms"]], [op["high_ms"] - op["ms"]]]
        axes.barh(
            place, op["ms"], color=colours[op["kind"]], xerr=spread if op["high_ms"] > op["low_ms"] else None,
            error_kw={"elinewidth": 0.8, "ecolor": "#555"},
        )  # fmt: skip
    names = [op["name"] + (f", {op['direction']}" if "gradient" in op.get("direction", "") else "") for op in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="ms")
    axes.legend(
        [_patch(colour) for colour in colours.values()],
        colours,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
    )


def _colours(operators: list[dict[str, Any]]) -> dict[str, str]:
    """Of each kind, the same in all pictures of a row; the kind that takes most time has the first colour."""
    times: dict[str, float] = defaultdict(float)
    for op in operators:
        times[op["kind"]] += op["ms"]
    return {kind: f"C{i % 10}" for i, kind in enumerate(sorted(times, key=lambda kind: -times[kind]))}


def _patch(colour: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour)


def _roofline(axes: Any, row: dict[str, Any], document: dict[str, Any]) -> None:
    layers = [op for op in row["operators"] if op["macs"] and op["bytes"]]
    peak, bandwidth = document["peak_flops_one_core"] * row["threads"], document["bandwidth_bytes_per_s"]
    intensity = np.array([2 * op["macs"] / op["bytes"] for op in layers])
    low, high = min(0.1, float(intensity.min()) / 2), max(4 * peak / bandwidth, 2 * float(intensity.max()))
    x = np.geomspace(low, high, 100)
    axes.plot(x, np.minimum(peak, x * bandwidth) / 1e9, color="black", linewidth=1)
    for kind, colour in _colours(row["operators"]).items():
        mine = [n for n, op in enumerate(layers) if op["kind"] == kind]
        if not mine:
            continue
        rates = [2 * layers[n]["macs"] / layers[n]["ms"] / 1e6 for n in mine]
        axes.plot(intensity[mine], rates, "o", markersize=5, alpha=0.7, color=colour, label=kind)
    axes.set(xscale="log", yscale="log", xlabel="operations a byte that an operator touches", ylabel="GFLOP/s")
    _logarithmic(axes.xaxis)
    _logarithmic(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _memory(axes: Any, document: dict[str, Any]) -> None:
    sizes = document["memory"]
    known = sum(sizes.get(name, 0) for name, _ in REGIONS)
    rest = max(0, sizes["arena_bytes"] - known)
    phases = ("open", "predict", "learn step", "commit")
    activations = {
        "open": 0,
        "predict": sizes.get("predict_bytes", 0),
        "learn step": sizes.get("learn_bytes", 0),
        "commit": 0,
    }
    bottom = np.zeros(len(phases))
    for i, (name, title) in enumerate([("rest", "control, classes, the rest"), *REGIONS]):
        if name == "learn_bytes":
            value = np.array([activations[phase] for phase in phases], dtype=float)
        elif name == "scratch_bytes":
            value = np.array([0, 1, 1, 0]) * float(sizes.get(name, 0))
        else:
            value = np.full(len(phases), float(rest if name == "rest" else sizes.get(name, 0)))
        axes.bar(phases, value / 2**10, bottom=bottom / 2**10, color=f"C{i}", label=title, width=0.6)
        bottom += value
    axes.axhline(sizes["arena_bytes"] / 2**10, color="black", linewidth=1, linestyle="--", label="session, all told")
    if sizes["arena_bytes"] < document["room"]["memory"] < 3 * sizes["arena_bytes"]:
        axes.axhline(document["room"]["memory"] / 2**10, color="tab:red", linewidth=1, label="memory of the device")
    axes.set(ylabel="KiB")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _boards(axes: Any, document: dict[str, Any], kinds: list[str]) -> None:
    entries = document["devices"]
    axes.figure.set_size_inches(9, 1.0 + 0.34 * len(entries))
    axes.set_xscale("log")
    spans = [entry[f"{kind}_ms"] for entry in entries for kind in kinds]
    axes.set_xlim(min(low for low, _, _ in spans) / 2, 2 * max(high for _, _, high in spans))
    height = 0.8 / len(kinds)
    for i, kind in enumerate(kinds):
        for place, entry in enumerate(entries):
            low, middle, high = entry[f"{kind}_ms"]
            holds = not any(miss["what"] in ("memory", "flash") for miss in entry["misses"])
            colour = f"C{i}" if holds else "#bbb"
            y = place + (i - (len(kinds) - 1) / 2) * height
            axes.barh(
                y, high - low, left=low, height=0.8 * height, color=colour, alpha=0.6, label=kind if not place else None
            )
            axes.plot([middle], [y], "|", color="black", markersize=7)
    if document["budget_ms"] is not None:
        axes.axvline(document["budget_ms"], color="tab:red", linewidth=1, label="budget")
    axes.set_yticks(range(len(entries)), [entry["device"] for entry in entries])
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    _logarithmic(axes.xaxis)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _room(axes: Any, document: dict[str, Any]) -> None:
    entries = document["devices"]
    axes.figure.set_size_inches(9, 1.0 + 0.26 * len(entries))
    for place, entry in enumerate(entries):
        fits = entry["peak_bytes"] <= entry["memory_bytes"]
        axes.barh(
            place, entry["memory_bytes"] / 2**20, color="#ddd", label="memory of the device" if not place else None
        )
        colour = "tab:blue" if fits else "tab:red"
        axes.barh(place, entry["peak_bytes"] / 2**20, height=0.4, color=colour, label="session" if not place else None)
    axes.set_yticks(range(len(entries)), [entry["device"] for entry in entries])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="MiB")
    _logarithmic(axes.xaxis)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
