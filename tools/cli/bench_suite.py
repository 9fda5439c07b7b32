# `edgecl bench --suite`: what the suites share: settings, one row a peer, the document and its tables.
# Never here: what a suite runs (bench_suite_sparse.py, bench_suite_steps.py), processes and turns (bench_turns.py).
"""Suites of the command `bench`. Results are kept in tools/bench/results/, written on a quiet machine by

edgecl bench --suite sparse --against torch,onnxruntime,sparseprop --threads 1,2 --ort-python PYTHON \\
    --out tools/bench/results/sparse.json
edgecl bench --suite steps --against torch,onnxruntime --threads 1,2 --ort-python PYTHON \\
    --out tools/bench/results/steps.json

PYTHON has onnxruntime-training, which needs an environment of its own. All contenders of a row take turns in rounds; a
figure is that of the quietest round, and the median of the rounds stands beside it. With one thread it is processor
time: other work on the machine makes calls wait, and long calls more often than short ones, which would flatter the
faster side. With more threads it is wall time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from edgecl.cli import output
from edgecl.cli.bench_turns import Timing
from edgecl.cli.results import write_table
from rich.console import Console

SUITES = {"sparse": ("torch", "onnxruntime", "sparseprop"), "steps": ("torch", "onnxruntime")}
BUSY = 0.9  # share of its processors below which a contender had to wait
DENSE_PEERS = ("torch", "onnxruntime")
KEPT = (  # of our own figures, in the files of results
    *("ours_ms", "ours_median_ms", "percent_of_peak", "macs", "ours_dense_ms"),
    *("ratio_to_own_dense", "counted_ratio_to_own_dense", "ratio_to_best_dense_peer"),
)


@dataclass(frozen=True)
class Settings:
    """What the user asked for; None: the suite's own choice."""

    against: tuple[str, ...]
    layers: tuple[str, ...] | None
    batches: tuple[str, ...] | None
    threads: tuple[int, ...]
    sparsities: tuple[float, ...] | None
    rounds: int
    seconds: float
    ort_python: str | None


@dataclass(frozen=True)
class Figure:
    """A time, ms: of the quietest round (`ms`), wall time of that round, median of all rounds' wall times; and the
    lowest share of its processors that the process got."""

    ms: float
    wall_ms: float
    median_ms: float
    cpu: float

    @staticmethod
    def of(timing: Timing, threads: int) -> Figure:
        """The figure of one contender that ran on so many threads."""
        wall = timing.quietest
        ms = min(wall, *timing.cpu_ms) if threads == 1 else wall
        return Figure(ms, wall, timing.median, min(timing.cpu) / threads)

    def __add__(self, other: Figure) -> Figure:
        return Figure(
            self.ms + other.ms,
            self.wall_ms + other.wall_ms,
            self.median_ms + other.median_ms,
            min(self.cpu, other.cpu),
        )


@dataclass(frozen=True)
class Peer:
    """A peer's figures by variant (memory layout and the like), or the reason why there is none."""

    variants: Mapping[str, Figure] = field(default_factory=dict)
    note: str | None = None

    @property
    def best(self) -> tuple[str, Figure] | None:
        return min(self.variants.items(), key=lambda item: item[1].ms, default=None)


def make_rows(
    place: dict[str, Any],
    ours: Figure,
    own_dense: Figure | None,
    macs: tuple[int, int],
    peak: float | None,
    peers: Mapping[str, Peer],
) -> Iterator[dict[str, Any]]:
    """One row a peer, or one without a peer.

    Args:
        place: layer, sparsity, batch, threads, pass.
        macs: of the non-zeros, and of the dense form.
    """
    threads = place["threads"]
    row = place | {
        "ours_ms": ours.ms,
        "percent_of_peak": 2e5 * macs[0] / (ours.ms * peak * threads) if peak else None,
        "ours_wall_ms": ours.wall_ms,
        "ours_median_ms": ours.median_ms,
        "ours_cpu": ours.cpu,
        "ours_dense_ms": own_dense.ms if own_dense else None,
        "ratio_to_own_dense": own_dense.ms / ours.ms if own_dense else None,
        "macs": macs[0],
        "counted_ratio_to_own_dense": macs[1] / macs[0],
    }
    dense = [peers[name].best for name in DENSE_PEERS if name in peers]
    row["ratio_to_best_dense_peer"] = min((d[1].ms for d in dense if d), default=float("nan")) / ours.ms
    for name, peer in peers.items() or [(None, Peer())]:
        found = peer.best
        row_of_peer: dict[str, Any] = {"peer": name, "peer_ms": None, "ratio": None}
        if found:
            variant, figure = found
            row_of_peer |= {
                "peer_ms": figure.ms,
                "ratio": figure.ms / ours.ms,
                "peer_wall_ms": figure.wall_ms,
                "peer_median_ms": figure.median_ms,
                "peer_cpu": figure.cpu,
                "peer_variant": variant or None,
            }
        elif peer.note:
            row_of_peer["note"] = peer.note
        yield row | row_of_peer


