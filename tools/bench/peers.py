"""edgecl beside its peers: training steps and batch-1 inference, one thread, one interleaved run, one machine.

Never here: the peers' own code and the turns (edgecl.cli.bench_workers, bench_turns) and the networks
(bench_networks). Sparse layers and steps at several sparsities are suites of `edgecl bench`.

Each configuration is a process of its own that stays alive; rounds go over all processes of one row, so that a busy
moment of the machine hits all of them alike. A row's figure is the median over rounds of the round's median.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from edgecl.cli.bench_networks import INPUT_SHAPE, TRAINED, build, multiply_adds, write_bundle, write_onnx
from edgecl.cli.bench_turns import Timing, Worker, WorkerFailed, take_turns, team
from edgecl.cli.results import write_table
from rich.progress import Progress

SPARSE_DENSITY = 0.1


@dataclass
class Row:
    """One comparison: the same network, batch and task for every contender."""

    network: str
    batch: int
    what: str  # learn or predict
    starts: dict[str, Callable[[], Worker]] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    macs: int = 0


def make_rows(arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """All rows with the start of each contender that can take part; makes bundles and model files in `folder`."""
    networks = [n for n in INPUT_SHAPE if arguments.networks is None or n in arguments.networks]
    for name in networks:
        shape = INPUT_SHAPE[name]
        forward, training = multiply_adds(build(name), shape)
        trained = name in TRAINED
        bundles = {}
        for density in (1.0, SPARSE_DENSITY) if trained else (1.0,):
            bundles[density] = folder / f"{name}_{density:g}.ecl"
            write_bundle(name, bundles[density], density=density, trainable="all" if trained else "head")
        litert = write_litert(name, folder / f"{name}.tflite") if "litert" in arguments.peers else None
        onnx, no_onnx = None, ""
        if "onnxruntime" in arguments.peers:
            try:
                onnx = write_onnx(name, folder / name, trained and bool(arguments.ort_python), arguments.ort_python)
            except (WorkerFailed, OSError) as error:
                no_onnx = str(error)
        plan = [("learn", b) for b in arguments.batches] if trained and "learn" in arguments.what else []
        plan += [("predict", 1)] if "predict" in arguments.what else []
        for what, batch in plan:
            row = Row(name, batch, what, macs=batch * (training if what == "learn" else forward))
            common = {"batch": batch, "threads": arguments.threads, "what": what}

            def start(
                label: str,
                module: str,
                config: dict[str, Any],
                python: str | None = None,
                row: Row = row,
                common: dict[str, Any] = common,
            ) -> None:
                row.starts[label] = partial(Worker, module, common | config, arguments.threads, python)

            for density, path in bundles.items():
                label = "edgecl" if density == 1.0 else f"edgecl {100 * (1 - density):.0f} % sparse"
                start(label, "step_edgecl", {"bundle": str(path)})
            if "torch" in arguments.peers:
                for layout in ("eager", "channels_last") if len(shape) == 3 else ("eager",):
                    start(f"torch {layout}", "step_torch", {"network": name, "layout": layout})
            if onnx is not None:
                config = {"folder": str(onnx), "shape": shape}
                start("onnxruntime", "step_onnxruntime", config, arguments.ort_python)
            elif no_onnx:
                row.failed["onnxruntime"] = no_onnx
            if litert and what == "predict":
                start("litert", "step_litert", {"file": str(litert)})
            yield row


def write_litert(name: str, path: Path) -> Path | None:
    """The .tflite file of `name`; None where ai-edge-litert is not installed."""
    try:
        from litert_model import write
    except ImportError:
        return None
    return write(name, path)


def measure(row: Row, rounds: int, seconds: float, tick: Callable[[], None]) -> None:
    """Times all contenders of `row` in turns; one that fails is left out and its reason kept in `failed`."""
    with team(row.starts) as crew:
        turns = {label: (label, row.what) for label in crew.workers}
        row.timings = take_turns(crew, turns, rounds, rounds * seconds, tick)
    row.facts, row.failed = crew.facts, row.failed | crew.failed


def as_record(row: Row, peak_flops: float | None) -> dict[str, Any]:
    """The row as it is written to JSON."""
    contenders = {}
    for label, timing in row.timings.items():
        ms = timing.median
        gflops = 2 * row.macs / ms / 1e6
        contenders[label] = {
            "ms": ms, "low_ms": min(timing.rounds), "high_ms": max(timing.rounds), "gflops_as_if_dense": gflops,
            "percent_of_peak": 1e11 * gflops / peak_flops if peak_flops else None, **row.facts[label],
            "cpu": timing.cpu[-1], "peak_rss_mib": timing.peak_rss_mib,
        }  # fmt: skip
    return {
        "network": row.network,
        "batch": row.batch,
        "what": row.what,
        "contenders": contenders,
        "failed": row.failed,
    }


def as_table(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records as rows of the file of results: one a contender, with its ratio to the best peer or its failure."""
    speed = ("ms", "low_ms", "high_ms", "gflops_as_if_dense", "percent_of_peak")
    kept = (*speed, "cpu", "start_to_first_step_s", "peak_rss_mib")
    for record in records:
        place = {key: record[key] for key in ("network", "what", "batch")}
        peers = [c["ms"] for label, c in record["contenders"].items() if not label.startswith("edgecl")]
        for label, c in record["contenders"].items():
            version = c.get("version") or c.get("level")
            row = place | {"contender": label, "version": version, **{key: c[key] for key in kept}}
            yield row | {"times_the_best_peer": min(peers) / c["ms"] if peers else None}
        for label, why in record["failed"].items():
            yield place | {"contender": label, "note": why}


