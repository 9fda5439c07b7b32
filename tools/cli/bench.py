# `edgecl bench`: times of predict and learn, measured where this machine is the device, else predicted.
# Never here: cost model (edgecl.devices), timing loops (bench_measure.py), peers (bench_peers.py), bench_suite*.
"""The command `bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from edgecl.cli import failure, output
from edgecl.cli.bench_options import milliseconds, numbers, refuse_options, suite_settings, words
from edgecl.errors import DataError
from rich.console import Console

DEFAULT_BATCHES, DEFAULT_WHAT, DEFAULT_REPEAT = "1,10,32", "predict,learn", 30
DEFAULT_ROUNDS, DEFAULT_SECONDS = 5, 1.0  # of the suites
NOISE = 0.05  # a change of less than this share is called none


def _predicted(model: Any, device: Any, config: dict[str, Any], what: str, batch: int, threads: int) -> dict[str, Any]:
    """One predicted row; `config` is the session's."""
    from edgecl._core import replay_rows
    from edgecl.devices import forward_operators, learn_operators, predict

    replayed = replay_rows(config) if what == "learn" else 0
    if what == "learn":
        operators = learn_operators(model.ops(), batch + replayed, momentum=config["momentum"] > 0)
    else:
        operators = forward_operators(model.ops(), batch)
    result = predict(operators, device, threads)
    return {
        "what": what,
        "batch": batch,
        "replayed": replayed,
        "threads": threads,
        "kind": "predicted",
        "p50_ms": result.ms,
        "p95_ms": None,
        "low_ms": result.low_ms,
        "high_ms": result.high_ms,
        "macs": result.macs,
        "gflops": result.gflops,
        "percent_of_peak": 1e11 * result.gflops / (device.peak_flops(1) * threads),
        "operators": [vars(op) for op in result.operators],
    }


def _compare(rows: list[dict[str, Any]], path: Path) -> None:
    """Adds to each row what changed against the rows of an earlier --json document."""
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"expected the output of `edgecl bench --json` in '{path}'; found: {error}; write it again"
        ) from error
    known = {(r["what"], r["batch"], r["threads"], r["kind"], r.get("by", "edgecl")): r for r in base}
    for row in rows:
        old = known.get((row["what"], row["batch"], row["threads"], row["kind"], row.get("by", "edgecl")))
        if old is None:
            continue
        row["base_p50_ms"] = old["p50_ms"]
        ratio = row["p50_ms"] / old["p50_ms"]
        row["change"] = "none" if abs(ratio - 1) < NOISE else f"{100 * (ratio - 1):+.0f} %"


def _render(console: Console, document: dict[str, Any]) -> None:
    console.print(f"{document['bundle']} on {document['device_title']}: {document['kind']}")
    # One kind and one library fill no column of their own.
    kinds = {row["kind"] for row in document["rows"]}
    shows = {
        "by": len({row.get("by", "edgecl") for row in document["rows"]}) > 1,
        "kind": len(kinds) > 1,
        "change>": any("change" in row for row in document["rows"]),
    }
    range_column = "95 % below>" if kinds == {"measured"} else "range>"
    rows = []
    for row in document["rows"]:
        predicted = row["kind"] == "predicted"
        spread = f"{row['low_ms']:.3g} to {row['high_ms']:.3g}" if predicted else f"{row['p95_ms']:.3g}"
        percent = "" if row["percent_of_peak"] is None else f"{row['percent_of_peak']:.0f} %"
        cells = {
            "by": row.get("by", "edgecl"),
            "what": row["what"],
            "batch>": row["batch"],
            "threads>": row["threads"],
            "ms>": f"{row['p50_ms']:.3f}",
            range_column: spread,
            "kind": row["kind"],
            "GFLOP/s>": f"{row['gflops']:.1f}",
            "of peak>": percent,
            "change>": row.get("change", ""),
        }
        rows.append({name: cell for name, cell in cells.items() if shows.get(name, True)})
    console.print(output.table(list(rows[0]), [list(row.values()) for row in rows]))
    slowest = sorted(document["rows"][0].get("operators", []), key=lambda op: -op["ms"])[:5]
    if slowest:
        console.print("\nslowest operators of the first row (predicted):")
        operators = [
            [op["name"], op["kind"], f"{op['ms']:.3f}", f"{op['low_ms']:.3g} to {op['high_ms']:.3g}", op["bound"]]
            for op in slowest
        ]
        console.print(output.table(["operator", "kind", "ms>", "range>", "bound by"], operators))
    facts = [
        *([("encoder", document["encoder"])] if document["encoder"] else []),
        ("bundle (flash)", output.size(document["bundle_bytes"]) + ", exact"),
        ("largest session (memory)", output.size(document["peak_bytes"]) + ", exact"),
    ]
    if document["kind"] == "predicted":
        facts.append(("range", document["range_source"]))
    if document["budget_ms"] is not None:
        facts.append(
            ("budget", f"{document['budget_ms']:g} ms: " + ("kept" if document["within_budget"] else "EXCEEDED"))
        )
    console.print(output.facts(facts))