def compact(document: dict[str, Any]) -> dict[str, Any]:
    """The document as it is kept: one row a place with all peers in it, "PEER_ms" and so on; each note once."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    notes: dict[str, list[str]] = {}
    for row in document["rows"]:
        place = {
            "layer": row["layer"],
            "batch": row["batch_text"],
            "threads": row["threads"],
            "pass": row["pass"],
            "sparsity": row["sparsity"],
        }
        kept = rows.setdefault(tuple(place.values()), place | {key: row[key] for key in KEPT})
        peer = row["peer"]
        if peer is not None:
            kept |= {f"{peer}_{key}": row.get(f"peer_{key}") for key in ("ms", "median_ms", "variant")}
            kept[f"{peer}_ratio"] = row["ratio"]
        if row.get("note") and row["note"] not in notes.setdefault(peer, []):
            notes[peer].append(row["note"])
    return document | {"notes": notes, "rows": list(rows.values())}


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or row["peer_ms"] is None:
        return "n/a"
    return f"{row['peer_ms']:.3f} x{row['ratio']:.2f}"


def _tables(console: Console, document: dict[str, Any]) -> None:
    peers = document["against"]
    groups: dict[tuple[Any, ...], dict[tuple[Any, ...], dict[str | None, dict[str, Any]]]] = {}
    for row in document["rows"]:
        title = (row["layer"], row["batch_text"], row["threads"])
        line = (row["pass"], row["sparsity"])
        groups.setdefault(title, {}).setdefault(line, {})[row["peer"]] = row
    columns = ["pass", "zeros>", "ms>", "of peak>", "own dense>", *[f"{p}>" for p in peers], "best>"]
    for (layer, batch, threads), lines in groups.items():
        cells = []
        for (pass_name, sparsity), by_peer in lines.items():
            row = next(iter(by_peer.values()))
            percent = "" if row["percent_of_peak"] is None else f"{row['percent_of_peak']:.0f} %"
            own, best = row["ratio_to_own_dense"], row["ratio_to_best_dense_peer"]
            counted = row["counted_ratio_to_own_dense"]
            own_cell = "" if own is None else f"x{own:.2f} of {counted:.1f}"
            best_cell = f"x{best:.2f}" if best == best else ""
            line_cells = [pass_name, f"{100 * sparsity:g} %", f"{row['ours_ms']:.3f}", percent, own_cell]
            cells.append([*line_cells, *[_cell(by_peer.get(p)) for p in peers], best_cell])
        console.print()
        console.print(
            output.table(columns, cells, title=f"{layer}, batch {batch}, {threads} thread{'s' if threads > 1 else ''}")
        )
    notes = dict.fromkeys((r["peer"], r["note"]) for r in document["rows"] if r.get("note"))
    for peer, note in notes:
        console.print(f"{peer} n/a: {note}")
    console.print(f"\n{document['measured_on']}")
    console.print(
        "ms of the quietest round (one thread: processor time); xN: times as fast as that, of M: the multiply-adds "
        "would have it M times; of peak: non-zeros; best: the best dense peer"
    )
    if document["least_cpu"] < BUSY:
        console.print(
            f"the machine was busy (a contender got {100 * document['least_cpu']:.0f} % of its processors): "
            "figures of more than one thread are wall time and want a quiet machine"
        )


def run_suite(suite: str, settings: Settings, out: Path | None, as_json: bool) -> None:
    """Runs one suite, prints its tables or JSON, and writes the JSON to `out`. Minutes; `seconds` scales it."""
    from edgecl.cli import bench_suite_sparse, bench_suite_steps
    from edgecl.devices.machine import measure_peak_flops, this_machine

    rows_of: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
        "sparse": bench_suite_sparse.rows,
        "steps": bench_suite_steps.rows,
    }
    machine, load = this_machine(), [os.getloadavg()[0]]
    facts: dict[str, Any] = {}
    with output.progress() as update:
        update("FMA peak", 0, 1)
        peak = measure_peak_flops()
        rows = list(rows_of[suite](settings, peak, update, facts))
    load.append(os.getloadavg()[0])
    peak_text = f"FMA peak of one core {peak / 1e9:.0f} GFLOP/s" if peak else "FMA peak not measured (no C compiler)"
    document: dict[str, Any] = {
        "suite": suite,
        "date": str(date.today()),
        "machine": vars(machine),
        "measured_on": (
            f"measured {date.today()} on {' '.join(machine.cpu_parts)} ({machine.architecture}, {machine.cores} cores),"
            f" {peak_text}; load {load[0]:.1f} at the start, {load[1]:.1f} at the end"
        ),
        "peak_flops_one_core": peak,
        "load_average": load,
        "least_cpu": min((row[key] for row in rows for key in ("ours_cpu", "peer_cpu") if key in row), default=1.0),
        "against": list(settings.against),
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "versions": facts,
        "rows": rows,
    }
    if out is not None:
        write_table(out, compact(document))
    output.emit(document, as_json, lambda console: _tables(console, document))