def markdown(records: list[dict[str, Any]]) -> Iterator[str]:
    """The table: ms, spread over rounds, share of peak, times faster than the best peer, CPU seconds per second.

    A `cpu` well below the thread count says that the machine was busy: measure again.
    """
    yield "| network | what | batch | contender | ms | spread | % of FMA peak | times the best peer | cpu |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for record in records:
        peers = [c["ms"] for label, c in record["contenders"].items() if not label.startswith("edgecl")]
        for label, c in record["contenders"].items():
            ratio = f"{min(peers) / c['ms']:.2f}" if peers else "-"
            sparse = "sparse" in label
            percent = "-" if c["percent_of_peak"] is None or sparse else f"{c['percent_of_peak']:.0f}"
            yield (
                f"| {record['network']} | {record['what']} | {record['batch']} | {label} | {c['ms']:.3f} | "
                f"{c['low_ms']:.3f}-{c['high_ms']:.3f} | {percent} | {ratio} | {c['cpu']:.2f} |"
            )
        for label, why in record["failed"].items():
            yield f"| {record['network']} | {record['what']} | {record['batch']} | {label} | not run: {why} | | | | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(INPUT_SHAPE))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 10, 32])
    parser.add_argument("--what", nargs="+", choices=["learn", "predict"], default=["learn", "predict"])
    parser.add_argument("--peers", nargs="*", default=["torch", "onnxruntime", "litert"])
    parser.add_argument("--ort-python", help="interpreter with onnxruntime-training (its own environment)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each contender in each round")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()

    from edgecl.devices.machine import measure_peak_flops, this_machine

    peak = measure_peak_flops()
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        rows = []
        preparing = progress.add_task("exporting", total=None)
        for row in make_rows(arguments, Path(folder)):
            rows.append(row)
        progress.remove_task(preparing)
        task = progress.add_task("measuring", total=len(rows) * arguments.rounds)
        for row in rows:
            progress.update(task, description=f"{row.network} {row.what} batch {row.batch}")
            measure(row, arguments.rounds, arguments.seconds, lambda: progress.advance(task))
    records = [as_record(row, peak) for row in rows]
    machine = this_machine()
    print("\n".join(markdown(records)))
    print(
        f"\nmeasured {date.today()} on {' '.join(machine.cpu_parts)} ({platform.machine()}), "
        f"{arguments.threads} thread(s); ",
        end="",
    )
    print(f"FMA peak of one core {peak / 1e9:.0f} GFLOP/s" if peak else "peak not measured (no C compiler)")
    if arguments.out:
        document = {
            "date": str(date.today()),
            "machine": vars(machine),
            "peak_flops": peak,
            "threads": arguments.threads,
        }
        write_table(arguments.out, document | {"rows": list(as_table(records))})


if __name__ == "__main__":
    main()