def _encoder_note(encoder: dict[str, Any] | None, here: bool) -> str | None:
    if encoder is None:
        return None
    if here:
        return "of another engine: in the times, one sample after the other; not in multiply-adds and memory"
    return "of another engine: in no figure; what follows it alone is predicted"


@failure.command
def bench(
    bundle: Path | None = typer.Argument(None, help="Bundle (.ecl); none with --suite."),
    device: str = typer.Option("host", "--device", "-d", help="Profile; `edgecl devices` lists them."),
    batch: str | None = typer.Option(
        None, "--batch", "-b", help=f"Rows of a call, several with commas [default: {DEFAULT_BATCHES}; suites: 32]."
    ),
    threads: str = typer.Option("1", "--threads", "-t", help="Threads, several with commas."),
    what: str = typer.Option(
        DEFAULT_WHAT, "--what", help="predict, learn or both. Learn adds the replay of the recipe."
    ),
    repeat: int = typer.Option(
        DEFAULT_REPEAT, "--repeat", "-n", min=3, help="Timed calls a row (at most ten seconds a row)."
    ),
    against: str | None = typer.Option(
        None, "--against", help="Peers on this machine: torch,onnxruntime,litert; suite sparse also sparseprop."
    ),
    model: str | None = typer.Option(
        None, "--model", help="Source of the bundle for --against, as `edgecl export` takes it."
    ),
    tflite: Path | None = typer.Option(None, "--tflite", help="The same network as .tflite, for --against litert."),
    compare: Path | None = typer.Option(None, "--compare", help="Output of an earlier --json: show what changed."),
    budget: str | None = typer.Option(None, "--budget", help="Exit with 1 when a row takes longer (20ms, 1.5s)."),
    suite: str | None = typer.Option(
        None, "--suite", help="sparse: passes of single layers; steps: whole training steps. Takes no bundle."
    ),
    layer: str | None = typer.Option(
        None, "--layer", help="Suites: only these layers (CxHxW, C-OxHxWs2, linear-IxO) or networks."
    ),
    sparsity: str | None = typer.Option(None, "--sparsity", help="Suites: shares of zeros, with commas."),
    rounds: int = typer.Option(
        DEFAULT_ROUNDS, "--rounds", min=1, help="Suites: rounds in which all contenders take turns."
    ),
    seconds: float = typer.Option(
        DEFAULT_SECONDS, "--seconds", help="Suites: seconds a contender and row, over all rounds."
    ),
    ort_python: str | None = typer.Option(
        None, "--ort-python", help="Suites: interpreter with onnxruntime-training (its own environment)."
    ),
    out: Path | None = typer.Option(
        None, "--out", help="Suites: also keep the figures in this file, one line a place."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Time predict and learn on a device: measured if this machine is that device, predicted with a range if not.

    Example: edgecl bench model.ecl --device rpi4 --batch 1,10 --budget 50ms

    JSON: {"device", "kind", "rows": [{"what", "batch", "replayed", "threads", "kind": measured|predicted, "p50_ms",
    "p95_ms", "low_ms", "high_ms", "gflops", "percent_of_peak", "macs", "operators"?, "by"?, "change"?}], "peak_bytes",
    "bundle_bytes", "within_budget"}

    Suites measure this machine beside other libraries, all contenders of a row in turns:

    edgecl bench --suite sparse --against torch,onnxruntime,sparseprop --threads 1,2

    edgecl bench --suite steps --against torch,onnxruntime --batch 10+10,32     (10 new and 10 replayed rows)

    JSON: {"suite", "date", "machine", "peak_flops_one_core", "rows": [{"layer", "sparsity", "batch", "threads", "pass":
    forward|dX|dW|all|step, "ours_ms", "percent_of_peak" (of non-zeros), "peer", "peer_ms", "ratio" (peer_ms / ours_ms),
    "ours_dense_ms", "ratio_to_own_dense", "counted_ratio_to_own_dense" (of multiply-adds), "ratio_to_best_dense_peer",
    "note"? (why a peer has no time)}]}; ms are those of the quietest round: processor time with one thread, else wall
    time ("ours_wall_ms", "peer_wall_ms" always are)
    """
    if suite is not None:
        from edgecl.cli.bench_suite import run_suite

        of_bundle = {"a bundle": bundle, "--model": model, "--tflite": tflite, "--compare": compare, "--budget": budget}
        defaults: dict[str, tuple[object, object]]
        defaults = {"--device": (device, "host"), "--what": (what, DEFAULT_WHAT), "--repeat": (repeat, DEFAULT_REPEAT)}
        refuse_options({name: (value, None) for name, value in of_bundle.items()} | defaults, with_suite=True)
        settings = suite_settings(suite, against, layer, batch, threads, sparsity, rounds, seconds, ort_python)
        return run_suite(suite, settings, out, as_json)
    of_suite = {"--layer": layer, "--sparsity": sparsity, "--ort-python": ort_python, "--out": out}
    defaults = {"--rounds": (rounds, DEFAULT_ROUNDS), "--seconds": (seconds, DEFAULT_SECONDS)}
    refuse_options({name: (value, None) for name, value in of_suite.items()} | defaults, with_suite=False)
    if bundle is None:
        raise failure.UsageError("expected a bundle or --suite; found neither; name a .ecl file, or --suite sparse")
    from edgecl import devices
    from edgecl._core import Model
    from edgecl.cli.bench_measure import encoder_at, measured, session_config

    batches, thread_counts = numbers(batch or DEFAULT_BATCHES, "batch"), numbers(threads, "threads")
    kinds = words(what, ("predict", "learn"), "what")
    limit = None if budget is None else milliseconds(budget)
    try:
        profile = devices.load(device)
    except ValueError as error:
        raise failure.UsageError(f"{error}") from error
    here = devices.matches(profile, devices.this_machine())
    if against is not None and not here:
        raise failure.UsageError(
            f"expected --against on the device itself; found --device {device} elsewhere; peers are never predicted"
        )
    opened = Model(path=str(bundle))
    if against is not None and opened.encoder() is not None:
        raise failure.UsageError(
            "expected a bundle whose encoder edgecl runs for --against; found one with a file of another engine; leave "
            "it out"
        )

    def arena_bytes(**config: Any) -> int:
        sizes = opened.sizes(**config) if here else opened.sizes_for(profile.level, profile.pointer_bytes, **config)
        return sizes["arena_bytes"]

    rows: list[dict[str, Any]] = []
    peak_bytes = 0
    with output.progress() as update:
        combinations = [(w, b, t) for w in kinds for b in batches for t in thread_counts]
        for done, (w, b, t) in enumerate(combinations):
            update(f"{w} batch {b}", done, len(combinations))
            config = session_config(opened, w, b)
            peak_bytes = max(peak_bytes, arena_bytes(n_threads=t, **config))
            if here:
                rows.append(measured(opened, config, w, b, t, repeat, profile.peak_flops(1), encoder_at(bundle, t)))
            else:
                rows.append(_predicted(opened, profile, config, w, b, t))
        if against is not None:
            from edgecl.cli.bench_peers import peer_rows

            peers = words(against, ("torch", "onnxruntime", "litert"), "against")
            rows += peer_rows(peers, model, tflite, opened, combinations, repeat, profile.peak_flops(1))
    if compare is not None:
        _compare(rows, compare)
    own = [row for row in rows if "by" not in row]
    worst = max(row["p50_ms"] if row["kind"] == "measured" else row["high_ms"] for row in own)
    document: dict[str, Any] = {
        "device": profile.name,
        "device_title": profile.title,
        "kind": "measured" if here else "predicted",
        "range_source": None if here else profile.range_source,
        "bundle": str(bundle),
        "bundle_bytes": int(opened.describe()["bundle_bytes"]),
        "peak_bytes": peak_bytes,
        "peak_flops_one_core": profile.peak_flops(1),
        "kernel_level": opened.describe()["kernel_level"] if here else profile.level,
        "budget_ms": limit,
        "within_budget": None if limit is None else worst <= limit,
        "encoder": _encoder_note(opened.encoder(), here),
        "rows": rows,
    }
    output.emit(document, as_json, lambda console: _render(console, document))
    if limit is not None and worst > limit:
        failure.finish(failure.NO)
