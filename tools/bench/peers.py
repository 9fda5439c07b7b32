"""edgecl beside its peers: training steps and batch-1 inference, one thread, one interleaved run, one machine.

Never here: the peers' own code (worker_*.py) and the networks (networks.py).

Each configuration is a process of its own that stays alive; rounds go over all processes of one row, so that a busy
moment of the machine hits all of them alike. A row's figure is the median over rounds of the round's median.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from networks import INPUT_SHAPE, build, multiply_adds, write_bundle
from rich.progress import Progress

HERE = Path(__file__).resolve().parent
TRAINED = ("mlp", "resnet18-nf20", "resnet18")
SPARSE_DENSITY = 0.1


@dataclass
class Row:
    """One comparison: the same network, batch and task for every contender."""

    network: str
    batch: int
    what: str  # learn or predict
    commands: dict[str, list[str]] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    macs: int = 0


class Worker:
    """One contender's process."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE,
            env=environment,
        )  # fmt: skip
        self.ready = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        assert self.process.stderr
        last = (self.process.stderr.read().strip().splitlines() or ["it ended without a word"])[-1]
        raise RuntimeError(last[:200])

    def time(self, repeat: int) -> dict[str, Any]:
        """Times `repeat` steps: {"ms": [...], "cpu": CPU seconds per wall second}."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"repeat": repeat}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process by closing its input."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=30)


def make_rows(arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """All rows with the commands of each contender that can take part; makes bundles and model files in `folder`."""
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
        onnx = (
            write_onnx(name, folder / name, arguments.ort_python, trained) if "onnxruntime" in arguments.peers else ""
        )
        plan = [("learn", b) for b in arguments.batches] if trained and "learn" in arguments.what else []
        plan += [("predict", 1)] if "predict" in arguments.what else []
        for what, batch in plan:
            row = Row(name, batch, what, macs=batch * (training if what == "learn" else forward))
            common = [str(batch), str(arguments.threads), what]
            for density, path in bundles.items():
                label = "edgecl" if density == 1.0 else f"edgecl {100 * (1 - density):.0f} % sparse"
                row.commands[label] = [sys.executable, "worker_edgecl.py", str(path), *common]
            if "torch" in arguments.peers:
                for layout in ("eager", "channels_last") if len(shape) == 3 else ("eager",):
                    row.commands[f"torch {layout}"] = [sys.executable, "worker_torch.py", name, *common, layout]
            if onnx and (what == "predict" or trained):
                shape_text = ",".join(map(str, shape))
                python = arguments.ort_python or sys.executable
                row.commands["onnxruntime"] = [python, "worker_onnxruntime.py", onnx, *common, shape_text]
            if litert and what == "predict":
                row.commands["litert"] = [sys.executable, "worker_litert.py", str(litert), *common]
            yield row


def write_onnx(name: str, folder: Path, ort_python: str | None, trained: bool) -> str:
    """The ONNX files of `name`; training artifacts where an interpreter with onnxruntime-training was given."""
    import torch

    subprocess.run(
        [sys.executable, "onnx_artifacts.py", "export", name, str(folder)], cwd=HERE, check=True, capture_output=True
    )
    if trained and ort_python:
        site = str(Path(torch.__file__).parents[1])
        subprocess.run(
            [ort_python, "onnx_artifacts.py", "artifacts", str(folder), site], cwd=HERE, check=True, capture_output=True
        )
    return str(folder)


def write_litert(name: str, path: Path) -> Path | None:
    """The .tflite file of `name`; None where ai-edge-litert is not installed."""
    try:
        from litert_model import write
    except ImportError:
        return None
    return write(name, path)


def measure(row: Row, rounds: int, seconds: float, environment: dict[str, str], tick: Any) -> None:
    """Times all contenders of `row` in turns; one that fails is left out and its reason kept in `facts`."""
    workers: dict[str, Worker] = {}
    for label, command in row.commands.items():
        try:
            workers[label] = Worker(command, environment)
            row.facts[label] = workers[label].ready
            row.times[label] = []
        except (RuntimeError, OSError) as error:
            row.facts[label] = {"error": str(error)}
    repeats = {}
    for label, worker in workers.items():
        first = statistics.median(worker.time(3)["ms"])
        repeats[label] = max(3, min(2000, int(seconds * 1e3 / first)))
    for _ in range(rounds):
        for label, worker in workers.items():
            answer = worker.time(repeats[label])
            row.times[label].append(statistics.median(answer["ms"]))
            row.facts[label] |= {"cpu": answer["cpu"], "peak_rss_mib": answer["peak_rss_mib"]}
        tick()
    for worker in workers.values():
        worker.close()


def as_record(row: Row, peak_flops: float | None) -> dict[str, Any]:
    """The row as it is written to JSON."""
    contenders = {}
    for label, times in row.times.items():
        ms = statistics.median(times)
        gflops = 2 * row.macs / ms / 1e6
        contenders[label] = {
            "ms": ms, "low_ms": min(times), "high_ms": max(times), "gflops_as_if_dense": gflops,
            "percent_of_peak": 1e11 * gflops / peak_flops if peak_flops else None, **row.facts[label],
        }  # fmt: skip
    failed = {label: facts["error"] for label, facts in row.facts.items() if "error" in facts}
    return {"network": row.network, "batch": row.batch, "what": row.what, "contenders": contenders, "failed": failed}


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
    environment = os.environ | {
        "OMP_NUM_THREADS": str(arguments.threads),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        rows = []
        preparing = progress.add_task("exporting", total=None)
        for row in make_rows(arguments, Path(folder)):
            rows.append(row)
        progress.remove_task(preparing)
        task = progress.add_task("measuring", total=len(rows) * arguments.rounds)
        for row in rows:
            progress.update(task, description=f"{row.network} {row.what} batch {row.batch}")
            measure(row, arguments.rounds, arguments.seconds, environment, lambda: progress.advance(task))
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
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "date": str(date.today()),
            "machine": vars(machine),
            "peak_flops": peak,
            "threads": arguments.threads,
        }
        arguments.out.write_text(json.dumps(document | {"rows": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
